# SPDX-License-Identifier: Apache-2.0
"""The set of lines between points, against a search through all pairs of points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.clock.geometry import lines_between, lower_hull

SLOPES = (-2.0, 2.0)
POINTS = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(0, 100)), max_size=12, unique_by=lambda p: p[0]
)


def arrays(points):
    points = sorted(points)
    return np.array([x for x, _ in points], float), np.array([y for _, y in points], float)


def corners_of_the_polygon(upper, lower):
    """Return value at 0 and slope of all feasible lines through two constraints."""
    limits = [(x, y, 1) for x, y in upper] + [(x, y, -1) for x, y in lower]
    slopes = list(SLOPES)
    for (x1, y1, _), (x2, y2, _) in itertools.combinations(limits, 2):
        if x1 != x2:
            slopes.append((y2 - y1) / (x2 - x1))
    for slope in slopes:
        if not SLOPES[0] <= slope <= SLOPES[1]:
            continue
        for x, y, _ in limits:
            value = y - slope * x
            if all(side * (value + slope * u - v) <= 1e-6 for u, v, side in limits):
                yield value, slope


@given(POINTS, POINTS)
def test_range_of_lines_is_that_of_the_polygon(upper, lower):
    lines = lines_between(arrays(upper), arrays(lower), SLOPES)
    if not upper or not lower:
        assert lines.excess == 0
        assert (lines.low == -np.inf) == (not lower)
        assert (lines.high == np.inf) == (not upper)
        assert (lines.least_slope, lines.most_slope) == SLOPES
        return
    corners = list(corners_of_the_polygon(upper, lower))
    if not corners:
        assert lines.excess > 0
        return
    assert lines.excess == pytest.approx(0, abs=1e-6)
    values, slopes = zip(*corners, strict=True)
    assert (lines.low, lines.high) == pytest.approx((min(values), max(values)), abs=1e-5)
    assert lines.least_slope == pytest.approx(min(slopes), abs=1e-5)
    assert lines.most_slope == pytest.approx(max(slopes), abs=1e-5)


@given(POINTS)
def test_hull_is_convex_and_below_all_points(points):
    x, y = arrays(points)
    hull_x, hull_y = lower_hull(x, y)
    if len(x) < 2:
        assert hull_x.tolist() == x.tolist()
        return
    assert (np.diff(np.diff(hull_y) / np.diff(hull_x)) > 0).all()
    assert (np.interp(x, hull_x, hull_y) <= y + 1e-9).all()
    assert set(zip(hull_x, hull_y, strict=True)) <= set(zip(x, y, strict=True))


@pytest.mark.parametrize("bend", [1.0, -1.0, 0.0])
def test_hull_of_many_points_on_a_curve(bend):
    x = np.arange(50_000.0)
    hull_x, _ = lower_hull(x, bend * (x - 25_000) ** 2)
    assert len(hull_x) == (50_000 if bend > 0 else 2)


def test_excess_is_how_far_the_points_are_on_the_wrong_side():
    upper = np.array((0.0, 1.0, 2.0)), np.array((1.0, 0.0, 1.0))
    lower = np.array((0.5, 1.5)), np.array((3.0, 3.0))
    assert lines_between(upper, lower, SLOPES).excess == pytest.approx(3.0)
