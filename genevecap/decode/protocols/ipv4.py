# SPDX-License-Identifier: Apache-2.0
r"""IPv4: RFC 791 section 3.1.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version|  IHL  |   DSCP    |ECN|          Total length         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Identification        |R|D|M|     Fragment offset     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Time to live |    Protocol   |        Header checksum        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Source address                         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      Destination address                      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                   Options, (IHL - 5) * 4 octets               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import IP_PROTOCOL_SPACE, IP_PROTOCOLS, Layer
from .protocol import Protocol
from .walk import Walk

HEADER_BYTES = 20

MIN_VERSION_IHL = 0x45
MAX_VERSION_IHL = 0x4F
IHL_MASK = 0x0F
FLAGS_MASK = 0x7FFF
"""Flags and fragment offset without the reserved bit."""
MORE_FRAGMENTS = 0x2000
FRAGMENT_OFFSET_MASK = 0x1FFF

_HEADER = Struct(">BBHHHBBHII")

IP_IN_IP = (4, 41)
"""IP in IP is a tunnel, not one more header: the registry has its decoder under its number."""

NEXT_LAYER = tuple(
    IP_PROTOCOL_SPACE | number
    if number in IP_IN_IP
    else IP_PROTOCOLS.get(number, IP_PROTOCOL_SPACE | number)
    for number in range(256)
)
"""Layer code by IP protocol."""


class Ipv4(Protocol):
    """IPv4 header with its options."""

    layer = Layer.IPV4
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note the addresses, narrow the window, follow the protocol."""
        version_ihl, tos, total, identification, flags, ttl, protocol, _, source, destination = (
            _HEADER.unpack_from(walk.data, offset)
        )
        if not MIN_VERSION_IHL <= version_ihl <= MAX_VERSION_IHL:
            walk.unlist()
            return walk.end(Stop.MALFORMED)
        rest = walk.frame_end - offset
        header = (
            4,
            protocol,
            0,
            source,
            0,
            destination,
            offset,
            total if 0 < total < rest else rest,
            ttl,
            tos,
            identification,
            flags & FLAGS_MASK,
        )
        walk.add_ip(header)
        header_bytes = (version_ihl & IHL_MASK) << 2
        walk.next = end = offset + header_bytes
        if end > walk.limit:
            return walk.cut(end)
        if total:
            if total < header_bytes:
                return walk.end(Stop.MALFORMED)
            first = (
                (header, walk.tunnels.count, walk.options.count) if flags & MORE_FRAGMENTS else None
            )
            walk.narrow(offset + total, first)
        if flags & FRAGMENT_OFFSET_MASK:
            return walk.end(Stop.FRAGMENT)
        return NEXT_LAYER[protocol]
