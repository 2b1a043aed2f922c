# SPDX-License-Identifier: Apache-2.0
"""`diff captures`: two runs compared, as one `CaptureDiff`.

Each run is read by what the other commands are made of: `inspect` for modes and findings, `latency`
for hops, `flows` for sessions, `overhead` for the bill.  What they say is compared here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from ...capture.manifest import Manifest
from ...capture.spec import CaptureSpec
from ...decode import DecodeSettings
from ..costs.overhead import overhead
from ..costs.results import OverheadResult
from ..hops.latency import latency_by_session
from ..hops.session_times import Times
from ..progress import Progress
from ..results import InspectResult, Problem, Problems
from ..select import Selector
from ..sessions.flows import flows
from ..sessions.helps import Helps
from ..sessions.results import FlowsResult, SessionSummary
from ..summary import inspect
from .hop_pairs import RunHops, compare_hops, compare_times
from .results import (
    CaptureDiff,
    FindingChange,
    OverheadDifference,
    RunSummary,
    SegmentDifference,
    SessionCount,
)

FIRST_BYTE = "first-byte"
"""The segment that is all of them: from the client's SYN until the response begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How both runs are read."""

    settings: DecodeSettings | None = None
    selector: Selector | None = None
    manifest: Manifest | None = None
    helps: Helps | None = None
    """What is known of clocks, say."""


