# SPDX-License-Identifier: Apache-2.0
"""The window over a capture's octets that the file formats read from.

One bytearray (1 MiB, more only for a record that is longer) is filled with chunked reads and used
again and again; what a batch has not consumed is moved to its front.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from ..columns import FrameBatch
from ..errors import UnreadableCapture
from .linktypes import LINUX_SLL2
from .points import Point, PointTable
from .records import SLL2_INDEX_END, SLL2_INDEX_OFFSET, RecordWalk, record_walk
from .source import ByteSource, StreamDamage
from .spec import CaptureSpec

BUFFER_BYTES = 1 << 20
MAX_SLL2_POINTS = 4096
"""Interface indexes of one SLL2 interface that get their own point; the rest share one."""


@dataclass(slots=True, kw_only=True)
class _Sll2Interface:
    """An SLL2 interface: its rows belong to points by interface index."""

    name: str | None
    known: array[int] = field(default_factory=lambda: array("q"))
    points: array[int] = field(default_factory=lambda: array("i"))
    own: int | None = None
    """The point of the interface itself: drops, and rows too short to say their index."""


class Stream:
    """Octets of one input, the rows made of them, and the points they belong to."""

    def __init__(
        self, spec: CaptureSpec, source: ByteSource, points: PointTable, capture: int
    ) -> None:
        self.path = spec.path
        self.frames = FrameBatch()
        self.buffer = bytearray(BUFFER_BYTES)
        self.frames.buffer = self.buffer
        self.frames.link_types = points.link_types
        self.walk: RecordWalk = record_walk()
        self.position = 0
        """Where the next record begins in `buffer`."""
        self.end = 0
        """Octets of `buffer` that are filled."""
        self.next_frame = 1
        self.needed = 0
        """Octets that the record at `position` needs, where it is not there whole."""
        self._base = 0
        self._source = source
        self._spec = spec
        self._points = points
        self._capture = capture
        self._sll2: dict[int, _Sll2Interface] = {}
        self._failure: StreamDamage | UnreadableCapture | None = None

    def file_offset(self) -> int:
        """Return the offset of `position` in the decompressed stream."""
        return self._base + self.position

    def add_point(self, interface: str | None, link_type: int) -> int:
        """Make a capture point of this input; an SLL2 one is split by interface index later."""
        if link_type != LINUX_SLL2:
            return self._points.add(self._spec, self._capture, interface, link_type)
        place = -2 - len(self._sll2)
        self._sll2[place] = _Sll2Interface(name=interface)
        return place

    def point(self, place: int) -> Point:
        """Return the point that `add_point` gave."""
        return self._points.points[place if place >= 0 else self._own_point(place)]

    def require(self, count: int) -> bool:
        """Read until `count` octets follow `position`; return False where the input ends before."""
        while self.end - self.position < count:
            if self.position + count > len(self.buffer):
                self._rewind(count)
            if not self._read():
                return False
        return True

    def want(self, count: int) -> bool:
        """Note that the record at `position` needs `count` octets; see `FormatReader.fill`."""
        self.needed = count
        return False

    def refill(self) -> bool:
        """Move what is left to the front and read on; return False at the end of the input."""
        self._rewind(self.needed)
        return self._read()

    def octets_left(self) -> int:
        """Return the octets from `position` on that the buffer has room for; waits for no pipe."""
        if not self._source.live:
            with suppress(StreamDamage, UnreadableCapture):
                self._read()
        return self.end - self.position

    def finish_batch(self) -> None:
        """Give the rows of SLL2 captures their points."""
        if not self._sll2:
            return
        frames = self.frames
        # Only what this batch holds: a file may describe thousands of interfaces.
        places = {place for place in frames.point[: frames.count] if place < 0}
        for place in sorted(places, reverse=True):
            interface = self._sll2[place]
            row = 0
            while (
                row := self.walk.split_sll2(frames, row, place, interface.known, interface.points)
            ) < frames.count:
                if len(interface.known) >= MAX_SLL2_POINTS:
                    self._share_point(place, row)
                    break
                index = self._sll2_index(row)
                interface.known.append(index)
                interface.points.append(
                    self._points.add(self._spec, self._capture, f"ifindex-{index}", LINUX_SLL2)
                )
            if place in frames.point[: frames.count]:
                own = self._own_point(place)
                for row in range(frames.count):
                    if frames.point[row] == place:
                        frames.point[row] = own

    def _sll2_index(self, row: int) -> int:
        begin = self.frames.offset[row]
        index = self.buffer[begin + SLL2_INDEX_OFFSET : begin + SLL2_INDEX_END]
        return int.from_bytes(index, "big")

    def _share_point(self, place: int, first: int) -> None:
        """Give rows from `first` on their points, without any new one."""
        frames, own = self.frames, self._own_point(place)
        interface = self._sll2[place]
        points = dict(zip(interface.known, interface.points, strict=True))
        for row in range(first, frames.count):
            if frames.point[row] == place and frames.captured_bytes[row] >= SLL2_INDEX_END:
                frames.point[row] = points.get(self._sll2_index(row), own)

    def _own_point(self, place: int) -> int:
        interface = self._sll2[place]
        if interface.own is None:
            interface.own = self._points.add(self._spec, self._capture, interface.name, LINUX_SLL2)
        return interface.own

    def _rewind(self, needed: int) -> None:
        left = self.end - self.position
        if self.position:
            self.buffer[:left] = self.buffer[self.position : self.end]
            self._base += self.position
            self.position, self.end = 0, left
        if needed > len(self.buffer):
            # A new one: the old may still be looked at through a NumPy array.
            self.buffer = self.frames.buffer = self.buffer + bytes(needed - len(self.buffer))

    def _read(self) -> bool:
        """Fill the buffer (from a pipe: with what has come); return False at the end.

        Raises StreamDamage or UnreadableCapture, but only once everything before the damage has
        been handed on.
        """
        if self._failure is not None:
            raise self._failure
        begin = self.end
        with memoryview(self.buffer) as view:
            while self.end < len(view):
                try:
                    count = self._source.readinto(view[self.end :])
                except (StreamDamage, UnreadableCapture) as failure:
                    # Its traceback would hold a view of the buffer, which could then not grow.
                    self._failure = failure.with_traceback(None)
                    break
                self.end += count
                if count == 0 or self._source.live:
                    break
        if self.end == begin and self._failure is not None:
            raise self._failure
        return self.end > begin


class FormatReader:
    """What a file format does: turn the stream's octets into rows of its batch."""

    format: ClassVar[str]

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.comments: list[str] = []
        self.application: str | None = None
        self.key_logs: list[bytes] = []

    def fill(self) -> bool:
        """Append rows to the batch from what is in the buffer.

        Returns True when the batch is full (or must be handed over), False when more octets are
        needed (`stream.needed` of them from `stream.position`).
        Raises DamagedCapture at `stream.position`; the rows before it are good.
        """
        raise NotImplementedError

    def frame_comments(self, row: int) -> list[str]:  # noqa: ARG002 - for formats that have them
        """Return the comments of one frame of the batch; formats without them have none."""
        return []
