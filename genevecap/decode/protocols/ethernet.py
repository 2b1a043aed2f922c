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

from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer
from .protocol import Protocol
from .walk import Walk

DESTINATION = 0
SOURCE = 6
TYPE = 12
HEADER_BYTES = TYPE + 2

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


class Ethernet(Protocol):
    """Ethernet header, of the capture or inside a tunnel."""

    layer = Layer.ETHERNET
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note the outermost pair of addresses and follow the type field."""
        if walk.link is None:
            high, low, source_high, source_low = _ADDRESSES.unpack_from(walk.data, offset)
            walk.link = (source_high << 32 | source_low, high << 32 | low)
        return next_by_type(walk, offset + TYPE)
