# SPDX-License-Identifier: Apache-2.0
"""HBONE connections as each capture point saw them: what is there of them, and from where to read.

A connection is read from one point, so first it is found out what each point has: its SYN, whether
frames are cut, whether octets are missing.  Octets are counted by their offset in the stream
(sequence number less the initial one), so that retransmissions, repeated sightings, reordering and
segments that offloads merged or cut again all come to the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ...addresses import address_text, endpoint_text
from ...ambient import HBONE_PORT
from ..segments import ACK, SYN, extract

if TYPE_CHECKING:
    from ..inputs import Batch
    from .keys import KeyLog

MAX_SIGHTINGS = 1 << 18
"""Connections at points that are kept track of, about 1 KB each."""
MAX_ISLANDS = 1 << 12
"""Pieces of a direction that wait for what is before them: more of them is a hole for good."""

_SEQUENCES = 1 << 32
_HALF = 1 << 31
HELLO_BYTES = 43
"""From a TLS record's first octet to the end of the client random (RFC 8446 sections 4 and 5)."""

_Ends = tuple[int, int, int, int, int, int, int]
"""Point, then address halves and port of client and of server."""
Identity = tuple[int, str, str, int | None]
"""Point, client, server, client's initial sequence number."""
OnPayload = Callable[["Sighting", bool, int, memoryview, int, int], None]
"""Told of new octets: sighting, upward, offset, octets, time, frame number."""


@dataclass(slots=True)
class Coverage:
    """Which octets of one direction were captured."""

    base: int | None = None
    """Sequence number of the first octet."""
    end: int = 0
    """Offset up to which everything is there."""
    acknowledged: int = 0
    """Offset up to which the other end says it has everything."""
    islands: list[tuple[int, int]] = field(default_factory=list)
    """(begin, end) of what is there beyond a hole, in order, not touching."""
    lost_track: bool = False

    def place(self, sequence: int) -> int:
        """Return the offset of a sequence number, the one nearest to `end`."""
        base = self.base or 0
        distance = (sequence - base - self.end) % _SEQUENCES
        return self.end + (distance - _SEQUENCES if distance >= _HALF else distance)

    def add(self, begin: int, end: int) -> bool:
        """Add octets; tell whether any of them is new."""
        begin = max(begin, 0)
        if end <= self.end:
            return False
        islands = self.islands
        if begin > self.end:
            return self._add_island(begin, end)
        self.end = end
        while islands and islands[0][0] <= self.end:
            self.end = max(self.end, islands.pop(0)[1])
        return True

    def _add_island(self, begin: int, end: int) -> bool:
        islands = self.islands
        first = bisect_left(islands, begin, key=lambda island: island[1])
        last = first
        while last < len(islands) and islands[last][0] <= end:
            last += 1
        if last - first == 1 and islands[first][0] <= begin and end <= islands[first][1]:
            return False
        if last == first and len(islands) >= MAX_ISLANDS:
            self.lost_track = True
            return False
        touched = islands[first:last]
        islands[first:last] = [
            (min(begin, *(a for a, _ in touched)), max(end, *(b for _, b in touched)))
            if touched
            else (begin, end)
        ]
        return True

    def hole(self) -> str | None:
        """Say which octets are not there although later ones are, or were acknowledged."""
        if self.islands:
            return f"octets {self.end} to {self.islands[0][0]}"
        # A FIN takes one number of its own.
        if self.acknowledged > self.end + 1 or self.lost_track:
            return f"what follows octet {self.end}"
        return None


@dataclass(slots=True, kw_only=True, eq=False)
class Sighting:
    """One connection at one point."""

    point: int
    capture: int
    client: str
    server: str
    client_isn: int | None
    """None where its SYN was not seen."""
    first_ns: int
    up: Coverage = field(default_factory=Coverage)
    down: Coverage = field(default_factory=Coverage)
    head: bytearray = field(default_factory=lambda: bytearray(HELLO_BYTES))
    """The first octets that the client sent, up to the end of its random: as far as they are
    there, which `up` says."""
    cut: tuple[int, int, int] | None = None
    """The first frame that is cut: its number, octets captured, octets on the wire."""

    @property
    def identity(self) -> Identity:
        """What it is found again by when the captures are read once more."""
        return self.point, self.client, self.server, self.client_isn

    @property
    def client_random(self) -> bytes | None:
        """Its client random, where its first octets are a ClientHello."""
        return client_random(self.head) if self.up.end >= HELLO_BYTES else None

    def refusal(self, keys: KeyLog) -> tuple[int, str] | None:
        """Return (how far it got, why it cannot be opened), or None where it can be tried."""
        checks = (
            (self.client_isn is None, "it began before the capture: its SYN is not in it"),
            (not self.sent_something, "nothing that the client sent was captured"),
            (self.cut is not None, self._why_cut()),
            (self.down.base is None, "the server's SYN-ACK is not in the capture"),
            (self.up.end < HELLO_BYTES, "its first octets are not in the capture"),
            (self.client_random is None, f"not TLS: it begins with {self.head[:5].hex(' ')}"),
        )
        for step, (met, reason) in enumerate(checks):
            if met:
                return step, reason
        lacking = keys.lacks(self.client_random or b"")
        return None if lacking is None else (len(checks), lacking)

    @property
    def sent_something(self) -> bool:
        """Whether the client sent more than its SYN."""
        return bool(self.up.end or self.up.islands or self.cut)

    def _why_cut(self) -> str:
        if self.cut is None:
            return ""
        frame, captured, wire = self.cut
        return f"its frames are cut: frame {frame} holds {captured} of {wire} octets"

    def holes(self) -> tuple[str | None, str | None]:
        """Return what is missing of the client's octets, and of the server's."""
        return self.up.hole(), self.down.hole()


