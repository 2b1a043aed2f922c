# SPDX-License-Identifier: Apache-2.0
"""A sample of what each capture point shows: what `roles` is deduced from.

Of each point the first `FIRST_FRAMES` frames are kept as counts of who talked to whom, and besides
them the `SYNS_KEPT` SYNs and SYN-ACKs with the lowest sequence numbers of the whole capture.  Those
numbers are random, so two points that saw the same connections keep the same ones, whenever their
captures began.  Memory is bounded by `MOST_POINTS`, not by frames; time is spent on the sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heappush, heapreplace
from typing import NamedTuple

from ...addresses import is_loopback
from ...ambient import HBONE_PORT, OUTBOUND_PORT
from ...capture.points import PointTable
from ...columns import NO_TIME, DecodedBatch, FrameBatch
from ...decode.cooked import cooked
from ..inputs import Batch

FIRST_FRAMES = 1_024
FEW_FRAMES = 32
"""Frames sampled of each point beyond the first `WELL_SAMPLED`."""
WELL_SAMPLED = 128
MOST_POINTS = 2_000
"""Points that are sampled at all; of more, names alone decide."""
SYNS_KEPT = 256
_MOST_KEYS = 4_096
_MOST_INNER = 256
_MANY_HUNGRY = 8

_SYN = 0x02
_ACK = 0x10

Address = tuple[int, int, int]
"""(version, hi, lo), as in the columns."""

TUNNELLED = -1
"""`Talk.ttl` of a frame whose outermost IP header carries a tunnel: its TTL is not a column."""

UNKNOWN_WAY = -1
"""`Talk.sent` where the link type does not say which way a frame went."""


class Talk(NamedTuple):
    """One kind of frame of a point: its outermost IP header and its link."""

    source: Address
    destination: Address
    ttl: int
    link_source: int
    link_destination: int
    sent: int
    """1 sent by the captured host, 0 received by it, UNKNOWN_WAY."""
    hbone: bool
    """Whether its (innermost) destination is port 15008."""


class Tunnel(NamedTuple):
    """One direction of an outermost tunnel that a point shows."""

    kind: int
    vni: int
    source: Address
    destination: Address
    has_options: bool


class Passage(NamedTuple):
    """Who talks to whom through an interface, and which way."""

    source: Address
    destination: Address
    sent: int
    """As `Talk.sent`."""


class PointSample:
    """What was kept of one point."""

    __slots__ = (
        "called",
        "cut",
        "first",
        "frames",
        "inner",
        "left",
        "link_type",
        "loopback",
        "redirected",
        "seen",
        "syns",
        "talks",
        "times",
        "tunnels",
    )

    def __init__(self, link_type: int, most: int) -> None:
        self.link_type = link_type
        self.left = most
        """Frames still to be sampled."""
        self.seen = 0
        """Frames of the point when it was last looked at."""
        self.frames = 0
        """Frames sampled."""
        self.loopback = 0
        """Of them: through a loopback, or without MAC addresses."""
        self.cut = 0
        """Of them: captured in part."""
        self.talks: Counter[Talk] = Counter()
        self.tunnels: Counter[Tunnel] = Counter()
        """Outermost tunnels with an IP packet inside."""
        self.inner: dict[Tunnel, set[Passage]] = {}
        """What is inside each."""
        self.redirected: Counter[Address] = Counter()
        """Sources of TCP towards ztunnel's outbound listener on the loopback address."""
        self.called: Counter[Address] = Counter()
        """Destinations of SYNs, of the first frames."""
        self.times: dict[int, int] = {}
        """Time by packet (see `_packet`), of the first frames."""
        self.syns: list[tuple[int, int, int]] = []
        """Heap of (-sequence number, packet, time), at most SYNS_KEPT of them."""

    def packets(self) -> dict[int, int]:
        """Return the time of every packet that was kept."""
        return {packet: time_ns for _, packet, time_ns in self.syns} | self.times


class PointSamples:
    """Samples the points of a run."""

    def __init__(self, points: PointTable) -> None:
        self.points = points
        self._hungry: dict[int, list[int]] = {}
        """Points of which more frames are wanted, by capture."""
        self._known = 0
        self.samples: dict[int, PointSample] = {}
        """By point index."""

    def update(self, batch: Batch, syns: Sequence[int] | None = None) -> None:
        """Sample a batch, whatever its `keep` says: a selection does not change what a point is.

        syns: decoded rows that are SYNs, where the caller has found them already.
        """
        frames, decoded = batch.frames, batch.decoded
        self._meet_points()
        hungry = self._hungry.get(batch.capture)
        if hungry:
            self._hungry[batch.capture] = self._feed(hungry, frames, decoded)
        if syns is None:
            flags = decoded.tcp_flags[: decoded.count]
            syns = [i for i, value in enumerate(flags) if value & _SYN]
        point, sequence, first = frames.point, decoded.tcp_sequence, decoded.first
        for i in syns:
            sample = self.samples.get(point[first + i])
            if sample is None:
                continue
            if len(sample.syns) < SYNS_KEPT or sequence[i] < -sample.syns[0][0]:
                _keep_syn(sample, frames, decoded, i)

    def _meet_points(self) -> None:
        points = self.points.points
        for index in range(self._known, len(points)):
            if len(self.samples) >= MOST_POINTS:
                break
            most = FIRST_FRAMES if len(self.samples) < WELL_SAMPLED else FEW_FRAMES
            self.samples[index] = PointSample(points[index].link_type, most)
            self._hungry.setdefault(points[index].capture, []).append(index)
        self._known = len(points)

    def _feed(self, hungry: list[int], frames: FrameBatch, decoded: DecodedBatch) -> list[int]:
        """Take rows of the points that want some; return those that want more."""
        first, end = decoded.first, decoded.first + decoded.count
        last_of_frames = end == frames.count
        points, samples = self.points.points, self.samples
        present = [p for p in hungry if points[p].packets != samples[p].seen]
        if len(present) > _MANY_HUNGRY:
            wanted = set(present)
            for row in range(first, end):
                if frames.point[row] in wanted:
                    _take(samples[frames.point[row]], frames, decoded, row - first)
        else:
            for p in present:
                self._feed_one(samples[p], p, frames, decoded)
        if last_of_frames:
            for p in present:
                samples[p].seen = points[p].packets
        return [p for p in hungry if samples[p].left > 0]

    @staticmethod
    def _feed_one(sample: PointSample, p: int, frames: FrameBatch, decoded: DecodedBatch) -> None:
        row, end = decoded.first, decoded.first + decoded.count
        while sample.left > 0 and row < end:
            try:
                row = frames.point.index(p, row, end)
            except ValueError:
                return
            _take(sample, frames, decoded, row - decoded.first)
            row += 1


