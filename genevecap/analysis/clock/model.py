# SPDX-License-Identifier: Apache-2.0
"""What goes into an estimate of clocks, what comes out, and what is taken for granted of clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...errors import NotEnoughData
from .geometry import Floats

Times: TypeAlias = npt.NDArray[np.int64]

MOST_DRIFT = 500e-6
"""Two clocks never run apart faster: 500 ppm is the most by which NTP tunes a clock (RFC 5905)."""

WANDER = 0.25e-6 / 1e9
"""By how much a drift changes within 1 ns, at most: 0.25 ppm in a second.

A quartz in a changing temperature stays far below; a drift that swings by ±20 ppm within ten
minutes reaches 0.21 ppm in a second.
"""

EARLIEST_NS, LATEST_NS = -(2**61), 2**62
"""The years 1896 and 2116. What is beyond is no time stamp, and differences stay in int64."""

UNKNOWN_NS = int(np.iinfo(np.int64).max)
"""The uncertainty where nothing bounds a clock."""


def bounded_ns(moment_ns: int) -> int:
    """Return a time or difference as one that int64 holds, with room for another one."""
    return min(max(moment_ns, -(2**62)), 2**62)


def whole_ns(values: Floats) -> Times:
    """Return whole numbers as int64: infinities and what is beyond 2**62 as that, NaN as 0.

    Times of hostile captures are anywhere in int64, and their differences beyond it.
    """
    bounded: Times = np.clip(np.nan_to_num(values), -(2.0**62), 2.0**62).astype(np.int64)
    return bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSamples:
    """Sightings of the same packets at two hosts, each with the time of both clocks.

    All arrays are int64 nanoseconds, in any order; the two of one direction have one entry for
    each packet.  Forward packets travel from `first` to `second`.
    """

    first: str
    second: str
    forward_sent_ns: Times
    """By the clock of `first`."""
    forward_received_ns: Times
    """By the clock of `second`."""
    reverse_sent_ns: Times
    """By the clock of `second`."""
    reverse_received_ns: Times
    """By the clock of `first`."""

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise ValueError(f"a pair of hosts is two hosts, not {self.first!r} twice")
        if len(self.forward_sent_ns) != len(self.forward_received_ns) or len(
            self.reverse_sent_ns
        ) != len(self.reverse_received_ns):
            raise ValueError("each packet was sent once and received once: lengths differ")

    def __len__(self) -> int:
        return len(self.forward_sent_ns) + len(self.reverse_sent_ns)

    def turned(self) -> PairSamples:
        """Return the same sightings as seen from the other host."""
        return PairSamples(
            first=self.second,
            second=self.first,
            forward_sent_ns=self.reverse_sent_ns,
            forward_received_ns=self.reverse_received_ns,
            reverse_sent_ns=self.forward_sent_ns,
            reverse_received_ns=self.forward_received_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSegment:
    """A stretch of time in which a clock was ahead of the reference by a straight line.

    At every time t from `from_ns` to `to_ns`, host minus reference is within `uncertainty_ns` of
    `offset_ns + drift_ppm * 1e-6 * (t - at_ns)`.  All times are those of the reference's clock.
    """

    from_ns: int
    to_ns: int
    at_ns: int
    offset_ns: int
    drift_ppm: float
    uncertainty_ns: int

    def offset_at(self, time_ns: int) -> int:
        """Return host minus reference at a time of the reference's clock."""
        return self.offset_ns + round(self.drift_ppm * 1e-6 * (time_ns - self.at_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostClock:
    """How one host's clock differs from the reference's.

    Without segments nothing bounds the difference, and `to_reference` raises NotEnoughData.
    """

    host: str
    reference: str
    pairs: int
    """Packets seen at this host and another that the estimate rests on."""
    dropped: int
    """Packets left out, because they contradict the many: wrong matches."""
    segments: tuple[ClockSegment, ...]
    """In order of time; they touch, and are continuous except where the clock was set."""
    assumed_ns: int | None = None
    """Host and reference were said to differ by no more than this."""

    def to_reference(self, times_ns: Times) -> Times:
        """Return what the reference's clock showed when this host's showed `times_ns`.

        Raises NotEnoughData where the clock is not known at all.
        """
        index, since = self._located(times_ns)
        drift = np.array([segment.drift_ppm * 1e-6 for segment in self.segments])[index]
        at = np.array([segment.at_ns for segment in self.segments], np.int64)[index]
        # since = (1 + drift) * elapsed, and only the small part of it goes through a float.
        behind = whole_ns(np.rint(since * (drift / (1 + drift))))
        result: Times = at + since - behind
        return result

    def uncertainty_at(self, times_ns: Times) -> Times:
        """Return by how much `to_reference(times_ns)` may be wrong, either way.

        Outside the segments it grows as fast as the drift is unknown.  Where the clock was set
        back, it showed some times twice: there the step is part of the uncertainty.
        """
        if not self.segments:
            return np.full(len(times_ns), UNKNOWN_NS, np.int64)
        index, _ = self._located(times_ns)
        uncertainty = np.array([s.uncertainty_ns for s in self.segments], np.float64)[index]
        for earlier, later in zip(self.segments, self.segments[1:], strict=False):
            ends = earlier.to_ns + earlier.offset_at(earlier.to_ns)
            begins = later.from_ns + later.offset_at(later.from_ns)
            twice = (times_ns >= begins) & (times_ns <= ends)
            uncertainty[twice] += ends - begins
        beyond = self._beyond(times_ns, self.segments[0], -1)
        beyond = np.maximum(beyond, self._beyond(times_ns, self.segments[-1], 1))
        outside = np.flatnonzero(beyond > 0)
        if len(outside):
            grown = _grown(self.segments, index[outside], beyond[outside])
            if self.assumed_ns is not None:
                offset = np.abs((times_ns - self.to_reference(times_ns))[outside])
                grown = np.minimum(grown, offset.astype(np.float64) + self.assumed_ns)
            uncertainty[outside] = grown
        # A slope bends time by 1 + drift: one part in a thousand at most.
        return whole_ns(np.ceil(uncertainty * (1 + 2 * MOST_DRIFT)))

    def _located(self, times_ns: Times) -> tuple[npt.NDArray[np.intp], Times]:
        """Return for each time its segment, and how much later it is than the segment's `at_ns`."""
        times_ns = np.clip(times_ns, EARLIEST_NS, LATEST_NS)
        if not self.segments:
            raise NotEnoughData(
                f"the clock of {self.host} cannot be compared with that of {self.reference}: "
                f"packets in both directions are needed, or --clock {self.host}=±TIME, "
                "or --same-clock where one clock stamped all"
            )
        begins = [bounded_ns(s.from_ns + s.offset_at(s.from_ns)) for s in self.segments]
        # A clock that was set back shows times of the segment before; the later one has them.
        starts = np.minimum.accumulate(np.array(begins, np.int64)[::-1])[::-1]
        index = np.clip(np.searchsorted(starts, times_ns, "right") - 1, 0, len(begins) - 1)
        shown = np.array([bounded_ns(s.at_ns + s.offset_ns) for s in self.segments], np.int64)
        return index, times_ns - shown[index]

    @staticmethod
    def _beyond(times_ns: Times, segment: ClockSegment, sign: int) -> Floats:
        times_ns = np.clip(times_ns, EARLIEST_NS, LATEST_NS)
        edge = segment.to_ns if sign > 0 else segment.from_ns
        beyond = sign * (times_ns - bounded_ns(edge + segment.offset_at(edge)))
        return beyond.astype(np.float64)


def bend(before: Floats, after: Floats | float = np.inf) -> Floats:
    """Return how far a clock can leave a straight line, at a distance from where it touches it.

    before, after: distances in ns to where it touches; with one of them the line is a tangent.
    """
    nearest = np.minimum(before, after)
    farther = np.where(np.isinf(after), before, np.maximum(before, after))
    result: Floats = nearest * np.minimum(WANDER / 2 * farther, 2 * MOST_DRIFT)
    return result


def _grown(
    segments: tuple[ClockSegment, ...], index: npt.NDArray[np.intp], beyond: Floats
) -> Floats:
    """Return the uncertainty of times that lie `beyond` the segment.

    In a band of ±u a curve that bends by no more than the wander w deviates over a length s by a
    slope of at most 2u/s + ws/2; the best s is 2 * sqrt(u/w), or the whole segment.
    """
    own = np.array([s.uncertainty_ns for s in segments], np.float64)[index]
    length = np.array([max(s.to_ns - s.from_ns, 1) for s in segments], np.float64)[index]
    best = np.minimum(length, np.maximum(2 * np.sqrt(own / WANDER), 1.0))
    slope = np.minimum(2 * own / best + WANDER * best / 2, 2 * MOST_DRIFT)
    faster = np.minimum(WANDER * beyond / 2, 2 * MOST_DRIFT)
    grown: Floats = own + (slope + faster) * beyond
    return grown
