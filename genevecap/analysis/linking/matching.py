# SPDX-License-Identifier: Apache-2.0
"""Match events with records one to one, under delays that are learnt while matching.

Pairs are sparse: row i of three arrays says that event `rows[i]` may belong to record `columns[i]`
with weight `w[i]`.  The weights are made consistent (an event has one record, a record as many
events as it has frames) by scaling rows and columns in turn, as Sinkhorn and Knopp do; each row
and column has a little weight for having no partner at all.

**Learning.**  Begin with the mild belief that short delays are likelier than long ones, and again
without any; of the two ends, the one that tells true pairs from false ones better counts.
Histogram the delays of all pairs, each counted by how much it is believed; compare with the
histogram that chance gives; the ratio of the two is the next weight of a delay.  Repeat.  True
pairs share a distribution, false ones have that of chance, so the ratio sharpens by itself
(expectation maximisation).  What chance gives is read off the wrong side of time, where no cause
can be, and once more off all pairs: the two err differently, and the mean of both is better
calibrated than either.

**Ranks.**  When a proxy is busy, all delays grow together and say little, but what came first
mostly still leaves first.  So the *rank difference* of event and record, counted in matched
partners, is learnt in the same way as a second feature.  Real proxies have several threads and
reorder neighbours; how much is in the histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...kernels import load
from ..rows import Array, spread

KERNEL = "genevecap.analysis.linking._kernel_matching"

_BINS = 30
_SHORTEST_NS = 2e4
LONGEST_NS = 1_000_000_000
"""How far apart an event and its record may be."""
_SMOOTHING = 1 / 3
"""Counts that every bin has from the start."""
_RANKS = 81
"""Rank differences told apart; the outermost stand for all beyond."""
_TOGETHER_NS = 50_000
"""What comes closer together than this has no order: different threads take it."""
_ROUNDS = 12
_SCALINGS = 25
_MORE_SCALINGS = 5
"""What is enough where the factors of the round before are at hand."""
_ALONE = 1e-3
"""Weight of having no partner, against a best pair of weight 1."""
_CANDIDATES = 200
_OWN_SIDE = 0.1
"""How much the right side of time counts for chance, for what the wrong side has none of."""
_SOON_NS = 2e5
"""The first belief halves about here."""


def candidates(
    event_ns: Array, record_ns: Array, *, record_follows: bool, most: int = _CANDIDATES
) -> tuple[Array, Array]:
    """Return pairs (event, record) that are in the right order and at most a second apart.

    record_follows: whether the record comes after the event (it leaves the proxy) or before.
    """
    order = np.argsort(record_ns, kind="stable")
    begin, end = near(event_ns, record_ns[order], record_follows=record_follows, most=most)
    count = np.maximum(end - begin, 0)
    return np.repeat(np.arange(len(event_ns)), count), order[spread(begin, count)]


def near(
    event_ns: Array, moments: Array, *, record_follows: bool, most: int
) -> tuple[Array, Array]:
    """Return from where to where records are near each event, on its right side.

    moments: of the records, in order.
    """
    if record_follows:
        begin = np.searchsorted(moments, event_ns, "left")
        end = np.searchsorted(moments, event_ns + LONGEST_NS, "right")
        return begin, np.minimum(end, begin + most)
    end = np.searchsorted(moments, event_ns, "right")
    begin = np.searchsorted(moments, event_ns - LONGEST_NS, "left")
    return np.maximum(begin, end - most), end


def balance(
    rows: Array,
    columns: Array,
    weights: Array,
    shape: tuple[int, int],
    capacity: Array | None = None,
    alone: float = _ALONE,
    start: Array | None = None,
    scalings: int | None = None,
) -> tuple[Array, Array]:
    """Scale weights until each row sums to 1 and each column to its capacity, nearly.

    start: factors of the columns that were found for weights that are alike; few steps do then.
    Returns the scaled weights (probabilities) and the factors of the columns.
    """
    n, m = shape
    room: Array = np.ones(m) if capacity is None else capacity
    v: Array = np.ones(m) if start is None else start
    if scalings is None:
        scalings = _SCALINGS if start is None else _MORE_SCALINGS
    kernel = load(KERNEL)
    if kernel is None:
        for _ in range(scalings):
            u = 1.0 / (np.bincount(rows, weights * v[columns], n) + alone)
            v = room / (np.bincount(columns, weights * u[rows], m) + alone)
        # Rows last: where one pair has all the weight, the scaling approaches 1 only slowly.
        u = 1.0 / (np.bincount(rows, weights * v[columns], n) + alone)
    else:
        u, v = np.empty(n), np.array(v, np.float64)
        kernel.balance(rows, columns, weights, u, v, np.array(room, np.float64), alone, scalings)
    scaled: Array = u[rows] * weights * v[columns]
    return scaled, v


@dataclass(slots=True, kw_only=True)
class Pairs:
    """Pairs of events and records that could be, in columns; `weight` is that of the sizes."""

    row: Array
    column: Array
    weight: Array
    event_ns: Array
    """Time of each event (by row)."""
    record_ns: Array
    """Time of each record (by column)."""
    capacity: Array
    """Frames of this kind that each record is expected to hold, at least 1."""
    sort: Array | None = None
    """Sort of each record, small numbers: which sorts are right is learnt too (CONNECTs have
    lengths that depend on version and headers)."""


def match(pairs: Pairs) -> Array:
    """Return for each pair how likely it is that the event belongs to that record.

    The result of each event sums to at most 1.
    """
    if not len(pairs.row):
        return np.zeros(0)
    one, other = fits(pairs)
    result: Array = (_shares(pairs, one.weights) + _shares(pairs, other.weights)) / 2
    return result


@dataclass(slots=True, kw_only=True)
class Fit:
    """What was learnt of pairs: how much likelier true ones are than chance, by each feature."""

    learnt: float
    """How much likelier true pairs are, on average."""
    weights: Array
    """Of the pairs, after balancing."""
    delay: Array
    """By bin of `delay_bins`."""
    rank: Array
    """By bin of `Ranks.differences`."""
    sort: Array | None
    """By sort of record."""


def fits(pairs: Pairs) -> tuple[Fit, Fit]:
    """Return two fits, of which the mean is better than either; there must be a pair."""
    p = pairs
    delay = np.abs(p.record_ns[p.column] - p.event_ns[p.row])
    bins = delay_bins(delay)
    ranks = Ranks(p.event_ns, p.record_ns)
    soon, any_time = p.weight / (delay + _SOON_NS), p.weight
    # Where it begins decides where learning ends: once near short delays, once without a belief.
    wrong_side = _chance(p, delay)
    found = [_learn(p, bins, ranks, wrong_side, start / start.max()) for start in (soon, any_time)]
    # In a crowd the wrong side of time is another crowd; there all pairs are the better measure.
    among_all: Array = np.bincount(bins, p.weight, _BINS) + 1.0
    crowd = _learn(p, bins, ranks, among_all / among_all.sum(), soon / soon.max())
    return max(found, key=lambda fit: fit.learnt), crowd


def _shares(p: Pairs, weights: Array) -> Array:
    """Return weights as shares of their event's."""
    return shares(p.row, weights, len(p.event_ns))


