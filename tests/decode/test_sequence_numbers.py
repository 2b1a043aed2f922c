# SPDX-License-Identifier: Apache-2.0
"""decode/sequence_numbers: what ESP, WireGuard and MACsec are numbered by."""

from __future__ import annotations

import pytest

from genevecap.decode.layers import Layer
from genevecap.decode.sequence_numbers import Sequence, sequence_of

ESP = bytes.fromhex("12345678 0000002a") + bytes(20)
WIREGUARD = bytes.fromhex("04000000 78563412 2a00000000000001") + bytes(16)
MACSEC = bytes.fromhex("2e00 0000002a 0200000000010001") + bytes(20)
WITHOUT_CHANNEL = bytes.fromhex("0d00 0000002a") + bytes(20)


@pytest.mark.parametrize(
    ("layer", "octets", "found"),
    [
        (Layer.ESP, ESP, Sequence(0x12345678, 0, 42)),
        (Layer.WIREGUARD, WIREGUARD, Sequence(0x12345678, 0, 1 << 56 | 42)),
        (Layer.MACSEC, MACSEC, Sequence(2, 0x0200000000010001, 42)),
        (Layer.MACSEC, WITHOUT_CHANNEL, Sequence(1, 0, 42)),
    ],
)
def test_headers(layer, octets, found):
    assert sequence_of(layer, octets) == found
    header = {Layer.ESP: 8, Layer.WIREGUARD: 16, Layer.MACSEC: 14 if octets is MACSEC else 6}[layer]
    assert sequence_of(layer, octets[:header]) == found
    for size in range(header):
        assert sequence_of(layer, octets[:size]) is None


def test_what_has_no_number():
    handshake = b"\x01" + WIREGUARD[1:]
    assert sequence_of(Layer.WIREGUARD, handshake) is None
    assert sequence_of(Layer.STT, ESP) is None
