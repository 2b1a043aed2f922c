# SPDX-License-Identifier: Apache-2.0
"""From the range of an offset at many times to few straight segments that keep it.

The segments of a stretch between two steps form one continuous line, as few pieces as are needed
to stay in the middle of the range: a piece is as long as its uncertainty stays within a few
percent of half the range itself.  So a clock that runs evenly has one segment, and where the range
is wide (at an end, in a pause of the traffic) that part alone is uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Floats
from .model import MOST_DRIFT, ClockSegment, Times, bend, bounded_ns

_TOLERANCE = 0.54
"""The uncertainty that a piece may have, in parts of the width of the range."""

_NEIGHBOURS = 8
_ROUNDING_NS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The range of an offset at times between which there is no step."""

    times_ns: Times
    low: Floats
    """Relative to `base_offset_ns`, as `high`."""
    high: Floats
    base_offset_ns: int
    hops: int
    """So many pairs of clocks, each of which may wander, are between host and reference."""
    assumed_ns: int | None
    """The offset itself was said to be no more than this, either way."""


def segments_of(stretch: Stretch) -> list[ClockSegment]:
    """Return segments that hold the whole range at every time of the stretch."""
    base_ns = int(stretch.times_ns[0])
    x = (stretch.times_ns - base_ns).astype(np.float64)
    pieces = _pieces(x, stretch)
    return [_segment(stretch, base_ns, x, piece) for piece in pieces]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    first: int
    last: int
    value: float
    """At the first time."""
    slope: float


def _pieces(x: Floats, stretch: Stretch) -> list[_Piece]:
    """Return a continuous chain of lines, each as long as it keeps close to the middle."""
    middle = ((stretch.low + stretch.high) / 2).tolist()
    tolerance = _TOLERANCE * _least_near(stretch.high - stretch.low) - _bends(x, stretch.hops)
    low = (stretch.high - tolerance).tolist()
    high = (stretch.low + tolerance).tolist()
    times = x.tolist()
    pieces = []
    first, value = 0, middle[0]
    while first < len(times) - 1:
        # Times that are years apart leave no room for nanoseconds: some are the same as floats.
        elapsed = max(times[first + 1] - times[first], 1.0)
        last, slope = first + 1, (middle[first + 1] - value) / elapsed
        least, most = -np.inf, np.inf
        # A piece that is already too far off at its start does not become longer.
        row = first + 1 if low[first] <= value <= high[first] else len(times)
        while row < len(times):
            elapsed = max(times[row] - times[first], 1.0)
            least = max(least, (low[row] - value) / elapsed)
            most = min(most, (high[row] - value) / elapsed)
            if least > most:
                break
            last, slope = row, min(max((middle[row] - value) / elapsed, least), most)
            row += 1
        # A middle that moves faster than any clock only shows how little is known.
        slope = min(max(slope, -MOST_DRIFT), MOST_DRIFT)
        pieces.append(_Piece(first=first, last=last, value=value, slope=slope))
        value += slope * (times[last] - times[first])
        first = last
    return pieces


def _least_near(width: Floats) -> Floats:
    """Return the least width of the times around each."""
    padded = np.pad(width, _NEIGHBOURS, constant_values=np.inf)
    least: Floats = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1).min(
        axis=1
    )
    return least


def _bends(x: Floats, hops: int) -> Floats:
    """Return how far the offset may leave a straight line between a time and its neighbours."""
    between = hops * bend(np.diff(x) / 2, np.diff(x) / 2)
    bends: Floats = np.maximum(np.append(between, 0.0), np.insert(between, 0, 0.0))
    return bends


def _segment(stretch: Stretch, base_ns: int, x: Floats, piece: _Piece) -> ClockSegment:
    rows = slice(piece.first, piece.last + 1)
    line = piece.value + piece.slope * (x[rows] - x[piece.first])
    half = np.maximum(stretch.high[rows] - line, line - stretch.low[rows])
    room = stretch.hops * bend(np.diff(x[rows]) / 2, np.diff(x[rows]) / 2)
    uncertainty = (np.maximum(half[1:], half[:-1]) + room).max()
    if stretch.assumed_ns is not None:
        farthest = max(
            abs(stretch.base_offset_ns + line[0]), abs(stretch.base_offset_ns + line[-1])
        )
        uncertainty = min(uncertainty, farthest + stretch.assumed_ns)
    at = round((x[piece.first] + x[piece.last]) / 2)
    offset = piece.value + piece.slope * (at - x[piece.first])
    return ClockSegment(
        from_ns=bounded_ns(base_ns + int(x[piece.first])),
        to_ns=bounded_ns(base_ns + int(x[piece.last])),
        at_ns=bounded_ns(base_ns + at),
        offset_ns=bounded_ns(stretch.base_offset_ns + round(offset)),
        drift_ppm=piece.slope * 1e6,
        uncertainty_ns=int(np.ceil(uncertainty)) + _ROUNDING_NS,
    )