def shares(rows: Array, weights: Array, n: int) -> Array:
    """Return weights as shares of their row's, of n rows."""
    total = np.bincount(rows, weights, n)
    parts: Array = weights / np.maximum(total[rows], 1e-300)
    return parts


def _learn(p: Pairs, bins: Array, ranks: Ranks, chance: Array, weights: Array) -> Fit:
    """Learn delays, ranks and sorts from first weights."""
    shape = (len(p.event_ns), len(p.record_ns))
    believed, factors = balance(p.row, p.column, weights, shape, p.capacity)
    of_rank, of_sort = np.ones(_RANKS), None
    for turn in range(_ROUNDS):
        of_delay = _ratio(bins, believed, _BINS, chance, smooth=True)
        ratio = of_delay[bins]
        if turn > 2:
            differences = ranks.differences(p.row, p.column, believed)
            by_chance = np.bincount(differences, p.weight, _RANKS) + 1
            of_rank = _ratio(differences, believed, _RANKS, by_chance / by_chance.sum())
            ratio *= of_rank[differences]
        if p.sort is not None:
            sorts = p.sort[p.column]
            size = int(p.sort.max()) + 1
            by_chance = np.bincount(sorts, p.weight, size) + 1
            of_sort = _ratio(sorts, believed, size, by_chance / by_chance.sum())
            ratio *= of_sort[sorts]
        weights = p.weight * ratio
        weights = weights / max(weights.max(), 1e-300)
        believed, factors = balance(p.row, p.column, weights, shape, p.capacity, start=factors)
    learnt = float(np.sum(believed * np.log(ratio)))
    return Fit(
        learnt=learnt,
        weights=weights * factors[p.column],
        delay=of_delay,
        rank=of_rank,
        sort=of_sort,
    )


