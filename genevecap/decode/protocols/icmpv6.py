# SPDX-License-Identifier: Apache-2.0
r"""ICMPv6: RFC 4443 section 2.1; neighbour discovery RFC 4861 section 4.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Type      |     Code      |           Checksum            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Message body                          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .protocol import Protocol
from .walk import Walk

HEADER_BYTES = 4


class Icmpv6(Protocol):
    """ICMPv6 message."""

    layer = Layer.ICMPV6
    HEADER_BYTES = HEADER_BYTES

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note where the body is; a packet quoted there is not followed."""
        walk.add_payload(offset + HEADER_BYTES)
        return 0
