# SPDX-License-Identifier: Apache-2.0
"""The interval of the offset between two hosts, by time.

Times here are those of the first host's clock, and offsets are second minus first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .bounds import (
    WANDER_RATE,
    Window,
    robust_lines,
    smallest_round_trip,
    spared,
    thinned,
    window_at,
)
from .geometry import Floats, Lines, lines_between
from .model import EARLIEST_NS, LATEST_NS, MOST_DRIFT, WANDER, PairSamples, Times, bend
from .shifts import gaps_of_shifts
from .steps import Flags, Samples, split_at_steps, without_wrong_matches

_SHARE_OF_BEND = 0.02
"""By how much of the smallest round trip the interval widens between two knots."""

_LEAST_KNOTS, _MOST_KNOTS = 8, 2048
_KNOTS_PER_SAMPLE = 8
_BINS_PER_KNOT = 32
_END_KNOTS = 3
_STRAINED = 0.5
_MEDIAN_KNOTS = 16
_RELAXED_RATES = (60e-6, 120e-6, 240e-6, 500e-6, 1e-3)
_BINS_OF_DRIFT = 1024
_BINS_OF_SHIFTS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A stretch of time without a step: the range of the offset at each knot."""

    knots_ns: Times
    low: Floats
    """Relative to `PairBand.base_offset_ns`, as `high`; -inf where nothing bounds it."""
    high: Floats
    start_slopes: tuple[float, float]
    """The range of the drift at the first knot."""
    end_slopes: tuple[float, float]

    def range_at(self, times_ns: Times) -> tuple[Floats, Floats]:
        """Return the lowest and highest offset at any times, in the block or beyond it."""
        knots = (self.knots_ns - self.knots_ns[0]).astype(np.float64)
        x = (times_ns - self.knots_ns[0]).astype(np.float64)
        inside = np.clip(x, 0.0, knots[-1])
        left = np.clip(np.searchsorted(knots, inside, "right") - 1, 0, max(len(knots) - 2, 0))
        right = np.minimum(left + 1, len(knots) - 1)
        room = bend(inside - knots[left], knots[right] - inside)
        low = np.interp(inside, knots, self.low) - room
        high = np.interp(inside, knots, self.high) + room
        before, after = np.maximum(-x, 0.0), np.maximum(x - knots[-1], 0.0)
        low -= self._growth(before, self.start_slopes[1]) + self._growth(after, -self.end_slopes[0])
        high += self._growth(before, -self.start_slopes[0]) + self._growth(
            after, self.end_slopes[1]
        )
        return low, high

    def _growth(self, elapsed: Floats, slope: float) -> Floats:
        """Return how far a curve of this slope at first can rise within `elapsed`."""
        faster = max(MOST_DRIFT - slope, 0.0)
        bending = np.minimum(elapsed, faster / WANDER)
        growth: Floats = slope * elapsed + WANDER / 2 * bending**2 + faster * (elapsed - bending)
        return growth


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBand:
    """What is known of two clocks from the packets between their hosts."""

    first: str
    second: str
    base_offset_ns: int
    blocks: tuple[Block, ...]
    """In order of time; a step is somewhere between one and the next."""
    samples: int
    """What the blocks rest on."""
    dropped: int
    """Wrong matches, left out."""

    def range_at(
        self, times_ns: Times, about_ns: Times, wrong_ns: Times | int = 0
    ) -> tuple[Floats, Floats]:
        """Return the lowest and highest offset at `times_ns`, relative to `base_offset_ns`.

        about_ns: a time near each, right to `wrong_ns`; it decides on which side of a step it is.
        Between two blocks the offset may be that of either.
        """
        low = np.full(len(times_ns), np.inf)
        high = np.full(len(times_ns), -np.inf)
        for block, here in zip(self.blocks, self._near_blocks(about_ns, wrong_ns), strict=True):
            if here.any():
                block_low, block_high = block.range_at(times_ns[here])
                low[here] = np.minimum(low[here], block_low)
                high[here] = np.maximum(high[here], block_high)
        unknown = low > high
        low[unknown], high[unknown] = -np.inf, np.inf
        return low, high

    def emptied(self) -> PairBand:
        """Return the band with all its samples dropped."""
        return replace(self, blocks=(), samples=0, dropped=self.dropped + self.samples)

    def between_blocks(self, about_ns: Times, wrong_ns: Times | int = 0) -> Flags:
        """Return which of the times may be those of a step."""
        count = np.zeros(len(about_ns), np.int64)
        for here in self._near_blocks(about_ns, wrong_ns):
            count += here
        return count > 1

    def _near_blocks(self, about_ns: Times, wrong_ns: Times | int) -> Iterator[Flags]:
        """Return for each block which of the times may be in it, or in a gap beside it."""
        for index in range(len(self.blocks)):
            here = np.ones(len(about_ns), bool)
            if index:
                here &= about_ns > self.blocks[index - 1].knots_ns[-1] - wrong_ns
            if index + 1 < len(self.blocks):
                here &= about_ns < self.blocks[index + 1].knots_ns[0] + wrong_ns
            yield here


