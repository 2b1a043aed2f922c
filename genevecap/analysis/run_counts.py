# SPDX-License-Identifier: Apache-2.0
"""What reports count while they read: the tables, and what findings are told from.

One object, so that `inspect`, `flows` and `overhead` tell the same findings of the same captures,
each with those of its own besides; `latency` has `packet_findings`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cached_property, partial

from ..ambient import RedirectSign
from .ambient_mode import ambient_summary
from .findings.noted import Noted
from .health.counts import NodeLocalSyns
from .inputs import Batch, Inputs
from .partial_checksums import PartialChecksums
from .redirects import SynSightings
from .replays import make_replays, note_replays
from .results import AmbientSummary
from .run_findings import run_findings
from .tables import TunnelCount, summary_tables
from .underlay import HiddenPackets


class RunCounts:
    """Counts batch by batch; `ambient()` and `noted()` say what that shows."""

    def __init__(self, inputs: Inputs, *, checksums: bool = False) -> None:
        """Count what is read from `inputs`; checksums: verify those of tunnels (G20, V05) too."""
        self._inputs = inputs
        self.tables = summary_tables()
        self._syns = SynSightings()
        self._syn_checksums = PartialChecksums()
        self._node_local = NodeLocalSyns()
        self._replays = make_replays()
        self._hidden = HiddenPackets()
        self._told: list[Callable[[Noted], None]] = [
            self._syn_checksums.note,
            self._node_local.note,
            partial(note_replays, self._replays),
            self._hidden.note,
        ]
        self._outer = None
        if checksums:
            from .outer_checksums import OuterChecksums

            self._outer = OuterChecksums()
            self._told.append(self._outer.note)

    def update(self, batch: Batch) -> array[int]:
        """Take a batch; return its rows that are TCP SYNs without ACK."""
        frames, decoded, capture = batch.frames, batch.decoded, batch.capture
        syns = self.tables.update(frames, decoded, capture)
        if self._outer is not None:
            self._outer.update(frames, decoded, capture)
        hidden = self.tables.hidden()
        self._replays.update(frames, decoded, hidden, capture)
        self._hidden.update(frames, decoded, hidden, capture)
        if syns:
            self._syns.update(frames, decoded, syns)
            self._syn_checksums.update(frames, decoded, syns, capture)
            self._node_local.update(frames, decoded, syns, capture)
        return syns

    @cached_property
    def tunnels(self) -> list[TunnelCount]:
        """All tunnels, largest first; to be asked for when everything was read."""
        return self.tables.tunnels()

    def ambient(self) -> AmbientSummary:
        """Return which redirect mode the captures show, and why."""
        return ambient_summary(self.tables, self.tunnels, self.redirects())

    def redirects(self) -> tuple[RedirectSign, ...]:
        """Return the SYNs that were redirected by their MAC address."""
        return self._syns.signs(self._inputs.points.names)

    def noted(self, mode: str) -> Noted:
        """Return the findings about what was counted, to which others may be added.

        mode: how ambient redirects here, in CONTRACT's words.
        """
        return run_findings(
            self.tables,
            self.tunnels,
            self._inputs.states,
            self._told,
            mode=mode,
            is_selection=bool(self._inputs.selector),
        )
