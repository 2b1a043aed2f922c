# SPDX-License-Identifier: Apache-2.0
"""`flows`: which way each client connection took through the mesh, as one `FlowsResult`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...capture.frames import OpenFrames
from ...capture.in_order import in_order
from ...capture.manifest import Manifest
from ...capture.points import PointTable
from ...capture.reader import Capture
from ...capture.spec import CaptureSpec
from ...decode import DecodeSettings
from ..clock.run import run_clocks
from ..connections import ConnectionTracker, connection_tracker, too_many
from ..garbage import collected_later
from ..inputs import Batch, Inputs, read_into
from ..points.roles import RoleSigns
from ..progress import Progress
from ..results import Problem, Problems
from ..run_counts import RunCounts
from ..select import Selector
from ..summary import capture_summary, was_read
from ..time_order import TimeOrder, note_order
from .build import SessionBuilder
from .followed import Followed
from .helps import Helps
from .modes import Modes
from .results import FlowsResult, Found


def flows(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    helps: Helps | None = None,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> FlowsResult:
    """Read captures and reconstruct the sessions of the mesh.

    helps: keys and logs; keys, and those of Decryption Secrets Blocks, open HBONE through tshark.
      And what is known of clocks.
    manifest: what points are, and whose clock stamped them, where that cannot be guessed.
    An input that cannot be read, or is damaged, is in `problems` (and told to `on_problem` as it
    is met); the others go on.  An interrupt ends reading, and what was gathered is returned.
    Where there are several hosts all captures are read twice, first for the clocks; where one is
    not in the order of time, once more, sorted.
    Raises UsageError where the selector cannot be understood, or an assumed clock contradicts the
    packets or is of no host there is; NotEnoughData as `run_clocks` does; ToolMissing where keys
    are given and tshark is missing.
    """
    helps = helps or Helps()
    settings, selector = settings or DecodeSettings(), selector or Selector()
    note = Problems(on_problem)

    def read(tell: Callable[[Problem], None], open_frames: OpenFrames = Capture) -> Inputs:
        points = PointTable(manifest)
        return Inputs(specs, settings, selector, tell, progress, open_frames, points)

    clocks = run_clocks(read(_say_nothing), helps.clocks).clocks
    reading = first = _Reading(read(note))
    interrupted = reading.read()
    mixed = reading.order.mixed(specs)
    if mixed and not interrupted:
        reading = _Reading(read(_say_nothing, in_order(mixed)))
        interrupted = reading.read()
    inputs = reading.inputs
    if reading.tracker.passed_over:
        note(too_many(specs[0].path, reading.tracker.passed_over))
    ambient = reading.counts.ambient()
    roles = reading.signs.result()
    named = [role.role for role in roles]
    followed = Followed.of(inputs, reading.tracker.halves(), roles, clocks)
    drafts, opened = followed.drafts(helps, specs, settings, note)
    with collected_later():
        modes = Modes(roles, ambient.mode)
        builder = SessionBuilder(drafts, roles, modes, followed.clock.uncertainty_ns)
        sessions = builder.sessions()
    noted = reading.counts.noted(ambient.mode)
    if reading is not first:
        note_order(noted, first.counts.tables.findings())
    around = followed.note(noted, drafts, opened)
    return FlowsResult(
        mode=ambient.mode,
        mode_evidence=ambient.evidence,
        captures=tuple(capture_summary(state, named) for state in inputs.states if was_read(state)),
        clocks=followed.clock.clocks,
        sessions=tuple(sessions),
        unlinked_legs=tuple(builder.unlinked()),
        bypass=tuple(around),
        found=Found(
            connections=len(followed.connections),
            hbone=len(followed.mesh.hbone),
            outbound=len(followed.mesh.outbound),
        ),
        findings=noted.summaries([state.spec.path for state in inputs.states]),
        problems=note.met(),
        interrupted=interrupted,
    )


@dataclass(slots=True)
class _Reading:
    """What is gathered while the captures are read."""

    inputs: Inputs
    tracker: ConnectionTracker = field(default_factory=connection_tracker)
    counts: RunCounts = field(init=False)
    signs: RoleSigns = field(init=False)
    order: TimeOrder = field(default_factory=TimeOrder)

    def __post_init__(self) -> None:
        self.counts = RunCounts(self.inputs)
        self.signs = RoleSigns(self.inputs.points)

    def read(self) -> bool:
        """Read everything; return whether an interrupt ended that early."""
        return read_into(self.inputs, self._take)

    def _take(self, batch: Batch) -> None:
        self.order.update(batch)
        self.signs.update(batch, self.counts.update(batch))
        kept = bool(self.inputs.selector)
        self.tracker.update(batch.frames, batch.decoded, batch.capture, kept=kept)


def _say_nothing(_problem: Problem) -> None:
    """Leave what goes wrong with a capture to the second reading."""
