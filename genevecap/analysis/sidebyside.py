# SPDX-License-Identifier: Apache-2.0
"""All captures of a run read side by side, as sightings in the order of one common clock.

`Inputs.batches()` reads one capture after the other; matching the same packet at several points
needs all of them at the same moment.  The next batch is always taken from the capture that is
furthest behind, so that captures of the same hour are read together, and one that begins an hour
later waits with a single batch in memory.

**Where a capture is** is the median time of its last batch, not its highest: one frame with a time
far in the future must not stop the reading of its file.  Everything older than the slowest capture
less `slack_ns` is complete and given out, sorted.  A file may be out of order by the slack (dumpcap
with several interfaces writes blocks up to some 0.2 s late); more than that is put right too as
long as not more than `MIN_ROWS` sightings came in between, which covers small captures in any order
at all.  What comes later still is given out late, and counted.

**Memory** is what lies between the captures: one batch for each, the slack, and at least `MIN_ROWS`
sightings; beyond `MAX_ROWS` the oldest go out even if a capture is behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..columns import NO_TIME
from .inputs import Batch, Inputs
from .segments import Array, extract
from .sightings import Openings, Sightings, concatenate, from_segments, openings

SLACK_NS = 1_000_000_000
MIN_ROWS = 1 << 18
MAX_ROWS = 1 << 20

Correction = Callable[[Array, Array], Array]
"""From times and capture points to times on the common clock (all int64 or index arrays)."""

_SAMPLED = 16
"""One frame in so many says where a batch is in time."""
_END = 2**63 - 1
_PER_POINT = {1: 14, 113: 16, 276: 20, 0: 4, 108: 4}
"""Octets of the link header by link type: Ethernet, LINUX_SLL, LINUX_SLL2, NULL and LOOP."""


@dataclass(slots=True, kw_only=True)
class Window:
    """Sightings that are complete up to a moment."""

    rows: Sightings
    """In time order; no later window holds an earlier one, but for `late` ones."""
    until_ns: int
    """Everything before this has been given out."""
    openings: Openings
    """Handshakes of connections that were read meanwhile, not later than `rows`."""


@dataclass(slots=True)
class _Reader:
    """One capture, and how far it is."""

    stream: Iterator[Batch]
    position_ns: int = NO_TIME
    ended: bool = False


@dataclass(slots=True)
class SideBySide:
    """Reads captures side by side; `windows()` gives their sightings."""

    inputs: Inputs
    correct: Correction | None = None
    """Puts times on the common clock; None where all captures have one."""
    observe: Callable[[Batch, Array, Array], None] | None = None
    """Told of every batch, with the decoded rows of its TCP segments and their flags."""
    slack_ns: int = SLACK_NS
    late: int = 0
    """Sightings that came after their window was given out."""
    segments: int = 0
    """Sightings in all."""
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    """First and last time of each capture, on the common clock, as far as it was read."""
    _parts: list[Sightings] = field(default_factory=list)
    _openings: list[Openings] = field(default_factory=list)
    _held: int = 0
    _check_at: int = field(default_factory=lambda: MIN_ROWS)
    _until_ns: int = NO_TIME
    _link_bytes: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def windows(self) -> Iterator[Window]:
        """Yield sightings in time order until all captures are read.

        An interrupt while reading ends the reading: what was gathered before is given out first,
        then KeyboardInterrupt is raised.
        """
        interrupted = False
        try:
            for readers in self._read():
                if self._held >= self._check_at:
                    yield from self._give(min(reader.position_ns for reader in readers))
        except KeyboardInterrupt:
            interrupted = True
        yield from self._give(None)
        if interrupted:
            raise KeyboardInterrupt

    def _read(self) -> Iterator[Sequence[_Reader]]:
        """Read batch after batch; yield the captures that go on, those behind the others first."""
        readers = [_Reader(stream) for stream in self.inputs.streams()]
        for reader in readers:
            self._advance(reader)
        going = [reader for reader in readers if not reader.ended]
        while going:
            yield going
            self._advance(min(going, key=lambda reader: reader.position_ns))
            going = [reader for reader in going if not reader.ended]

    def _advance(self, reader: _Reader) -> None:
        """Read one batch."""
        batch = next(reader.stream, None)
        if batch is None:
            reader.ended = True
            return
        decoded, first = batch.decoded, batch.decoded.first
        end = first + decoded.count
        time_ns = np.frombuffer(batch.frames.time_ns, np.int64)[first:end]
        point = np.frombuffer(batch.frames.point, np.int32)[first:end]
        timed = time_ns != NO_TIME
        if not timed.all():
            time_ns, point = time_ns[timed], point[timed]
        if len(time_ns):
            if self.correct is not None:
                time_ns = self.correct(time_ns, point)
            sample = np.sort(time_ns[::_SAMPLED])
            reader.position_ns = int(sample[len(sample) // 2])
            self._note_span(batch.capture, int(time_ns.min()), int(time_ns.max()))
        self._keep(batch)

    def _note_span(self, capture: int, first_ns: int, last_ns: int) -> None:
        if capture in self.spans:
            known = self.spans[capture]
            first_ns, last_ns = min(known[0], first_ns), max(known[1], last_ns)
        self.spans[capture] = (first_ns, last_ns)

    def _keep(self, batch: Batch) -> None:
        segments = extract(
            batch.frames, batch.decoded, batch.capture, kept=bool(self.inputs.selector)
        )
        if self.observe is not None:
            self.observe(batch, segments.decoded_row, segments.flags)
        if not len(segments):
            return
        if self.correct is not None:
            segments.time_ns = self.correct(segments.time_ns, segments.point)
        points = self.inputs.points.points
        if len(self._link_bytes) < len(points):
            self._link_bytes = np.array([_PER_POINT.get(p.link_type, 0) for p in points], np.int64)
        self._parts.append(from_segments(segments, self._link_bytes))
        self._openings.append(openings(segments))
        self._held += len(segments)
        self.segments += len(segments)

    def _give(self, position_ns: int | None) -> Iterator[Window]:
        """Give out what is complete; all there is where `position_ns` is None."""
        if not self._parts:
            return
        times = np.concatenate([part.time_ns for part in self._parts])
        until_ns = self._complete_until(times, position_ns)
        if until_ns is None:
            self._check_at = self._held + MIN_ROWS // 4
            return
        rows = concatenate(self._parts)
        order = np.argsort(times, kind="stable")
        cut = int(np.searchsorted(times[order], until_ns))
        self._parts = [rows.take(order[cut:])] if cut < len(order) else []
        self._held = len(order) - cut
        self._check_at = max(self._held + MIN_ROWS // 2, MIN_ROWS)
        given = rows.take(order[:cut])
        self.late += int(np.searchsorted(given.time_ns, self._until_ns))
        self._until_ns = until_ns
        opened = Openings.concatenate(self._openings)
        self._openings = [opened.take(np.zeros(0, np.intp))]
        yield Window(rows=given, openings=opened, until_ns=until_ns)

    def _complete_until(self, times: Array, position_ns: int | None) -> int | None:
        """Return up to which moment sightings can go out; None where it does not pay yet."""
        if position_ns is None:
            return _END
        complete_ns = max(position_ns, NO_TIME + self.slack_ns) - self.slack_ns
        if self._held > MAX_ROWS:
            # A capture is far behind, or out of order: the oldest half has waited long enough.
            half = len(times) // 2
            return max(complete_ns, int(np.partition(times, half)[half]), self._until_ns)
        if np.count_nonzero(times < complete_ns) < self._held // 2:
            return None
        return max(complete_ns, self._until_ns)
