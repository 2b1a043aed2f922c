# SPDX-License-Identifier: Apache-2.0
"""Times between neighbouring capture points, and what was lost there, per leg and direction.

The ways of packets come from `identity`.  Two sightings that follow each other on a way are a hop:
from one point to the next, of a leg (`legs`) and a direction, and of a kind:

* `encapsulate`, `decapsulate`: more or fewer tunnels around the packet;
* `redirect`: addresses or ports changed (NAT), or the destination MAC did while the TTL did not
  fall, which no router does (Istio's eBPF redirection);
* `wire`: from a node's card to another node's, whatever happened in between;
* `pass`: everything else: same packet, same headers but TTL and MAC.

What is lost is counted by `losses`.

**Order.**  Within one way the times say the order.  Which hop comes before which is only for
people to read: hops are sorted along the ways.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...capture.roles import Role
from ..quantiles import QuantileTable
from ..rows import Array, find, starts
from .identity import Paths
from .legs import END_AT_ZTUNNEL, END_ON_LO, Leg, Legs
from .losses import LossTable
from .results import Hop
from .session_times import SessionTimes, Times, pooled
from .sightings import IS_ANSWER, IS_SYN, Sightings

PASS, ENCAPSULATE, DECAPSULATE, REDIRECT = range(4)
KINDS = ("pass", "encapsulate", "decapsulate", "redirect")

_POINT_BITS = 13
"""Of a hop's code; there are at most 4096 SLL2 points a file, and far fewer in practice."""
_KEPT_STAMP = 0.9
"""Share of equal time stamps from which on a kernel is said to have kept them."""
_CLOCK_TIMES = 64
"""How often the clocks' uncertainty is asked for a hop, in a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPlace:
    """What a hop has to know of a capture point."""

    name: str
    capture: int
    role: Role
    node: str | None
    namespace: str
    host: str


_BETWEEN_NODES = frozenset({Role.UNDERLAY, Role.WIRE})
_OF_ZTUNNEL = frozenset({Role.ZTUNNEL, Role.ZTUNNEL_VETH})
_INSIDE_A_NODE = frozenset(Role) - _BETWEEN_NODES - {Role.UNKNOWN, Role.ANY}


def is_wire(a: PointPlace, b: PointPlace) -> bool:
    """Tell whether the way between two points is the one between two nodes."""
    if a.role in _BETWEEN_NODES and b.role in _BETWEEN_NODES:
        return a.namespace != b.namespace or Role.WIRE in {a.role, b.role}
    if a.node is not None and b.node is not None:
        return a.node != b.node
    if a.role in _INSIDE_A_NODE and b.role in _INSIDE_A_NODE:
        return False
    return a.host != b.host


class HopName(NamedTuple):
    """What tells a hop from others."""

    origin: str
    to: str
    leg: str
    direction: str
    kind: str
    phase: str | None


def name_of(hop: Hop) -> HopName:
    """Return what tells a hop from others."""
    return HopName(hop.origin, hop.to, hop.leg, hop.direction, hop.kind, hop.phase)


ClockUncertainty = Callable[[tuple[str, str], Array], int]


class HopTable:
    """Counts times and losses between points; `result` says what they are."""

    def __init__(
        self,
        legs: Legs,
        places: Sequence[PointPlace],
        uncertainty_ns: ClockUncertainty,
        sessions: SessionTimes | None = None,
    ) -> None:
        """uncertainty_ns: by how much times between two hosts can be wrong, at given times.

        sessions: gets all times by connection, where that is wanted.
        """
        self._legs = legs
        self._sessions = sessions
        self._uncertainty_ns = uncertainty_ns
        self._clock_ns: dict[int, int] = defaultdict(int)
        self._codes: dict[int, int] = {}
        self._known = np.zeros(0, np.int64)
        self._known_at = np.zeros(0, np.int64)
        self._times = QuantileTable()
        self._added = QuantileTable()
        self._losses = LossTable()
        self.meet(places)

    def meet(self, places: Sequence[PointPlace]) -> None:
        """Learn of capture points, those that were known before included."""
        self.places = places
        self._bits = np.array(
            [
                END_AT_ZTUNNEL * (place.role in _OF_ZTUNNEL) + END_ON_LO * (place.role is Role.LO)
                for place in places
            ],
            np.uint8,
        )

    def update(self, paths: Paths, spans: dict[int, tuple[int, int]]) -> None:
        """Take complete ways; spans: first and last time of each capture, as far as it was read."""
        rows, path = paths.rows, paths.path
        if not len(rows):
            return
        inner = path[1:] == path[:-1]
        start = starts(path)
        end = np.append(start[1:], len(rows))
        self._classify(rows, start, end)
        leg, forward = self._legs.describe(rows.key[start], rows.traits[start])
        syn = (rows.traits[start] & (IS_SYN | IS_ANSWER)) == IS_SYN
        way = (leg.astype(np.int64) << 2) | (forward.astype(np.int64) << 1) | syn
        way_of_row = np.repeat(way, end - start)
        a = np.flatnonzero(inner)
        self._measure(rows, a, way_of_row[a])
        last = end[paths.ended[path[start]]] - 1
        self._losses.update(rows, way_of_row, a, last, self._slowest(), spans)

    def _classify(self, rows: Sightings, start: Array, end: Array) -> None:
        opening = (rows.traits[start] & (IS_SYN | IS_ANSWER)) == IS_SYN
        first, last = start[opening], end[opening] - 1
        self._legs.classify(
            rows.key[first],
            rows.traits[first],
            self._bits[rows.point[first]],
            self._bits[rows.point[last]],
        )

    def _measure(self, rows: Sightings, a: Array, way: Array) -> None:
        """Count the times from rows `a` to the rows after them."""
        b = a + 1
        kind = _kinds(rows, a, b)
        code = way >> 1
        code = (code << 2) | kind
        code = (code << _POINT_BITS) | rows.point[a]
        code = (code << _POINT_BITS) | rows.point[b]
        hop = self._index(code)
        hops = len(self._codes)
        elapsed = rows.time_ns[b] - rows.time_ns[a]
        self._times.add(hop, elapsed, hops)
        if self._sessions is not None:
            self._sessions.add(hop, rows.key[a], elapsed)
        self._note_clocks(hop, rows.time_ns[a])
        # A piece is shorter than what it was cut from, which is no matter of headers.
        whole = np.flatnonzero(rows.length[a] == rows.length[b])
        added = rows.wire_bytes[b[whole]].astype(np.int64) - rows.wire_bytes[a[whole]]
        self._added.add(hop[whole], added, hops)

    def _note_clocks(self, hop: Array, time_ns: Array) -> None:
        """Remember how uncertain the clocks were at the worst of times, of hops between hosts."""
        for code, number in self._codes.items():
            split = _split(code)
            hosts = (self.places[split.origin].host, self.places[split.to].host)
            if hosts[0] != hosts[1]:
                mine = np.flatnonzero(hop == number)
                some = time_ns[mine[:: len(mine) // _CLOCK_TIMES + 1]]
                worst = self._uncertainty_ns(hosts, some)
                self._clock_ns[number] = max(self._clock_ns[number], worst)

    def _index(self, code: Array) -> Array:
        """Return the number of each hop, giving new ones a number."""
        while True:
            at, found = find(self._known, code)
            if found.all():
                return self._known_at[at]
            for new in np.unique(code[~found]).tolist():
                self._codes[new] = len(self._codes)
            self._known = np.array(sorted(self._codes), np.int64)
            self._known_at = np.array([self._codes[c] for c in sorted(self._codes)], np.int64)

    def _slowest(self) -> dict[tuple[int, int], int]:
        """Return the longest time that any hop took, by leg and direction and where it began."""
        slowest: dict[tuple[int, int], int] = defaultdict(int)
        for code, number in self._codes.items():
            hop = _split(code)
            place = (hop.leg << 1 | hop.forward, hop.origin)
            slowest[place] = max(slowest[place], self._times.most(number))
        return slowest

    def result(self, dropped: Callable[[int], bool]) -> tuple[Hop, ...]:
        """Return all hops, in no order.

        dropped: whether the capture of a point reported drops.
        """
        lost = self._losses.result([place.capture for place in self.places])
        found: list[Hop] = []
        for code, number in sorted(self._codes.items()):
            hop = _split(code)
            # Losses have no kind: they count with the first (a packet that takes several is rare).
            losses = lost.pop((hop.leg, hop.forward, hop.origin, hop.to), 0)
            known = not dropped(hop.origin) and not dropped(hop.to)
            found.append(self._hop(hop, number, losses if known else None))
        return tuple(found)

    def times_by_session(self) -> dict[HopName, Times]:
        """Return the times that `sessions` got, by what a `Hop` says of itself."""
        if self._sessions is None:
            return {}
        parts: dict[HopName, list[Times]] = defaultdict(list)
        for code, number in self._codes.items():
            hop = _split(code)
            found = self._hop(hop, number, None)
            times = self._sessions.times(number, self._clock_ns[number])
            parts[name_of(found)].append(times)
        return {name: pooled(times) for name, times in parts.items()}

    def _hop(self, hop: _Code, number: int, lost: int | None) -> Hop:
        times, added = self._times.of(number), self._added.of(number)
        origin, to = self.places[hop.origin], self.places[hop.to]
        kept = self._times.count_of(number, 0) >= _KEPT_STAMP * times.count
        measured = not (kept and hop.kind in {PASS, DECAPSULATE})
        return Hop(
            origin=origin.name,
            to=to.name,
            leg=Leg(hop.leg).name.lower(),
            direction="forward" if hop.forward else "reverse",
            kind="wire" if is_wire(origin, to) else KINDS[hop.kind],
            phase=None,
            measured=measured,
            packets=times.count,
            lost=lost,
            min_ns=times.smallest if measured else None,
            p50_ns=times.at(0.5) if measured else None,
            p90_ns=times.at(0.9) if measured else None,
            p99_ns=times.at(0.99) if measured else None,
            max_ns=times.largest if measured else None,
            uncertainty_ns=times.median_uncertainty() + self._clock_ns[number]
            if measured
            else None,
            added_p50_bytes=added.at(0.5) if added.count else None,
            added_max_bytes=added.largest if added.count else None,
        )


class _Code(NamedTuple):
    """What a hop is counted by."""

    leg: int
    forward: bool
    kind: int
    origin: int
    to: int


def _split(code: int) -> _Code:
    points = (1 << _POINT_BITS) - 1
    rest = code >> 2 * _POINT_BITS
    return _Code(
        rest >> 3, bool(rest >> 2 & 1), rest & 3, code >> _POINT_BITS & points, code & points
    )


def _kinds(rows: Sightings, a: Array, b: Array) -> Array:
    before, after = rows.tunnels[a], rows.tunnels[b]
    here, there = rows.link[a], rows.link[b]
    turned = (here != there) & (here != 0) & (there != 0) & (rows.ttl[a] == rows.ttl[b])
    kind = ((rows.ends[a] != rows.ends[b]) | turned) * np.int64(REDIRECT)
    kind[after > before] = ENCAPSULATE
    kind[after < before] = DECAPSULATE
    found: Array = kind
    return found