def pair_band(pairs: Sequence[PairSamples]) -> PairBand:
    """Return what is known from samples of two hosts, all named in the same order.

    A pair without a single usable sample has no blocks.
    """
    samples, base_ns, base_offset_ns = _gathered(pairs)
    kept = 0
    dropped = sum(len(pair) for pair in pairs) - len(samples)
    blocks = []
    for part, drift, wrong in _parts(samples):
        dropped += wrong
        if len(part):
            block, refused = _block(part, drift, base_ns)
            blocks.append(block)
            kept += len(part) - refused
            dropped += refused
    return PairBand(
        first=pairs[0].first,
        second=pairs[0].second,
        base_offset_ns=base_offset_ns,
        blocks=tuple(blocks),
        samples=kept,
        dropped=dropped,
    )


def _gathered(pairs: Sequence[PairSamples]) -> tuple[Samples, int, int]:
    """Return all samples in order of time, and the time and offset that they are relative to."""
    upper_ns = np.concatenate([pair.forward_sent_ns for pair in pairs])
    upper_other_ns = np.concatenate([pair.forward_received_ns for pair in pairs])
    lower_ns = np.concatenate([pair.reverse_received_ns for pair in pairs])
    lower_other_ns = np.concatenate([pair.reverse_sent_ns for pair in pairs])
    upper_x, upper = _in_order(upper_ns, upper_other_ns)
    lower_x, lower = _in_order(lower_ns, lower_other_ns)
    both = np.concatenate((upper, lower))
    base_offset_ns = int(np.partition(both, len(both) // 2)[len(both) // 2]) if len(both) else 0
    base_ns = min((int(x[0]) for x in (upper_x, lower_x) if len(x)), default=0)
    upper_near, lower_near = _is_near(upper, base_offset_ns), _is_near(lower, base_offset_ns)
    samples = Samples(
        upper_x=(upper_x[upper_near] - base_ns).astype(np.float64),
        upper=(upper[upper_near] - base_offset_ns).astype(np.float64),
        lower_x=(lower_x[lower_near] - base_ns).astype(np.float64),
        lower=(lower[lower_near] - base_offset_ns).astype(np.float64),
    )
    return samples, base_ns, base_offset_ns


def _in_order(own_ns: Times, other_ns: Times) -> tuple[Times, Times]:
    """Return times and offsets in order of time, without what cannot be a time stamp."""
    usable = (np.minimum(own_ns, other_ns) > EARLIEST_NS) & (
        np.maximum(own_ns, other_ns) < LATEST_NS
    )
    own_ns, other_ns = own_ns[usable], other_ns[usable]
    order = np.argsort(own_ns, kind="stable")
    return own_ns[order], (other_ns - own_ns)[order]


def _is_near(offsets: Times, base_ns: int) -> Flags:
    """Return which can be subtracted from the base: one that cannot is 70 years away from it."""
    near: Flags = np.abs(offsets.astype(np.float64) - base_ns) < LATEST_NS / 2
    return near


def _parts(samples: Samples) -> Iterator[tuple[Samples, float, int]]:
    """Return the stretches without a step, with their drift, and what was wrong in each."""
    clean, wrong_x = without_wrong_matches(samples, MOST_DRIFT)
    wrong = len(wrong_x)
    stretches = split_at_steps(clean, MOST_DRIFT, wrong_x)
    if not stretches:
        wrong = len(samples)
    for part in stretches:
        drift, spread = _drift(part)
        tilted = part.tilted(drift)
        cleaner, wrong_x = without_wrong_matches(tilted, WANDER_RATE + spread)
        wrong += len(wrong_x)
        for piece in split_at_steps(cleaner, WANDER_RATE + spread, wrong_x):
            for shiftless in _between_shifts(piece):
                yield shiftless, drift, wrong
                wrong = 0
    yield samples.between(np.inf, np.inf), 0.0, wrong


def _between_shifts(part: Samples) -> Iterator[Samples]:
    """Return the stretches without a step that is too small to contradict anything."""
    round_trip = smallest_round_trip(part)
    near = float(np.sqrt(8 * round_trip / WANDER))
    upper, lower = thinned(part, max(min(part.end - part.start, near) / _BINS_OF_SHIFTS, 1.0))
    few = Samples(upper_x=upper[0], upper=upper[1], lower_x=lower[0], lower=lower[1])

    def lines_at(samples: Samples, times: Floats) -> list[Lines]:
        upper, lower = (samples.upper_x, samples.upper), (samples.lower_x, samples.lower)
        windows = [(window_at(upper, time, near), window_at(lower, time, near)) for time in times]
        slopes = (-2 * MOST_DRIFT, 2 * MOST_DRIFT)
        return [lines_between(*spared(window, 0.0), slopes) for window in windows]

    start = -np.inf
    for last, first in gaps_of_shifts(few, lines_at, near):
        # What was sent before and arrived after belongs to neither side.
        yield part.between(start, last - 2 * round_trip)
        start = first + 2 * round_trip
    yield part.between(start, np.inf)


def _drift(part: Samples) -> tuple[float, float]:
    """Return the middle of the drifts that one straight line may have, and half their range."""
    length = max(part.end - part.start, 1.0)
    upper, lower = thinned(part, length / _BINS_OF_DRIFT)
    lines = lines_between(upper, lower, (-MOST_DRIFT, MOST_DRIFT))
    if lines.excess:
        return lines.at_slope, 0.0
    return (lines.least_slope + lines.most_slope) / 2, (lines.most_slope - lines.least_slope) / 2


def _block(part: Samples, drift: float, base_ns: int) -> tuple[Block, int]:
    """Return the ranges at the knots of samples without their drift, and the refused samples."""
    length = part.end - part.start
    round_trip = smallest_round_trip(part)
    most = min(_MOST_KNOTS, _KNOTS_PER_SAMPLE * len(part))
    spacing = max(np.sqrt(4 * _SHARE_OF_BEND * round_trip / WANDER), length / most, 1.0)
    knots = _knots(part.start, length, max(int(np.ceil(length / spacing)), _LEAST_KNOTS))
    width = max(min(spacing, length / _LEAST_KNOTS) / _BINS_PER_KNOT, 1.0)
    upper, lower = thinned(part, width)
    near = spacing + np.sqrt(8 * round_trip / WANDER)
    slopes = (-MOST_DRIFT - drift, MOST_DRIFT - drift)
    windows = [
        (window_at(upper, knot, near), window_at(lower, knot, near)) for knot in knots.tolist()
    ]
    found = []
    refused: set[tuple[int, float]] = set()
    for knot, window in zip(knots.tolist(), windows, strict=True):
        lines, corners = robust_lines(window, slopes)
        found.append(lines)
        refused.update((side, x + knot) for side, x in corners)
    low, high = _relaxed(knots, near, windows, slopes, found)
    block = Block(
        knots_ns=base_ns + knots.astype(np.int64),
        low=low + drift * knots,
        high=high + drift * knots,
        start_slopes=(found[0].least_slope + drift, found[0].most_slope + drift),
        end_slopes=(found[-1].least_slope + drift, found[-1].most_slope + drift),
    )
    return block, len(refused)


def _relaxed(
    knots: Floats,
    near: float,
    windows: list[Window],
    slopes: tuple[float, float],
    found: list[Lines],
) -> tuple[Floats, Floats]:
    """Return the ranges, made wider where a clock ran less evenly than was taken for granted.

    There no line fits, or only few do, compared with the knots around.
    """
    low = np.array([lines.low for lines in found])
    high = np.array([lines.high for lines in found])
    width = np.where([lines.excess > 0 for lines in found], 0.0, high - low)
    usual = _median_near(width)
    strained = np.flatnonzero(np.isfinite(usual) & (width < _STRAINED * usual) | (width <= 0))
    if not len(strained):
        return low, high
    spacing = np.maximum(np.append(np.diff(knots), 0.0), np.insert(np.diff(knots), 0, 0.0))
    far = np.abs(knots[:, None] - knots[strained]).min(axis=1)
    for row in np.flatnonzero(far <= near).tolist():
        for rate in _RELAXED_RATES:
            lines = lines_between(*spared(windows[row], rate), slopes)
            if not lines.excess and lines.high - lines.low >= _STRAINED * usual[row]:
                break
        # Between two knots the offset may bend by a kink of this rate, too.
        more = rate * spacing[row] / 4 + lines.excess
        low[row], high[row] = min(low[row], lines.low) - more, max(high[row], lines.high) + more
    return low, high


def _median_near(values: Floats) -> Floats:
    padded = np.pad(
        values, _MEDIAN_KNOTS, mode="reflect" if len(values) > _MEDIAN_KNOTS else "edge"
    )
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * _MEDIAN_KNOTS + 1)
    medians: Floats = np.median(views, axis=1)
    return medians


def _knots(start: float, length: float, count: int) -> Floats:
    """Return times in even distances, and closer ones at both ends, where samples are missed."""
    step = length / count
    closer = step / 2.0 ** np.arange(1, _END_KNOTS + 1)
    knots = np.concatenate((np.arange(count + 1) * step, closer, length - closer))
    rounded: Floats = np.unique(np.rint(start + np.clip(knots, 0.0, length)))
    return rounded
