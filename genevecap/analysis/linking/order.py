# SPDX-License-Identifier: Apache-2.0
"""In which order the legs of one HBONE connection are opened, answered and closed, on either side.

When many connections are opened at once, how long each takes says little, for all wait for the
same.  But a proxy's threads reorder neighbours by a few places only, and so does the next proxy:
of the legs that one HBONE connection carries, the k-th on one side is about the k-th on the other.
Legs of other connections are mixed in as chance has it, so places are counted among those that are
believed to have the same connection, and a partner.  How far partners are apart is learnt from what
is believed so far, against all pairs; what a pair itself adds to that does not count for it.
"""

from __future__ import annotations

import numpy as np

from ..rows import Array, sizes, starts
from .events import UNKNOWN, LegTable

_PLACES = 81
"""Differences of places told apart; the outermost stand for all beyond."""
_PRIOR = 10.0
"""Pairs as chance has them, which are counted from the start: of few pairs little is learnt."""
_MOMENTS = (
    ("open_ns", 1.0),
    ("response_ns", 0.5),
    ("close_up_ns", 0.5),
    ("close_down_ns", 0.5),
)
"""Of records of CONNECT order is most of what is known; those of the others say part of it too."""


class Order:
    """Places of legs on both sides of their connection."""

    def __init__(self, one: LegTable, other: LegTable, rows: Array, columns: Array) -> None:
        """rows, columns: pairs of an outbound leg (of `one`) and an inbound one."""
        self._events = [
            (((getattr(one, moment), rows), (getattr(other, moment), columns)), weight)
            for moment, weight in _MOMENTS
        ]

    def log_ratios(self, pair: Array, owner: Array, part: Array) -> Array:
        """Return how much likelier the order makes each way, as logarithms of a ratio.

        pair, owner: of each way its pair of legs and its connection; part: how likely it is so far.
        """
        result = np.zeros(len(pair))
        for sides, weight in self._events:
            known = np.ones(len(pair), bool)
            for moment_ns, legs in sides:
                known &= moment_ns[legs[pair]] != UNKNOWN
            if known.any():
                one, other = (
                    _places(legs[pair[known]], owner[known], part[known], moment_ns)
                    for moment_ns, legs in sides
                )
                result[known] += weight * _log_ratios(one - other, part[known])
        return result


def _log_ratios(difference: Array, own: Array) -> Array:
    """Return how much likelier each difference of places is than by chance, by all others."""
    place = np.round(difference).astype(np.int64) + _PLACES // 2
    place = np.clip(place, 0, _PLACES - 1)
    chance = np.bincount(place, minlength=_PLACES) + 1.0
    chance = (chance / chance.sum())[place]
    believed = np.bincount(place, own, _PLACES)
    others = np.maximum(believed[place] - own, 0) + _PRIOR * chance
    ratio: Array = np.log(others / (believed.sum() - own + _PRIOR) / chance)
    return ratio


def _places(leg: Array, owner: Array, part: Array, moment_ns: Array) -> Array:
    """Return for each way how many legs of its connection are believed to come before its own."""
    order = np.lexsort((leg, moment_ns[leg], owner))
    first = starts(owner[order], leg[order])
    own = np.add.reduceat(part[order], first)
    before = np.cumsum(own) - own
    connection = starts(owner[order][first])
    before -= np.repeat(before[connection], sizes(connection, len(first)))
    places = np.empty(len(leg))
    places[order] = np.repeat(before + own / 2, sizes(first, len(order)))
    return places
