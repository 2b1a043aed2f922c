# SPDX-License-Identifier: Apache-2.0
"""Packets that were seen at one point and not at the next.

A way that ends at a point from which other packets went on is a loss there.  Which point comes
next is asked of the packets that went to the same address from the same point, in the same leg and
direction; SYNs apart, for in Istio's iptables mode only they pass the Geneve devices.  Where none
went on, the point is the end of the way and nothing is lost.

A packet counts as lost only while the capture of the next point was recording: it had begun before
the packet was sent, and went on after the packet would have arrived, taking as long as the slowest
one did (a second at most).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..rows import Array
from ..segments import mix
from .sightings import Sightings

_POINT_BITS = 13
_MOST_MARGIN_NS = 1_000_000_000
_CAPTURES = 64

Place = tuple[int, bool, int, int]
"""(leg, forward, point, next point)."""


class LossTable:
    """Counts where ways end and where others go on from there, by destination.

    Nothing is kept of places where all ways go on, or all end.
    """

    def __init__(self) -> None:
        self._went_on: set[int] = set()
        self._ended: set[int] = set()
        self._next: dict[tuple[int, int], int] = defaultdict(int)
        """Packets by (route, next point)."""
        self._ends: dict[tuple[int, int], int] = defaultdict(int)
        """Packets by (route, bits of captures that were recording)."""
        self._place: dict[int, int] = {}
        """Way and point of each route."""
        self._slowest: dict[tuple[int, int], int] = {}

    def update(
        self,
        rows: Sightings,
        way: Array,
        a: Array,
        last: Array,
        slowest: dict[tuple[int, int], int],
        spans: dict[int, tuple[int, int]],
    ) -> None:
        """Take packets.

        way: of each row, the leg, the direction (client's or not) and whether it is a SYN, in bits
        from the third on, the second and the first.  a: rows that the rows after them follow;
        last: rows where ways end.  slowest: the longest time of a hop by `way >> 1` and point.
        spans: first and last time of each capture.
        """
        self._slowest = slowest
        place = (way << _POINT_BITS) | rows.point
        self._went_on.update(_distinct(place[a]))
        self._ended.update(_distinct(place[last]))
        both = np.array(sorted(self._went_on & self._ended), np.int64)
        if len(both):
            concerned = np.isin(place, both)
            a, last = a[concerned[a]], last[concerned[last]]
            self._count_next(rows, a, place[a])
            self._count_ends(rows, last, place[last], spans)

    def _count_next(self, rows: Sightings, a: Array, place: Array) -> None:
        route = self._route(place, rows.destination[a])
        to = rows.point[a + 1]
        _, where, count = np.unique(
            mix(route) ^ to.astype(np.uint64), return_index=True, return_counts=True
        )
        keys = zip(route[where].tolist(), to[where].tolist(), strict=True)
        for key, n in zip(keys, count.tolist(), strict=True):
            self._next[key] += n

    def _count_ends(
        self, rows: Sightings, last: Array, place: Array, spans: dict[int, tuple[int, int]]
    ) -> None:
        route = self._route(place, rows.destination[last])
        time_ns = rows.time_ns[last]
        arrival_ns = time_ns + self._margin(place)
        recording = np.zeros(len(last), np.uint64)
        for capture, (first_ns, last_ns) in spans.items():
            inside = (time_ns >= first_ns) & (arrival_ns <= last_ns)
            recording |= inside.astype(np.uint64) << np.uint64(capture % _CAPTURES)
        _, where, count = np.unique(
            mix(route) ^ mix(recording), return_index=True, return_counts=True
        )
        keys = zip(route[where].tolist(), recording[where].tolist(), strict=True)
        for key, n in zip(keys, count.tolist(), strict=True):
            self._ends[key] += n

    def _margin(self, place: Array) -> Array:
        """Return how long after a packet was sent the next capture must have gone on."""
        places, which = np.unique(place, return_inverse=True)
        margins = []
        for value in places.tolist():
            way, point = value >> _POINT_BITS, value & ((1 << _POINT_BITS) - 1)
            margins.append(min(self._slowest.get((way >> 1, point), 0), _MOST_MARGIN_NS))
        margin: Array = np.array(margins, np.int64)[which]
        return margin

    def _route(self, place: Array, destination: Array) -> Array:
        """Return what decides where a packet goes next, and remember the place of it."""
        route: Array = mix((place.astype(np.uint64) << np.uint64(32)) ^ destination)
        routes, where = np.unique(route, return_index=True)
        self._place.update(zip(routes.tolist(), place[where].tolist(), strict=True))
        return route

    def result(self, captures: list[int]) -> dict[Place, int]:
        """Return the losses.

        captures: capture of each point.
        """
        following: dict[int, tuple[int, int]] = {}
        for (route, to), count in self._next.items():
            if count > following.get(route, (0, 0))[0]:
                following[route] = (count, to)
        lost: dict[Place, int] = defaultdict(int)
        for (route, recording), count in self._ends.items():
            if route not in following:
                continue
            to = following[route][1]
            if recording >> (captures[to] % _CAPTURES) & 1:
                way, point = divmod(self._place[route], 1 << _POINT_BITS)
                lost[way >> 2, bool(way >> 1 & 1), point, to] += count
        return dict(lost)


def _distinct(place: Array) -> list[int]:
    """Return the distinct values of small integers."""
    if not len(place):
        return []
    found: list[int] = np.flatnonzero(np.bincount(place)).tolist()
    return found
