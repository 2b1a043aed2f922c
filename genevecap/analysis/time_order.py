# SPDX-License-Identifier: Apache-2.0
"""Captures whose packets are not in the order of time, so that they are read once more, sorted.

Who links connections and matches packets needs a connection's packets in order.  `dumpcap` with
several interfaces writes those of each in order, which serves.  What was shuffled, or merged by
appending captures of one point, steps back again and again at a single point, or for one packet
only; a clock that is set back does so once and goes on from there.  That is left alone: sorting
would mix what was before the step with what came after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ..capture.spec import CaptureSpec
from ..columns import NO_TIME, Finding
from .clock.run import can_be_read_again
from .findings.noted import Noted
from .inputs import Batch
from .run_findings import note_packets
from .segments import column
from .tables import FindingCount

MOST_STEPS = 8
"""Steps back at one point that still are those of its clock."""
TOLERATED_NS = 500_000
"""How far back a step is passed over: network cards with several queues make such, and nothing that
is linked or matched suffers."""


class TimeOrder:
    """Counts how often a packet is older than the one before it at its point."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._steps: Counter[int] = Counter()
        """By point."""
        self._capture_of: dict[int, int] = {}

    def update(self, batch: Batch) -> None:
        """Look at the times of a batch."""
        frames, d = batch.frames, batch.decoded
        place = slice(d.first, d.first + d.count)
        time_ns = column(frames, "time_ns", frames.count)[place]
        if (time_ns[1:] >= time_ns[:-1]).all():
            return
        point = column(frames, "point", frames.count)[place]
        timed = np.flatnonzero(time_ns != NO_TIME)
        rows = timed[np.argsort(point[timed], kind="stable")]
        time_ns, point = time_ns[rows], point[rows]
        far = time_ns[1:] < time_ns[:-1] - TOLERATED_NS
        back = np.flatnonzero(far & (point[1:] == point[:-1])) + 1
        beyond = np.minimum(back + 1, len(rows) - 1)
        late = (time_ns[beyond] >= time_ns[back - 1]) & (point[beyond] == point[back])
        for index, alone in zip(point[back].tolist(), late.tolist(), strict=True):
            self._steps[index] += MOST_STEPS + 1 if alone else 1
            self._capture_of[index] = batch.capture

    def mixed(self, specs: Sequence[CaptureSpec]) -> frozenset[int]:
        """Return the captures that have to be sorted, by index; what is read once only is not.

        specs: all captures of the run.
        """
        return frozenset(
            self._capture_of[point]
            for point, steps in self._steps.items()
            if steps > MOST_STEPS and can_be_read_again(specs[self._capture_of[point]])
        )


def note_order(noted: Noted, findings: Iterable[FindingCount]) -> None:
    """Note what was found about the order of time before captures were sorted."""
    note_packets(noted, (f for f in findings if f.bit in {Finding.C04, Finding.C05}), ())
