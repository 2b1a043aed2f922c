# SPDX-License-Identifier: Apache-2.0
r"""Linux cooked capture, version 2: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Protocol            |           Reserved            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Interface index                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          ARPHRD type          |  Packet type  |  Addr length  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                            Address                            |
    +                                                               +
    |                                                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .protocol import Protocol
from .sll import next_by_protocol
from .walk import Walk

PROTOCOL = 0
ADDRESS = 12
HEADER_BYTES = ADDRESS + 8


class Sll2(Protocol):
    """Cooked header, version 2."""

    layer = Layer.SLL2
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Follow the protocol field."""
        data = walk.data
        walk.next = walk.link_end = offset + HEADER_BYTES
        return next_by_protocol(data[offset + PROTOCOL] << 8 | data[offset + PROTOCOL + 1])
