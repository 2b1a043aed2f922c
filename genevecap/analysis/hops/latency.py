# SPDX-License-Identifier: Apache-2.0
"""`latency`: how long each hop takes, and what is lost on it, as one `LatencyResult`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...capture.frames import OpenFrames
from ...capture.in_order import in_order
from ...capture.manifest import Manifest
from ...capture.points import PointTable
from ...capture.reader import Capture
from ...capture.spec import CaptureSpec
from ...decode import DecodeSettings
from ..clock.run import RunClocks, can_be_read_again, run_clocks
from ..connections import ConnectionTracker, connection_tracker, too_many
from ..findings.noted import Noted
from ..garbage import collected_later
from ..health.slow_proxies import note_slow
from ..inputs import Batch, Inputs
from ..packet_findings import PacketFindings
from ..points.roles import PointRole, RoleSigns
from ..points.signs import SYNS_KEPT
from ..progress import Progress
from ..results import Problem, Problems
from ..rows import Array
from ..segments import SYN, column
from ..select import Selector
from ..sessions.build import SessionBuilder
from ..sessions.data_frames import DataFrames
from ..sessions.followed import Followed
from ..sessions.helps import Helps
from ..sessions.later import LaterSessions
from ..sessions.modes import Modes
from ..sessions.residence import Residence
from ..sessions.results import SessionSummary
from ..summary import capture_summary, was_read
from ..time_order import TimeOrder, note_order
from .identity import Matcher, Paths
from .legs import Legs
from .limits import Limits
from .order import chains, in_travel_order
from .results import Hop, LatencyResult, Matching
from .round_trips import RoundTrips
from .session_times import SessionTimes, Times
from .sidebyside import SideBySide
from .sightings import HBONE, BatchSegments
from .table import HopName, HopTable, PointPlace, name_of


def latency(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    limits: Limits | None = None,
    helps: Helps | None = None,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> LatencyResult:
    """Read captures side by side and measure the hops between their points.

    An input that cannot be read, or is damaged, is in `problems` (and told to `on_problem` as it
    is met); the others go on.  An interrupt ends reading, and what was gathered is returned.
    helps: keys and logs, which make sessions surer, and what is known of clocks.
    Where there are several hosts all captures are read twice, first for the clocks; where one is
    not in the order of time, once more, sorted.
    Raises UsageError where the selector cannot be understood or a clock contradicts the packets,
    """
    asked = _Asked(
        specs,
        settings or DecodeSettings(),
        selector,
        helps or Helps(),
        manifest,
        progress,
        on_problem,
        limits or Limits(),
    )
    return _measure(asked)


def latency_by_session(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    helps: Helps | None = None,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> tuple[LatencyResult, dict[HopName, Times]]:
    """Do as `latency` does, and return the times of each hop by session too."""
    asked = _Asked(
        specs,
        settings or DecodeSettings(),
        selector,
        helps or Helps(),
        manifest,
        progress,
        on_problem,
    )
    times: dict[HopName, Times] = {}
    return _measure(asked, times), times


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be read."""

    specs: Sequence[CaptureSpec]
    settings: DecodeSettings
    selector: Selector | None
    helps: Helps
    manifest: Manifest | None
    progress: Progress | None
    on_problem: Callable[[Problem], None] | None
    limits: Limits = field(default_factory=Limits)
    open_frames: OpenFrames = Capture

    def inputs(self, tell: Callable[[Problem], None]) -> Inputs:
        """Return the inputs, from their beginning."""
        return Inputs(
            self.specs,
            self.settings,
            self.selector or Selector(),
            tell,
            self.progress,
            self.open_frames,
            PointTable(self.manifest),
        )


