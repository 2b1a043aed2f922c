# SPDX-License-Identifier: Apache-2.0
"""The numbers that encrypted packets carry: ESP, WireGuard, MACsec."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from .layers import Layer
from .protocols import macsec, wireguard

_ESP = Struct(">II")
_WIREGUARD = Struct("<IQ")
_MACSEC = Struct(">BBI")
_SCI = Struct(">Q")
ASSOCIATION = 0x03
"""Of MACsec's flags: the association number (IEEE 802.1AE section 9.5)."""


class Sequence(NamedTuple):
    """What a packet is numbered by."""

    identifier: int
    """SPI, the receiver's index, or the association number: whose key it is."""
    channel: int
    """MACsec's secure channel identifier, 0 where there is none."""
    number: int


def sequence_of(layer: int, octets: bytes | bytearray) -> Sequence | None:
    """Return what the header that these octets begin with is numbered by.

    None where they end before it, where a WireGuard message has no number, and for other layers.
    """
    if layer == Layer.ESP and len(octets) >= _ESP.size:
        spi, number = _ESP.unpack_from(octets)
        return Sequence(spi, 0, number)
    if layer == Layer.WIREGUARD:
        begin = wireguard.FIRST_FIELD
        if len(octets) < begin + _WIREGUARD.size or octets[0] != wireguard.TRANSPORT:
            return None
        index, number = _WIREGUARD.unpack_from(octets, begin)
        return Sequence(index, 0, number)
    if layer == Layer.MACSEC and len(octets) >= _MACSEC.size:
        flags, _, number = _MACSEC.unpack_from(octets)
        if not flags & macsec.SC_BIT:
            return Sequence(flags & ASSOCIATION, 0, number)
        if len(octets) >= _MACSEC.size + _SCI.size:
            (channel,) = _SCI.unpack_from(octets, _MACSEC.size)
            return Sequence(flags & ASSOCIATION, channel, number)
    return None
