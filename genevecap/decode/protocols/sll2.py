# SPDX-License-Identifier: Apache-2.0
r"""Linux cooked capture, version 2: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Protocol            |           Reserved            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Interface index                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          ARPHRD type          |  Packet type  |  Addr length  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                            Address                            |
    +                                                               +
    |                                                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .ethernet import type_text
from .fields import Header, show
from .protocol import Protocol
from .sll import (
    ADDRESS_BYTES,
    ARPHRD_TYPES,
    PACKET_TYPES,
    describe_address,
    next_by_protocol,
)
from .walk import Walk

PROTOCOL = 0
RESERVED = 2
INTERFACE_INDEX = 4
ARPHRD_TYPE = 8
PACKET_TYPE = 10
ADDRESS_LENGTH = 11
ADDRESS = 12
HEADER_BYTES = ADDRESS + ADDRESS_BYTES


class Sll2(Protocol):
    """Cooked header, version 2."""

    layer = Layer.SLL2
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Follow the protocol field."""
        data = walk.data
        walk.next = walk.link_end = offset + HEADER_BYTES
        return next_by_protocol(data[offset + PROTOCOL] << 8 | data[offset + PROTOCOL + 1])

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the cooked header."""
        number = header.number("protocol", PROTOCOL, 2, type_text)
        header.summary = type_text(number)
        header.number("reserved", RESERVED, 2)
        index = header.number("interface_index", INTERFACE_INDEX, 4)
        header.number("arphrd_type", ARPHRD_TYPE, 2, ARPHRD_TYPES)
        packet_type = header.number("packet_type", PACKET_TYPE, 1, PACKET_TYPES)
        length = header.number("address_length", ADDRESS_LENGTH, 1)
        describe_address(header, ADDRESS, length)
        header.summary = (
            f"{show(packet_type, PACKET_TYPES)}, interface {index}, {type_text(number)}"
        )
