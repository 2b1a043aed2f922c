# SPDX-License-Identifier: Apache-2.0
"""A capture whose frames are given in the order of their times, whatever order its file has."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from heapq import heappop, heappush

from ..columns import BATCH_ROWS, NO_TIME, FrameBatch
from ..errors import DamagedCapture, UnreadableCapture
from .frames import FrameSource, OpenFrames
from .points import PointTable
from .reader import Capture
from .spec import CaptureSpec

HELD_BYTES = 128 << 20
"""Octets of frames that are held back: files with no more are in order throughout."""
_FRAME_BYTES = 300
"""What holding a frame takes besides its octets."""

_Row = tuple[int, int, int, bytes, int, int, bool]
"""Time to sort by, frame number, time, octets, original length, point, whether it has no time."""


def in_order(mixed: Collection[int]) -> OpenFrames:
    """Return what opens captures so that those with these indices are read in order."""

    def open_frames(spec: CaptureSpec, points: PointTable, index: int) -> FrameSource:
        return (InOrder if index in mixed else Capture)(spec, points, index)

    return open_frames


class InOrder(Capture):
    """A capture that is sorted while it is read; comments on frames are left out.

    Frames without a time stay behind the one before them.
    """

    held_bytes = HELD_BYTES

    def batches(self) -> Iterator[FrameBatch]:
        """See `Capture.batches`."""
        held: list[_Row] = []
        size, latest = 0, 0
        batch = FrameBatch()
        damage: DamagedCapture | UnreadableCapture | None = None
        captured = super().batches()
        while True:
            try:
                frames = next(captured, None)
            except (DamagedCapture, UnreadableCapture) as error:
                damage, frames = error, None
            if frames is None:
                break
            batch.link_types = frames.link_types
            for row in range(frames.count):
                time_ns, begin = frames.time_ns[row], frames.offset[row]
                latest = latest if time_ns == NO_TIME else time_ns
                octets = bytes(frames.buffer[begin : begin + frames.captured_bytes[row]])
                heappush(
                    held,
                    (latest, frames.frame[row], time_ns, octets, frames.wire_bytes[row],
                     frames.point[row], row in frames.timeless),
                )  # fmt: skip
                size += len(octets) + _FRAME_BYTES
            if size > self.held_bytes:
                rows = []
                while size > self.held_bytes // 2:
                    rows.append(heappop(held))
                    size -= len(rows[-1][3]) + _FRAME_BYTES
                yield from _filled(batch, rows)
        held.sort()
        yield from _filled(batch, held)
        if damage is not None:
            raise damage


def _filled(batch: FrameBatch, rows: list[_Row]) -> Iterator[FrameBatch]:
    """Yield the batch, filled with row after row."""
    for first in range(0, len(rows), BATCH_ROWS):
        part = rows[first : first + BATCH_ROWS]
        batch.count, batch.untimed, offset = len(part), 0, 0
        batch.timeless.clear()
        for row, (_, frame, time_ns, octets, wire_bytes, point, timeless) in enumerate(part):
            batch.frame[row], batch.time_ns[row] = frame, time_ns
            batch.offset[row], batch.captured_bytes[row] = offset, len(octets)
            batch.wire_bytes[row], batch.point[row] = wire_bytes, point
            batch.options_offset[row], batch.options_bytes[row] = -1, 0
            offset += len(octets)
            batch.untimed += time_ns == NO_TIME
            if timeless:
                batch.timeless.add(row)
        batch.buffer = bytearray(b"".join(row[3] for row in part))
        yield batch
