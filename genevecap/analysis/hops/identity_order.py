# SPDX-License-Identifier: Apache-2.0
"""The order in which the points of a way were passed.

Times say it, but for two cases.  Sightings may have one time stamp: a kernel that takes off a
header keeps the time at which it received the packet.  Then what has more tunnels around it comes
first, and then what has the higher TTL.  And times that are very near may be the wrong way round:
by some 100 ns on one host, where two interfaces take their stamps on two processors, and between
hosts by as much as their clocks are uncertain.  Then the packets that took the same way decide:
same points, same TTLs, same destination.  Where nearly all of them agree, the others are put into
their order, and the time between two points may come out negative.
"""

from __future__ import annotations

import numpy as np

from ..rows import Array, sizes, starts
from ..segments import mix
from .sightings import Sightings

CLOSE_NS = 1_000
"""Times on one clock that are nearer than this may be the wrong way round."""

_FEWEST = 4
_AGREEING = 0.8
"""So many packets must have taken a way, and such a share of them in one order."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


def travel_order(rows: Sightings, chosen: Array, path: Array, close_ns: int) -> Array:
    """Return rows of simple ways in the order of travel.

    chosen: row indices, those of one way together and in the order of time; path: which way each
    belongs to, from 0.
    """
    time_ns = rows.time_ns[chosen]
    near = np.flatnonzero((time_ns[1:] - time_ns[:-1] <= close_ns) & (path[1:] == path[:-1]))
    if not len(near):
        return chosen
    touched = np.zeros(int(path[-1]) + 1, bool)
    touched[path[near]] = True
    at = np.flatnonzero(touched[path])
    some = _break_ties(rows, chosen[at], path[at])
    chosen = chosen.copy()
    chosen[at] = _follow_most(rows, some, path[at])
    return chosen


def _break_ties(rows: Sightings, some: Array, path: Array) -> Array:
    """Put sightings with one time stamp into order; the others are in order already."""
    time_ns = rows.time_ns[some]
    tied = (time_ns[1:] == time_ns[:-1]) & (path[1:] == path[:-1])
    at = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    if not len(at):
        return some
    few = some[at]
    keys = (-rows.ttl[few].astype(np.int64), -rows.tunnels[few].astype(np.int64))
    some = some.copy()
    some[at] = few[np.lexsort((*keys, time_ns[at], path[at]))]
    return some


def _follow_most(rows: Sightings, some: Array, path: Array) -> Array:
    """Put ways whose order few others have into the one that nearly all have."""
    start = starts(path)
    size = sizes(start, len(path))
    place = mix(
        (rows.point[some].astype(np.uint64) << np.uint64(16))
        | (rows.tunnels[some].astype(np.uint64) << np.uint64(8))
        | rows.ttl[some]
    )
    nth = np.arange(len(some)) - np.repeat(start, size)
    destination = np.minimum.reduceat(rows.destination[some], start).astype(np.uint64)
    group = mix(np.add.reduceat(place, start) ^ (destination * _ODD))
    sequence = group ^ np.add.reduceat(place * (nth.astype(np.uint64) * 2 + 1), start)
    orders, where, which, count = np.unique(
        sequence, return_index=True, return_inverse=True, return_counts=True
    )
    groups, group_of = np.unique(group[where], return_inverse=True)
    if len(groups) == len(orders):
        return some
    total = np.bincount(group_of, weights=count)
    by_count = np.lexsort((count, group_of))
    best = by_count[np.searchsorted(group_of[by_count], np.arange(len(groups)), side="right") - 1]
    agreed = (total >= _FEWEST) & (count[best] >= _AGREEING * total)
    odd = agreed[group_of] & (best[group_of] != np.arange(len(orders)))
    some = some.copy()
    for order in np.flatnonzero(odd):
        example = where[best[group_of[order]]]
        model = place[start[example] : start[example] + size[example]]
        for way in np.flatnonzero(which == order):
            part = slice(start[way], start[way] + size[way])
            position = {value: i for i, value in enumerate(model.tolist())}
            keys = [position[value] for value in place[part].tolist()]
            some[part] = some[part][np.argsort(keys, kind="stable")]
    return some
