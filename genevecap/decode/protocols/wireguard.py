# SPDX-License-Identifier: Apache-2.0
r"""WireGuard: https://www.wireguard.com/protocol/.  Encrypted: nothing below is decoded.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Type      |                   Reserved                    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header, show
from .protocol import Protocol
from .walk import Walk

TYPE = 0
RESERVED = 1
MESSAGE_BYTES = RESERVED + 3

TYPES = {
    1: "handshake initiation",
    2: "handshake response",
    3: "cookie reply",
    4: "transport data",
}


class WireGuard(Protocol):
    """WireGuard message, recognised and not followed."""

    layer = Layer.WIREGUARD
    HEADER_BYTES = 0
    SOURCE = "https://www.wireguard.com/protocol/"

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether the octets begin like one of the four messages."""
        end = offset + MESSAGE_BYTES
        if end > walk.limit:
            return False
        return walk.data[offset + TYPE] in TYPES and not any(walk.data[offset + RESERVED : end])

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:  # noqa: ARG004 - nothing is read
        """End here: what follows is encrypted."""
        return walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the type of the message."""
        kind = header.number("type", TYPE, 1, TYPES)
        header.summary = show(kind, TYPES)
        header.octets("reserved", RESERVED, 3)