class _Common(TypedDict):
    """What every reading takes."""

    settings: DecodeSettings | None
    selector: Selector | None
    manifest: Manifest | None
    progress: Progress | None
    on_problem: Callable[[Problem], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """All that is known of one run."""

    inspected: InspectResult
    hops: RunHops
    flows: FlowsResult
    overhead: OverheadResult
    interrupted: bool


def diff_captures(
    a: Sequence[CaptureSpec],
    b: Sequence[CaptureSpec],
    *,
    reading: Reading | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> CaptureDiff:
    """Compare the run `b` with the run `a`; every capture is read several times.

    An input that cannot be read, or is damaged, is in `problems` (and told to `on_problem` as it
    is met); the others go on.  An interrupt ends reading, and what was gathered is returned.
    Raises UsageError where the selector cannot be understood, and NotEnoughData where clocks of
    hosts cannot be compared.
    """
    note = Problems(on_problem)
    how = reading or Reading()
    first = _read(a, how, progress, note)
    second = _read(() if first.interrupted else b, how, progress, note)
    return CaptureDiff(
        a=_summary(first),
        b=_summary(second),
        hops=compare_hops(first.hops, second.hops),
        segments=_segments(first.flows, second.flows),
        sessions=_sessions(first.flows, second.flows),
        overhead=_overhead(first.overhead, second.overhead),
        findings=_findings(first.inspected, second.inspected),
        problems=note.met(),
        interrupted=first.interrupted or second.interrupted,
    )


def _read(
    specs: Sequence[CaptureSpec],
    how: Reading,
    progress: Progress | None,
    note: Callable[[Problem], None],
) -> _Run:
    """Read one run; each problem of it is told by every reading, and noted once.

    After an interrupt nothing more is read: what is left is answered of no captures.
    """
    common: _Common = {
        "settings": how.settings,
        "selector": how.selector,
        "manifest": how.manifest,
        "progress": progress,
        "on_problem": note,
    }
    inspected = inspect(specs, **common)
    left = () if inspected.interrupted else specs
    measured, times = latency_by_session(left, **common, helps=how.helps)
    left = () if measured.interrupted else left
    sessions = flows(left, **common, helps=how.helps)
    left = () if sessions.interrupted else left
    billed = overhead(left, **common)
    roles = {point.name: point.role for file in measured.captures for point in file.points}
    return _Run(
        inspected=inspected,
        hops=RunHops(hops=measured.hops, times=times, roles=roles),
        flows=sessions,
        overhead=billed,
        interrupted=any(r.interrupted for r in (inspected, measured, sessions, billed)),
    )


def _summary(run: _Run) -> RunSummary:
    captures = run.inspected.captures
    return RunSummary(
        captures=tuple(capture.path for capture in captures),
        points=sum(len(capture.points) for capture in captures),
        packets=sum(capture.packets for capture in captures),
        mode=run.inspected.ambient.mode,
        sessions=len(run.flows.sessions),
    )


def _segments(a: FlowsResult, b: FlowsResult) -> tuple[SegmentDifference, ...]:
    """Return how long sessions that completed spent where."""
    mine, theirs = _session_times(a.sessions), _session_times(b.sessions)
    return tuple(
        SegmentDifference(
            kind=kind,
            segment=segment,
            times=compare_times(mine.get((kind, segment)), theirs.get((kind, segment))),
        )
        for kind, segment in dict.fromkeys((*mine, *theirs))
    )


def _session_times(sessions: Iterable[SessionSummary]) -> dict[tuple[str, str], Times]:
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for session in sorted(sessions, key=lambda session: session.kind):
        timing = session.timing
        if session.outcome != "completed" or timing.first_byte_ns is None:
            continue
        found[session.kind, FIRST_BYTE].append((session.id, timing.first_byte_ns, 0))
        for part in timing.by_segment:
            if part.ns is not None and part.uncertainty_ns is not None:
                spent = (session.id, part.ns, part.uncertainty_ns)
                found[session.kind, part.segment].append(spent)
    return {
        name: Times(
            session=np.array([number for number, _, _ in spent], np.uint64),
            ns=np.array([ns for _, ns, _ in spent], np.int64),
            packets=len(spent),
            clock_ns=max(uncertainty for _, _, uncertainty in spent),
        )
        for name, spent in found.items()
    }


def _sessions(a: FlowsResult, b: FlowsResult) -> tuple[SessionCount, ...]:
    mine = Counter((session.kind, session.outcome) for session in a.sessions)
    theirs = Counter((session.kind, session.outcome) for session in b.sessions)
    return tuple(
        SessionCount(kind=kind, outcome=outcome, a=mine[kind, outcome], b=theirs[kind, outcome])
        for kind, outcome in sorted(mine.keys() | theirs.keys())
    )


def _overhead(a: OverheadResult, b: OverheadResult) -> tuple[OverheadDifference, ...]:
    """Return the bills side by side, the whole of them first."""
    mine, theirs = _bill(a), _bill(b)
    nothing = (0, 0, 0.0)
    found = []
    for name in dict.fromkeys((*mine, *theirs)):
        here, there = mine.get(name, nothing), theirs.get(name, nothing)
        found.append(
            OverheadDifference(
                kind=name[0],
                purpose=name[1],
                packets_a=here[0],
                packets_b=there[0],
                overhead_bytes_a=here[1],
                overhead_bytes_b=there[1],
                share_a=here[2],
                share_b=there[2],
            )
        )
    return tuple(found)


def _bill(run: OverheadResult) -> dict[tuple[str, str], tuple[int, int, float]]:
    """Return packets, octets and share by kind and purpose; what stays on a host is left out."""
    totals = run.totals
    found = {("all", "all"): (totals.packets, totals.overhead_bytes, totals.overhead_share)}
    for layer in run.layers:
        if not layer.host_only:
            name = (layer.kind, layer.purpose)
            packets, octets, share = found.get(name, (0, 0, 0.0))
            found[name] = (
                packets + layer.packets,
                octets + layer.overhead_bytes,
                share + layer.share,
            )
    return found


def _findings(a: InspectResult, b: InspectResult) -> tuple[FindingChange, ...]:
    """Return findings that only one run has; the worst first, those of b before those of a."""
    in_a, in_b = ({finding.code for finding in run.findings} for run in (a, b))
    alone = [(finding, "appeared") for finding in b.findings if finding.code not in in_a]
    alone += [(finding, "went") for finding in a.findings if finding.code not in in_b]
    return tuple(
        FindingChange(
            code=finding.code,
            severity=finding.severity,
            message=finding.message,
            change=change,
            packets=finding.packets,
            display_filter=finding.display_filter,
        )
        for finding, change in sorted(
            alone, key=lambda found: ("error", "warning", "info").index(found[0].severity)
        )
    )
