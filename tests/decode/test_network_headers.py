# SPDX-License-Identifier: Apache-2.0
"""Facts of IP headers that the columns leave out, and silence where octets are missing."""

from __future__ import annotations

import pytest

from genevecap.decode.network_headers import fragmentation, packet_bytes_said
from tests.build import packets as p
from tests.properties.decoders import batch_of


def frames(packet, captured=None):
    return batch_of([(1, p.ethernet(packet)[:captured], len(packet) + 14)])


@pytest.mark.parametrize(
    ("packet", "version", "more", "fixed", "octets"),
    [
        (p.ipv4(bytes(100)), 4, False, False, 120),
        (p.ipv4(bytes(100), flags=2), 4, False, True, 120),
        (p.ipv4(bytes(96), flags=1), 4, True, False, 116),
        (p.ipv4(bytes(96), flags=1, fragment_offset=96), 4, False, False, 116),
        (p.ipv4(bytes(96), flags=1, fragment_offset=8 * 4096), 4, False, False, 116),
        (p.ipv6(bytes(100)), 6, False, True, 140),
        (p.ipv6(p.ipv6_fragment(bytes(96), more=1), 44), 6, True, True, 144),
        # Reserved bits are ignored (RFC 8200 section 4.5).
        (p.ipv6(p.ipv6_fragment(bytes(96), more=7), 44), 6, True, True, 144),
        (p.ipv6(p.ipv6_fragment(bytes(96), offset=96), 44), 6, False, True, 144),
        (p.ipv6(bytes(100), payload_length=0), 6, False, True, 0),
    ],
)
def test_whole_headers(packet, version, more, fixed, octets):
    made = frames(packet)
    assert fragmentation(made, 0, 14, version) == (more, fixed)
    assert packet_bytes_said(made, 0, 14, version) == octets


@pytest.mark.parametrize("captured", range(14, 70))
def test_what_was_not_captured_says_nothing(captured):
    first = p.ipv6(p.ipv6_fragment(bytes(96), more=1), 44)
    made = frames(first, captured)
    assert fragmentation(made, 0, 14, 6) == (captured >= 14 + 44, True)
    assert packet_bytes_said(made, 0, 14, 6) == (144 if captured >= 20 else 0)
    made = frames(p.ipv4(bytes(96), flags=3), captured)
    assert fragmentation(made, 0, 14, 4) == (captured >= 22, captured >= 22)


def test_what_is_no_ip_has_no_length():
    assert packet_bytes_said(frames(bytes(60)), 0, 14, 0) == 0
