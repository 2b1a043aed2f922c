# SPDX-License-Identifier: Apache-2.0
"""`points`: what every capture point is, as one `PointsResult`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...capture.points import PointTable
from ...capture.spec import CaptureSpec
from ...decode import DecodeSettings
from ..inputs import Inputs
from ..progress import Progress
from ..results import Problem, Problems
from ..select import Selector
from .roles import PointRole, RoleSigns

if TYPE_CHECKING:
    from ...capture.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsResult:
    """What the points of some captures are."""

    points: tuple[PointRole, ...]
    """In the order of the captures, each one's in the order they were met."""
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False
    """Whether reading ended early; what was read is judged."""


def list_points(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings | None = None,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> PointsResult:
    """Read captures and say what their points are.

    An input that cannot be read, or is damaged, is in `problems` (and told to `on_problem` as it
    is met); the others go on.  An interrupt ends reading.
    """
    note = Problems(on_problem)
    inputs = Inputs(
        specs,
        settings or DecodeSettings(),
        Selector(),
        note,
        progress,
        points=PointTable(manifest),
    )
    signs = RoleSigns(inputs.points)
    interrupted = False
    try:
        for batch in inputs.batches():
            signs.update(batch)
    except KeyboardInterrupt:
        interrupted = True
    return PointsResult(points=signs.result(), problems=note.met(), interrupted=interrupted)
