# SPDX-License-Identifier: Apache-2.0
"""decode/checksums: right, wrong, and begun."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.decode.checksums import is_partial, ones_sum, pseudo_sum
from tests.build.packets import checksum

ADDRESSES = bytes((10, 0, 0, 1, 10, 0, 0, 2))


@given(st.binary(max_size=200))
def test_the_sum_is_that_of_rfc_1071(octets):
    assert ones_sum(octets) == (~checksum(octets) & 0xFFFF) % 0xFFFF


def segment(field: int) -> bytes:
    header = struct.pack(">HHIIHHHH", 1000, 2000, 1, 0, 0x5002, 64000, field, 0)
    return header + b"some octets"


def right_checksum() -> int:
    plain = segment(0)
    return checksum(ADDRESSES + struct.pack(">HH", 6, len(plain)) + plain)


@pytest.mark.parametrize(
    ("field", "partial"),
    [
        (right_checksum(), False),
        (right_checksum() ^ 1, False),
        (0, False),
        (pseudo_sum(ADDRESSES, 6, len(segment(0))), True),
    ],
)
def test_only_the_pseudo_headers_sum_is_partial(field, partial):
    octets = segment(field)
    assert is_partial(field, pseudo_sum(ADDRESSES, 6, len(octets)), octets) is partial


def test_a_right_checksum_that_happens_to_be_the_pseudo_headers_is_right():
    """The rest of the segment then adds up to what is missing."""
    pseudo = pseudo_sum(ADDRESSES, 6, 24)
    octets = bytearray(24)
    struct.pack_into(">H", octets, 16, pseudo)
    struct.pack_into(">H", octets, 20, (-2 * pseudo) % 0xFFFF)
    assert (pseudo + ones_sum(octets)) % 0xFFFF == 0
    assert not is_partial(pseudo, pseudo, octets)
