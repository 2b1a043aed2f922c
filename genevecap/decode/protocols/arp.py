# SPDX-License-Identifier: Apache-2.0
r"""ARP: RFC 826, packet format.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Hardware type          |         Protocol type         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  HW length    |  Proto length |           Operation           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Sender hardware, sender protocol, target hardware, target    |
    |  protocol address, each as long as its length says            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .protocol import Protocol
from .walk import Walk

HARDWARE_LENGTH = 4
PROTOCOL_LENGTH = 5
OPERATION = 6
HEADER_BYTES = OPERATION + 2


class Arp(Protocol):
    """ARP request or reply."""

    layer = Layer.ARP
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """See that the four addresses fit."""
        data = walk.data
        pair = data[offset + HARDWARE_LENGTH] + data[offset + PROTOCOL_LENGTH]
        end = offset + HEADER_BYTES + 2 * pair
        return walk.cut(end) if end > walk.limit else 0
