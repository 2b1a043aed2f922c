# SPDX-License-Identifier: Apache-2.0
"""What `diff captures` answers: frozen values that every report is a view of.

Differences are b less a everywhere: positive where the second run has more, or took longer.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..results import Problem
from .bootstrap import QuantileDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One of the two runs as a whole."""

    captures: tuple[str, ...]
    """Paths, as given."""
    points: int
    packets: int
    mode: str
    """Redirect mode, as `inspect` says it."""
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeDifference:
    """Times of the same kind in two runs."""

    sessions_a: int
    sessions_b: int
    packets_a: int
    """Times that there were; of sessions' own times one a session."""
    packets_b: int
    median: QuantileDifference | None
    """None where one run has no such time."""
    p99: QuantileDifference | None
    conclusion: str
    """`longer` or `shorter` (b than a: the interval leaves out 0), `undecided` (it does not),
    `too-few-sessions`, `only-a`, `only-b`, or `not-measured` (a kernel kept time stamps)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HopDifference:
    """A hop of both runs, or of one."""

    origin: str
    """Point where it begins, or its role where hops were matched by role."""
    to: str
    leg: str
    direction: str
    kind: str
    phase: str | None
    """Of a proxy: `first` or `later`."""
    matched_by: str
    """`name`, `role`, or `none` where only one run has it."""
    hops_a: int
    """Hops that were taken together; 1 where they were matched by name."""
    hops_b: int
    times: TimeDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDifference:
    """How long sessions of one kind spent in one segment of their way."""

    kind: str
    """As `flows` says it: hbone, waypoint, passthrough..."""
    segment: str
    """`first-byte` (all until the response begins), or a segment of that as `flows` has it."""
    times: TimeDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCount:
    """Sessions of one kind and outcome."""

    kind: str
    outcome: str
    a: int
    b: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadDifference:
    """What one kind of header costs in both runs, for one purpose; `all` is the whole bill."""

    kind: str
    purpose: str
    packets_a: int
    packets_b: int
    overhead_bytes_a: int
    overhead_bytes_b: int
    share_a: float
    """Of the run's billed wire bytes."""
    share_b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingChange:
    """A finding of one run that the other does not have."""

    code: str
    severity: str
    message: str
    change: str
    """`appeared` (only in b) or `went` (only in a)."""
    packets: int
    display_filter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureDiff:
    """The whole answer."""

    a: RunSummary
    b: RunSummary
    hops: tuple[HopDifference, ...]
    """In the order in which packets pass them; those of one run behind those of both."""
    segments: tuple[SegmentDifference, ...]
    sessions: tuple[SessionCount, ...]
    overhead: tuple[OverheadDifference, ...]
    findings: tuple[FindingChange, ...]
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False
    """Whether reading was ended early: then it is what was gathered so far, and tells of itself."""

    @property
    def tells(self) -> bool:
        """Whether any time could be compared."""
        rows = [row.times for row in self.hops] + [row.times for row in self.segments]
        return any(row.median is not None and row.median.ci95_ns is not None for row in rows)
