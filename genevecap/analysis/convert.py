# SPDX-License-Identifier: Apache-2.0
"""`convert`: a capture without its tunnels, or with the other format, frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..capture.linktypes import ETHERNET
from ..capture.spec import CaptureSpec
from ..capture.writer import CaptureWriter, PcapngWriter, PcapWriter
from ..columns import DecodedBatch, FrameBatch, TunnelKind
from ..decode import DecodeSettings
from ..decode.rewrite import Kept, Rewritten, decapsulated, encapsulated
from .inputs import Batch, Inputs
from .progress import Progress
from .results import Problem
from .select import Selector

APPLICATION = "genevecap convert"

_PCAP_SUFFIXES = (".pcap", ".cap")

FORMATS = {"vxlan": TunnelKind.VXLAN, "geneve": TunnelKind.GENEVE}


def is_pcapng_name(path: Path) -> bool:
    """Tell whether a file of this name is to be pcapng, and not classic pcap."""
    return path.suffix not in _PCAP_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertResult:
    """What became of the frames."""

    path: str
    packets: int
    """Written."""
    converted: int
    kept: tuple[tuple[str, int], ...]
    """(why, how many) were written as they were, most first."""


class Conversion:
    """One run: `pieces()` yields the octets of the new file, then `result()` tells about it."""

    def __init__(
        self,
        spec: CaptureSpec,
        *,
        to: str | None,
        vni: int | None = None,
        pcapng: bool = True,
        settings: DecodeSettings | None = None,
        selector: Selector | None = None,
        progress: Progress | None = None,
        on_problem: Callable[[Problem], None],
    ) -> None:
        """Say what is wanted.

        to: `vxlan`, `geneve`, or None for no tunnels at all.
        vni: of all tunnels of the new format; None keeps theirs.
        pcapng: False writes classic pcap, which has no comments.
        """
        self._inputs = Inputs(
            [spec], settings or DecodeSettings(), selector or Selector(), on_problem, progress
        )
        self._spec = spec
        self._to = None if to is None else FORMATS[to]
        self._vni = vni
        self._writer: CaptureWriter = PcapngWriter() if pcapng else PcapWriter()
        self._pcapng = pcapng
        self._kept: Counter[str] = Counter()
        self._converted = 0
        self._secrets = 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the new file.

        Raises UsageError where its format has no place for a packet.
        """
        begun = False
        for batch in self._inputs.batches():
            if not begun:
                yield self._begin()
                begun = True
            yield self._secrets_so_far()
            yield b"".join(self._packets(batch))
        if not begun and self.was_read:
            yield self._begin()
        yield from self._end()

    @property
    def was_read(self) -> bool:
        """Whether anything of the input could be read."""
        return bool(self._inputs.read_paths())

    def result(self) -> ConvertResult:
        """Return what became of the frames."""
        kept = sorted(self._kept.items(), key=lambda item: (-item[1], item[0]))
        return ConvertResult(
            path=self._spec.path,
            packets=self._converted + self._kept.total(),
            converted=self._converted,
            kept=tuple(kept),
        )

    def _begin(self) -> bytes:
        capture = self._inputs.states[0].capture
        return self._writer.begin(() if capture is None else capture.comments, APPLICATION)

    def _secrets_so_far(self) -> bytes:
        capture = self._inputs.states[0].capture
        logs = () if capture is None else capture.key_logs[self._secrets :]
        self._secrets += len(logs)
        return b"".join(self._writer.secrets(log) for log in logs)

    def _packets(self, batch: Batch) -> Iterator[bytes]:
        frames, d = batch.frames, batch.decoded
        for i in range(d.count):
            if not d.keep[i]:
                continue
            row = d.first + i
            frame, what = self._rewrite(frames, d, i)
            point = self._inputs.points.points[frames.point[row]]
            comments: tuple[str, ...] = ()
            if self._pcapng:
                comments = (*self._comments(row), f"frame {frames.frame[row]}{what}")
            yield self._writer.packet(
                (frames.point[row], point.interface, frame.link_type),
                frames.time_ns[row],
                frame.data,
                frame.wire_bytes,
                comments,
            )

    def _comments(self, row: int) -> tuple[str, ...]:
        capture = self._inputs.states[0].capture
        return () if capture is None else capture.frame_comments(row)

    def _rewrite(self, frames: FrameBatch, d: DecodedBatch, i: int) -> tuple[Rewritten, str]:
        """Return a frame as it is to be written, and what a comment says about it."""
        try:
            if self._to is None:
                frame = decapsulated(frames, d, i)
            else:
                frame = encapsulated(frames, d, i, self._to, self._vni)
        except Kept as why:
            self._kept[str(why)] += 1
            row = d.first + i
            begin = frames.offset[row]
            kept = Rewritten(
                data=bytes(frames.buffer[begin : begin + frames.captured_bytes[row]]),
                wire_bytes=frames.wire_bytes[row],
                link_type=frames.link_types[frames.point[row]],
            )
            return kept, "" if str(why) in _ORDINARY else f", as it was: {why}"
        self._converted += 1
        return frame, ", decapsulated" if self._to is None else ", converted"

    def _end(self) -> Iterator[bytes]:
        for number, point in enumerate(self._inputs.points.points):
            if point.dropped:
                place = (number, point.interface, point.link_type)
                yield self._writer.dropped(place, point.dropped)
        if self.was_read:
            points = self._inputs.points.points
            yield self._writer.end(points[0].link_type if points else ETHERNET)


_ORDINARY = frozenset(("no tunnel", "nothing to change"))
