# SPDX-License-Identifier: Apache-2.0
"""Open a capture and read it batch by batch, whatever it is stored as."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from ..columns import NO_TIME, FrameBatch
from ..errors import DamagedCapture, NotACapture, UnreadableCapture
from .pcap import PcapReader, is_pcap
from .pcapng import PcapngReader, is_pcapng
from .points import PointTable
from .source import ByteSource, StreamDamage, open_source
from .spec import CaptureSpec
from .stream import FormatReader, Stream

_MAGIC_OCTETS = 4
_SHOWN_OCTETS = 8
_KNOWN_STRANGERS = {
    b"snoop\0\0\0": "Solaris snoop; editcap from Wireshark converts it",
    b"\x1f\x9d": "compress (.Z); gunzip unpacks it",
    b"BZh": "bzip2; bunzip2 unpacks it",
    b"\xfd7zXZ": "xz; unxz unpacks it",
    b"PK\x03\x04": "a zip archive",
    b"XCP\0": "NetXRay or Sniffer; editcap from Wireshark converts it",
}


class Capture:
    """One open input. `batches()` reads it once, from its start to its end."""

    def __init__(self, spec: CaptureSpec, points: PointTable, index: int) -> None:
        """Open it and read its file header.

        index: which input of the run it is; its points carry it.
        Raises UnreadableCapture, NotACapture or DamagedCapture: nothing of it could be read.
        """
        self.spec = spec
        self.index = index
        self.points = points
        self.packets = 0
        self.captured_bytes = 0
        self.wire_bytes = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.cut_short = False
        self.source: ByteSource = open_source(spec.path)
        try:
            self.stream = Stream(spec, self.source, points, index)
            self.reader = _make_reader(self.stream, self.source)
        except StreamDamage as damage:
            self.source.close()
            raise NotACapture(spec.path, f"nothing of it could be read: {damage}") from damage
        except BaseException:
            self.source.close()
            raise

    def batches(self) -> Iterator[FrameBatch]:
        """Yield batches of frames; one is valid until the next is asked for.

        Raises DamagedCapture (UnreadableCapture where the operating system fails to read on)
        after the batches before the damage were given; `cut_short` is set then too, and where the
        input simply ends inside a record.
        """
        stream, frames = self.stream, self.stream.frames
        try:
            while True:
                frames.count = 0
                frames.timeless.clear()
                damage: DamagedCapture | None = None
                full = False
                try:
                    full = self.reader.fill()
                except DamagedCapture as error:
                    damage = error
                if frames.count:
                    stream.finish_batch()
                    self._account(frames)
                    yield frames
                if damage is not None:
                    self.cut_short = True
                    raise damage
                if not full and not self._refill():
                    break
            self.cut_short = stream.position < stream.end or self.source.truncated
        except UnreadableCapture:
            self.cut_short = True
            raise
        finally:
            self.source.close()

    @property
    def format(self) -> str:
        """See `FrameSource`."""
        return self.reader.format

    @property
    def compression(self) -> str | None:
        """See `FrameSource`."""
        return self.source.compression

    @property
    def comments(self) -> tuple[str, ...]:
        """See `FrameSource`."""
        return tuple(self.reader.comments)

    @property
    def application(self) -> str | None:
        """See `FrameSource`."""
        return self.reader.application

    @property
    def key_logs(self) -> tuple[bytes, ...]:
        """See `FrameSource`."""
        return tuple(self.reader.key_logs)

    def bytes_read(self) -> int:
        """See `FrameSource`."""
        return self.source.position()

    def why_cut_short(self) -> str:
        """See `FrameSource`."""
        stream = self.stream
        left = stream.end - stream.position
        if not left:
            return "the compressed data has no end"
        return (
            f"record {stream.next_frame} at offset {stream.file_offset():#x} needs "
            f"{stream.needed} octets, {left} remain"
        )

    def frame_comments(self, row: int) -> tuple[str, ...]:
        """See `FrameSource`."""
        return tuple(self.reader.frame_comments(row))

    def close(self) -> None:
        """See `FrameSource`."""
        self.source.close()

    def _refill(self) -> bool:
        stream = self.stream
        try:
            return stream.refill()
        except StreamDamage as damage:
            self.cut_short = True
            raise DamagedCapture(
                self.spec.path,
                str(damage),
                record=stream.next_frame,
                offset=stream.file_offset(),
                needed=stream.needed,
                had=stream.end - stream.position,
            ) from damage

    def _account(self, frames: FrameBatch) -> None:
        counts = array("q", bytes(8 * len(self.points.points)))
        captured, wire, first, last, untimed = self.stream.walk.totals(frames, counts)
        for point, count in zip(self.points.points, counts, strict=True):
            point.packets += count
        self.packets += frames.count
        self.captured_bytes += captured
        self.wire_bytes += wire
        frames.untimed = untimed
        if first != NO_TIME:
            self.first_ns = first if self.first_ns is None else min(self.first_ns, first)
            self.last_ns = last if self.last_ns is None else max(self.last_ns, last)


def _make_reader(stream: Stream, source: ByteSource) -> FormatReader:
    """Tell the format by its first octets."""
    stream.require(_MAGIC_OCTETS)
    head = bytes(stream.buffer[: min(stream.end, _SHOWN_OCTETS)])
    if is_pcap(head):
        return PcapReader(stream)
    if is_pcapng(head):
        return PcapngReader(stream)
    if source.truncated and stream.end < _MAGIC_OCTETS:
        raise NotACapture(
            stream.path, f"not a capture: its {source.compression} data ends before one begins"
        )
    if not head:
        raise NotACapture(stream.path, "not a capture: it is empty")
    known = next((what for magic, what in _KNOWN_STRANGERS.items() if head.startswith(magic)), None)
    raise NotACapture(
        stream.path,
        f"not a capture: it begins with {head.hex(' ')}"
        + (f" ({known})" if known else "")
        + "; pcap or pcapng is expected, plain, gzip or zstd",
    )
