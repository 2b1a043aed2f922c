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

_MOST_WRONG = 0.02
"""More than this share of thousands of samples are no mistakes but samples of something else."""

_NEIGHBOURS = 32
_WITNESSES = 2
_NEAREST = 2
_FEW = 8
_LATELY = 128
_CLOSE, _QUARTER = 2.0, 0.25
"""Of so many samples next to a step, those are close to the offset whose packets were on their way
for no more than twice the shortest time, or a quarter of all."""
_ROUNDS = 16
_CHUNK = 4096
_TINY, _MESS = 12, 3
"""Three parts in a row of less than twelve samples are no stretches between steps, but a mess."""

MOST_STEPS = 200
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

    def after_more_than(self, count: int) -> Samples:
        """Return the samples after the first `count` of each direction."""
        ends = [x[min(count, len(x) - 1)] for x in (self.upper_x, self.lower_x) if len(x)]
        return self.between(np.nextafter(max(ends), np.inf), np.inf) if ends else self

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


def without_wrong_matches(samples: Samples, rate: float) -> tuple[Samples, Floats]:
    """Return the samples without those that contradict many on both sides of them.

    rate: how fast the offset may change, in ns per ns.
    Also returns the times of those left out, in order.
    """
    wrong_x = [samples.upper_x[:0]]
    for _ in range(_ROUNDS):
        upper, upper_count = _contradictions(samples, rate)
        lower, lower_count = _contradictions(samples.flipped(), rate)
        most = max(upper_count.max(initial=0), lower_count.max(initial=0))
        wrong_upper = _alone(samples, upper[2 * upper_count > most])
        wrong_lower = _alone(samples.flipped(), lower[2 * lower_count > most])
        _leave_crowds(samples, wrong_upper, wrong_lower)
        if not (wrong_upper.any() or wrong_lower.any()):
            break
        wrong_x += [samples.upper_x[wrong_upper], samples.lower_x[wrong_lower]]
        samples = samples.without(wrong_upper, wrong_lower)
    return samples, np.sort(np.concatenate(wrong_x))


def _contradictions(samples: Samples, rate: float) -> tuple[Indexes, Indexes]:
    """Return which upper samples are contradicted from both sides, and by how many near them."""
    x, y = samples.upper_x, samples.upper
    before, after = lower_floors(samples, rate)
    # At an end of the capture only one side can speak.
    first, last = (samples.lower_x[0], samples.lower_x[-1]) if len(samples.lower) else (0.0, 0.0)
    suspect = ((y < before) | (x < first)) & ((y < after) | (x > last))
    suspects = np.flatnonzero(suspect & ((y < before) | (y < after)))
    for side in (-1 - np.arange(_NEAREST), np.arange(_NEAREST)):
        # Between two steps the nearest agree.
        against, exists = _against(samples, suspects, side, rate)
        suspects = suspects[against.any(axis=1) | ~exists[:, 0]]
    if len(suspects) > max(_MOST_WRONG * len(x), _CHUNK):
        return suspects[:0], suspects[:0]
    count = np.zeros(len(suspects), np.intp)
    enough = np.ones(len(suspects), bool)
    for side in (-1 - np.arange(_NEIGHBOURS), np.arange(_NEIGHBOURS)):
        against, exists = _against(samples, suspects, side, rate)
        count += against.sum(axis=1)
        enough &= against.sum(axis=1) >= np.minimum(_WITNESSES, exists.sum(axis=1))
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


def _leave_crowds(samples: Samples, wrong_upper: Flags, wrong_lower: Flags) -> None:
    """Take the flags away where many samples near each other have one."""
    upper, lower = np.flatnonzero(wrong_upper), np.flatnonzero(wrong_lower)
    # Where a sample is among all of both directions, in order of time.
    upper_place = upper + np.searchsorted(samples.lower_x, samples.upper_x[upper])
    lower_place = lower + np.searchsorted(samples.upper_x, samples.lower_x[lower])
    places = np.sort(np.concatenate((upper_place, lower_place)))
    for flags, rows, place in (
        (wrong_upper, upper, upper_place),
        (wrong_lower, lower, lower_place),
    ):
        near = np.searchsorted(places, place + _NEIGHBOURS, "right")
        near -= np.searchsorted(places, place - _NEIGHBOURS)
        flags[rows[near > 2 * HANDFUL]] = False


