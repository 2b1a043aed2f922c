# SPDX-License-Identifier: Apache-2.0
r"""Linux cooked capture: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Packet type          |          ARPHRD type          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Address length         |                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
    |                            Address                            |
    +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                               |           Protocol            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer
from .ethernet import MIN_TYPE
from .protocol import Protocol
from .walk import Walk

PROTOCOL = 14
HEADER_BYTES = PROTOCOL + 2

LLC_PROTOCOL = 0x0004
"""ETH_P_802_2: an 802.3 frame of which the cooked header keeps what follows the length."""


def next_by_protocol(number: int) -> int:
    """Return the layer that a cooked header's protocol field announces."""
    if number >= MIN_TYPE:
        return ETHERTYPES.get(number) or ETHERTYPE_SPACE | number
    return Layer.LLC if number == LLC_PROTOCOL else ETHERTYPE_SPACE | number


class Sll(Protocol):
    """Cooked header, version 1."""

    layer = Layer.SLL
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Follow the protocol field."""
        data = walk.data
        walk.next = walk.link_end = offset + HEADER_BYTES
        return next_by_protocol(data[offset + PROTOCOL] << 8 | data[offset + PROTOCOL + 1])
