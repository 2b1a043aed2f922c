# SPDX-License-Identifier: Apache-2.0
"""All captures of a run read side by side, so that the same moment is read in all of them.

`Inputs.batches()` reads one capture after the other; matching the same packet at several points
needs all of them together.  The next batch is always taken from the capture that is furthest
behind, so captures of the same hour are read in step, and one that begins an hour later waits with
a single batch in memory.

**Where a capture is** is the median time of its last batch, not its highest: one frame with a time
far in the future must not stop the reading of its file.  What is older than the slowest capture
less `slack_ns` is complete.  The slack allows for files that are out of order: dumpcap with several
interfaces writes blocks up to some 0.2 s late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ...columns import NO_TIME
from ..inputs import Batch, Inputs
from ..rows import Array
from .sightings import BatchSegments, Openings, Sightings, Views

SLACK_NS = 1_000_000_000

Correction = Callable[[Array, Array], Array]
"""From times and capture points to times on the common clock (all int64 or index arrays)."""

_SAMPLED = 16
"""One frame in so many says where a batch is in time."""
_LINK_BYTES = {0: 4, 1: 14, 108: 4, 113: 16, 276: 20}
"""Octets of the link header by link type: NULL, Ethernet, LOOP, LINUX_SLL, LINUX_SLL2."""


@dataclass(slots=True, kw_only=True)
class Piece:
    """The TCP segments of one batch."""

    rows: Sightings
    """In the order of their file, on the common clock."""
    openings: Openings | None
    """Their handshakes."""
    complete_ns: int
    """Everything before this has been read, but for what is out of order by more than the slack."""


@dataclass(slots=True)
class _Reader:
    """One capture, and how far it is."""

    stream: Iterator[Batch]
    views: Views
    position_ns: int = NO_TIME


@dataclass(slots=True)
class SideBySide:
    """Reads captures side by side; `pieces()` gives their segments."""

    inputs: Inputs
    correct: Correction | None = None
    """Puts times on the common clock; None where all captures have one."""
    observe: Callable[[Batch, BatchSegments, Array], None] | None = None
    """Told of every batch, with the times of its frames on the common clock."""
    slack_ns: int = SLACK_NS
    segments: int = 0
    """Segments read so far."""
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    """First and last time of each capture, on the common clock, as far as it was read."""
    _link_bytes: Array = field(default_factory=lambda: np.zeros(0, np.uint32))
    _views: Views = field(default_factory=Views)

    def pieces(self) -> Iterator[Piece]:
        """Yield the segments of batch after batch until all captures are read."""
        going: list[_Reader] = []
        # All are opened first, so that points get their numbers in the order of the captures.
        for stream in self.inputs.streams():
            reader = _Reader(stream, Views())
            yield from self._advance(reader, going, opening=True)
        while going:
            reader = min(going, key=lambda reader: reader.position_ns)
            going.remove(reader)
            yield from self._advance(reader, going)

    def _advance(
        self, reader: _Reader, going: list[_Reader], *, opening: bool = False
    ) -> Iterator[Piece]:
        """Read one batch, and put the reader among those that go on."""
        batch = next(reader.stream, None)
        if batch is None:
            return
        first = batch.decoded.first
        segments = BatchSegments(
            reader.views.of(batch.frames),
            self._views.of(batch.decoded),
            range(first, first + batch.decoded.count),
            kept=bool(self.inputs.selector),
        )
        time_ns = self._times(batch, segments, reader)
        if self.observe is not None:
            self.observe(batch, segments, time_ns)
        going.append(reader)
        if not len(segments):
            return
        self.segments += len(segments)
        complete_ns = NO_TIME if opening else min(reader.position_ns for reader in going)
        yield Piece(
            rows=segments.sightings(time_ns, self._known_link_bytes()),
            openings=segments.openings(time_ns),
            complete_ns=max(complete_ns, NO_TIME + self.slack_ns) - self.slack_ns,
        )

    def _times(self, batch: Batch, segments: BatchSegments, reader: _Reader) -> Array:
        """Return the times of all frames on the common clock; note where the capture is."""
        time_ns = segments.frame_time_ns
        if self.correct is not None:
            time_ns = np.where(
                time_ns == NO_TIME, NO_TIME, self.correct(time_ns, segments.frame_point)
            )
        timed = time_ns[segments.timed]
        if len(timed):
            sample = np.sort(timed[::_SAMPLED])
            reader.position_ns = int(sample[len(sample) // 2])
            first_ns, last_ns = int(timed.min()), int(timed.max())
            known = self.spans.get(batch.capture, (first_ns, last_ns))
            self.spans[batch.capture] = (min(known[0], first_ns), max(known[1], last_ns))
        return time_ns

    def _known_link_bytes(self) -> Array:
        points = self.inputs.points.points
        if len(self._link_bytes) < len(points):
            known = [_LINK_BYTES.get(point.link_type, 0) for point in points]
            self._link_bytes = np.array(known, np.uint32)
        return self._link_bytes
