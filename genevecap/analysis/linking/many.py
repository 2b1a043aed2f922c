# SPDX-License-Identifier: Apache-2.0
"""Match many events with records: what some of them teach is used for all.

Learning looks at every pair that could be some hundred times, and a pair of an event is one of
dozens.  Distributions are known well enough from some hundred events, so they are learnt from some
stretches of time (`_RUNS` of `_RUN` events).  With them all other pairs are judged once, piece by
piece, and only those near the best of their event are kept: a few of each.  These are then made
consistent like any others.  So both time and memory of an event are small, however many there are.
"""

from __future__ import annotations

import numpy as np

from ..rows import Array, sizes, starts
from .matching import Fit, Pairs, Ranks, balance, delay_bins, fits, match, shares
from .pairing import Pairing

MOST_LEARNT = 1_600
"""Events of which all pairs are learnt from."""
_RUNS, _RUN = 3, 300
_PIECE = 4_096
"""Events that are judged at a time."""
_FAR = 1e-4
"""Pairs of less than this share of the best weight of their event are dropped."""
_SCALINGS = 12
"""Enough for so few pairs of an event."""
_SETTLING = 2
"""Times that ranks are looked at again."""


def matched(
    pairing: Pairing, moments: tuple[Array, Array], capacity: Array, sort: Array | None
) -> tuple[Array, Array, Array]:
    """Return pairs (event, record) and how likely each is, as `matching.match` says it.

    moments: of events and of records; capacity, sort: see `Pairs`.
    """
    event_ns, record_ns = moments
    if len(event_ns) > MOST_LEARNT:
        return _match_many(pairing, moments, capacity, sort)
    rows, columns, weight = pairing.all()
    belief = match(
        Pairs(
            row=rows,
            column=columns,
            weight=weight,
            event_ns=event_ns,
            record_ns=record_ns,
            capacity=capacity,
            sort=sort if len(rows) else None,
        )
    )
    return rows, columns, belief


def _match_many(
    pairing: Pairing, moments: tuple[Array, Array], capacity: Array, sort: Array | None
) -> tuple[Array, Array, Array]:
    event_ns, record_ns = moments
    order = np.argsort(event_ns, kind="stable")
    sample = _pairs(pairing, moments, capacity, sort, _runs(order))
    if not len(sample.row):
        return sample.row, sample.column, np.zeros(0)
    learnt = fits(sample)
    parts = [
        _judged(pairing, moments, sort, order[i : i + _PIECE], learnt)
        for i in range(0, len(order), _PIECE)
    ]
    row, column, *weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    ranks = Ranks(event_ns, record_ns)
    shape = (len(event_ns), len(record_ns))
    one, other = (
        _settled((row, column), weight, shape, capacity, ranks, fit)
        for weight, fit in zip(weights, learnt, strict=True)
    )
    return row, column, (one + other) / 2


def _runs(order: Array) -> Array:
    """Return events of some stretches of time, spread evenly."""
    begins = np.linspace(0, len(order) - _RUN, _RUNS).astype(np.int64)
    return np.sort(np.concatenate([order[begin : begin + _RUN] for begin in begins]))


def _pairs(
    pairing: Pairing,
    moments: tuple[Array, Array],
    capacity: Array,
    sort: Array | None,
    events: Array,
) -> Pairs:
    """Return the pairs of some events, numbered anew."""
    rows, columns, weight = pairing.of(events)
    used, column = np.unique(columns, return_inverse=True)
    return Pairs(
        row=np.searchsorted(events, rows),
        column=column,
        weight=weight,
        event_ns=moments[0][events],
        record_ns=moments[1][used],
        capacity=capacity[used],
        sort=None if sort is None or not len(used) else sort[used],
    )


def _judged(
    pairing: Pairing,
    moments: tuple[Array, Array],
    sort: Array | None,
    events: Array,
    learnt: tuple[Fit, Fit],
) -> tuple[Array, ...]:
    """Return the pairs of some events that are near the best, and their weight by each fit."""
    rows, columns, weight = pairing.of(events)
    bins = delay_bins(np.abs(moments[1][columns] - moments[0][rows]))
    weights = []
    kept = np.zeros(len(rows), bool)
    begin = starts(rows)
    for fit in learnt:
        own = weight * fit.delay[bins]
        if sort is not None and fit.sort is not None:
            own *= fit.sort[np.minimum(sort[columns], len(fit.sort) - 1)]
        weights.append(own)
        if len(rows):
            best = np.maximum.reduceat(own, begin)
            kept |= own >= _FAR * np.repeat(best, sizes(begin, len(rows)))
    return rows[kept], columns[kept], *(own[kept] for own in weights)


def _settled(
    pairs: tuple[Array, Array],
    weight: Array,
    shape: tuple[int, int],
    capacity: Array,
    ranks: Ranks,
    fit: Fit,
) -> Array:
    """Return how likely each pair is, by one fit."""
    rows, columns = pairs
    own = weight / max(weight.max(initial=0), 1e-300)
    believed, factors = balance(rows, columns, own, shape, capacity, scalings=_SCALINGS)
    for _ in range(_SETTLING):
        own = weight * fit.rank[ranks.differences(rows, columns, believed)]
        own /= max(own.max(initial=0), 1e-300)
        believed, factors = balance(rows, columns, own, shape, capacity, start=factors)
    return shares(rows, own * factors[columns], shape[0])
