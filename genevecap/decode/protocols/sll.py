# SPDX-License-Identifier: Apache-2.0
r"""Linux cooked capture: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Packet type          |          ARPHRD type          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Address length         |                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
    |                            Address                            |
    +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                               |           Protocol            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer
from .ethernet import MIN_TYPE, type_text
from .fields import Header, show
from .protocol import Protocol
from .walk import Walk

PACKET_TYPE = 0
ARPHRD_TYPE = 2
ADDRESS_LENGTH = 4
ADDRESS = 6
ADDRESS_BYTES = 8
PROTOCOL = ADDRESS + ADDRESS_BYTES
HEADER_BYTES = PROTOCOL + 2

PACKET_TYPES = {
    0: "to us",
    1: "broadcast",
    2: "multicast",
    3: "to somebody else",
    4: "sent by us",
}
ARPHRD_TYPES = {
    1: "Ethernet",
    768: "IPIP",
    772: "loopback",
    778: "GRE",
    824: "netlink",
    65534: "no link header",
}
"""Linux, include/uapi/linux/if_arp.h."""

LLC_PROTOCOL = 0x0004
"""ETH_P_802_2: an 802.3 frame of which the cooked header keeps what follows the length."""


def next_by_protocol(number: int) -> int:
    """Return the layer that a cooked header's protocol field announces."""
    if number >= MIN_TYPE:
        return ETHERTYPES.get(number) or ETHERTYPE_SPACE | number
    return Layer.LLC if number == LLC_PROTOCOL else ETHERTYPE_SPACE | number


def describe_address(header: Header, at: int, length: int) -> None:
    """Describe the link-layer address at `at`, of which `length` octets are meant."""
    used = min(length, ADDRESS_BYTES)
    octets = bytes(header.data[header.offset + at : header.offset + at + used])
    header.octets("address", at, ADDRESS_BYTES, octets.hex(":"))


class Sll(Protocol):
    """Cooked header, version 1."""

    layer = Layer.SLL
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Follow the protocol field."""
        data = walk.data
        walk.next = walk.link_end = offset + HEADER_BYTES
        return next_by_protocol(data[offset + PROTOCOL] << 8 | data[offset + PROTOCOL + 1])

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the cooked header."""
        packet_type = header.number("packet_type", PACKET_TYPE, 2, PACKET_TYPES)
        header.summary = show(packet_type, PACKET_TYPES)
        header.number("arphrd_type", ARPHRD_TYPE, 2, ARPHRD_TYPES)
        length = header.number("address_length", ADDRESS_LENGTH, 2)
        describe_address(header, ADDRESS, length)
        number = header.number("protocol", PROTOCOL, 2, type_text)
        header.summary += f", {type_text(number)}"
