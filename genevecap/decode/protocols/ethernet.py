# SPDX-License-Identifier: Apache-2.0
r"""Ethernet: IEEE 802.3 section 3.2, type field or length.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      Destination address                      |
    +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                               |                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
    |                         Source address                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Type or length         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer, layer_name
from .fields import Header
from .protocol import Protocol
from .walk import Walk

DESTINATION = 0
SOURCE = 6
TYPE = 12
TYPE_BYTES = 2
HEADER_BYTES = TYPE + TYPE_BYTES

MIN_TYPE = 0x0600
"""Below it the field is the length of an 802.3 frame, and LLC follows."""

_ADDRESSES = Struct(">HIHI")


def next_by_type(walk: Walk, type_offset: int) -> int:
    """Return the layer that the type-or-length field at `type_offset` announces after itself."""
    data = walk.data
    number = data[type_offset] << 8 | data[type_offset + 1]
    walk.next = walk.link_end = end = type_offset + 2
    if number >= MIN_TYPE:
        return ETHERTYPES.get(number) or ETHERTYPE_SPACE | number
    walk.narrow(end + number)
    return Layer.LLC


def describe_type(header: Header, at: int) -> str:
    """Describe a type-or-length field and return its text."""
    if header.read(at, TYPE_BYTES) < MIN_TYPE:
        return f"length {header.number('length', at, TYPE_BYTES)}"
    return type_text(header.number("type", at, TYPE_BYTES, type_text))


def type_text(number: int) -> str:
    """Return an EtherType by name and number."""
    layer = ETHERTYPES.get(number)
    return f"{number:#06x}" if layer is None else f"{layer_name(layer)} ({number:#06x})"


class Ethernet(Protocol):
    """Ethernet header, of the capture or inside a tunnel."""

    layer = Layer.ETHERNET
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "IEEE 802.3 section 3.2"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note the outermost pair of addresses and follow the type field."""
        if walk.link is None:
            high, low, source_high, source_low = _ADDRESSES.unpack_from(walk.data, offset)
            walk.link = (source_high << 32 | source_low, high << 32 | low)
        return next_by_type(walk, offset + TYPE)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe addresses and type."""
        destination = header.mac("destination", DESTINATION)
        source = header.mac("source", SOURCE)
        header.summary = f"{source} > {destination}"
        header.summary += f", {describe_type(header, TYPE)}"
