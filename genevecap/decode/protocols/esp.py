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
    |            Payload data, padding (0 to 255 octets)            |
    +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                               |  Pad length   |  Next header  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Integrity check value (ICV), variable               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

With NULL encryption (RFC 2410) all of it can be read, but neither that nor the length of the ICV is
told by the packet: only where the user gives that length, the trailer is looked for.  Its padding
has to be 1, 2, 3 and so on (RFC 4303 section 2.4); else the packet counts as encrypted.
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal
from .ipv4 import describe_protocol, next_by_protocol
from .protocol import Protocol
from .walk import Walk

SPI = 0
SEQUENCE = 4
HEADER_BYTES = SEQUENCE + 4
TRAILER_BYTES = 2
"""Pad length and next header."""
NO_NEXT_HEADER = 59
"""A dummy packet: RFC 4303 section 2.6."""
NON_ESP_MARKER = b"\0\0\0\0"
"""RFC 3948 section 2.2: in place of the SPI it says that this is IKE."""


class Esp(Protocol):
    """ESP header, and where the user says that it does not encrypt what is inside."""

    layer = Layer.ESP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 4303 section 2"

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether port 4500 carries ESP: neither IKE nor a keep-alive of one octet."""
        return walk.data[offset + SPI : offset + SEQUENCE] != NON_ESP_MARKER

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """End here where it is encrypted; else leave the trailer out and follow its next header."""
        if walk.esp_icv_bytes < 0 or walk.fragment is not None:
            return walk.end_opaque(offset)
        trailer = walk.window - walk.esp_icv_bytes - TRAILER_BYTES
        if trailer < offset + HEADER_BYTES:
            return walk.end_opaque(offset)
        if trailer + TRAILER_BYTES > walk.captured:
            return walk.end(Stop.TRUNCATED)
        pad_length, protocol = walk.data[trailer : trailer + TRAILER_BYTES]
        end = trailer - pad_length
        if end < offset + HEADER_BYTES or not _is_padding(walk.data[end:trailer]):
            return walk.end_opaque(offset)
        if protocol == NO_NEXT_HEADER:
            return 0
        walk.esp_trailer = (end, walk.window)
        walk.narrow(end)
        walk.next = offset + HEADER_BYTES
        return next_by_protocol(walk, protocol)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe what is never encrypted."""
        spi = header.number("spi", SPI, 4, hexadecimal(8))
        sequence = header.number("sequence_number", SEQUENCE, 4)
        header.summary = f"SPI {spi:#010x}, sequence {sequence}"


def describe_trailer(header: Header, icv_bytes: int) -> None:
    """Describe what follows the payload of a packet that is not encrypted: all that there is."""
    at = header.rest(0) - icv_bytes - TRAILER_BYTES
    if at:
        header.octets("padding", 0, at, source="RFC 4303 section 2.4")
    header.number("pad_length", at, 1, source="RFC 4303 section 2.5")
    text = describe_protocol(
        header.number("next_header", at + 1, 1, describe_protocol, "RFC 4303 section 2.6")
    )
    header.summary = f"next header {text}"
    if icv_bytes:
        header.octets("icv", at + TRAILER_BYTES, icv_bytes, source="RFC 4303 section 2.8")


def _is_padding(octets: bytes | bytearray) -> bool:
    """Tell whether octets are 1, 2, 3 and so on."""
    return octets == bytes(range(1, len(octets) + 1))