def _measure(
    asked: _Asked,
    times: dict[HopName, Times] | None = None,
) -> LatencyResult:
    """Read everything; times: gets the times of each hop by session, where that is wanted."""
    note = Problems(asked.on_problem)
    clocks = run_clocks(asked.inputs(_say_nothing), asked.helps.clocks)
    run = first = _run(asked, note, clocks, times)
    interrupted = run.read()
    mixed = run.order.mixed(asked.specs)
    if mixed and not interrupted:
        asked = replace(asked, open_frames=in_order(mixed))
        run = _run(asked, _say_nothing, clocks, times)
        interrupted = run.read()
        note_order(run.noted, first.packets.findings())
    if run.tracker is None and run.may_have_sessions() and not interrupted:
        run.tracker, interrupted = _follow_connections(asked.inputs(_say_nothing))
    if run.tracker is not None and run.tracker.passed_over:
        note(too_many(asked.specs[0].path, run.tracker.passed_over))
    known = run.signs.result()
    inside, sessions = run.inside(known, asked, note)
    hops = in_travel_order((*run.hops(), *(hop for hop, _ in inside)))
    note_slow(
        run.noted, inside, {role.name: role.namespace for role in known}, asked.limits.slow_proxy_ns
    )
    roles = [point.role for point in known]
    if times is not None:
        times.update({} if run.table is None else run.table.times_by_session())
        # What may be wrong by anything is not compared with another run.
        times.update(
            (name_of(hop), of_hop) for hop, of_hop in inside if hop.uncertainty_ns is not None
        )
    return LatencyResult(
        captures=tuple(capture_summary(s, roles) for s in run.inputs.states if was_read(s)),
        clocks=clocks.clocks,
        hops=hops,
        chains=chains(hops),
        round_trips=run.trips.result(run.inputs.points.names),
        matching=run.matching(),
        sessions=sessions,
        findings=run.noted.summaries(run.paths()),
        problems=note.met(),
        interrupted=interrupted,
    )


def _run(
    asked: _Asked,
    note: Callable[[Problem], None],
    clocks: RunClocks,
    times: dict[HopName, Times] | None,
) -> _Run:
    by_session = None if times is None else SessionTimes()
    run = _Run(asked.inputs(note), asked.limits.window_ns, clocks, by_session)
    if clocks.may_have_sessions or not all(map(can_be_read_again, asked.specs)):
        run.tracker = connection_tracker()
    return run


def _follow_connections(inputs: Inputs) -> tuple[ConnectionTracker, bool]:
    """Read everything again for what links legs; tell whether an interrupt ended that early.

    Connections take memory as long as the captures last, so they are followed only where that can
    lead to something; where no clock had to be estimated, that is known when all was read.
    """
    tracker, kept = connection_tracker(), bool(inputs.selector)

    def observe(batch: Batch, _segments: BatchSegments, _time_ns: Array) -> None:
        tracker.update(batch.frames, batch.decoded, batch.capture, kept=kept)

    try:
        # Side by side as before, so that points get the same numbers.
        for _ in SideBySide(inputs, observe=observe).pieces():
            pass
    except KeyboardInterrupt:
        return tracker, True
    return tracker, False


def _say_nothing(_problem: Problem) -> None:
    """Leave what goes wrong with a capture to the second reading."""


