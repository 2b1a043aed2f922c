# SPDX-License-Identifier: Apache-2.0
"""From connections that were followed to drafts of sessions: what `flows` and `latency` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...capture.spec import CaptureSpec
from ...decode import DecodeSettings
from ..clock import HostClock
from ..connections import Half
from ..findings.noted import Noted
from ..garbage import collected_later
from ..grouping import Connection, group
from ..hbone.results import DataPiece, HboneReading
from ..health.mesh import note_mesh
from ..health.seen import MeshSeen, dropping_points
from ..inputs import Inputs
from ..linking.legs import Sorter
from ..linking.views import Views
from ..points.roles import PointRole
from ..results import Problem
from . import bypass
from .clocks import CommonClock
from .drafts import Drafts
from .helps import Helps
from .keys import Keys
from .logs import Logs
from .mesh import Mesh
from .results import BypassSummary
from .waypoints import exchanges_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The connections of a run, and which legs they are."""

    inputs: Inputs
    roles: Sequence[PointRole]
    clock: CommonClock
    views: Views
    connections: Sequence[Connection]
    mesh: Mesh

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        halves: Iterable[Half],
        roles: Sequence[PointRole],
        clocks: Sequence[HostClock],
    ) -> Followed:
        """Put halves together; of an interface that was captured twice one capture counts."""
        twins = {role.index for role in roles if role.twin_of is not None}
        clock = CommonClock(clocks, [point.host for point in inputs.points.points])
        with collected_later():
            connections = group(half for half in halves if half.point not in twins)
            mesh = Mesh.of(Sorter(roles, connections).sort(connections))
        return cls(
            inputs=inputs,
            roles=roles,
            clock=clock,
            views=Views(roles, clock.correct),
            connections=connections,
            mesh=mesh,
        )

    def drafts(
        self,
        helps: Helps,
        specs: Sequence[CaptureSpec],
        settings: DecodeSettings,
        note: Callable[[Problem], None],
        take: Callable[[DataPiece], None] | None = None,
    ) -> tuple[Drafts, HboneReading | None]:
        """Link the legs, with what keys and logs say; return what was opened too.

        take: is told of every DATA frame that keys open.
        Raises ToolMissing where keys are given and tshark is missing.
        """
        exchanges = exchanges_of(self.mesh)

        def take_all(piece: DataPiece) -> None:
            exchanges.take(piece)
            if take is not None:
                take(piece)

        opened = helps.open_hbone(specs, settings, self.inputs, note, take_all)
        hbone = [leg.connection for leg in self.mesh.hbone]
        keys = Keys(opened, hbone, self.views.at, exchanges)
        logs = Logs(helps.logged(note))
        with collected_later():
            return Drafts(self.mesh, self.views, self.clock.slack_ns, keys, logs), opened

    def note(
        self, noted: Noted, drafts: Drafts, opened: HboneReading | None
    ) -> list[BypassSummary]:
        """Note what the mesh shows; return what went around it."""
        paths = [state.spec.path for state in self.inputs.states]
        around = bypass.find(self.mesh, drafts.used_direct, self.roles, paths)
        seen = MeshSeen(
            drafts=drafts,
            connections=self.connections,
            roles=self.roles,
            bypass=around,
            paths=paths,
            opened=opened,
            dropping=dropping_points(self.inputs.points.points),
        )
        note_mesh(noted, seen)
        return around
