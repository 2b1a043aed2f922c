# SPDX-License-Identifier: Apache-2.0
r"""NSH: RFC 8300 section 2.  A layer between a tunnel (or Ethernet) and what it carries.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Ver|O|U|    TTL    |   Length  |U|U|U|U|MD type| Next protocol |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Service path identifier              | Service index |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      Context headers, to length * 4 octets from the start     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Next protocols have the numbers of VXLAN-GPE, which was written for it (section 2.2).
Metadata of MD type 1 is 16 octets; of MD type 2 a list of class, type and length (section 2.5.1).
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import Layer
from .fields import Header
from .protocol import Protocol
from .vxlan_gpe import describe_next, next_by_number
from .walk import Walk

FIRST = 0
METADATA_TYPE = 2
NEXT_PROTOCOL = 3
PATH = 4
SERVICE_INDEX = 7
HEADER_BYTES = SERVICE_INDEX + 1

VERSION_MASK = 0xC000_0000
LENGTH_SHIFT = 16
LENGTH_MASK = 0x3F
NEXT_MASK = 0xFF

FIXED_METADATA, VARIABLE_METADATA = 1, 2
METADATA_TYPES = {FIXED_METADATA: "fixed length", VARIABLE_METADATA: "variable length"}
METADATA_HEADER_BYTES = 4
METADATA_LENGTH = 3

_FIRST = Struct(">I")


class Nsh(Protocol):
    """Network service header with its context headers."""

    layer = Layer.NSH
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 8300 section 2.2"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Pass the header over and follow the next protocol."""
        first: int = _FIRST.unpack_from(walk.data, offset)[0]
        if first & VERSION_MASK:
            return walk.end(Stop.UNSUPPORTED)
        size = (first >> LENGTH_SHIFT & LENGTH_MASK) << 2
        if size < HEADER_BYTES:
            return walk.end(Stop.MALFORMED)
        end = offset + size
        if end > walk.limit:
            return walk.cut(end)
        walk.next = walk.link_end = end
        return next_by_number(first & NEXT_MASK)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe base header, service path and metadata."""
        header.bits("version", FIRST, 0, 2)
        header.flag("oam", FIRST, 2)
        header.bits("unassigned_1", FIRST, 3, 1)
        header.bits("ttl", FIRST, 4, 6)
        length = header.bits("length", FIRST, 10, 6, lambda words: f"{4 * words} octets") << 2
        header.bits("unassigned_2", METADATA_TYPE, 0, 4)
        kind = header.bits("metadata_type", METADATA_TYPE, 4, 4, METADATA_TYPES)
        following = header.number("next_protocol", NEXT_PROTOCOL, 1, describe_next)
        source = "RFC 8300 section 2.3"
        path = header.number("service_path_identifier", PATH, 3, source=source)
        index = header.number("service_index", SERVICE_INDEX, 1, source=source)
        header.summary = f"service path {path}, index {index}, {describe_next(following)}"
        if length <= HEADER_BYTES:
            return
        if kind == VARIABLE_METADATA:
            _describe_metadata(header, length)
        else:
            header.octets(
                "context_headers",
                HEADER_BYTES,
                length - HEADER_BYTES,
                source="RFC 8300 section 2.4",
            )


def _describe_metadata(header: Header, end: int) -> None:
    """Describe the metadata up to `end`, each padded to 4 octets; a broken one ends them."""
    source = "RFC 8300 section 2.5.1"
    at = HEADER_BYTES
    while at < end:
        size = METADATA_HEADER_BYTES
        if at + size <= end:
            size += header.read(at + METADATA_LENGTH, 1) & 0x7F
        padded = (size + 3) & ~3
        if at + padded > end:
            header.octets("broken_metadata", at, end - at, source=source)
            return
        with header.group("metadata", at, padded, source=source) as group:
            number = header.number("metadata_class", at, 2, source=source)
            kind = header.number("type", at + 2, 1, source=source)
            header.bits("unassigned", at + METADATA_LENGTH, 0, 1, source=source)
            header.bits("length", at + METADATA_LENGTH, 1, 7, source=source)
            group.text = f"class {number}, type {kind}, {size - METADATA_HEADER_BYTES} octets"
            if size > METADATA_HEADER_BYTES:
                data = at + METADATA_HEADER_BYTES
                header.octets("data", data, size - METADATA_HEADER_BYTES, source=source)
            if padded > size:
                header.octets("padding", at + size, padded - size, source=source)
        at += padded
