# SPDX-License-Identifier: Apache-2.0
"""Steps that are smaller than the smallest round trip, which contradict nothing.

After a step up by s the fastest packets forward look slower by s, and those back faster by s.  All
bounds may still agree, but on an interval that is narrower by s than before and after: what looks
like a smaller round trip, though no two packets made it.  So where the interval of all samples is
narrowest, the samples before and those after are also taken by themselves.  If both then leave
room that they do not leave together, and each moved up (or down) at both ends, there was a step.

This is a matter of likelihood, where `steps` is one of logic.  To find a step where there is none
costs width next to it and never the truth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .geometry import Floats, Lines
from .steps import Samples

_LEAST_PLACES, _MOST_PLACES = 32, 512
_PLACES_ALONE = 8
_PLACES_BETWEEN = 17
_MOST_SHIFTS = 4
_LEAST_SAMPLES = 16
_NARROWER = 0.07
"""A step makes the interval narrower by at least this share of the round trip."""

LinesAt = Callable[[Samples, Floats], list[Lines]]
"""Finds the lines through samples at each of some times."""


def gaps_of_shifts(
    samples: Samples, lines_at: LinesAt, near: float, most: int = _MOST_SHIFTS
) -> list[tuple[float, float]]:
    """Return from when to when there is a small step in between, in order; mostly there is none.

    near: how far away samples still matter.
    """
    if most == 0 or _is_few(samples):
        return []
    count = int(np.clip(2 * (samples.end - samples.start) / near, _LEAST_PLACES, _MOST_PLACES))
    places = np.linspace(samples.start, samples.end, count + 1)[1:-1]
    width = _widths(lines_at(samples, places))
    narrowest = int(np.argmin(width))
    if not width[narrowest] < (1 - _NARROWER) * np.quantile(width, 0.9):
        return []
    around = np.clip((narrowest - 2, narrowest + 2), 0, len(places) - 1)
    start, end = places[around].tolist()
    if _is_few(samples.between(-np.inf, start)) or _is_few(samples.between(end, np.inf)):
        return []
    start, end = _located(samples, lines_at, start, end)
    before, after = samples.between(-np.inf, start), samples.between(end, np.inf)
    if not _is_shift(lines_at, samples, before, after):
        return []
    return [
        *gaps_of_shifts(before, lines_at, near, most - 1),
        (start, end),
        *gaps_of_shifts(after, lines_at, near, most - 1),
    ]


def _is_few(samples: Samples) -> bool:
    return min(len(samples.upper), len(samples.lower)) < _LEAST_SAMPLES


def _widths(lines: list[Lines]) -> Floats:
    return np.array([0.0 if each.excess else each.high - each.low for each in lines])


def _middles(lines: list[Lines]) -> Floats:
    return np.array([(each.low + each.high) / 2 for each in lines])


def _located(samples: Samples, lines_at: LinesAt, start: float, end: float) -> tuple[float, float]:
    """Return two times between `start` and `end` with the step in between.

    Nearer than half the step to the bounds of the samples before `start`, or to those of the
    samples after `end`: that tells on which side of the step a sample is.
    """
    times = np.linspace(start, end, _PLACES_BETWEEN)
    left = lines_at(samples.between(-np.inf, start), times)
    right = lines_at(samples.between(end, np.inf), times)
    middle = (_middles(left) + _middles(right)) / 2
    half = (_widths(left)[0] + _widths(right)[-1]) / 4
    between = samples.between(start, end)
    fast_uppers = between.upper_x[between.upper < half + np.interp(between.upper_x, times, middle)]
    fast_lowers = between.lower_x[between.lower > np.interp(between.lower_x, times, middle) - half]
    if _middles(right).sum() > _middles(left).sum():
        # A step up: then uppers are no longer fast, and lowers begin to be.
        ends = fast_uppers.max(initial=start), fast_lowers.min(initial=end)
    else:
        ends = fast_lowers.max(initial=start), fast_uppers.min(initial=end)
    return float(min(ends)), float(max(ends))


def _is_shift(lines_at: LinesAt, samples: Samples, before: Samples, after: Samples) -> bool:
    if _is_few(before) or _is_few(after):
        return False
    when = (before.end + after.start) / 2
    (together,) = lines_at(samples, np.array((when,)))
    (left,) = lines_at(before, np.array((when,)))
    (right,) = lines_at(after, np.array((when,)))
    alone = []
    for part in (before, after):
        places = np.linspace(part.start, part.end, _PLACES_ALONE + 1)
        alone.append(_widths(lines_at(part, places)).min())
    narrower = min(alone) - _widths([together])[0]
    moved = min((right.low - left.low, right.high - left.high), key=abs)
    same_way = (right.low > left.low) == (right.high > left.high)
    return bool(
        same_way
        and np.isfinite(moved)
        and narrower > _NARROWER * min(alone)
        and abs(moved) > narrower / 2
    )
