# SPDX-License-Identifier: Apache-2.0
"""Samples that contradict each other: wrong matches, and clocks that were set.

An upper sample says that the offset was no more than its value, a lower one that it was no less.
Between two samples the offset changes no faster than the drift allows, so a lower one that lies
higher than that above an upper one *contradicts* it.  Without a mistake there is no contradiction.

* A **wrong match** contradicts several samples both before and after it.
  Of samples that contradict each other the one with most contradictions goes first, and what goes
  is only a handful in a row: a longer row that agrees with itself is not a mistake.
* A **step** (the clock was set, the machine stood still) is what the rest is explained by: every
  contradiction is between a sample before the step and one after it.
  The fewest steps that explain all are found from left to right.
  Where exactly a step was between its last witness before and its first one after, nobody knows;
  samples in between belong to neither side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .geometry import Floats

Indexes: TypeAlias = npt.NDArray[np.intp]
Flags: TypeAlias = npt.NDArray[np.bool_]

HANDFUL = 5
"""Wrong matches in a row, at most; more of them that agree are a clock that was set twice."""

_NEIGHBOURS = 32
_WITNESSES = 2
_NEAREST = 2
_CLOSE = 2.0
"""A sample is close to the offset when it leaves no more than twice the smallest round trip…"""
_LATELY = 256
"""…of so many samples next to the step."""
_ROUNDS = 16
_CHUNK = 4096
MOST_STEPS = 1000
"""More contradictions come from samples that are not of the same packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Bounds of an offset by time, in order of time: uppers and lowers, in nanoseconds."""

    upper_x: Floats
    upper: Floats
    lower_x: Floats
    lower: Floats

    def between(self, start: float, end: float) -> Samples:
        """Return those with start <= time <= end."""
        upper = slice(*np.searchsorted(self.upper_x, (start, np.nextafter(end, np.inf))))
        lower = slice(*np.searchsorted(self.lower_x, (start, np.nextafter(end, np.inf))))
        return Samples(
            upper_x=self.upper_x[upper],
            upper=self.upper[upper],
            lower_x=self.lower_x[lower],
            lower=self.lower[lower],
        )

    def flipped(self) -> Samples:
        """Return the samples of the negative offset: uppers become lowers."""
        return Samples(
            upper_x=self.lower_x, upper=-self.lower, lower_x=self.upper_x, lower=-self.upper
        )

    def mirrored(self) -> Samples:
        """Return the samples with time running backwards."""
        return Samples(
            upper_x=-self.upper_x[::-1],
            upper=self.upper[::-1],
            lower_x=-self.lower_x[::-1],
            lower=self.lower[::-1],
        )

    def without(self, wrong_upper: Flags, wrong_lower: Flags) -> Samples:
        """Return those that are not flagged."""
        return Samples(
            upper_x=self.upper_x[~wrong_upper],
            upper=self.upper[~wrong_upper],
            lower_x=self.lower_x[~wrong_lower],
            lower=self.lower[~wrong_lower],
        )

    def tilted(self, drift: float) -> Samples:
        """Return the samples with a drift taken away."""
        return Samples(
            upper_x=self.upper_x,
            upper=self.upper - drift * self.upper_x,
            lower_x=self.lower_x,
            lower=self.lower - drift * self.lower_x,
        )

    def __len__(self) -> int:
        return len(self.upper_x) + len(self.lower_x)

    @property
    def start(self) -> float:
        """Return the time of the first one."""
        return float(min(x[0] for x in (self.upper_x, self.lower_x) if len(x)))

    @property
    def end(self) -> float:
        """Return the time of the last one."""
        return float(max(x[-1] for x in (self.upper_x, self.lower_x) if len(x)))


def without_wrong_matches(samples: Samples, rate: float) -> Samples:
    """Return the samples without those that contradict many on both sides of them.

    rate: how fast the offset may change, in ns per ns.
    """
    for _ in range(_ROUNDS):
        upper, upper_count = _contradictions(samples, rate)
        lower, lower_count = _contradictions(samples.flipped(), rate)
        most = max(upper_count.max(initial=0), lower_count.max(initial=0))
        wrong_upper = _alone(samples, upper[2 * upper_count > most])
        wrong_lower = _alone(samples.flipped(), lower[2 * lower_count > most])
        if not (wrong_upper.any() or wrong_lower.any()):
            break
        samples = samples.without(wrong_upper, wrong_lower)
    return samples


def _contradictions(samples: Samples, rate: float) -> tuple[Indexes, Indexes]:
    """Return which upper samples are contradicted from both sides, and by how many near them."""
    x, y = samples.upper_x, samples.upper
    before, after = lower_floors(samples, rate)
    # At an end of the capture only one side can speak.
    first, last = (samples.lower_x[0], samples.lower_x[-1]) if len(samples.lower) else (0.0, 0.0)
    suspect = ((y < before) | (x < first)) & ((y < after) | (x > last))
    suspects = np.flatnonzero(suspect & ((y < before) | (y < after)))
    count = np.zeros(len(suspects), np.intp)
    enough = np.ones(len(suspects), bool)
    for side in (-1 - np.arange(_NEIGHBOURS), np.arange(_NEIGHBOURS)):
        for start in range(0, len(suspects), _CHUNK):
            rows = slice(start, start + _CHUNK)
            against, exists = _against(samples, suspects[rows], side, rate)
            count[rows] += against.sum(axis=1)
            enough[rows] &= against.sum(axis=1) >= np.minimum(_WITNESSES, exists.sum(axis=1))
            # In a short time between two steps the nearest agree.
            enough[rows] &= against[:, :_NEAREST].any(axis=1) | ~exists[:, 0]
    return suspects[enough], count[enough]


def _against(
    samples: Samples, suspects: Indexes, offsets: Indexes, rate: float
) -> tuple[Flags, Flags]:
    """Return which of the lower samples next to each suspect contradict it, and which exist."""
    x, y = samples.upper_x[suspects, None], samples.upper[suspects, None]
    near = np.searchsorted(samples.lower_x, x) + offsets
    exists = (near >= 0) & (near < len(samples.lower))
    near = np.clip(near, 0, len(samples.lower) - 1)
    contradicts = samples.lower[near] - rate * np.abs(samples.lower_x[near] - x) > y
    return exists & contradicts, exists


def lower_floors(samples: Samples, rate: float) -> tuple[Floats, Floats]:
    """Return the least that the lower samples before and after each upper one leave possible."""
    none = np.array((-np.inf,))
    falling = np.maximum.accumulate(samples.lower + rate * samples.lower_x)
    rising = np.maximum.accumulate((samples.lower - rate * samples.lower_x)[::-1])[::-1]
    before = np.concatenate((none, falling))[
        np.searchsorted(samples.lower_x, samples.upper_x, "right")
    ]
    after = np.concatenate((rising, none))[np.searchsorted(samples.lower_x, samples.upper_x)]
    return before - rate * samples.upper_x, after + rate * samples.upper_x


def _alone(samples: Samples, suspects: Indexes) -> Flags:
    """Return flags of the uppers: suspects in short rows that nothing in between agrees with."""
    wrong = np.zeros(len(samples.upper), bool)
    if not len(suspects):
        return wrong
    for row in np.split(suspects, np.flatnonzero(np.diff(suspects) > 1) + 1):
        if len(row) > HANDFUL:
            continue
        start, end = np.searchsorted(samples.lower_x, samples.upper_x[row[[0, -1]]])
        meanwhile = samples.lower[start:end]
        agrees = len(meanwhile) and meanwhile.max() <= samples.upper[row].min()
        wrong[row] = not agrees
    return wrong


def split_at_steps(samples: Samples, rate: float) -> list[Samples]:
    """Return the samples between the steps, in order of time; each part contradicts nothing.

    Samples that may lie before or after a step are in no part.  More than MOST_STEPS are no clock
    that was set: then nothing is returned.
    """
    parts: list[Samples] = []
    while len(samples):
        step = _first_step(samples, rate)
        if step is None:
            parts.append(samples)
            break
        before = samples.between(-np.inf, step.last)
        before = _surely_before(before, rate, down=step.down, on_the_way=step.down)
        after = samples.between(step.first, np.inf).mirrored()
        # What comes after a step down is, read backwards, before a step up.
        after = _surely_before(after, rate, down=not step.down, on_the_way=step.down).mirrored()
        if len(before):
            parts.append(before)
        if len(parts) > MOST_STEPS:
            return []
        samples = after
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Times of the latest witness before a step and of the earliest after it."""

    last: float
    first: float
    down: bool


