# SPDX-License-Identifier: Apache-2.0
"""What the columns leave out of the headers around a tunnel, read from the frame itself.

Functions that take the place of an IP header take it as the columns say it, and say nothing (0,
False) of octets that were not captured.
"""

from __future__ import annotations

from ..columns import DecodedBatch, FrameBatch, TunnelKind
from .layers import Layer
from .protocols import ipv4, ipv6

FIXED_HEADERS = frozenset((TunnelKind.GENEVE, TunnelKind.VXLAN, TunnelKind.VXLAN_GPE))
"""Tunnels whose header says by itself where it ends."""

FIXED_HEADER_BYTES = 8
"""Octets in front of Geneve's options, and of VXLAN's whole header."""

_TUNNEL_LAYERS = frozenset((Layer.GRE, Layer.NVGRE, Layer.ERSPAN, Layer.GTPU))

ARP_BYTES = 28
"""An ARP packet for IPv4 on Ethernet (RFC 826)."""

_DF = 0x40
_MF = 0x20
_OFFSET_HIGH = 0x1F
_RESERVED = 0x0006
"""Of the IPv6 fragment header: ignored on reception (RFC 8200 section 4.5)."""
_FLAGS = 6
"""IPv4: the octet with DF, MF and the high bits of the fragment offset (RFC 791 section 3.1)."""


def _octets(frames: FrameBatch, row: int, offset: int, size: int) -> bytes:
    """Return octets of a frame, none where not all of them were captured."""
    if offset + size > frames.captured_bytes[row]:
        return b""
    begin = frames.offset[row] + offset
    return bytes(frames.buffer[begin : begin + size])


def fragmentation(frames: FrameBatch, row: int, offset: int, version: int) -> tuple[bool, bool]:
    """Tell whether the IP packet at `offset` is a first fragment, and whether it must be none.

    The second is DF, and always so in IPv6, where routers do not fragment.
    """
    if version == 4:
        flags = _octets(frames, row, offset + _FLAGS, 2)
        if not flags:
            return False, False
        return flags[0] & (_MF | _OFFSET_HIGH) == _MF and not flags[1], bool(flags[0] & _DF)
    head = _octets(frames, row, offset + ipv6.NEXT_HEADER, 1)
    # Of more extension headers only the first is looked at.
    if not head or head[0] != ipv6.FRAGMENT:
        return False, version == 6
    field = int.from_bytes(_octets(frames, row, offset + ipv6.HEADER_BYTES + 2, 2), "big")
    return field & ~_RESERVED == ipv6.MORE_FRAGMENTS_BIT, True


def packet_bytes_said(frames: FrameBatch, row: int, offset: int, version: int) -> int:
    """Return the length that the IP header at `offset` gives for its packet, 0 for none."""
    if version == 4:
        return int.from_bytes(_octets(frames, row, offset + ipv4.TOTAL_LENGTH, 2), "big")
    length = int.from_bytes(_octets(frames, row, offset + ipv6.PAYLOAD_LENGTH, 2), "big")
    return length + ipv6.HEADER_BYTES if length and version == 6 else 0


def geneve_option_bytes(d: DecodedBatch, t: int) -> int:
    """Return the octets of options that tunnel row t says it has; 0 where it is no Geneve.

    RFC 8926 section 3.4: OptLen, the lower six bits of the first octet, in words.
    """
    return (d.tunnels.flags[t] >> 24 & 0x3F) * 4 if d.tunnels.kind[t] == TunnelKind.GENEVE else 0


def tunnel_header_end(d: DecodedBatch, i: int, t: int) -> int:
    """Return where the header of tunnel row t ends, options included, as it says itself.

    i: the decoded row.  The end of a header without a fixed size is where what it holds begins.
    """
    tunnels, layers = d.tunnels, d.layers
    begin = tunnels.header_offset[t]
    if tunnels.kind[t] in FIXED_HEADERS:
        return begin + FIXED_HEADER_BYTES + geneve_option_bytes(d, t)
    if tunnels.kind[t] == TunnelKind.IPIP:
        return begin
    end = tunnels.ip_offset[t] + tunnels.overhead_bytes[t]
    first = d.layer_start[i]
    inside = (
        layers.offset[row]
        for row in range(first, first + d.layer_count[i])
        if layers.offset[row] > begin and layers.code[row] not in _TUNNEL_LAYERS
    )
    return min(end, next(inside, end))
