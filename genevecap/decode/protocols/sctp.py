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
from .fields import Header, hexadecimal
from .protocol import Protocol
from .udp import PORTS, Udp
from .walk import Walk

SOURCE_PORT = 0
DESTINATION_PORT = 2
TAG = 4
CHECKSUM = 8
HEADER_BYTES = CHECKSUM + 4


class Sctp(Protocol):
    """SCTP common header."""

    layer = Layer.SCTP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 9260 section 3.1"
    partial = Udp.partial

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Take the ports."""
        walk.add_ports(PORTS.unpack_from(walk.data, offset))
        walk.add_payload(offset + HEADER_BYTES)
        return 0

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the common header."""
        source = header.number("source_port", SOURCE_PORT, 2)
        destination = header.number("destination_port", DESTINATION_PORT, 2)
        header.summary = f"{source} > {destination}"
        tag = header.number("verification_tag", TAG, 4, hexadecimal(8))
        header.number("checksum", CHECKSUM, 4, hexadecimal(8))
        header.summary += f", tag {tag:#010x}"
