# SPDX-License-Identifier: Apache-2.0
r"""SCTP common header: RFC 9260 section 3.1.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Source port          |       Destination port        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                       Verification tag                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                           Checksum                            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .protocol import Protocol
from .udp import PORTS, Udp
from .walk import Walk

HEADER_BYTES = 12


class Sctp(Protocol):
    """SCTP common header."""

    layer = Layer.SCTP
    HEADER_BYTES = HEADER_BYTES
    partial = Udp.partial

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Take the ports."""
        walk.add_ports(PORTS.unpack_from(walk.data, offset))
        walk.add_payload(offset + HEADER_BYTES)
        return 0