def _take(sample: PointSample, frames: FrameBatch, d: DecodedBatch, i: int) -> None:
    """Count one frame in its point's sample."""
    if sample.left <= 0:
        return
    row = d.first + i
    sample.left -= 1
    sample.frames += 1
    sample.cut += frames.captured_bytes[row] < frames.wire_bytes[row]
    header = cooked(frames, row, sample.link_type)
    if header is not None:
        sample.loopback += header.loopback
    elif not d.link_source[i] and not d.link_destination[i]:
        sample.loopback += 1
    if not d.outer_version[i]:
        return
    sent = UNKNOWN_WAY if header is None else int(header.sent)
    _count_talk(sample, d, i, sent)
    if frames.time_ns[row] != NO_TIME:
        sample.times.setdefault(_packet(d, i), frames.time_ns[row])
    if d.inner_destination_port[i] == OUTBOUND_PORT and is_loopback(*_inner_destination(d, i)):
        sample.redirected[_inner_source(d, i)] += 1
    if d.tcp_flags[i] & (_SYN | _ACK) == _SYN:
        sample.called[_inner_destination(d, i)] += 1
    if d.tunnel_count[i] and d.inner_version[i]:
        _count_tunnel(sample, d, i, sent)


def _count_talk(sample: PointSample, d: DecodedBatch, i: int, sent: int) -> None:
    version = d.outer_version[i]
    talk = Talk(
        (version, d.outer_source_hi[i], d.outer_source_lo[i]),
        (version, d.outer_destination_hi[i], d.outer_destination_lo[i]),
        TUNNELLED if d.tunnel_count[i] else d.inner_ttl[i],
        d.link_source[i],
        d.link_destination[i],
        sent,
        d.inner_destination_port[i] == HBONE_PORT,
    )
    if talk in sample.talks or len(sample.talks) < _MOST_KEYS:
        sample.talks[talk] += 1


def _count_tunnel(sample: PointSample, d: DecodedBatch, i: int, sent: int) -> None:
    t, table = d.tunnel_start[i], d.tunnels
    inside = Passage(_inner_source(d, i), _inner_destination(d, i), sent)
    source = (table.version[t], table.source_hi[t], table.source_lo[t])
    if inside.source == source and table.header_offset[t] > d.inner_offset[i]:
        return  # nothing with an IP header inside: the innermost one is the tunnel's own
    tunnel = Tunnel(
        table.kind[t],
        table.vni[t],
        source,
        (table.version[t], table.destination_hi[t], table.destination_lo[t]),
        table.option_count[t] > 0,
    )
    if tunnel in sample.tunnels or len(sample.tunnels) < _MOST_KEYS:
        sample.tunnels[tunnel] += 1
        pairs = sample.inner.setdefault(tunnel, set())
        if len(pairs) < _MOST_INNER:
            pairs.add(inside)


def _keep_syn(sample: PointSample, frames: FrameBatch, d: DecodedBatch, i: int) -> None:
    row = d.first + i
    time_ns = frames.time_ns[row]
    if time_ns == NO_TIME:
        return
    entry = (-d.tcp_sequence[i], _packet(d, i), time_ns)
    if len(sample.syns) < SYNS_KEPT:
        heappush(sample.syns, entry)
    else:
        heapreplace(sample.syns, entry)
    if sample.left <= 0 and d.outer_version[i]:
        header = cooked(frames, row, sample.link_type)
        sent = UNKNOWN_WAY if header is None else int(header.sent)
        _count_talk(sample, d, i, sent)
        if d.tunnel_count[i]:
            _count_tunnel(sample, d, i, sent)


def _packet(d: DecodedBatch, i: int) -> int:
    """Return a number that the same packet has wherever it has the same headers.

    The lowest bit tells its two directions apart.
    """
    source = (d.inner_source_hi[i], d.inner_source_lo[i], d.inner_source_port[i])
    destination = (
        d.inner_destination_hi[i],
        d.inner_destination_lo[i],
        d.inner_destination_port[i],
    )
    number = hash(
        (
            source,
            destination,
            d.inner_protocol[i],
            d.inner_ttl[i],
            d.inner_id[i],
            d.payload_bytes[i],
            d.tcp_flags[i],
            d.tcp_sequence[i],
            d.tcp_acknowledgment[i],
            d.tunnel_count[i],
            d.outer_source_lo[i],
            d.outer_destination_lo[i],
        )
    )
    return number & ~1 | (source < destination)


def _inner_source(d: DecodedBatch, i: int) -> Address:
    return d.inner_version[i], d.inner_source_hi[i], d.inner_source_lo[i]


def _inner_destination(d: DecodedBatch, i: int) -> Address:
    return d.inner_version[i], d.inner_destination_hi[i], d.inner_destination_lo[i]
