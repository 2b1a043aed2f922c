# SPDX-License-Identifier: Apache-2.0
"""TLS records of one direction of a connection, from the five octets in front of each.

A record's length is all that HBONE shows without keys: RFC 8446 section 5.1 puts type, version and
length before the ciphertext.  The stream is followed octet by octet; segments may come in any
order, be repeated, or be captured only in part.  Where a header was not captured the reader waits
for a segment that begins like a record, which is where ztunnel's writes begin.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from ..decode.tls_records import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_BYTES,
    MAX_CIPHERTEXT_BYTES,
)

TYPE_OFFSET = 0
MAJOR_OFFSET = 1
MINOR_OFFSET = 2
LENGTH_OFFSET = 3

MAX_PENDING = 64
"""Segments of one direction kept that came before their turn."""

MAX_PENDING_BYTES = 1 << 18
"""Octets of one direction kept that came before their turn."""

MAX_HELD_BYTES = 1 << 26
"""Octets of all directions kept that came before their turn."""

MAX_OPENING_BYTES = 1 << 12
"""Octets kept of the record that a direction begins with."""

MAX_OPENINGS_BYTES = 1 << 26
"""Octets of such records kept together."""

MAX_REPEATS = 256
"""Segments kept of one direction that came again or late."""

MAX_RECORDS = 1 << 18
"""Records kept of one direction; later ones are counted only."""


class Record(NamedTuple):
    """One TLS record; offsets count octets of the direction's stream from 0."""

    content_type: int
    length: int
    """Octets after the five of the header."""
    begin_offset: int
    begin_ns: int
    """When its first octet was seen."""
    end_ns: int
    """When the last octet that was missing was seen."""


class Repeat(NamedTuple):
    """One segment that began before the furthest octet seen; offsets as in `Record`."""

    begin_offset: int
    end_offset: int
    time_ns: int
    frame: int
    new: bool
    """Whether it brought octets that were missing."""


class Held:
    """How many octets all readers of a capture keep together."""

    __slots__ = ("octets", "openings")

    def __init__(self) -> None:
        self.octets = 0
        self.openings = 0
        """Of the records that directions begin with."""


