# SPDX-License-Identifier: Apache-2.0
"""What two hosts saw of the same packets, without knowing anything of their clocks.

Before clocks are known, packets cannot be looked for near each other in time: one host may be an
hour ahead.  So a first pass over all captures keeps packets chosen by their identity (see
`identity`), so that all points choose the same ones: all of them while there are few, and whenever
`MOST` sightings are exceeded half of those that were kept.

Only packets that no point saw twice count.  Of each host the sighting nearest to the other one
serves: the last at the sender's, the first at the receiver's.

**Which way did it go?**  Not the times say it, but the TTL, where routers on the way lowered it;
else the connection: of its two directions, the one in which the receiver's clock seems further
ahead is that from the first host to the second (the difference is one round trip, whatever the
clocks show).  Packets that are near in time are compared, so that drift does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..hops.sightings import HBONE, UPWARD, BatchSegments, Sightings, Views
from ..inputs import Inputs
from ..rows import Array, Rows, starts
from ..segments import mix
from . import PairSamples

MOST = 1 << 17
"""Sightings that are kept at most."""


@dataclass(slots=True)
class ClockSamples:
    """Gathers sightings; `pairs` says what hosts have in common."""

    inputs: Inputs
    hbone: bool = False
    plain: bool = False
    """Whether there are segments of port 15008, and others."""
    _parts: list[Sightings] = field(default_factory=list)
    _kept: int = 0
    _halved: int = 0

    def read(self) -> None:
        """Read all captures, one after the other."""
        of_frames, of_decoded = Views(), Views()
        nothing = np.zeros(0, np.uint32)
        for batch in self.inputs.batches():
            first = batch.decoded.first
            segments = BatchSegments(
                of_frames.of(batch.frames),
                of_decoded.of(batch.decoded),
                range(first, first + batch.decoded.count),
                kept=bool(self.inputs.selector),
            )
            if len(segments):
                if len(nothing) < len(self.inputs.points.points):
                    nothing = np.zeros(len(self.inputs.points.points), np.uint32)
                rows = segments.sightings(segments.frame_time_ns, nothing)
                of_hbone = (rows.traits & HBONE) != 0
                self.hbone |= bool(of_hbone.any())
                self.plain |= not of_hbone.all()
                self._keep(rows)

    def _keep(self, rows: Sightings) -> None:
        chosen = self._chosen(rows)
        if chosen.any():
            self._parts.append(rows.take(chosen))
            self._kept += len(self._parts[-1])
        while self._kept > MOST:
            self._halved += 1
            rows = Sightings.concatenate(self._parts)
            self._parts = [rows.take(self._chosen(rows))]
            self._kept = len(self._parts[0])

    def _chosen(self, rows: Sightings) -> Array:
        chosen: Array = mix(_identity(rows)) % np.uint64(1 << self._halved) == 0
        return chosen

    def pairs(self, host_of: Array, hosts: list[str]) -> list[PairSamples]:
        """Return the samples of each two hosts.

        host_of: index into `hosts` of each capture point.
        """
        if not self._parts:
            return []
        rows = Sightings.concatenate(self._parts)
        packets = _seen_once(rows)
        host = host_of[rows.point[packets]]
        found = []
        for a in range(len(hosts)):
            for b in range(a + 1, len(hosts)):
                pair = _pair(rows, packets, host, (a, b), (hosts[a], hosts[b]))
                if pair is not None:
                    found.append(pair)
        return found


def _identity(rows: Sightings) -> Array:
    """Return a mix of all that identifies a packet, direction included."""
    way = rows.key ^ ((rows.traits & np.uint8(UPWARD)).astype(np.uint64) << np.uint64(63))
    octets = (rows.sequence.astype(np.uint64) << np.uint64(32)) | rows.length
    identity: Array = mix(rows.content ^ way) + octets
    return identity


def _seen_once(rows: Sightings) -> Array:
    """Return rows sorted by packet, without packets that some point saw twice."""
    identity = _identity(rows)
    order = np.lexsort((rows.point, identity))
    identity, point = identity[order], rows.point[order]
    new = np.append(True, identity[1:] != identity[:-1])
    number = np.cumsum(new) - 1
    twice = np.flatnonzero(~new[1:] & (point[1:] == point[:-1])) + 1
    clear = np.ones(int(number[-1]) + 1, bool)
    clear[number[twice]] = False
    once: Array = order[clear[number]]
    return once


def _pair(
    rows: Sightings, packets: Array, host: Array, ends: tuple[int, int], names: tuple[str, str]
) -> PairSamples | None:
    """Return what two hosts have in common."""
    here, there = (_by_packet(rows, packets[host == end]) for end in ends)
    shared, at_here, at_there = np.intersect1d(
        here.identity, there.identity, assume_unique=True, return_indices=True
    )
    if not len(shared):
        return None
    here, there = here.take(at_here), there.take(at_there)
    forward = _direction(here, there)
    up, down = forward > 0, forward < 0
    return PairSamples(
        first=names[0],
        second=names[1],
        forward_sent_ns=here.last_ns[up],
        forward_received_ns=there.first_ns[up],
        reverse_sent_ns=there.last_ns[down],
        reverse_received_ns=here.first_ns[down],
    )


@dataclass(slots=True, kw_only=True)
class _Packets(Rows):
    """Packets as one host saw them."""

    identity: Array
    key: Array
    upward: Array
    first_ns: Array
    last_ns: Array
    most_ttl: Array
    least_ttl: Array


def _by_packet(rows: Sightings, at: Array) -> _Packets:
    some = rows.take(at)
    identity = _identity(some)
    start = starts(identity)

    def reduced(function: Callable[..., Array], values: Array) -> Array:
        return function(values, start) if len(start) else values[:0]

    return _Packets(
        identity=identity[start],
        key=some.key[start],
        upward=(some.traits[start] & UPWARD) != 0,
        first_ns=reduced(np.minimum.reduceat, some.time_ns),
        last_ns=reduced(np.maximum.reduceat, some.time_ns),
        most_ttl=reduced(np.maximum.reduceat, some.ttl.astype(np.int64)),
        least_ttl=reduced(np.minimum.reduceat, some.ttl.astype(np.int64)),
    )


def _direction(here: _Packets, there: _Packets) -> Array:
    """Return 1 for packets from here to there, -1 for those back, 0 where nothing tells."""
    known = np.zeros(len(here.key), np.int64)
    known[(here.most_ttl > there.most_ttl) & (here.least_ttl >= there.most_ttl)] = 1
    known[(there.most_ttl > here.most_ttl) & (there.least_ttl >= here.most_ttl)] = -1
    order = np.lexsort((here.first_ns, here.key))
    key, upward = here.key[order], here.upward[order]
    ahead = (there.first_ns - here.first_ns)[order]
    turn = np.flatnonzero((key[1:] == key[:-1]) & (upward[1:] != upward[:-1]))
    # Of two packets of opposite directions, the one that seems to take longer goes forward.
    vote = np.sign(ahead[turn + 1] - ahead[turn]) * np.where(upward[turn + 1], 1, -1)
    keys, which = np.unique(here.key, return_inverse=True)
    votes = np.zeros(len(keys), np.int64)
    np.add.at(votes, np.searchsorted(keys, key[turn]), vote.astype(np.int64))
    by_connection = np.sign(votes)[which] * np.where(here.upward, 1, -1)
    found: Array = np.where(known != 0, known, by_connection)
    return found
