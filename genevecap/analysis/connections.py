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
from ..columns import DecodedBatch, FrameBatch
from .content import Stream, head
from .records import Held, RecordReader
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
        "_acknowledged",
        "_base",
        "_stream",
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
        self._base: int | None = None
        self._stream = Stream()
        self._acknowledged = -1

    @property
    def prefix(self) -> tuple[int, int] | None:
        """Length and digest of what was captured from the first octet on.

        None where the first octet is not known; of HBONE, whose octets say nothing, always of
        length 0.
        """
        if self.isn is None:
            return None
        first = self._stream.first
        return first.digested, first.value

    def offset_of(self, sequence: int) -> int:
        """Return a sequence number as an offset into the stream, near the furthest octet seen."""
        base = self._base if self._base is not None else sequence
        distance = (sequence - base - self.highest) & _MASK_32
        if distance >= _HALF_32:
            distance -= 1 << 32
        return self.highest + distance

    def opens(self, isn: int) -> bool:
        """Tell whether a SYN with this sequence number is of this connection."""
        return self._base is None or self._base == (isn + 1) & _MASK_32

    def take_syn(
        self, sequence: int, acknowledgment: int, flags: int, time_ns: int, mss: int
    ) -> None:
        """Learn the initial sequence numbers from a SYN or SYN-ACK."""
        self.syn_count += 1
        self.mss = mss
        if self.isn is None:
            self.syn_ns = time_ns
            self.isn = sequence
            self._base = (sequence + 1) & _MASK_32
            self.is_client = not flags & ACK
        if flags & ACK:
            self.peer_isn = (acknowledgment - 1) & _MASK_32

    def take_ack(self, sequence: int, acknowledgment: int, flags: int, time_ns: int) -> None:
        """Learn the peer's initial sequence number from the first ACK, or begin in the middle."""
        if self._base is None:
            self._base = sequence
        elif self.isn is not None and self.peer_isn is None and flags & ACK:
            self.peer_isn = (acknowledgment - 1) & _MASK_32
            self.handshake = time_ns

    def take_fin(self, sequence: int, payload: int, time_ns: int, frame: int) -> None:
        """Learn from a FIN where the direction ends."""
        if self.fin_ns is None:
            self.fin_ns, self.fin_frame = time_ns, frame
            if self.isn is not None:
                self.total = max(self.offset_of(sequence) + payload, 0)

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
        if begin < 0:
            self.duplicates += 1
            return
        if self.records is not None:
            self.records.add(begin, octets, length, time_ns)
        turn = None
        if begin >= self.highest and acknowledgment != self._acknowledged:
            turn = self._turn(begin, octets, time_ns)
        digesting = self.isn is not None and self.records is None
        if not self._stream.add(begin, octets if digesting else b"", length):
            self.duplicates += 1
            return
        self.frontier, self.highest = self._stream.first.end, self._stream.highest
        self.last_payload_ns = time_ns
        if turn is not None:
            self._acknowledged = acknowledgment
            if len(self.turns) < MAX_TURNS:
                self.turns.append(turn)
        if len(self.events) >= 4 * MAX_EVENTS:
            del self.events[-4:]
        self.events.extend((begin, begin + length, time_ns, frame))

    def _turn(self, begin: int, octets: bytes, time_ns: int) -> Turn:
        first = self._stream.first
        known = self.isn is not None and first.digested == begin
        marks = () if self.records is not None else head(octets)
        return Turn(begin, time_ns, marks, first.value if known else None)


class ConnectionTracker:
    """Turns segments into halves.

    Memory grows with the directions of connections, at each point that saw them, and with the TLS
    records on port 15008; never with the number of segments.
    """

    def __init__(self, most: int = MAX_HALVES) -> None:
        """Follow nothing yet; most: halves that are followed."""
        self.passed_over = 0
        """Segments of directions that were not followed, because there were too many."""
        self._most = most
        self._halves: list[Half] = []
        self._current: dict[tuple[int, int, bool], Half] = {}
        self._held = Held()

    @property
    def halves(self) -> list[Half]:
        """All halves, in the order they were met; what was missing so far is given up."""
        for half in self._halves:
            if half.records is not None:
                half.records.finish()
        return self._halves

    def update(
        self, frames: FrameBatch, decoded: DecodedBatch, capture: int, *, kept: bool
    ) -> None:
        """Take the TCP segments of a batch of capture number `capture`.

        kept: look only at rows that passed the selectors (`DecodedBatch.keep`).
        """
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
            half = current.get((point, key, upward))
            if half is None or (flags & SYN and not half.opens(sequence)):
                if len(self._halves) >= self._most:
                    self.passed_over += 1
                    continue
                half = self._begin(s, i)
            half.packets += 1
            half.wire_bytes += wire_bytes
            half.last_ns = max(half.last_ns, time_ns)
            if vni >= 0 and len(half.vnis) < MAX_VNIS:
                half.vnis.add(vni)
            start = sequence
            if flags & SYN:
                half.take_syn(sequence, acknowledgment, flags, time_ns, int(s.mss[i]))
                start = (sequence + 1) & _MASK_32  # of data beside it (RFC 7413)
            else:
                half.take_ack(sequence, acknowledgment, flags, time_ns)
            if payload:
                begin = offsets[row] + payload_offset
                end = min(offsets[row] + captured[row], begin + payload)
                half.add_payload(
                    start, payload, bytes(buffer[begin:end]), acknowledgment, time_ns, frame
                )
            if flags & FIN:
                half.take_fin(start, payload, time_ns, frame)
            if flags & RST and half.rst_ns is None:
                half.rst_ns = time_ns

    def _begin(self, s: Segments, i: int) -> Half:
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
        self._current[half.point, half.key, half.upward] = half
        self._halves.append(half)
        return half
