# SPDX-License-Identifier: Apache-2.0
"""What samples say of one time: few of them, near it, with room for a clock that wanders."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .geometry import Corners, Floats, Lines, lines_between
from .model import bend
from .steps import Samples, lower_floors

WANDER_RATE = 60e-6
"""Within a stretch without steps the drift stays this near its middle: 60 ppm."""

_LEAST_NEAR = 8
_SHORTEST_NS = 1000.0
_TYPICAL_NS = 1e6
_REFUSED_CORNERS = 3

Window: TypeAlias = tuple[Corners, Corners]
"""Uppers and lowers near a knot, in times relative to it."""


def smallest_round_trip(part: Samples) -> float:
    """Return the smallest sum of a forward and a reverse delay near each other, in ns."""
    if not len(part.upper) or not len(part.lower):
        return _TYPICAL_NS
    before, after = lower_floors(part, WANDER_RATE)
    return max(float((part.upper - np.maximum(before, after)).min()), _SHORTEST_NS)


def thinned(part: Samples, width: float) -> tuple[Corners, Corners]:
    """Return the lowest upper and the highest lower sample of each bin of time.

    To leave a sample out never makes a bound wrong, only less tight.
    """
    start = part.start
    upper = _lowest_of_bins(part.upper_x, part.upper, start, width)
    x, y = _lowest_of_bins(part.lower_x, -part.lower, start, width)
    return upper, (x, -y)


def _lowest_of_bins(x: Floats, y: Floats, start: float, width: float) -> Corners:
    if not len(x):
        return x, y
    bins = np.floor((x - start) / width).astype(np.int64)
    firsts = np.concatenate(((0,), np.flatnonzero(np.diff(bins)) + 1))
    counts = np.diff(np.concatenate((firsts, (len(x),))))
    lowest = np.flatnonzero(y == np.repeat(np.minimum.reduceat(y, firsts), counts))
    _, first = np.unique(bins[lowest], return_index=True)
    return x[lowest[first]], y[lowest[first]]


def window_at(points: Corners, knot: float, near: float) -> Corners:
    """Return the points near a knot, in times relative to it; a few where it is lonely."""
    x, y = points
    left, right, middle = np.searchsorted(x, (knot - near, knot + near, knot)).tolist()
    rows = slice(max(min(left, middle - _LEAST_NEAR), 0), max(right, middle + _LEAST_NEAR))
    x, y = x[rows] - knot, y[rows]
    # Years away from the knot, close times become one.
    apart = np.diff(x, prepend=-np.inf) > 0
    return x[apart], y[apart]


def spared(window: Window, rate: float) -> Window:
    """Return the bounds of a tangent at x = 0, with room for a clock that wanders.

    A curve whose slope changes by no more than the wander w leaves its tangent by at most wx²/2;
    if the slope may also jump by `rate`, by that times x more.
    """
    (upper_x, upper), (lower_x, lower) = window
    return (
        (upper_x, upper + bend(np.abs(upper_x)) + rate * np.abs(upper_x)),
        (lower_x, lower - bend(np.abs(lower_x)) - rate * np.abs(lower_x)),
    )


def robust_lines(
    window: Window, slopes: tuple[float, float]
) -> tuple[Lines, list[tuple[int, float]]]:
    """Return the tangents that a clock may have at x = 0, and the few samples that had to go."""
    first = spared(window, 0.0)
    tried = list(first)
    lines = lines_between(*first, slopes)
    refused: list[tuple[int, float]] = []
    while lines.excess and len(refused) < _REFUSED_CORNERS:
        lines, side, x = min(
            (_without(tried, side, row, slopes) for side, row in _binding(tried, lines.at_slope)),
            key=lambda found: found[0].excess,
        )
        refused.append((side, x))
        keep = tried[side][0] != x
        tried[side] = tried[side][0][keep], tried[side][1][keep]
    return (lines_between(*first, slopes), []) if lines.excess else (lines, refused)


def _binding(bounds: list[Corners], slope: float) -> list[tuple[int, int]]:
    """Return side and row of the two points of each side that hold the line back most."""
    rows = []
    for side, sign in enumerate((1, -1)):
        x, y = bounds[side]
        rows += [(side, int(row)) for row in np.argsort(sign * (y - slope * x))[:2]]
    return rows


def _without(
    bounds: list[Corners], side: int, row: int, slopes: tuple[float, float]
) -> tuple[Lines, int, float]:
    x, y = bounds[side]
    fewer = list(bounds)
    fewer[side] = np.delete(x, row), np.delete(y, row)
    return lines_between(fewer[0], fewer[1], slopes), side, float(x[row])
