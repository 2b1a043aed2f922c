# SPDX-License-Identifier: Apache-2.0
"""TCP connections as each capture point saw them: one `Half` a direction and point.

What is kept of a direction is what later tells which connections belong together, and when: its
handshake, totals, the moments at which new octets passed, where messages begin, and digests of
what they said.  It does not grow with the number of packets beyond `MAX_EVENTS`.

**Which halves are one connection.**  Addresses and ports do not say it: a Service's address becomes
a pod's, and in-pod redirection shows the two directions of one connection on `lo` under different
endpoints (`C:p1 > 127.0.0.1:15001` and `D:port > C:p1`).  Initial sequence numbers do: no NAT
touches them.  The SYN carries the client's, the SYN-ACK the server's and, as its acknowledgment,
the client's; the client's first ACK acknowledges the server's.  So each direction alone knows both,
64 bits that no other connection of the capture shares, and that pair is a connection's identity.
Where the handshake was not captured, the endpoints have to serve.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from ..ambient import HBONE_PORT
from ..columns import FrameBatch
from .content import Prefix, head
from .records import RecordReader
from .segments import ACK, FIN, RST, SYN, Segments

MAX_EVENTS = 512
"""Events kept of one direction; of later ones only the last."""

MAX_TURNS = 32
"""Messages whose beginning is kept with a digest."""

_HALF_32 = 1 << 31
_MASK_32 = (1 << 32) - 1


class Endpoint(NamedTuple):
    """Address (two 64-bit halves) and port of one end."""

    version: int
    hi: int
    lo: int
    port: int


class Turn(NamedTuple):
    """The beginning of a message: first octets after the other side has answered."""

    offset: int
    time_ns: int
    head: tuple[int, ...]
    prefix: int | None
    """Digest of everything before it, None where that was not captured whole."""


class Half:
    """One direction of one connection, as one point saw it; offsets count payload from 0."""

    __slots__ = (
        "_acknowledged",
        "_base",
        "_prefix",
        "acknowledged_ns",
        "capture",
        "destination",
        "duplicates",
        "events",
        "fin_frame",
        "fin_ns",
        "first_frame",
        "first_ns",
        "frontier",
        "handshake",
        "highest",
        "is_client",
        "isn",
        "key",
        "last_ns",
        "last_payload_ns",
        "mss",
        "packets",
        "peer_isn",
        "point",
        "records",
        "rst_ns",
        "source",
        "syn_count",
        "syn_ns",
        "total",
        "ttl",
        "turns",
        "upward",
        "vnis",
        "wire_bytes",
    )

    def __init__(
        self,
        capture: int,
        point: int,
        key: int,
        upward: bool,
        source: Endpoint,
        destination: Endpoint,
        frame: int,
        time_ns: int,
    ) -> None:
        self.capture = capture
        self.point = point
        self.key = key
        self.upward = upward
        self.source = source
        self.destination = destination
        self.first_frame = frame
        self.first_ns = time_ns
        self.last_ns = time_ns
        self.packets = 0
        self.wire_bytes = 0
        self.isn: int | None = None
        self.peer_isn: int | None = None
        self.is_client: bool | None = None
        """Whether it starts at the end that opened the connection; None where unknown."""
        self.syn_ns: int | None = None
        self.syn_count = 0
        self.mss = 0
        self.handshake: int | None = None
        """When a client's half acknowledged the SYN-ACK."""
        self.fin_ns: int | None = None
        self.fin_frame: int | None = None
        self.rst_ns: int | None = None
        self.total: int | None = None
        """Octets of the whole direction, where its FIN was seen."""
        self.highest = 0
        """Where the furthest octet seen ends."""
        self.frontier = 0
        """Up to where all octets were seen."""
        self.duplicates = 0
        """Segments that brought nothing new: retransmissions and repeated sightings."""
        self.last_payload_ns: int | None = None
        self.ttl = 0
        self.vnis: set[int] = set()
        self.events = array("q")
        """Four numbers for each segment with new octets: begin and end offset, time, frame."""
        self.turns: list[Turn] = []
        self.records: RecordReader | None = None
        self.acknowledged_ns: int | None = None
        self._base: int | None = None
        self._prefix: Prefix | None = Prefix()
        self._acknowledged = -1

    @property
    def prefix(self) -> tuple[int, int] | None:
        """Length and digest of what was captured from the first octet on, None where nothing."""
        if self._prefix is None or self._base is None:
            return None
        return self._prefix.length, self._prefix.value

    def offset_of(self, sequence: int) -> int:
        """Return a sequence number as an offset into the stream, near the furthest octet seen."""
        base = self._base if self._base is not None else sequence
        distance = (sequence - base - self.highest) & _MASK_32
        if distance >= _HALF_32:
            distance -= 1 << 32
        return self.highest + distance

    def open(self, isn: int) -> None:
        """Learn the initial sequence number from a SYN."""
        self.isn = isn
        self._base = (isn + 1) & _MASK_32

    def start_at(self, sequence: int) -> None:
        """Begin in the middle of a connection, whose handshake was not captured."""
        if self._base is None:
            self._base = sequence
            self._prefix = None

    def add_payload(
        self,
        sequence: int,
        length: int,
        octets: bytes,
        acknowledgment: int,
        time_ns: int,
        frame: int,
    ) -> None:
        """Take a segment with payload: `octets` were captured of its `length`."""
        begin = self.offset_of(sequence)
        end = begin + length
        if self.records is not None and begin >= 0:
            self.records.add(begin, octets, length, time_ns)
        if end <= self.frontier or begin < 0:
            self.duplicates += 1
            return
        self.last_payload_ns = time_ns
        if begin >= self.frontier and acknowledgment != self._acknowledged:
            self._begin_turn(begin, octets, acknowledgment, time_ns)
        if len(self.events) >= 4 * MAX_EVENTS:
            del self.events[-4:]
        self.events.extend((begin, end, time_ns, frame))
        self._extend_prefix(begin, octets)
        if begin <= self.frontier:
            self.frontier = max(end, self.frontier)
        self.highest = max(end, self.highest)

    def _begin_turn(self, begin: int, octets: bytes, acknowledgment: int, time_ns: int) -> None:
        self._acknowledged = acknowledgment
        if len(self.turns) < MAX_TURNS:
            whole = self._prefix is not None and self._prefix.length == begin
            value = self._prefix.value if whole and self._prefix is not None else None
            marks = () if self.records is not None else head(octets)
            self.turns.append(Turn(begin, time_ns, marks, value))

    def _extend_prefix(self, begin: int, octets: bytes) -> None:
        prefix = self._prefix
        if prefix is None or self.records is not None or begin > prefix.length:
            return  # a segment ahead of its turn is not digested: the prefix ends there
        skip = prefix.length - begin
        if len(octets) > skip:
            prefix.append(octets[skip:])