def split_at_steps(samples: Samples, rate: float, wrong_x: Floats) -> list[Samples]:
    """Return the samples between the steps, in order of time; each part contradicts nothing.

    wrong_x: the times of what was left out.  Close to a step it may have been right all the same.

    Samples that may lie before or after a step are in no part, nor are those of a *mess*, where
    one tiny part follows the other.  It lasts for as long as the first host's clock was set back.
    More than MOST_STEPS are no clock that was set: then nothing is returned.
    """
    parts: list[Samples] = []
    tiny = 0
    while len(samples):
        part, samples = _parted(samples, rate)
        if 0 < len(part) < _TINY:
            tiny += 1
            if tiny >= _MESS:
                samples = samples.after_more_than(2**tiny)
        elif len(part):
            parts = parts if tiny < _MESS else parts[:-tiny]
            tiny = 0
        if len(part):
            parts.append(part)
        if len(parts) > MOST_STEPS:
            return []
    parts = parts if tiny < _MESS else parts[:-tiny]
    for index in range(len(parts)):
        if index:
            parts[index] = _clear_of(parts[index].mirrored(), -wrong_x[::-1]).mirrored()
        if index + 1 < len(parts):
            parts[index] = _clear_of(parts[index], wrong_x)
    return [part for part in parts if len(part)]


def _clear_of(part: Samples, wrong_x: Floats) -> Samples:
    """Return a part without its end, from where a sample close to the end was left out."""
    while len(part):
        starts = [x[-min(_NEIGHBOURS, len(x))] for x in (part.upper_x, part.lower_x) if len(x)]
        close = wrong_x[np.searchsorted(wrong_x, min(starts)) :]
        close = close[close <= part.end]
        if not len(close):
            break
        part = part.between(-np.inf, float(np.nextafter(close[0], -np.inf)))
    return part


def _parted(samples: Samples, rate: float) -> tuple[Samples, Samples]:
    """Return the samples before the first step, and those after it."""
    step = _first_step(samples, rate)
    if step is None:
        return samples, samples.between(np.inf, np.inf)
    before, after = samples.between(-np.inf, step.last), samples.between(step.first, np.inf)
    before = _surely_before(before, rate, down=step.down, on_the_way=step.down)
    # What comes after a step down is, read backwards, before a step up.
    after = after.mirrored()
    after = _surely_before(after, rate, down=not step.down, on_the_way=step.down).mirrored()
    return before, after


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
    first, delay = _longest_delays(samples, rate)
    # What is below 0 met the step on its way.
    usual = delay[(delay >= 0) & np.isfinite(delay)]
    close = delay == np.inf
    if len(usual):
        close = (delay >= 0) & (delay <= max(_CLOSE * usual.min(), np.quantile(usual, _QUARTER)))
    times = samples.upper_x[first:]
    last = (times - (delay if on_the_way else 0.0))[close].max(
        initial=samples.upper_x[first - 1] if first else -np.inf
    )
    too_late = samples.lower_x > last
    if on_the_way:
        first, delay = _longest_delays(samples.flipped(), rate)
        too_late[first:] |= (delay < 0) | (samples.lower_x[first:] + delay > last)
    return samples.without(samples.upper_x > last, too_late)


def _longest_delays(samples: Samples, rate: float) -> tuple[int, Floats]:
    """Return how long packets of the last uppers were on their way at most, and the first's index.

    It is what lies between an upper sample and the lower ones shortly before it.  -1 where they
    contradict: it met the step on its way.  Where only few do, those few met one.
    """
    first = max(len(samples.upper) - _LATELY, 0)
    x, y = samples.upper_x[first:], samples.upper[first:]
    if not len(samples.lower):
        return first, np.full(len(y), np.inf)
    near = np.searchsorted(samples.lower_x, x, "right")[:, None] - 1 - np.arange(_FEW)
    exists = near >= 0
    near = np.maximum(near, 0)
    delays = y[:, None] - samples.lower[near] + rate * (x[:, None] - samples.lower_x[near])
    agrees = exists & (delays >= 0)
    believed = agrees[:, 0] | (2 * agrees.sum(axis=1) >= exists.sum(axis=1))
    longest = np.where(agrees, delays, np.inf).min(axis=1)
    return first, np.where(believed, longest, -1.0)