def _first_step(samples: Samples, rate: float) -> _Step | None:
    # Steps are rare, and may be many all the same: look at few samples first, then at more.
    count = _CHUNK
    while True:
        times = [x[count] for x in (samples.upper_x, samples.lower_x) if len(x) > count]
        near = samples.between(-np.inf, min(times)) if times else samples
        up = _first_rise(near, rate)
        down = _first_rise(near.flipped(), rate)
        if up is not None and (down is None or up[1] <= down[1]):
            return _Step(last=up[0], first=up[1], down=False)
        if down is not None:
            return _Step(last=down[0], first=down[1], down=True)
        if not times:
            return None
        count *= 4


def _first_rise(samples: Samples, rate: float) -> tuple[float, float] | None:
    """Return times of the latest upper and the earliest lower sample with a step up in between."""
    lower_x, upper_x = samples.lower_x, samples.upper_x
    if not len(lower_x) or not len(upper_x):
        return None
    upper = samples.upper - rate * upper_x
    lower = samples.lower - rate * lower_x
    lowest = np.concatenate((np.array((np.inf,)), np.minimum.accumulate(upper)))
    rises = np.flatnonzero(lower > lowest[np.searchsorted(upper_x, lower_x)])
    if not len(rises):
        return None
    first = int(rises[0])
    earlier = upper[: np.searchsorted(upper_x, lower_x[first])]
    last = float(upper_x[np.flatnonzero(earlier < lower[first])[-1]])
    # Samples soon after may bear witness against later ones before.
    soon = np.searchsorted(lower_x, 2 * lower_x[first] - last, "right")
    last = float(upper_x[np.flatnonzero(earlier < lower[first:soon].max())[-1]])
    return last, float(lower_x[first])


def _surely_before(samples: Samples, rate: float, *, down: bool, on_the_way: bool) -> Samples:
    """Return the samples up to the last one that leaves no room for a step.

    down: the step is down, which lower samples would have shown; else up, and uppers would.
    on_the_way: a sample has the time of the first host, but the other clock was read when an
      upper one arrived or a lower one left, which is up to its delay away, and nearer to the step.
    """
    if down:
        return _surely_before(samples.flipped(), rate, down=False, on_the_way=on_the_way).flipped()
    # How long a packet was on its way is at most what is between it and the other direction.
    most = samples.upper - np.maximum(*lower_floors(samples, rate))
    close = most <= _CLOSE * most[-_LATELY:].min(initial=np.inf)
    last = (samples.upper_x - (most if on_the_way else 0.0))[close].max(initial=-np.inf)
    early_lower = samples.lower_x
    if on_the_way:
        flipped = samples.flipped()
        early_lower = early_lower + flipped.upper - np.maximum(*lower_floors(flipped, rate))
    return samples.without(samples.upper_x > last, early_lower > last)