@dataclass(slots=True)
class _Run:
    """One reading of all captures."""

    inputs: Inputs
    window_ns: int
    clocks: RunClocks
    by_session: SessionTimes | None = None
    signs: RoleSigns = field(init=False)
    reader: SideBySide = field(init=False)
    legs: Legs = field(init=False)
    matcher: Matcher = field(init=False)
    trips: RoundTrips = field(init=False)
    tracker: ConnectionTracker | None = None
    """Follows connections meanwhile, where it is known that there are sessions, or to be feared
    that the captures cannot be read again."""
    hbone: bool = False
    plain: bool = False
    """Whether there are segments of port 15008, and others."""
    table: HopTable | None = None
    twins: Array = field(default_factory=lambda: np.zeros(0, bool))
    packets: PacketFindings = field(default_factory=PacketFindings)
    order: TimeOrder = field(default_factory=TimeOrder)
    noted: Noted = field(default_factory=Noted)

    def __post_init__(self) -> None:
        self.signs = RoleSigns(self.inputs.points)
        correct = self.clocks.correction(self.inputs.points)
        self.reader = SideBySide(self.inputs, correct=correct, observe=self._observe)
        self.legs = Legs(self.window_ns)
        self.matcher = Matcher(self.legs, self.window_ns)
        self.trips = RoundTrips(self.legs)
        self.matcher.close_ns = max(self.matcher.close_ns, self.clocks.close_ns)

    def read(self) -> bool:
        """Read everything; return whether an interrupt ended that early."""
        interrupted = False
        try:
            for piece in self.reader.pieces():
                for paths in self.matcher.update(piece):
                    self._take(paths)
        except KeyboardInterrupt:
            interrupted = True
        for paths in self.matcher.finish():
            self._take(paths)
        self.trips.count(self.twins, last=True)
        self.noted = self.packets.noted(self.inputs)
        return interrupted

    def _observe(self, batch: Batch, segments: BatchSegments, time_ns: Array) -> None:
        """Look for findings, follow connections, and let roles have their sample.

        Of SYNs that is those of lowest numbers.
        """
        self.packets.update(batch)
        self.order.update(batch)
        if self.tracker is not None:
            kept = bool(self.inputs.selector)
            self.tracker.update(batch.frames, batch.decoded, batch.capture, kept=kept)
        self.trips.take(segments, time_ns)
        syns = segments.rows[(segments.flags & SYN) != 0]
        if len(syns):
            sequence = column(batch.decoded, "tcp_sequence", batch.decoded.count)[syns]
            syns = syns[self._wanted_syns(sequence, segments.frame_point[syns])]
        self.signs.update(batch, array("q", syns.tolist()))

    def _wanted_syns(self, sequence: Array, point: Array) -> Array:
        """Tell which SYNs a sample that is full could still take."""
        most = [
            -sample.syns[0][0] if sample is not None and len(sample.syns) >= SYNS_KEPT else 2**32
            for sample in map(self.signs.samples.get, range(len(self.inputs.points.points)))
        ]
        wanted: Array = sequence < np.array(most, np.int64)[point]
        return wanted

    def _take(self, paths: Paths) -> None:
        points = len(self.inputs.points.points)
        if self.table is None or points > len(self.table.places):
            roles = self.signs.result()
            self.twins = np.array([role.twin_of is not None for role in roles], bool)
            places = [_place(role, self.inputs) for role in roles]
            if self.table is None:
                self.table = HopTable(
                    self.legs, places, self.clocks.uncertainty_ns, self.by_session
                )
            else:
                self.table.meet(places)
        paths = self._without_twins(paths)
        hbone = (paths.rows.traits & HBONE) != 0
        self.hbone |= bool(hbone.any())
        self.plain |= not hbone.all()
        self.table.update(paths, self.reader.spans)
        self.trips.count(self.twins)

    def _without_twins(self, paths: Paths) -> Paths:
        """Leave out sightings of interfaces that another point shows too."""
        if not self.twins.any():
            return paths
        kept = ~self.twins[paths.rows.point]
        return Paths(rows=paths.rows.take(kept), path=paths.path[kept], ended=paths.ended)

    def hops(self) -> tuple[Hop, ...]:
        """Return the hops, in no order."""
        if self.table is None:
            return ()
        return self.table.result(self._dropped)

    def may_have_sessions(self) -> bool:
        """Tell whether there can be legs on both sides of a proxy."""
        return self.hbone and self.plain

    def inside(
        self, roles: Sequence[PointRole], asked: _Asked, note: Callable[[Problem], None]
    ) -> tuple[Sequence[tuple[Hop, Times]], Sequence[SessionSummary]]:
        """Return hops inside proxies and servers with their times, and the sessions they are of.

        What these tell of the mesh is noted.
        """
        if self.tracker is None:
            return (), ()
        followed = Followed.of(self.inputs, self.tracker.halves(), roles, self.clocks.clocks)
        self.tracker = None  # what it kept is not needed twice
        mesh = followed.mesh
        if not mesh.hbone or not (mesh.outbound or mesh.inbound):
            return (), ()
        frames, uncertainty_ns = DataFrames(), followed.clock.uncertainty_ns
        drafts, opened = followed.drafts(
            asked.helps, asked.specs, asked.settings, note, frames.take
        )
        with collected_later():
            hops = Residence(drafts, roles, frames, uncertainty_ns).hops(drafts.all())
        followed.note(self.noted, drafts, opened)
        builder = SessionBuilder(drafts, roles, Modes(roles, "unknown"), uncertainty_ns)
        return hops, LaterSessions(builder.sessions)

    def paths(self) -> list[str]:
        """Return the captures as given, by their index."""
        return [state.spec.path for state in self.inputs.states]

    def _dropped(self, point: int) -> bool:
        """Tell whether the capture of a point reported drops."""
        found = self.inputs.points.points[point]
        return bool(found.dropped or found.dropped_by_dumpcap)

    def matching(self) -> Matching:
        """Return how well packets were recognised."""
        counts = self.matcher.counts
        return Matching(
            segments=self.reader.segments,
            matched=counts.matched,
            unmatched=counts.unmatched,
            ambiguous=counts.ambiguous,
            late=self.matcher.late,
            window_ns=self.window_ns,
            shortest_window_ns=self.matcher.shortest_ns,
        )


def _place(role: PointRole, inputs: Inputs) -> PointPlace:
    return PointPlace(
        name=role.name,
        capture=inputs.points.points[role.index].capture,
        role=role.role,
        node=role.node,
        namespace=role.namespace,
        host=role.host,
    )
