# SPDX-License-Identifier: Apache-2.0
r"""UDP: RFC 768.  What it carries is told by the destination port; ESP and WireGuard by either.

A length of 0 is a super-packet (RFC 2675 section 4) and means the rest of the window.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Source port          |       Destination port        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |            Length             |           Checksum            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import Layer
from ..settings import TENTATIVE
from .fields import Header
from .ipv4 import MORE_FRAGMENTS, describe_length
from .protocol import PROTOCOLS, Protocol
from .walk import IP_FRAGMENT, Walk

SOURCE_PORT = 0
DESTINATION_PORT = 2
LENGTH = 4
CHECKSUM = 6
PORTS_BYTES = DESTINATION_PORT + 2
CHECKSUM_BYTES = 2
HEADER_BYTES = CHECKSUM + CHECKSUM_BYTES

PEER_PORT_LAYERS = frozenset((Layer.ESP | TENTATIVE, Layer.WIREGUARD | TENTATIVE))
"""What its source port tells too: answers go to the port that the other end came from, which a NAT
may have chosen (RFC 3948 section 2.1).  A tunnel is known by its destination port alone."""

PORTS = Struct(">HH")
_HEADER = Struct(">HHH")


def find_carrier(
    walk: Walk, offset: int, fragmented: int, no_checksum: int, no_checksum_ipv6: int
) -> None:
    """Find what is unusual about the UDP and IP headers that carry the tunnel header at `offset`.

    The last three: the findings where the packet is a first fragment, and where UDP has no
    checksum, over IPv4 and over IPv6.
    """
    carrier = walk.inner
    if carrier is None:
        return
    if carrier[IP_FRAGMENT] & MORE_FRAGMENTS:
        walk.findings |= fragmented
    if not walk.data[offset - CHECKSUM_BYTES] and not walk.data[offset - 1]:
        walk.findings |= no_checksum if carrier[0] == 4 else no_checksum_ipv6


def describe_checksum(checksum: int) -> str:
    """Return the text of a checksum that may be left out."""
    return f"{checksum:#06x}" if checksum else "0x0000 (none)"


class Udp(Protocol):
    """UDP header."""

    layer = Layer.UDP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 768"

    @staticmethod
    def partial(walk: Walk, offset: int) -> None:
        """Take the ports."""
        if offset + PORTS_BYTES <= walk.limit:
            walk.add_ports(PORTS.unpack_from(walk.data, offset))

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Take ports and length, and look the destination port up."""
        source, destination, length = _HEADER.unpack_from(walk.data, offset)
        walk.add_ports((source, destination))
        walk.next = payload = offset + HEADER_BYTES
        if length:
            if length < HEADER_BYTES:
                return walk.end(Stop.MALFORMED)
            walk.add_payload(payload, offset + length)
            walk.narrow(offset + length)
        else:
            walk.add_payload(payload)
        layer: int = walk.udp_table[destination]
        if not layer:
            layer = walk.udp_table[source]
            if layer not in PEER_PORT_LAYERS:
                return 0
        if layer & TENTATIVE:
            layer &= ~TENTATIVE
            protocol = PROTOCOLS[layer]
            if payload + protocol.HEADER_BYTES > walk.limit or not protocol.fits(walk, payload):
                return 0
        return layer

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header."""
        source = header.number("source_port", SOURCE_PORT, 2)
        destination = header.number("destination_port", DESTINATION_PORT, 2)
        header.summary = f"{source} > {destination}"
        length = header.number("length", LENGTH, 2, describe_length)
        header.number("checksum", CHECKSUM, 2, describe_checksum)
        header.summary += f", length {length}"