def _chance(p: Pairs, delay: Array) -> Array:
    """Return the distribution over bins that delays have by chance.

    It is read off the wrong side of time, where no cause can be: the same bursts are there, but no
    true pair is.
    """
    follows = bool(np.median(p.record_ns[p.column] - p.event_ns[p.row]) >= 0)
    most = max(int(np.bincount(p.row).max()), 1)
    rows, columns = candidates(p.event_ns, p.record_ns, record_follows=not follows, most=most)
    often = np.bincount(p.column, minlength=len(p.record_ns))
    weight = np.bincount(p.column, p.weight, len(p.record_ns)) / np.maximum(often, 1)
    wrong_side = np.abs(p.record_ns[columns] - p.event_ns[rows])
    counts = np.bincount(delay_bins(wrong_side), weight[columns], _BINS)
    own_side = np.bincount(delay_bins(delay), p.weight, _BINS)
    chances = counts + own_side * _OWN_SIDE + 1.0
    chance: Array = chances / chances.sum()
    return chance


def delay_bins(delay: Array) -> Array:
    """Return a small number for each delay, on a logarithmic scale."""
    low, high = np.log10(_SHORTEST_NS), np.log10(LONGEST_NS)
    place = (np.log10(np.maximum(delay, 1)) - low) / (high - low) * _BINS
    bins: Array = np.clip(place.astype(np.int64), 0, _BINS - 1)
    return bins


def _ratio(
    bins: Array, believed: Array, size: int, chance: Array, *, smooth: bool = False
) -> Array:
    """Return how much likelier each bin is among true pairs than among all pairs."""
    counts = np.bincount(bins, believed, size) + _SMOOTHING
    if smooth:
        counts = np.convolve(np.pad(counts, 1, "edge"), (0.25, 0.5, 0.25), "valid")
    ratio: Array = counts / counts.sum() / chance
    return ratio


class Ranks:
    """Ranks of events and records among what is matched."""

    def __init__(self, event_ns: Array, record_ns: Array) -> None:
        self._events = _Order(event_ns)
        self._records = _Order(record_ns)

    def differences(self, rows: Array, columns: Array, believed: Array) -> Array:
        """Return the bin of each pair's rank difference, ranks counted in matched partners."""
        events = self._events.ranks(rows, believed)
        records = self._records.ranks(columns, believed)
        middle = _RANKS // 2
        difference = np.round(events[rows] - records[columns]).astype(np.int64) + middle
        bins: Array = np.clip(difference, 0, _RANKS - 1)
        return bins


class _Order:
    """Moments in order, and what is near each of them."""

    def __init__(self, moments: Array) -> None:
        self._order = np.argsort(moments, kind="stable")
        ordered = moments[self._order]
        self._first = np.searchsorted(ordered, moments - _TOGETHER_NS, "left")
        self._last = np.searchsorted(ordered, moments + _TOGETHER_NS, "right")

    def ranks(self, places: Array, believed: Array) -> Array:
        """Return how much was matched before each moment; what is near it counts half."""
        matched = np.bincount(places, believed, len(self._order))
        before = np.concatenate([[0.0], np.cumsum(matched[self._order])])
        ranks: Array = (before[self._first] + before[self._last]) / 2
        return ranks
