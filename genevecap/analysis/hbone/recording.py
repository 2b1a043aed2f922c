# SPDX-License-Identifier: Apache-2.0
"""The octets of connections that are to be opened, on a private file until they are in order.

What a point captured is written as it comes, with a note of where it belongs.  Read back, both
directions are in order without repetition, as octets *released*: an octet that came before its
predecessors is released with the last of them, at the time and by the frame of that one, since only
then could the receiver read it.  `tls_records` cuts them at TLS's own borders.

The file has no name: it is gone with the process, however that ends.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import IO, NamedTuple

_FIELDS = 6
MAX_RECORD_BYTES = (1 << 14) + 256
"""RFC 8446 section 5.2."""
RECORD_HEADER_BYTES = 5
CONTENT_TYPES = range(20, 24)
"""Change of cipher, alert, handshake, application data."""


class Piece(NamedTuple):
    """Octets of one direction, in order."""

    upward: bool
    octets: bytes
    time_ns: int
    frame: int


class TlsRecord(NamedTuple):
    """One TLS record with its header, and what completed it."""

    upward: bool
    offset: int
    """Of its first octet in its direction."""
    octets: bytes
    time_ns: int
    frame: int


class Spool:
    """Octets on a file that was opened for it: see `open_spool`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._end = 0

    def append(self, octets: memoryview | bytes) -> int:
        """Keep octets; return where they are."""
        at = self._end
        self._end += self._file.write(octets)
        return at

    def read(self, at: int, size: int) -> bytes:
        """Return octets that were kept."""
        self._file.flush()
        return os.pread(self._file.fileno(), size, at)


@contextmanager
def open_spool(folder: str) -> Iterator[Spool]:
    """Give a spool on a file without a name, in a folder whose file system has room for it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file)


@dataclass(slots=True)
class Recording:
    """Octets of one connection: `write` them in any order, read them back in theirs."""

    spool: Spool
    in_order: bool = False
    """Whether they are written in order already."""
    size_bytes: int = 0
    _notes: array[int] = field(default_factory=lambda: array("q"))

    def write(
        self, upward: bool, offset: int, octets: memoryview | bytes, time_ns: int, frame: int
    ) -> None:
        """Add octets that belong at `offset` of their direction."""
        at = self.spool.append(octets)
        self._notes.extend((upward, offset, at, len(octets), time_ns, frame))
        self.size_bytes += len(octets)

    def pieces(self) -> Iterator[Piece]:
        """Yield both directions in order, released as their times say, up to the first hole."""
        notes = self._notes
        count = len(notes) // _FIELDS
        order: range | list[int] = range(count)
        if not self.in_order:
            order = sorted(order, key=lambda i: notes[i * _FIELDS + 4])
        waiting: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        reached = [0, 0]
        for i in order:
            upward, offset, _, _, time_ns, frame = notes[i * _FIELDS : (i + 1) * _FIELDS]
            heap = waiting[upward]
            heappush(heap, (offset, i))
            while heap and heap[0][0] <= reached[upward]:
                _, first = heappop(heap)
                octets = self._read(first, reached[upward])
                reached[upward] += len(octets)
                if octets:
                    yield Piece(bool(upward), octets, time_ns, frame)

    def _read(self, i: int, begin: int) -> bytes:
        """Return what note `i` has from offset `begin` on."""
        _, offset, at, size = self._notes[i * _FIELDS : i * _FIELDS + 4]
        skip = begin - offset
        if skip >= size:
            return b""
        return self.spool.read(at + skip, size - skip)


def tls_records(recording: Recording, troubles: list[tuple[bool, str]]) -> Iterator[TlsRecord]:
    """Yield the TLS records of both directions, each when it is complete.

    troubles: gets (upward, what) for a direction that holds something else, and ends there.
    """
    buffers = bytearray(), bytearray()
    passed = [0, 0]
    broken = [False, False]
    for upward, octets, time_ns, frame in recording.pieces():
        if broken[upward]:
            continue
        buffer = buffers[upward]
        buffer += octets
        while len(buffer) >= RECORD_HEADER_BYTES:
            size = RECORD_HEADER_BYTES + int.from_bytes(buffer[3:5])
            plausible = size <= RECORD_HEADER_BYTES + MAX_RECORD_BYTES and buffer[1] == 3
            if buffer[0] not in CONTENT_TYPES or not plausible:
                broken[upward] = True
                end = "client" if upward else "server"
                troubles.append(
                    (upward, f"octet {passed[upward]} of the {end}'s begins no TLS record")
                )
                break
            if len(buffer) < size:
                break
            yield TlsRecord(upward, passed[upward], bytes(buffer[:size]), time_ns, frame)
            del buffer[:size]
            passed[upward] += size
