# SPDX-License-Identifier: Apache-2.0
"""All lines between points above and points below: the plane geometry of clocks.

A line is `a + b * x`.  It has to pass below every *upper* point and above every *lower* one.
Only the corners of the convex hulls matter (the lower hull of the upper points, the upper hull of
the lower ones), and for a slope b both

* the highest line that stays below the upper points, `min(y - b * x)`, which is concave in b, and
* the lowest line that stays above the lower points, `max(y - b * x)`, which is convex in b,

change only at the slopes of hull edges.  What is asked of the set of lines (the range of a at
x = 0, the range of b) is therefore read off at finitely many slopes, without a solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Corners: TypeAlias = tuple[Floats, Floats]
"""Points as x and y; x increases strictly."""

_VECTOR_PASSES = 24
"""Each pass removes what its neighbours show to be no corner; what is left is walked one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What all feasible lines have in common; `excess` > 0 where there are none.

    low, high: the range of their values at x = 0; infinite where no point bounds it.
    least_slope, most_slope: the range of their slopes.
    excess: by how much the best line would still be on the wrong side of points, in all.
    at_slope: the slope where `excess` was found, or one inside the range.
    """

    low: float
    high: float
    least_slope: float
    most_slope: float
    excess: float
    at_slope: float


def lower_hull(x: Floats, y: Floats) -> Corners:
    """Return the corners of the lower convex hull; x has to increase strictly."""
    for _ in range(_VECTOR_PASSES):
        if len(x) < 3:
            return x, y
        slopes = np.diff(y) / np.diff(x)
        keep = np.ones(len(x), bool)
        keep[1:-1] = slopes[1:] > slopes[:-1]
        if keep.all():
            return x, y
        x, y = x[keep], y[keep]
    return _walked_hull(x, y)


def _walked_hull(x: Floats, y: Floats) -> Corners:
    corners: list[tuple[float, float]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(corners) > 1:
            (x1, y1), (x2, y2) = corners[-2:]
            if (y2 - y1) * (point[0] - x2) < (point[1] - y2) * (x2 - x1):
                break
            corners.pop()
        corners.append(point)
    hull = np.array(corners, np.float64)
    return hull[:, 0], hull[:, 1]


def lines_between(upper: Corners, lower: Corners, slopes: tuple[float, float]) -> Lines:
    """Return what the lines below `upper` and above `lower`, with a slope in `slopes`, share.

    upper, lower: (x, y) with x increasing strictly; either may be empty.
    """
    below, above = _Support(*upper), _Support(lower[0], -lower[1])
    least, most = slopes
    corners = np.concatenate((below.edges, -above.edges))
    tried = np.unique(np.concatenate((np.clip(corners, least, most), slopes)))
    ceiling = below.heights(tried)
    floor = -above.heights(-tried)
    gap = floor - ceiling
    inside = np.flatnonzero(gap <= 0)
    if not len(inside):
        best = int(np.argmin(gap))
        return Lines(
            low=float(floor[best]),
            high=float(ceiling[best]),
            least_slope=float(tried[best]),
            most_slope=float(tried[best]),
            excess=float(gap[best]),
            at_slope=float(tried[best]),
        )
    first, last = int(inside[0]), int(inside[-1])
    ends = np.array((_crossing(tried, gap, first, -1), _crossing(tried, gap, last, 1)))
    tried = np.concatenate((ends, tried[first : last + 1]))
    return Lines(
        low=float((-above.heights(-tried)).min()),
        high=float(below.heights(tried).max()),
        least_slope=float(ends[0]),
        most_slope=float(ends[1]),
        excess=0.0,
        at_slope=float(tried[2]),
    )


def _crossing(slopes: Floats, gap: Floats, inside: int, step: int) -> float:
    """Return where the gap, straight between the slopes, leaves zero beyond index `inside`."""
    outside = inside + step
    if not 0 <= outside < len(slopes) or not np.isfinite(gap[outside]):
        return float(slopes[inside])
    share = gap[outside] / (gap[outside] - gap[inside])
    return float(slopes[outside] + share * (slopes[inside] - slopes[outside]))


class _Support:
    """The highest line of each slope that stays below some points."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self._x, self._y = lower_hull(x, y)
        self.edges = np.diff(self._y) / np.diff(self._x)

    def heights(self, slopes: Floats) -> Floats:
        """Return the value at x = 0 of the highest line of each slope; inf without points."""
        if not len(self._x):
            return np.full(len(slopes), np.inf)
        corner = np.searchsorted(self.edges, slopes)
        heights: Floats = self._y[corner] - slopes * self._x[corner]
        return heights
