# SPDX-License-Identifier: Apache-2.0
"""ICMP messages that a packet was too big, with the packet they quote."""

from __future__ import annotations

import pytest

from genevecap.decode.icmp_quotes import too_big
from genevecap.decode.settings import DecodeSettings
from tests.build import packets as p
from tests.properties.decoders import batch_of, decode_all, readable_decoder

QUOTED = p.ipv4(p.tcp(bytes(1460)), 6, "10.1.0.1", "10.1.0.2", flags=2)
QUOTED6 = p.ipv6(p.tcp(bytes(1440)), 6)


def message(frame, captured=None):
    made = batch_of([(1, frame[:captured], len(frame))])
    (decoded,) = decode_all(readable_decoder(), made)
    return too_big(made, decoded, 0, DecodeSettings())


def ipv4_message(mtu, quote, code=4, kind=3):
    rest = bytes(2) + mtu.to_bytes(2, "big")
    return p.ethernet(p.ipv4(p.icmp(quote, kind, code, rest), 1))


def ipv6_message(mtu, quote, kind=2):
    return p.ethernet(p.ipv6(p.icmpv6(quote, kind, 0, mtu.to_bytes(4, "big")), 58), 0x86DD)


@pytest.mark.parametrize("quote", [QUOTED, QUOTED[:28]])
def test_fragmentation_needed(quote):
    found = message(ipv4_message(1450, quote))
    assert (found.next_hop_mtu_bytes, found.quoted_bytes) == (1450, 1500)
    ports = found.quoted.outer_source_port[0], found.quoted.outer_destination_port[0]
    assert ports == (40000, 80)
    assert found.quoted.outer_source_lo[0] == 0x0A010001


def test_packet_too_big():
    found = message(ipv6_message(1430, QUOTED6[:200]))
    assert (found.next_hop_mtu_bytes, found.quoted_bytes) == (1430, 1500)
    assert found.quoted.outer_destination_port[0] == 80


def test_other_messages():
    assert message(ipv4_message(1450, QUOTED, code=3)) is None
    assert message(ipv4_message(1450, QUOTED, kind=11)) is None
    assert message(ipv6_message(1430, QUOTED6, kind=1)) is None
    assert message(p.ethernet(QUOTED)) is None
    assert message(p.ethernet(bytes(20), 0x88CC)) is None


@pytest.mark.parametrize("captured", range(14, 100))
def test_cut_short(captured):
    found = message(ipv4_message(1450, QUOTED), captured)
    assert (found is not None) == (captured >= 14 + 28)
