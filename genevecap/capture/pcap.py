# SPDX-License-Identifier: Apache-2.0
"""pcap: every variant that is met (draft-ietf-opsawg-pcap, and libpcap's history).

::

    file header, 24 octets                     record header, 16 octets (24 in Kuznetzov's variant)
    magic        a1b2c3d4 µs, a1b23c4d ns,     seconds       unsigned
                 a1b2cd34 Kuznetzov            fraction      µs or ns, whatever its value
    version      2.0 to 2.4 (and what          captured      octets that follow
                 claims more)                  original      octets on the wire
    zone, accuracy   ignored                   then, Kuznetzov: interface, protocol, type: skipped
    snaplen          not believed
    link type        low 26 bits
"""

from __future__ import annotations

import struct
from typing import NoReturn

from ..errors import DamagedCapture, NotACapture
from .linktypes import LINK_TYPE_MASK
from .records import OTHER, PCAP_MAGICS, PcapLayout, is_file_header
from .stream import FormatReader, Stream

FILE_HEADER_BYTES = 24
_MAGICS = dict(zip(PCAP_MAGICS, ((16, 1000), (16, 1), (24, 1000)), strict=True))
"""Magic → octets of a record header, nanoseconds of a unit of the fraction."""


def is_pcap(head: bytes) -> bool:
    """Tell whether a file that begins with these 4 octets is a pcap file."""
    return len(head) >= 4 and (
        int.from_bytes(head[:4], "big") in _MAGICS or int.from_bytes(head[:4], "little") in _MAGICS
    )


class PcapReader(FormatReader):
    """Reads one pcap stream; see `FormatReader`."""

    format = "pcap"

    def __init__(self, stream: Stream) -> None:
        """Read the file header.

        Raises NotACapture where it ends early or claims a version other than 2.x.
        """
        super().__init__(stream)
        stream.require(FILE_HEADER_BYTES)
        if stream.end < FILE_HEADER_BYTES:
            raise NotACapture(
                stream.path,
                f"a pcap header has {FILE_HEADER_BYTES} octets, this file has {stream.end}",
            )
        head = bytes(stream.buffer[:FILE_HEADER_BYTES])
        big_endian = int.from_bytes(head[:4], "big") in _MAGICS
        order = ">" if big_endian else "<"
        magic, major, minor, _zone, _accuracy, _snaplen, link = struct.unpack(
            order + "IHHiIII", head
        )
        if major != 2:
            raise NotACapture(
                stream.path, f"pcap version {major}.{minor} is not known (2.0 to 2.4 are)"
            )
        header_bytes, multiplier = _MAGICS[magic]
        self._layout = PcapLayout(
            big_endian=big_endian,
            header_bytes=header_bytes,
            lengths_swapped=2 if minor < 3 else 1 if minor == 3 else 0,
            multiplier=multiplier,
        )
        stream.position = FILE_HEADER_BYTES
        self._point = stream.add_point(None, link & LINK_TYPE_MASK)

    def fill(self) -> bool:
        """See `FormatReader`."""
        stream = self.stream
        frames = stream.frames
        first = frames.count
        stream.position, why = stream.walk.walk_pcap(
            frames, self._layout, stream.position, stream.end, self._point, stream.next_frame
        )
        stream.next_frame += frames.count - first
        if why == OTHER:
            self._damage()
        if why > 0:
            return stream.want(why)
        return True

    def _damage(self) -> NoReturn:
        """Raise what the walk stopped at: a length that cannot be, or another file's header."""
        stream, layout = self.stream, self._layout
        order = ">" if layout.big_endian else "<"
        first, second, captured, original = struct.unpack_from(
            order + "IIII", stream.buffer, stream.position
        )
        if layout.lengths_swapped == 2 or (layout.lengths_swapped and captured > original):
            captured = original
        joined = is_file_header(first, second)
        raise DamagedCapture(
            stream.path,
            "a second pcap header stands where a record was expected"
            if joined
            else f"its length of {captured} octets is not plausible",
            record=stream.next_frame,
            offset=stream.file_offset(),
            needed=layout.header_bytes if joined else layout.header_bytes + captured,
            had=0 if joined else stream.octets_left(),
        )
