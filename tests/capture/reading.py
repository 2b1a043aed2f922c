# SPDX-License-Identifier: Apache-2.0
"""Reads a capture to its end and keeps what came, for comparison with what was written."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from genevecap.capture import source, stream
from genevecap.capture.points import Point, PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.records import READABLE
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import CaptureError, DamagedCapture
from genevecap.kernels import load

KERNEL = load("genevecap.capture._kernel_records")
WALKS = {"readable": READABLE}
if KERNEL is not None:
    WALKS["compiled"] = KERNEL.KernelWalk()


class Row(NamedTuple):
    frame: int
    time_ns: int
    data: bytes
    wire_bytes: int
    point: str
    comments: tuple[str, ...]
    timeless: bool


@dataclass
class Reading:
    """What one capture gave."""

    rows: list[Row] = field(default_factory=list)
    error: CaptureError | None = None
    points: list[Point] = field(default_factory=list)
    capture: Capture | None = None

    @property
    def frames(self) -> list[int]:
        return [row.frame for row in self.rows]

    @property
    def data(self) -> list[bytes]:
        return [row.data for row in self.rows]

    @property
    def times(self) -> list[int]:
        return [row.time_ns for row in self.rows]

    @property
    def names(self) -> list[str]:
        return [row.point for row in self.rows]

    @property
    def cut_short(self) -> bool:
        assert self.capture is not None, self.error
        return self.capture.cut_short

    @property
    def damage(self) -> tuple[int, int, int, int] | None:
        """(record, offset, needed, had) of the damage."""
        if self.error is None:
            return None
        assert isinstance(self.error, DamagedCapture), self.error
        return self.error.record, self.error.offset, self.error.needed, self.error.had

    def told(self) -> tuple[object, ...]:
        """Everything, for comparison."""
        capture = self.capture
        return (
            self.rows,
            str(self.error),
            self.points,
            capture and (capture.packets, capture.captured_bytes, capture.wire_bytes),
            capture and (capture.first_ns, capture.last_ns, capture.cut_short),
            capture and (capture.reader.comments, capture.reader.application),
            capture and capture.stream.next_frame,
        )


class Octets(source.PlainSource):
    """A file in memory, read in pieces of the sizes given."""

    def __init__(
        self, data: bytes, sizes: Iterable[int] = (), *, live: bool = False, fail_at: int = -1
    ):
        self._data = data
        self._at = 0
        self._sizes = itertools.chain(sizes, itertools.repeat(1 << 30))
        self._fail_at = fail_at
        self._pushed_back = b""
        self._consumed = 0
        self._path = "octets"
        self.live = live
        self.size = None if live else len(data)
        self.closed = False

    def _read(self, count: int) -> bytes:
        assert count > 0
        count = min(count, next(self._sizes))
        if self._fail_at >= 0:
            count = min(count, self._fail_at - self._at)
            if not count:
                raise source.UnreadableCapture("octets", "cannot be read: Input/output error")
        piece = self._data[self._at : self._at + count]
        self._at += len(piece)
        self._consumed += len(piece)
        return piece

    def readinto(self, view: memoryview) -> int:
        if self._pushed_back:
            return super().readinto(view)
        piece = self._read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.closed = True


def read_spec(spec: CaptureSpec, walk: object, points: PointTable, index: int = 0) -> Reading:
    """Read a capture that stands in a file."""
    told = Reading()
    with mock.patch.object(stream, "record_walk", return_value=walk):
        try:
            told.capture = Capture(spec, points, index)
            for frames in told.capture.batches():
                take_rows(told, frames, points)
        except CaptureError as error:
            told.error = error
    told.points = points.of_capture(index)
    return told


def take_rows(told: Reading, frames, points: PointTable) -> None:
    assert 0 < frames.count <= frames.capacity
    assert frames.untimed == list(frames.time_ns[: frames.count]).count(-(2**63))
    for i in range(frames.count):
        begin = frames.offset[i]
        end = begin + frames.captured_bytes[i]
        assert 0 <= begin <= end <= told.capture.stream.end
        told.rows.append(
            Row(
                frames.frame[i],
                frames.time_ns[i],
                bytes(frames.buffer[begin:end]),
                frames.wire_bytes[i],
                points.names[frames.point[i]],
                tuple(told.capture.reader.frame_comments(i)),
                i in frames.timeless,
            )
        )


def read_path(path: Path | str, walk: object, *, name: str = "x") -> Reading:
    return read_spec(CaptureSpec(path=str(path), name=name, host=name), walk, PointTable())


def read(
    data: bytes, walk: object, sizes: Iterable[int] = (), *, live: bool = False, fail_at: int = -1
) -> Reading:
    """Read octets as if they stood in a file called x, compressed or not."""
    octets = Octets(data, sizes, live=live, fail_at=fail_at)
    opened = []

    def instead(file, path, *, close):
        file.close()
        opened.append(path)
        return octets

    with mock.patch.object(source, "PlainSource", instead):
        told = read_path(os.devnull, walk)
    assert opened == [os.devnull]
    assert octets.closed
    return told
