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

from ..rows import Array

_BINS = 30
_SHORTEST_NS, _LONGEST_NS = 2e4, 1e9
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
    moments = record_ns[order]
    reach = int(_LONGEST_NS)
    if record_follows:
        begin = np.searchsorted(moments, event_ns, "left")
        end = np.minimum(np.searchsorted(moments, event_ns + reach, "right"), begin + most)
    else:
        end = np.searchsorted(moments, event_ns, "right")
        begin = np.maximum(np.searchsorted(moments, event_ns - reach, "left"), end - most)
    count = np.maximum(end - begin, 0)
    rows = np.repeat(np.arange(len(event_ns)), count)
    before = np.cumsum(count) - count
    columns = order[np.arange(len(rows)) - np.repeat(before - begin, count)]
    return rows, columns


def balance(
    rows: Array,
    columns: Array,
    weights: Array,
    shape: tuple[int, int],
    capacity: Array | None = None,
    alone: float = _ALONE,
    start: Array | None = None,
) -> tuple[Array, Array]:
    """Scale weights until each row sums to 1 and each column to its capacity, nearly.

    start: factors of the columns that were found for weights that are alike; few steps do then.
    Returns the scaled weights (probabilities) and the factors of the columns.
    """
    n, m = shape
    room: Array = np.ones(m) if capacity is None else capacity
    v: Array = np.ones(m) if start is None else start
    for _ in range(_SCALINGS if start is None else _MORE_SCALINGS):
        u = 1.0 / (np.bincount(rows, weights * v[columns], n) + alone)
        v = room / (np.bincount(columns, weights * u[rows], m) + alone)
    # Rows last: where one pair has all the weight, the scaling approaches 1 only slowly.
    u = 1.0 / (np.bincount(rows, weights * v[columns], n) + alone)
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
    p = pairs
    if not len(p.row):
        return np.zeros(0)
    delay = np.abs(p.record_ns[p.column] - p.event_ns[p.row])
    bins = _delay_bins(delay)
    soon, any_time = p.weight / (delay + _SOON_NS), p.weight
    # Where it begins decides where learning ends: once near short delays, once without a belief.
    wrong_side = _chance(p, delay)
    fits = [_learn(p, bins, wrong_side, start / start.max()) for start in (soon, any_time)]
    # In a crowd the wrong side of time is another crowd; there all pairs are the better measure.
    among_all: Array = np.bincount(bins, p.weight, _BINS) + 1.0
    crowd = _learn(p, bins, among_all / among_all.sum(), soon / soon.max())
    result: Array = (_shares(p, max(fits, key=lambda fit: fit[0])[1]) + _shares(p, crowd[1])) / 2
    return result


def _shares(p: Pairs, weights: Array) -> Array:
    """Return weights as shares of their event's."""
    total = np.bincount(p.row, weights, len(p.event_ns))
    shares: Array = weights / np.maximum(total[p.row], 1e-300)
    return shares


def _learn(p: Pairs, bins: Array, chance: Array, weights: Array) -> tuple[float, Array]:
    """Learn delays, ranks and sorts from first weights; return (how much was learnt, weights).

    What was learnt is measured by how much likelier true pairs are than chance, on average.
    """
    shape = (len(p.event_ns), len(p.record_ns))
    believed, factors = balance(p.row, p.column, weights, shape, p.capacity)
    event_order = np.argsort(p.event_ns, kind="stable")
    record_order = np.argsort(p.record_ns, kind="stable")
    ratio = np.ones(len(bins))
    for turn in range(_ROUNDS):
        ratio = _ratio(bins, believed, _BINS, chance, smooth=True)[bins]
        if turn > 2:
            ranks = _rank_differences(p, believed, event_order, record_order)
            by_chance = np.bincount(ranks, p.weight, _RANKS) + 1
            ratio *= _ratio(ranks, believed, _RANKS, by_chance / by_chance.sum())[ranks]
        if p.sort is not None:
            sorts = p.sort[p.column]
            size = int(p.sort.max()) + 1
            by_chance = np.bincount(sorts, p.weight, size) + 1
            ratio *= _ratio(sorts, believed, size, by_chance / by_chance.sum())[sorts]
        weights = p.weight * ratio
        weights = weights / max(weights.max(), 1e-300)
        believed, factors = balance(p.row, p.column, weights, shape, p.capacity, start=factors)
    learnt = float(np.sum(believed * np.log(ratio)))
    return learnt, weights * factors[p.column]


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
    counts = np.bincount(_delay_bins(wrong_side), weight[columns], _BINS)
    own_side = np.bincount(_delay_bins(delay), p.weight, _BINS)
    chances = counts + own_side * _OWN_SIDE + 1.0
    chance: Array = chances / chances.sum()
    return chance


def _delay_bins(delay: Array) -> Array:
    low, high = np.log10(_SHORTEST_NS), np.log10(_LONGEST_NS)
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


def _rank_differences(p: Pairs, believed: Array, event_order: Array, record_order: Array) -> Array:
    """Return the bin of each pair's rank difference, ranks counted in matched partners."""
    events = _ranks(np.bincount(p.row, believed, len(p.event_ns)), p.event_ns, event_order)
    records = _ranks(np.bincount(p.column, believed, len(p.record_ns)), p.record_ns, record_order)
    middle = _RANKS // 2
    difference = np.round(events[p.row] - records[p.column]).astype(np.int64) + middle
    bins: Array = np.clip(difference, 0, _RANKS - 1)
    return bins


def _ranks(matched: Array, moments: Array, order: Array) -> Array:
    """Return how much was matched before each moment; what is near it counts half."""
    sorted_moments = moments[order]
    before = np.concatenate([[0.0], np.cumsum(matched[order])])
    first = before[np.searchsorted(sorted_moments, moments - _TOGETHER_NS, "left")]
    last = before[np.searchsorted(sorted_moments, moments + _TOGETHER_NS, "right")]
    ranks: Array = (first + last) / 2
    return ranks
