# SPDX-License-Identifier: Apache-2.0
r"""ESP: RFC 4303 section 2; over UDP RFC 3948 section 2.  Encrypted: nothing below is decoded.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |               Security parameters index (SPI)                 |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Sequence number                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal
from .protocol import Protocol
from .walk import Walk

SPI = 0
SEQUENCE = 4
ESP_BYTES = SEQUENCE + 4
NON_ESP_MARKER = b"\0\0\0\0"
"""RFC 3948 section 2.2: in place of the SPI it says that this is IKE."""


class Esp(Protocol):
    """ESP, recognised and not followed."""

    layer = Layer.ESP
    HEADER_BYTES = 0
    SOURCE = "RFC 4303 section 2"

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether port 4500 carries ESP: neither IKE nor a keep-alive of one octet."""
        if offset + ESP_BYTES > walk.limit:
            return False
        return walk.data[offset + SPI : offset + SEQUENCE] != NON_ESP_MARKER

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:  # noqa: ARG004 - nothing is read
        """End here: what follows is encrypted."""
        return walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe what is not encrypted."""
        spi = header.number("spi", SPI, 4, hexadecimal(8))
        sequence = header.number("sequence_number", SEQUENCE, 4)
        header.summary = f"SPI {spi:#010x}, sequence {sequence}"
