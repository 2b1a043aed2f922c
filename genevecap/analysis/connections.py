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
from typing import NamedTuple, Protocol

from ..ambient import HBONE_PORT
from ..columns import DecodedBatch, FrameBatch
from ..kernels import load
from .content import Stream, head
from .records import Held, RecordReader
from .results import Problem
from .segments import ACK, FIN, RST, SYN, Segments, extract

MAX_EVENTS = 512
"""Events kept of one direction; of later ones only the last."""

MAX_TURNS = 32
"""Messages whose beginning is kept with a digest."""

MAX_VNIS = 8
"""VNIs kept that one direction was seen in."""

MAX_HALVES = 1 << 21
"""Halves followed; segments of later ones are counted only."""

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
        "prefix",
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
        """Octets of the whole direction, where both its SYN and its FIN were seen."""
        self.highest = 0
        """Where the furthest octet seen ends."""
        self.frontier = 0
        """Up to where all octets were seen, but holes that were given up (`content.Stream`)."""
        self.duplicates = 0
        """Segments that brought nothing new: retransmissions and repeated sightings."""
        self.last_payload_ns: int | None = None
        self.ttl = 0
        self.vnis: set[int] = set()
        self.events = array("q")
        """Four numbers for each segment with new octets: begin and end offset, time, frame."""
        self.turns: list[Turn] = []
        self.records: RecordReader | None = None
        self.prefix: tuple[int, int] | None = None
        """Length and digest of what was captured from the first octet on; None where the first
        octet is not known; of HBONE, whose octets say nothing, always of length 0."""


class ConnectionTracker(Protocol):
    """What both implementations offer: they turn segments into halves.

    Memory grows with the directions of connections, at each point that saw them, and with the TLS
    records on port 15008; never with the number of segments.
    """

    passed_over: int
    """Segments of directions that were not followed, because there were too many."""

    def update(
        self, frames: FrameBatch, decoded: DecodedBatch, capture: int, *, kept: bool
    ) -> None:
        """Take the TCP segments of a batch of capture number `capture`, those that have a time.

        kept: look only at rows that passed the selectors (`DecodedBatch.keep`).
        """

    def halves(self) -> list[Half]:
        """Return all halves, in the order they were met; what is missing so far is given up."""


def connection_tracker(most: int = MAX_HALVES) -> ConnectionTracker:
    """Return a compiled tracker where it was built, else a readable one.

    most: halves that are followed.
    """
    kernel = load("genevecap.analysis._kernel_connections")
    if kernel is None:
        return ReadableTracker(most)
    tracker: ConnectionTracker = kernel.KernelTracker(most)
    return tracker


def too_many(path: str, segments: int) -> Problem:
    """Return what to tell of segments that were passed over; path: of the first capture."""
    return Problem(
        path=path,
        severity="warning",
        message=f"{path}: more connections than can be followed; {segments:,} segments of later "
        "ones were left out (a filter, or captures of fewer points, make them fewer)",
    )


