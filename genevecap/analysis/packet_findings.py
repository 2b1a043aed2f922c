# SPDX-License-Identifier: Apache-2.0
"""Findings of single packets, counted without tables of flows and tunnels: for `latency`.

`latency` has no other use for those tables, and they would cost it a fifth more.  So it tells
what a packet shows by itself, or beside the one before it at its point; what takes the whole of a
capture (U01 to U07, A09, A10, C06) is told by `inspect`, `flows` and `overhead`.
"""

from __future__ import annotations

import numpy as np

from ..columns import NO_TIME, DecodedBatch, Finding, FrameBatch, Stop, TunnelKind
from .findings.noted import Noted
from .inputs import Batch, Inputs
from .rows import Array
from .run_findings import note_captures, note_packets
from .segments import column
from .services import TCP
from .tables import (
    CLOCK_STEP_NS,
    DYNAMIC_PORTS,
    FIRST_FRAMES,
    LARGEST_FRAME_BYTES,
    VXLAN_PORT,
    FindingCount,
)


class PacketFindings:
    """Counts batch by batch; findings are those of `SummaryTables`."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._frames: dict[int, list[tuple[int, int]]] = {}
        self._latest: dict[int, int] = {}
        """By point."""

    def update(self, batch: Batch) -> None:
        """Look at the rows of a batch that `keep`."""
        frames, d = batch.frames, batch.decoded
        n, place = d.count, slice(d.first, d.first + d.count)
        kept = column(d, "keep", n) != 0
        found = column(d, "findings", n) * kept
        found |= _where(column(d, "stop", n) == Stop.TRUNCATED, Finding.C03)
        large = column(frames, "wire_bytes", frames.count)[place] > LARGEST_FRAME_BYTES
        found |= _where(large & (column(d, "inner_protocol", n) == TCP), Finding.C07)
        found |= _unusual_ports(d)
        found |= self._disorder(frames, place, kept)
        found *= kept
        self._count(found, column(frames, "frame", frames.count)[place], batch.capture)

    def _count(self, found: Array, frame: Array, capture: int) -> None:
        bits = int(np.bitwise_or.reduce(found)) if len(found) else 0
        while bits:
            bit = bits & -bits
            bits ^= bit
            rows = np.flatnonzero(found & np.uint32(bit))
            self._counts[bit] = self._counts.get(bit, 0) + len(rows)
            first = self._frames.setdefault(bit, [])
            first += [(capture, number) for number in frame[rows[:FIRST_FRAMES]].tolist()]
            first.sort()
            del first[FIRST_FRAMES:]

    def _disorder(self, frames: FrameBatch, place: slice, kept: Array) -> Array:
        """Return the findings about times that are before an earlier one of their point."""
        time_ns = column(frames, "time_ns", frames.count)[place]
        point = column(frames, "point", frames.count)[place]
        timed = kept & (time_ns != NO_TIME)
        found = np.zeros(len(time_ns), np.uint32)
        for index in np.flatnonzero(np.bincount(point[timed])).tolist():
            rows = np.flatnonzero(timed & (point == index))
            times = time_ns[rows]
            latest = self._latest.get(index, int(times[0]))
            if times[0] >= latest and (times[1:] >= times[:-1]).all():
                self._latest[index] = int(times[-1])
                continue
            for row, value in zip(rows.tolist(), times.tolist(), strict=True):
                if latest - value >= CLOCK_STEP_NS:
                    found[row], latest = Finding.C05, value
                elif value < latest:
                    found[row] = Finding.C04
                latest = max(latest, value)
            self._latest[index] = latest
        return found

    def findings(self) -> list[FindingCount]:
        """Return the findings that were met, by bit."""
        return [
            FindingCount(bit, count, tuple(self._frames[bit]))
            for bit, count in sorted(self._counts.items())
        ]

    def noted(self, inputs: Inputs) -> Noted:
        """Return these findings, and those about the captures, to which others may be added."""
        noted = Noted()
        note_packets(noted, self.findings(), ())
        note_captures(noted, inputs.states)
        return noted


def _where(condition: Array, finding: Finding) -> Array:
    return condition * np.uint32(finding)


def _unusual_ports(d: DecodedBatch) -> Array:
    """Return the findings about the ports of VXLAN tunnels, by frame."""
    found, t = np.zeros(d.count, np.uint32), d.tunnels
    vxlan = column(t, "kind", t.count) == TunnelKind.VXLAN
    if not vxlan.any():
        return found
    bits = _where(column(t, "destination_port", t.count) != VXLAN_PORT, Finding.V03)
    bits |= _where(column(t, "source_port", t.count) < DYNAMIC_PORTS, Finding.V04)
    np.bitwise_or.at(found, column(t, "row", t.count), bits * vxlan)
    return found
