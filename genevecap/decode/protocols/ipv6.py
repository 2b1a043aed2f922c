# SPDX-License-Identifier: Apache-2.0
r"""IPv6 with its extension headers: RFC 8200 sections 3 and 4.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version| Traffic class |              Flow label               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Payload length         |  Next header  |   Hop limit   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                  Source address (16 octets)                   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                Destination address (16 octets)                |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    Hop-by-hop options (0), routing (43), destination options (60): sections 4.3, 4.4, 4.6
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Next header  |    Length     |  options: 8 * length + 6      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    Fragment (44): section 4.5
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Next header  |   Reserved    |     Fragment offset     |Res|M|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Identification                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import Layer
from .ipv4 import MORE_FRAGMENTS, NEXT_LAYER
from .protocol import Protocol
from .walk import IpHeader, Walk

HEADER_BYTES = 40
VERSION = 6

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT = 44
NO_NEXT_HEADER = 59
DESTINATION_OPTIONS = 60
EXTENSIONS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS))
MAX_EXTENSIONS = 8

EXTENSION_LENGTH = 1
EXTENSION_BYTES = 8
"""The least, and the unit of the length field beyond it."""

MORE_FRAGMENTS_BIT = 0x0001
FRAGMENT_OFFSET_SHIFT = 3

_HEADER = Struct(">IHBBQQQQ")
_FRAGMENT = Struct(">BxHI")


class Ipv6(Protocol):
    """IPv6 header and the extension headers after it."""

    layer = Layer.IPV6
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note the addresses, narrow the window, follow the next headers."""
        first, payload, protocol, hops, source_hi, source_lo, destination_hi, destination_lo = (
            _HEADER.unpack_from(walk.data, offset)
        )
        if first >> 28 != VERSION:
            walk.unlist()
            return walk.end(Stop.MALFORMED)
        rest = walk.frame_end - offset
        size = HEADER_BYTES + payload
        if payload == 0 or size > rest:
            size = rest
        header = (
            6,
            protocol,
            source_hi,
            source_lo,
            destination_hi,
            destination_lo,
            offset,
            size,
            hops,
            first >> 20 & 0xFF,
            0,
            0,
        )
        walk.add_ip(header)
        walk.next = end = offset + HEADER_BYTES
        owns_window = False
        if payload:
            owns_window = end + payload <= walk.window
            walk.narrow(end + payload)
        if protocol in EXTENSIONS:
            return _follow_extensions(walk, header, owns_window)
        return NEXT_LAYER[protocol] if protocol != NO_NEXT_HEADER else 0


def _follow_extensions(walk: Walk, header: IpHeader, owns_window: bool) -> int:
    """Walk the extension headers at `walk.next`; `owns_window`: this packet set the window.

    Returns as `decode` does, and replaces the IP header by one with the protocol that was reached.
    """
    data = walk.data
    offset = walk.next
    protocol, identification, flags = header[1], 0, 0
    more_fragments = False
    stop = Stop.COMPLETE
    cut_at = 0
    count = 0
    while protocol in EXTENSIONS:
        if count == MAX_EXTENSIONS:
            stop = Stop.TOO_DEEP
            break
        count += 1
        end = offset + EXTENSION_BYTES
        if protocol != FRAGMENT and end <= walk.limit:
            end += EXTENSION_BYTES * data[offset + EXTENSION_LENGTH]
        if end > walk.limit:
            cut_at = end
            break
        if protocol == FRAGMENT:
            protocol, field, identification = _FRAGMENT.unpack_from(data, offset)
            flags = field >> FRAGMENT_OFFSET_SHIFT
            if field & MORE_FRAGMENTS_BIT:
                flags |= MORE_FRAGMENTS
                more_fragments = True
            if field >> FRAGMENT_OFFSET_SHIFT:
                stop = Stop.FRAGMENT
                break
        else:
            protocol = data[offset]
        offset = end
    whole = (*header[:1], protocol, *header[2:10], identification, flags)
    if walk.outer is header:
        walk.outer = whole
    walk.inner = whole
    walk.next = offset
    if more_fragments and owns_window:
        walk.fragment = (whole, walk.tunnels.count, walk.options.count)
    if cut_at:
        return walk.cut(cut_at)
    if stop:
        return walk.end(stop)
    return NEXT_LAYER[protocol] if protocol != NO_NEXT_HEADER else 0
