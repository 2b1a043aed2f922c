# SPDX-License-Identifier: Apache-2.0
r"""AH: RFC 4302 section 2.  It authenticates and does not encrypt: decoding goes on below it.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Next header  |    Length     |           Reserved            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |               Security parameters index (SPI)                 |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Sequence number                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |   Integrity check value (ICV), to (length + 2) * 4 octets     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal
from .ipv4 import describe_protocol, next_by_protocol
from .protocol import Protocol
from .walk import Walk

NEXT_HEADER = 0
LENGTH = 1
RESERVED = 2
SPI = 4
SEQUENCE = 8
HEADER_BYTES = SEQUENCE + 4
UNIT_BYTES = 4
UNITS_NOT_COUNTED = 2
"""Section 2.2: the length counts words of 32 bits, less two."""
NO_NEXT_HEADER = 59


class Ah(Protocol):
    """Authentication header."""

    layer = Layer.AH
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 4302 section 2"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Pass the header over and follow its next header."""
        size = UNIT_BYTES * (walk.data[offset + LENGTH] + UNITS_NOT_COUNTED)
        if size < HEADER_BYTES:
            return walk.end(Stop.MALFORMED)
        walk.next = end = offset + size
        if end > walk.limit:
            return walk.cut(end)
        protocol = walk.data[offset + NEXT_HEADER]
        return next_by_protocol(walk, protocol) if protocol != NO_NEXT_HEADER else 0

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header with its ICV."""
        protocol = header.number("next_header", NEXT_HEADER, 1, describe_protocol)
        size = UNIT_BYTES * (header.read(LENGTH, 1) + UNITS_NOT_COUNTED)
        header.number("payload_length", LENGTH, 1, f"{size} octets")
        header.number("reserved", RESERVED, 2, hexadecimal(4))
        spi = header.number("spi", SPI, 4, hexadecimal(8))
        sequence = header.number("sequence_number", SEQUENCE, 4)
        header.summary = f"SPI {spi:#010x}, sequence {sequence}, {describe_protocol(protocol)}"
        if size > HEADER_BYTES:
            header.octets("icv", HEADER_BYTES, size - HEADER_BYTES)