Identity = tuple[int, int] | tuple[int, int, int]


class ConnectionTracker:
    """Turns segments into halves; `halves` holds all of them, in the order they were met."""

    def __init__(self) -> None:
        self.halves: list[Half] = []
        self._current: dict[tuple[int, int, bool], Half] = {}

    def update(self, frames: FrameBatch, segments: Segments) -> None:
        """Take the segments of one batch; `frames` is that batch, for the payload."""
        s = segments
        buffer, offsets = frames.buffer, frames.offset
        captured = frames.captured_bytes
        rows = zip(
            s.row.tolist(), s.point.tolist(), s.frame.tolist(), s.time_ns.tolist(),
            s.key.tolist(), s.upward.tolist(), s.sequence.tolist(), s.acknowledgment.tolist(),
            s.flags.tolist(), s.payload_bytes.tolist(), s.payload_offset.tolist(),
            s.wire_bytes.tolist(), s.vni.tolist(),
            strict=True,
        )  # fmt: skip
        current = self._current
        for i, (
            row, point, frame, time_ns, key, upward, sequence, acknowledgment, flags, payload,
            payload_offset, wire_bytes, vni,
        ) in enumerate(rows):  # fmt: skip
            half = current.get((point, key, upward))
            if half is None or (flags & SYN and half.isn is not None and half.isn != sequence):
                half = self._begin(s, i)
            half.packets += 1
            half.wire_bytes += wire_bytes
            half.last_ns = time_ns
            if vni >= 0:
                half.vnis.add(vni)
            if flags & SYN:
                self._handshake(half, sequence, acknowledgment, flags, time_ns)
                half.mss = int(s.mss[i])
                continue
            if half.isn is None:
                half.start_at(sequence)
            elif half.peer_isn is None and flags & ACK:
                half.peer_isn = (acknowledgment - 1) & _MASK_32
                half.handshake = time_ns
            if payload:
                begin = offsets[row] + payload_offset
                end = min(offsets[row] + captured[row], begin + payload)
                half.add_payload(
                    sequence, payload, bytes(buffer[begin:end]), acknowledgment, time_ns, frame
                )
            if flags & FIN and half.fin_ns is None:
                half.fin_ns, half.fin_frame = time_ns, frame
                half.total = half.offset_of(sequence) + payload
            if flags & RST and half.rst_ns is None:
                half.rst_ns = time_ns

    def _begin(self, s: Segments, i: int) -> Half:
        source = Endpoint(
            int(s.version[i]), int(s.source_hi[i]), int(s.source_lo[i]), int(s.source_port[i])
        )
        destination = Endpoint(
            int(s.version[i]),
            int(s.destination_hi[i]),
            int(s.destination_lo[i]),
            int(s.destination_port[i]),
        )
        half = Half(
            int(s.capture[i]),
            int(s.point[i]),
            int(s.key[i]),
            bool(s.upward[i]),
            source,
            destination,
            int(s.frame[i]),
            int(s.time_ns[i]),
        )
        half.ttl = int(s.ttl[i])
        if HBONE_PORT in (source.port, destination.port):
            half.records = RecordReader()
        self._current[half.point, half.key, half.upward] = half
        self.halves.append(half)
        return half

    def _handshake(
        self, half: Half, sequence: int, acknowledgment: int, flags: int, time_ns: int
    ) -> None:
        half.syn_count += 1
        if half.syn_ns is None:
            half.syn_ns = time_ns
            half.open(sequence)
        half.is_client = not flags & ACK
        if flags & ACK:
            half.peer_isn = (acknowledgment - 1) & _MASK_32
