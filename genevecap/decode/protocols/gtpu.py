# SPDX-License-Identifier: Apache-2.0
r"""GTP-U: 3GPP TS 29.281 section 5.1.  Recognised, not followed yet.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | Ver |T|R|E|S|N|  Message type |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |               Tunnel endpoint identifier (TEID)               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal, show
from .protocol import Protocol
from .walk import Walk

FLAGS = 0
MESSAGE_TYPE = 1
LENGTH = 2
TEID = 4
GTPU_BYTES = TEID + 4

MESSAGE_TYPES = {
    1: "echo request",
    2: "echo response",
    26: "error indication",
    31: "supported extension headers",
    254: "end marker",
    255: "G-PDU",
}

VERSION_TYPE_MASK = 0xF0
VERSION_TYPE = 0x30
"""Version 1, protocol type 1 (GTP, not GTP')."""


class Gtpu(Protocol):
    """GTP-U header."""

    layer = Layer.GTPU
    HEADER_BYTES = 0
    SOURCE = "3GPP TS 29.281 section 5.1"

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether the octets look like GTP-U version 1."""
        if offset + GTPU_BYTES > walk.limit:
            return False
        return walk.data[offset + FLAGS] & VERSION_TYPE_MASK == VERSION_TYPE

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:  # noqa: ARG004 - nothing is read
        """End here until the tunnel is decoded."""
        return walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the mandatory header."""
        header.bits("version", FLAGS, 0, 3)
        header.flag("protocol_type", FLAGS, 3)
        header.bits("reserved", FLAGS, 4, 1)
        header.flag("extension_header", FLAGS, 5)
        header.flag("sequence_number_flag", FLAGS, 6)
        header.flag("n_pdu_number_flag", FLAGS, 7)
        kind = header.number("message_type", MESSAGE_TYPE, 1, MESSAGE_TYPES)
        header.number("length", LENGTH, 2)
        teid = header.number("teid", TEID, 4, hexadecimal(8))
        header.summary = f"{show(kind, MESSAGE_TYPES)}, TEID {teid:#010x}"
