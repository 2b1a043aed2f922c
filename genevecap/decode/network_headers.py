# SPDX-License-Identifier: Apache-2.0
"""What the columns leave out of the IP headers around a tunnel, read from the frame itself.

All functions take the place of a header as the columns say it, and say nothing (0, False) of
octets that were not captured.
"""

from __future__ import annotations

from ..columns import FrameBatch
from .protocols import ipv4, ipv6

ARP_BYTES = 28
"""An ARP packet for IPv4 on Ethernet (RFC 826)."""

_DF = 0x40
_MF = 0x20
_OFFSET_HIGH = 0x1F
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
    if (
        not head or head[0] != ipv6.FRAGMENT
    ):  # of more extension headers only the first is looked at
        return False, version == 6
    field = _octets(frames, row, offset + ipv6.HEADER_BYTES + 2, 2)
    return field == b"\0\x01", True


def packet_bytes_said(frames: FrameBatch, row: int, offset: int, version: int) -> int:
    """Return the length that the IP header at `offset` gives for its packet, 0 for none."""
    if version == 4:
        return int.from_bytes(_octets(frames, row, offset + ipv4.TOTAL_LENGTH, 2), "big")
    length = int.from_bytes(_octets(frames, row, offset + ipv6.PAYLOAD_LENGTH, 2), "big")
    return length + ipv6.HEADER_BYTES if length and version == 6 else 0
