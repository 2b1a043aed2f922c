# SPDX-License-Identifier: Apache-2.0
r"""STT: draft-davie-stt-08.  Recognised by TCP port and header; its frames are not put together.

The TCP header before it is none: of the sequence number the upper half is the length of the STT
frame and the lower half the offset of this segment, the acknowledgment number is an identification
(section 3.2).  A frame of up to 64 KB is cut into segments by the network card; the first begins
with::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |    Version    |     Flags     |   L4 offset   |   Reserved    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Maximum segment size      | PCP |V|        VLAN ID        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     Context ID (8 octets)                     |
    +                                                               +
    |                                                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |            Padding            |  Ethernet frame
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal
from .protocol import Protocol
from .walk import Walk

VERSION = 0
FLAGS = 1
L4_OFFSET = 2
RESERVED = 3
MAXIMUM_SEGMENT_SIZE = 4
VLAN = 6
CONTEXT_ID = 8
PADDING = 16
STT_BYTES = PADDING + 2

FLAG_NAMES = ("checksum_verified", "checksum_partial", "ipv4", "tcp")
"""From the last bit on."""

TCP_BYTES = 20
"""Of the header before: one with options is no STT."""
SEGMENT_OFFSET = 6 - TCP_BYTES
"""In that header: the lower half of the sequence number."""
TCP_FLAGS, TCP_SEQUENCE = 0, 1
SYN_RST_FIN = 0x007


class Stt(Protocol):
    """STT frame header, of a segment that begins a frame."""

    layer = Layer.STT
    HEADER_BYTES = 0  # a segment that does not begin a frame has none
    SOURCE = "draft-davie-stt section 3.1"

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether a segment to STT's port is one: lengths fit, and version 0 begins it."""
        tcp = walk.tcp
        if tcp is None or tcp[TCP_FLAGS] & SYN_RST_FIN or offset >= walk.window:
            return False
        length, place = divmod(tcp[TCP_SEQUENCE], 1 << 16)
        if place + walk.window - offset > length:
            return False
        if place:
            return True
        data = walk.data
        return (
            offset + STT_BYTES <= walk.limit
            and not data[offset + VERSION]
            and not data[offset + RESERVED]
        )

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:  # noqa: ARG004 - nothing is read
        """End here: the frame is in several segments."""
        return walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header where this segment begins a frame."""
        if header.read(SEGMENT_OFFSET, 2):
            header.summary = "segment of a frame"
            return
        header.number("version", VERSION, 1)
        with header.flags("flags", FLAGS, 0, 8) as group:
            header.bits("reserved_flags", FLAGS, 0, 4)
            names = [
                name for bit, name in zip(range(4, 8), FLAG_NAMES[::-1], strict=True)
                if header.flag(name, FLAGS, bit)
            ]  # fmt: skip
            group.text = ", ".join(name.replace("_", " ") for name in names) or "none"
        header.number("l4_offset", L4_OFFSET, 1)
        header.number("reserved", RESERVED, 1)
        header.number("maximum_segment_size", MAXIMUM_SEGMENT_SIZE, 2)
        header.bits("priority", VLAN, 0, 3)
        header.flag("vlan_valid", VLAN, 3)
        header.bits("vlan_id", VLAN, 4, 12)
        context = header.number("context_id", CONTEXT_ID, 8, hexadecimal(16))
        header.number("padding", PADDING, 2)
        header.summary = f"context {context:#018x}"
