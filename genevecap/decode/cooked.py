# SPDX-License-Identifier: Apache-2.0
"""What a Linux cooked header says of a frame: which way it went, and the kind of its interface.

The columns hold no such thing, because no other link type has it.  Offsets and values are those
of `protocols.sll` and `protocols.sll2`, which describe the headers; they stand here once more
because importing all protocols takes longer than most of what asks for this.
"""

from __future__ import annotations

from typing import NamedTuple

from ..capture.linktypes import LINUX_SLL, LINUX_SLL2
from ..columns import FrameBatch

SENT = 4
"""Packet type of frames that the captured host sent (Linux: PACKET_OUTGOING)."""
ARPHRD_LOOPBACK = 772
"""Linux, include/uapi/linux/if_arp.h."""

_SLL_PACKET_TYPE, _SLL_ARPHRD, _SLL_BYTES = 0, 2, 16
_SLL2_ARPHRD, _SLL2_PACKET_TYPE, _SLL2_BYTES = 8, 10, 20


class Cooked(NamedTuple):
    """What is read of a cooked header."""

    sent: bool
    """Whether the captured host sent the frame through this interface."""
    loopback: bool
    """Whether the interface is a loopback."""


def _word(octets: bytearray, at: int) -> int:
    return int.from_bytes(octets[at : at + 2], "big")


def cooked(frames: FrameBatch, row: int, link_type: int) -> Cooked | None:
    """Return the cooked header of a row, None where its link type has none or it is cut."""
    begin, captured, octets = frames.offset[row], frames.captured_bytes[row], frames.buffer
    if link_type == LINUX_SLL2 and captured >= _SLL2_BYTES:
        packet_type = octets[begin + _SLL2_PACKET_TYPE]
        arphrd = _word(octets, begin + _SLL2_ARPHRD)
    elif link_type == LINUX_SLL and captured >= _SLL_BYTES:
        packet_type = _word(octets, begin + _SLL_PACKET_TYPE)
        arphrd = _word(octets, begin + _SLL_ARPHRD)
    else:
        return None
    return Cooked(sent=packet_type == SENT, loopback=arphrd == ARPHRD_LOOPBACK)