def client_random(head: bytes | bytearray) -> bytes | None:
    """Return the random of a ClientHello that begins with these octets, else None."""
    if len(head) < HELLO_BYTES or head[0] != 22 or head[1] != 3 or head[5] != 1:
        return None
    return bytes(head[HELLO_BYTES - 32 : HELLO_BYTES])


class _Row(NamedTuple):
    """One segment: the columns of `Segments` that matter here."""

    point: int
    version: int
    source_hi: int
    source_lo: int
    source_port: int
    destination_hi: int
    destination_lo: int
    destination_port: int
    flags: int
    sequence: int
    acknowledgment: int
    time_ns: int
    frame: int
    payload_bytes: int
    payload_offset: int
    captured_bytes: int
    wire_bytes: int
    row: int


class Tracker:
    """Follows the HBONE connections of a run of batches, at each point for itself.

    wanted: follow only these, found by an earlier tracker; None follows all.
    on_payload: told of octets that were not there before, in the order they were captured.
    """

    def __init__(
        self, *, wanted: frozenset[Identity] | None = None, on_payload: OnPayload | None = None
    ) -> None:
        self.sightings: list[Sighting] = []
        self.left_out = 0
        """Frames of connections beyond `MAX_SIGHTINGS`."""
        self._wanted = wanted
        self._on_payload = on_payload
        self._current: dict[_Ends, Sighting | None] = {}
        """None stands for a connection that is not wanted."""

    def update(self, batch: Batch) -> None:
        """Take in one batch."""
        rows = extract(batch.frames, batch.decoded, batch.capture, kept=True)
        upward = rows.destination_port == HBONE_PORT
        # Where both ends have the port, it does not say which of them is the server.
        rows = rows.take(upward != (rows.source_port == HBONE_PORT))
        columns = [getattr(rows, name).tolist() for name in _Row._fields]
        offset = batch.frames.offset
        with memoryview(batch.frames.buffer) as buffer:
            for values in zip(*columns, strict=True):
                row = _Row._make(values)
                sighting = self._sighting(row, batch.capture)
                if sighting is not None:
                    begin = offset[row.row]
                    self._take(sighting, row, buffer[begin : begin + row.captured_bytes])

    def _sighting(self, row: _Row, capture: int) -> Sighting | None:
        """Return the connection that a segment belongs to, a new one where it opens one."""
        source = row.source_hi, row.source_lo, row.source_port
        destination = row.destination_hi, row.destination_lo, row.destination_port
        upward = row.destination_port == HBONE_PORT
        ends = (row.point, *source, *destination) if upward else (row.point, *destination, *source)
        opens = upward and row.flags & (SYN | ACK) == SYN
        isn = row.sequence if opens else None
        if ends in self._current:
            known = self._current[ends]
            if not opens or (known is not None and known.client_isn == isn):
                return known
        if len(self.sightings) >= MAX_SIGHTINGS:
            self.left_out += 1
            return None
        client, server = (
            endpoint_text(address_text(row.version, hi, lo), port)
            for hi, lo, port in ((ends[1:4], ends[4:7]))
        )
        sighting = Sighting(
            point=row.point,
            capture=capture,
            client=client,
            server=server,
            client_isn=isn,
            first_ns=row.time_ns,
        )
        if self._wanted is not None and sighting.identity not in self._wanted:
            self._current[ends] = None
            return None
        self._current[ends] = sighting
        self.sightings.append(sighting)
        return sighting

    def _take(self, sighting: Sighting, row: _Row, frame: memoryview) -> None:
        upward = row.destination_port == HBONE_PORT
        mine, other = (sighting.up, sighting.down) if upward else (sighting.down, sighting.up)
        if row.flags & SYN:
            mine.base = (row.sequence + 1) % _SEQUENCES
        if row.flags & ACK and other.base is not None:
            other.acknowledged = max(other.acknowledged, other.place(row.acknowledgment))
        if not row.payload_bytes or mine.base is None:
            return
        begin = 0 if row.flags & SYN else mine.place(row.sequence)
        payload = frame[row.payload_offset : row.payload_offset + row.payload_bytes]
        if len(payload) < row.payload_bytes:
            if sighting.cut is None:
                sighting.cut = row.frame, row.captured_bytes, row.wire_bytes
            return
        if begin < 0:
            payload = payload[-begin:]
            begin = 0
        if not mine.add(begin, begin + len(payload)):
            return
        if upward and begin < HELLO_BYTES:
            part = payload[: HELLO_BYTES - begin]
            sighting.head[begin : begin + len(part)] = part
        if self._on_payload is not None:
            self._on_payload(sighting, upward, begin, payload, row.time_ns, row.frame)
