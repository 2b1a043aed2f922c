# SPDX-License-Identifier: Apache-2.0
"""Differences of medians and p99 between two runs, with intervals that rest on sessions.

**Bootstrap over sessions** (cluster bootstrap: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 8; Davison and Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8).  Of each run as many sessions as it has are drawn with replacement, all times of a
session together, and the quantile is taken of what was drawn.  The middle 95 % of the differences
of many such draws are the interval.  Drawing packets would make it too narrow: packets of one
session are alike.

**p-value**: twice the smaller share of draws on either side of no difference, at most 1.  It is
below 0.05 where the interval leaves out 0.

**Too few sessions.**  An interval of order statistics that holds a quantile q with 95 % needs
sessions on both sides of it: min(q, 1 - q) ** n or the like at most 2.5 %, which is n >= 6 for the
median (0.5 ** 6 = 1.6 %) and n >= 368 for p99 (0.99 ** 368 = 2.5 %).  With fewer nothing is said.

**Clocks.**  What the clocks of hosts leave open moves all times of a run alike: no draw shows it.
Intervals are wider by it on both sides, and p-values are taken at that distance from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..hops.session_times import Times
from ..rows import Array

DRAWS = 2000
MEDIAN, P99 = 0.5, 0.99
NEEDED_SESSIONS = {MEDIAN: 6, P99: 368}
"""Sessions that each run must have, see above."""
_CHUNK = 1 << 20
"""Weights that are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileDifference:
    """One quantile of two runs."""

    a_ns: int
    b_ns: int
    difference_ns: int
    """b less a: positive where the second run took longer."""
    ci95_ns: tuple[int, int] | None
    """None where there are too few sessions to tell."""
    p_value: float | None


def compare(a: Times, b: Times, quantiles: Sequence[float]) -> tuple[QuantileDifference, ...]:
    """Return the difference of each quantile; neither run may be empty."""
    random = np.random.default_rng(0)  # the same captures always give the same answer
    sessions = min(a.sessions, b.sessions)
    told = [q for q in quantiles if sessions >= NEEDED_SESSIONS[q]]
    drawn = {}
    if told:
        differences = _drawn(b, told, random) - _drawn(a, told, random)
        drawn = dict(zip(told, differences.T, strict=True))
    return tuple(
        _difference(a, b, quantile, drawn.get(quantile), a.clock_ns + b.clock_ns)
        for quantile in quantiles
    )


def quantile_of(ns: Array, quantile: float) -> int:
    """Return the smallest time at or below which this share of all are."""
    return int(np.sort(ns)[max(ceil(quantile * len(ns)), 1) - 1])


def _difference(
    a: Times, b: Times, quantile: float, drawn: Array | None, clock_ns: int
) -> QuantileDifference:
    mine, theirs = quantile_of(a.ns, quantile), quantile_of(b.ns, quantile)
    interval = p_value = None
    if drawn is not None:
        low, high = quantile_of(drawn, 0.025), quantile_of(drawn, 0.975)
        interval = (low - clock_ns, high + clock_ns)
        # One more than there were draws: a share of 0 is not known to be 0.
        below = (int((drawn <= clock_ns).sum()) + 1) / (len(drawn) + 1)
        above = (int((drawn >= -clock_ns).sum()) + 1) / (len(drawn) + 1)
        p_value = min(1.0, 2 * min(below, above))
    return QuantileDifference(
        a_ns=mine,
        b_ns=theirs,
        difference_ns=theirs - mine,
        ci95_ns=interval,
        p_value=p_value,
    )


def _drawn(times: Times, quantiles: Sequence[float], random: np.random.Generator) -> Array:
    """Return quantiles of draws of sessions: int64, one row a draw, one column a quantile."""
    names, session = np.unique(times.session, return_inverse=True)
    order = np.argsort(times.ns, kind="stable")
    ns, session = times.ns[order], session[order]
    sessions = len(names)
    found = np.empty((DRAWS, len(quantiles)), np.int64)
    step = max(_CHUNK // max(len(ns), sessions), 1)
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        chosen = random.integers(0, sessions, (draws, sessions))
        chosen += np.arange(draws)[:, None] * sessions
        often = np.bincount(chosen.ravel(), minlength=draws * sessions).reshape(draws, sessions)
        passed = np.cumsum(often.astype(np.int32)[:, session], axis=1)
        for column, quantile in enumerate(quantiles):
            rank = np.maximum(np.ceil(quantile * passed[:, -1]), 1)
            found[start : start + draws, column] = ns[(passed < rank[:, None]).sum(axis=1)]
    return found