class RecordReader:
    """Follows one direction; `add` takes its segments, `records` lists what was read.

    Where a segment is missing, those behind it are kept until it comes; when they are too many
    (`MAX_PENDING`, `MAX_PENDING_BYTES`, `MAX_HELD_BYTES`) the reader goes on behind the hole.
    """

    __slots__ = (
        "_begin_ns",
        "_frontier",
        "_header",
        "_held",
        "_open",
        "_opening_bytes",
        "_pending",
        "_pending_bytes",
        "_synchronised",
        "dropped",
        "lost",
        "opening",
        "repeat_count",
        "repeat_rows",
        "rows",
    )

    def __init__(self, held: Held | None = None) -> None:
        """Follow a new direction; held: what it shares with other readers."""
        self.rows = array("q")
        """Five numbers a record, as in `Record`."""
        self.dropped = 0
        """Records that came when the table was full."""
        self.lost = 0
        """Times the reader had to wait for a segment that begins like a record."""
        self.opening = b""
        """The record that the direction begins with, if it is of the handshake, as far as it was
        captured in order; of any other its header."""
        self.repeat_rows = array("q")
        """Five numbers a segment, as in `Repeat`."""
        self.repeat_count = 0
        """Segments that came again or late; of more than `MAX_REPEATS` the first are kept."""
        self._opening_bytes = 0
        """How long `opening` may become; 0 where nothing was seen, or there was no room."""
        self._frontier = 0
        self._synchronised = True
        self._header = b""
        self._open: tuple[int, int, int, int] | None = None
        """(type, length, begin offset, begin time) of the record that is being received."""
        self._begin_ns = 0
        self._pending: dict[int, tuple[bytes, int, int]] = {}
        self._pending_bytes = 0
        self._held = held or Held()

    def records(self) -> list[Record]:
        """Return the complete records, in stream order."""
        rows = self.rows
        return [Record(*rows[i : i + 5]) for i in range(0, len(rows), 5)]

    def repeats(self) -> list[Repeat]:
        """Return the segments that came again or late, in the order they came."""
        rows = self.repeat_rows
        return [
            Repeat(rows[i], rows[i + 1], rows[i + 2], rows[i + 3], bool(rows[i + 4]))
            for i in range(0, len(rows), 5)
        ]

    def add_repeat(self, repeat: tuple[int, int, int, int, bool], highest: int) -> None:
        """Take what a `Repeat` says; highest: where the furthest octet seen before it ends.

        A probe of an idle connection, which repeats the last octet, is none (RFC 9293 section
        3.8.4).
        """
        if repeat[:2] == (highest - 1, highest):
            return
        self.repeat_count += 1
        if self.repeat_count <= MAX_REPEATS:
            self.repeat_rows.extend(repeat)

    def add(self, offset: int, octets: bytes, length: int, time_ns: int) -> None:
        """Take a segment: `octets` were captured of the `length` that begin at `offset`."""
        if len(self.opening) < self._opening_bytes or offset == 0:
            self._keep_opening(offset, octets)
        if offset > self._frontier:
            self._postpone(offset, octets, length, time_ns)
            return
        self._take(offset, octets, length, time_ns)
        self._take_due(time_ns)

    def _keep_opening(self, offset: int, octets: bytes) -> None:
        have = len(self.opening)
        if not self._opening_bytes:
            if len(octets) < HEADER_BYTES:
                return
            wanted = HEADER_BYTES
            if octets[TYPE_OFFSET] == HANDSHAKE:
                wanted += octets[LENGTH_OFFSET] << 8 | octets[LENGTH_OFFSET + 1]
            wanted = min(wanted, MAX_OPENING_BYTES)
            if self._held.openings + wanted > MAX_OPENINGS_BYTES:
                return
            self._held.openings += wanted
            self._opening_bytes = wanted
        if offset <= have:
            self.opening += octets[have - offset : self._opening_bytes - offset]

    def finish(self) -> None:
        """Go on behind all holes: what is missing will not come."""
        while self._pending:
            self._give_up_hole()

    def _take_due(self, time_ns: int | None) -> None:
        """Take what came early and is due now.

        time_ns: when the octets that were missing came; None: they did not come.
        """
        while self._pending:
            start = min(self._pending)
            if start > self._frontier:
                return
            octets, length, when = self._release(start)
            self._take(start, octets, length, when if time_ns is None else time_ns)

    def _postpone(self, offset: int, octets: bytes, length: int, time_ns: int) -> None:
        if offset in self._pending:
            if self._pending[offset][1] >= length:
                return
            self._release(offset)
        self._pending[offset] = (octets, length, time_ns)
        self._pending_bytes += len(octets)
        self._held.octets += len(octets)
        while (
            len(self._pending) > MAX_PENDING
            or self._pending_bytes > MAX_PENDING_BYTES
            or (self._pending and self._held.octets > MAX_HELD_BYTES)
        ):
            self._give_up_hole()

    def _release(self, offset: int) -> tuple[bytes, int, int]:
        kept = self._pending.pop(offset)
        self._pending_bytes -= len(kept[0])
        self._held.octets -= len(kept[0])
        return kept

    def _give_up_hole(self) -> None:
        self._lose(min(self._pending))
        self._take_due(None)

    def _lose(self, frontier: int) -> None:
        self._frontier = frontier
        self._synchronised = False
        self._header = b""
        self._open = None
        self.lost += 1

    def _take(self, offset: int, octets: bytes, length: int, time_ns: int) -> None:
        end = offset + length
        if end <= self._frontier:
            return
        skip = self._frontier - offset
        octets, missing = octets[skip:], end - offset - len(octets)
        if not self._synchronised:
            if skip or not _begins_record(octets):
                self._frontier = end
                return
            self._synchronised = True
        if skip and not octets:
            missing = end - self._frontier
        self._read(octets, time_ns)
        if missing and self._synchronised:
            self._skip(missing, time_ns)
        self._frontier = end

    def _read(self, octets: bytes, time_ns: int) -> None:
        place, size = 0, len(octets)
        while place < size:
            if self._open is None:
                if not self._header:
                    self._begin_ns = time_ns
                wanted = HEADER_BYTES - len(self._header)
                self._header += octets[place : place + wanted]
                got = min(wanted, size - place)
                place += got
                self._frontier += got
                if len(self._header) < HEADER_BYTES:
                    return
                if not self._open_record():
                    self._lose(self._frontier + size - place)
                    return
            place += self._fill(size - place, time_ns)

    def _open_record(self) -> bool:
        header, self._header = self._header, b""
        if not _begins_record(header):
            return False
        length = header[LENGTH_OFFSET] << 8 | header[LENGTH_OFFSET + 1]
        begin = self._frontier - HEADER_BYTES
        self._open = (header[TYPE_OFFSET], length, begin, self._begin_ns)
        return True

    def _fill(self, available: int, time_ns: int) -> int:
        """Take up to `available` octets into the open record; return how many."""
        if self._open is None:
            return 0
        content_type, length, begin, begin_ns = self._open
        left = begin + HEADER_BYTES + length - self._frontier
        taken = min(left, available)
        self._frontier += taken
        if taken == left:
            if len(self.rows) < 5 * MAX_RECORDS:
                self.rows.extend((content_type, length, begin, begin_ns, max(begin_ns, time_ns)))
            else:
                self.dropped += 1
            self._open = None
        return taken

    def _skip(self, missing: int, time_ns: int) -> None:
        """Pass over octets that were not captured: inside a record they are only counted."""
        missing -= self._fill(missing, time_ns)
        if missing:
            self._lose(self._frontier)


def _begins_record(octets: bytes) -> bool:
    """Tell whether these octets look like the beginning of a TLS record."""
    if len(octets) < HEADER_BYTES:
        return False
    length = octets[LENGTH_OFFSET] << 8 | octets[LENGTH_OFFSET + 1]
    return (
        CHANGE_CIPHER_SPEC <= octets[TYPE_OFFSET] <= APPLICATION_DATA
        and octets[MAJOR_OFFSET] == 3
        and octets[MINOR_OFFSET] in (1, 3)
        and 0 < length <= MAX_CIPHERTEXT_BYTES
    )