class _Follower:
    """Fills in a half, segment by segment."""

    __slots__ = ("_acknowledged", "_base", "half", "stream")

    def __init__(self, half: Half) -> None:
        self.half = half
        self.stream = Stream()
        self._base: int | None = None
        """Sequence number of offset 0."""
        self._acknowledged = -1

    def finish(self) -> None:
        """Give up what is missing, and say what was captured."""
        half = self.half
        if half.isn is not None:
            half.prefix = self.stream.first.digested, self.stream.first.value
        if half.records is not None:
            half.records.finish()

    def offset_of(self, sequence: int) -> int:
        """Return a sequence number as an offset into the stream, near the furthest octet seen."""
        base = self._base if self._base is not None else sequence
        highest = self.half.highest
        distance = (sequence - base - highest) & _MASK_32
        if distance >= _HALF_32:
            distance -= 1 << 32
        return highest + distance

    def opens(self, isn: int) -> bool:
        """Tell whether a SYN with this sequence number is of this connection."""
        return self._base is None or self._base == (isn + 1) & _MASK_32

    def take_syn(
        self, sequence: int, acknowledgment: int, flags: int, time_ns: int, mss: int
    ) -> None:
        """Learn the initial sequence numbers from a SYN or SYN-ACK."""
        half = self.half
        half.syn_count += 1
        half.mss = mss
        if half.isn is None:
            half.syn_ns = time_ns
            half.isn = sequence
            half.is_client = not flags & ACK
            self._base = (sequence + 1) & _MASK_32
        if flags & ACK:
            half.peer_isn = (acknowledgment - 1) & _MASK_32

    def take_ack(self, sequence: int, acknowledgment: int, flags: int, time_ns: int) -> None:
        """Learn the peer's initial sequence number from the first ACK, or begin in the middle."""
        half = self.half
        if self._base is None:
            self._base = sequence
        elif half.isn is not None and half.peer_isn is None and flags & ACK:
            half.peer_isn = (acknowledgment - 1) & _MASK_32
            half.handshake = time_ns

    def take_fin(self, sequence: int, payload: int, time_ns: int, frame: int) -> None:
        """Learn from a FIN where the direction ends."""
        half = self.half
        if half.fin_ns is None:
            half.fin_ns, half.fin_frame = time_ns, frame
            if half.isn is not None:
                half.total = max(self.offset_of(sequence) + payload, 0)

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
        half, stream = self.half, self.stream
        begin = self.offset_of(sequence)
        if begin < 0:
            half.duplicates += 1
            return
        if half.records is not None:
            half.records.add(begin, octets, length, time_ns)
        turn = None
        if begin >= half.highest and acknowledgment != self._acknowledged:
            turn = self._turn(begin, octets, time_ns)
        digesting = half.isn is not None and half.records is None
        new = stream.add(begin, octets if digesting else b"", length)
        if half.records is not None and begin < half.highest:
            half.records.add_repeat((begin, begin + length, time_ns, frame, new), half.highest)
        if not new:
            half.duplicates += 1
            return
        half.frontier, half.highest = stream.first.end, stream.highest
        half.last_payload_ns = time_ns
        if turn is not None:
            self._acknowledged = acknowledgment
            if len(half.turns) < MAX_TURNS:
                half.turns.append(turn)
        if len(half.events) >= 4 * MAX_EVENTS:
            del half.events[-4:]
        half.events.extend((begin, begin + length, time_ns, frame))

    def _turn(self, begin: int, octets: bytes, time_ns: int) -> Turn:
        first = self.stream.first
        known = self.half.isn is not None and first.digested == begin
        marks = () if self.half.records is not None else head(octets)
        return Turn(begin, time_ns, marks, first.value if known else None)


class ReadableTracker:
    """The tracker as objects."""

    def __init__(self, most: int = MAX_HALVES) -> None:
        """Follow nothing yet; most: halves that are followed."""
        self.passed_over = 0
        self._most = most
        self._all: list[_Follower] = []
        self._current: dict[tuple[int, int, bool], _Follower] = {}
        self._held = Held()

    def halves(self) -> list[Half]:
        """See `ConnectionTracker`."""
        for follower in self._all:
            follower.finish()
        return [follower.half for follower in self._all]

    def update(
        self, frames: FrameBatch, decoded: DecodedBatch, capture: int, *, kept: bool
    ) -> None:
        """See `ConnectionTracker`."""
        s = extract(frames, decoded, capture, kept=kept)
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
            follower = current.get((point, key, upward))
            if follower is None or (flags & SYN and not follower.opens(sequence)):
                if len(self._all) >= self._most:
                    self.passed_over += 1
                    continue
                follower = self._begin(s, i)
            half = follower.half
            half.packets += 1
            half.wire_bytes += wire_bytes
            half.last_ns = max(half.last_ns, time_ns)
            if vni >= 0 and len(half.vnis) < MAX_VNIS:
                half.vnis.add(vni)
            start = sequence
            if flags & SYN:
                follower.take_syn(sequence, acknowledgment, flags, time_ns, int(s.mss[i]))
                start = (sequence + 1) & _MASK_32  # of data beside it (RFC 7413)
            else:
                follower.take_ack(sequence, acknowledgment, flags, time_ns)
            if payload:
                begin = offsets[row] + payload_offset
                octets = buffer[begin : min(offsets[row] + captured[row], begin + payload)]
                follower.add_payload(start, payload, bytes(octets), acknowledgment, time_ns, frame)
            if flags & FIN:
                follower.take_fin(start, payload, time_ns, frame)
            if flags & RST and half.rst_ns is None:
                half.rst_ns = time_ns

    def _begin(self, s: Segments, i: int) -> _Follower:
        version = int(s.version[i])
        source = Endpoint(version, int(s.source_hi[i]), int(s.source_lo[i]), int(s.source_port[i]))
        destination = Endpoint(
            version,
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
            half.records = RecordReader(self._held)
        follower = _Follower(half)
        self._current[half.point, half.key, half.upward] = follower
        self._all.append(follower)
        return follower
