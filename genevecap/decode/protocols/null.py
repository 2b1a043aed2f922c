# SPDX-License-Identifier: Apache-2.0
r"""BSD loopback: https://www.tcpdump.org/linktypes.html, LINKTYPE_NULL and LINKTYPE_LOOP.

An address family of the machine that captured: NULL in that machine's octet order, LOOP in
network order.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Address family                         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer, layer_name
from .fields import Header
from .protocol import Protocol
from .walk import Walk

FAMILY = 0
HEADER_BYTES = FAMILY + 4

MAX_FAMILY = 0xFFFF
"""A larger number was written in the other octet order."""

FAMILIES = {
    2: Layer.IPV4,
    10: Layer.IPV6,  # Linux
    23: Layer.IPV6,  # Windows
    24: Layer.IPV6,  # NetBSD, OpenBSD
    28: Layer.IPV6,  # FreeBSD
    30: Layer.IPV6,  # macOS
}


def read_family(octets: bytes | bytearray) -> int:
    """Return the address family, in whichever octet order makes it a small number."""
    family = int.from_bytes(octets, "big")
    return family if family <= MAX_FAMILY else int.from_bytes(octets, "little")


def family_text(family: int) -> str:
    """Return an address family by name and number."""
    layer = FAMILIES.get(family)
    return str(family) if layer is None else f"{layer_name(layer)} ({family})"


class Null(Protocol):
    """Address family in the octet order of the machine that captured."""

    layer = Layer.NULL
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "https://www.tcpdump.org/linktypes.html"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Go by the address family."""
        walk.next = walk.link_end = end = offset + HEADER_BYTES
        return FAMILIES.get(read_family(walk.data[offset:end])) or walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the address family."""
        start = header.need(FAMILY, HEADER_BYTES)
        family = read_family(header.data[start : start + HEADER_BYTES])
        header.number("family", FAMILY, HEADER_BYTES, family_text(family))
        header.summary = f"address family {family_text(family)}"


class Loop(Protocol):
    """Address family in network octet order."""

    layer = Layer.LOOP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "https://www.tcpdump.org/linktypes.html"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Go by the address family."""
        walk.next = walk.link_end = end = offset + HEADER_BYTES
        family = int.from_bytes(walk.data[offset:end], "big")
        return FAMILIES.get(family) or walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the address family."""
        family = header.number("family", FAMILY, HEADER_BYTES, family_text)
        header.summary = f"address family {family_text(family)}"
