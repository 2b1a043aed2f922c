# SPDX-License-Identifier: Apache-2.0
"""Several captures as one run of decoded batches; what goes wrong with one is told, not raised."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..capture.frames import FrameSource, OpenFrames
from ..capture.points import PointTable
from ..capture.reader import Capture
from ..capture.spec import CaptureSpec
from ..columns import BATCH_ROWS, NO_TIME, DecodedBatch, Finding, FrameBatch
from ..decode import Decoder, DecodeSettings, make_decoder
from ..errors import CaptureError, DamagedCapture
from .progress import Progress
from .results import Damage, Problem
from .select import RowFilter, Selector

_MOST_NAMES = 20


@dataclass(slots=True, kw_only=True)
class InputState:
    """One capture of a run: open, read, or not readable at all."""

    spec: CaptureSpec
    capture: FrameSource | None = None
    damage: Damage | None = None


@dataclass(slots=True)
class Batch:
    """Decoded frames of one capture; valid until the next one is asked for."""

    capture: int
    frames: FrameBatch
    decoded: DecodedBatch


@dataclass(slots=True)
class Inputs:
    """All captures of a run: `batches()` reads them in turn, `streams()` gives one run for each."""

    specs: Sequence[CaptureSpec]
    settings: DecodeSettings
    selector: Selector
    on_problem: Callable[[Problem], None]
    progress: Progress | None = None
    open_frames: OpenFrames = Capture
    points: PointTable = field(default_factory=PointTable)
    states: list[InputState] = field(default_factory=list)
    _ended: int = 0

    def batches(self) -> Iterator[Batch]:
        """Yield what can be read of every capture, one after the other.

        A capture that cannot be opened or is damaged is told to `on_problem`, with what was read
        before the damage already given; the others go on.
        """
        for stream in self.streams():
            yield from stream

    def streams(self) -> Iterator[Iterator[Batch]]:
        """Yield for every capture the batches of it; they may be asked for in any order.

        What goes wrong with one is told as `batches()` does, and ends its batches.  A capture is
        opened when its first batch is asked for.
        """
        decoder = make_decoder(self.settings)
        decoded = DecodedBatch(BATCH_ROWS)
        rows = RowFilter(self.selector)
        bytes_total = _stored_bytes(self.specs)
        for index, spec in enumerate(self.specs):
            state = InputState(spec=spec)
            self.states.append(state)
            yield self._read(index, state, _Decoding(decoder, decoded, rows), bytes_total)

    def read_paths(self) -> tuple[str, ...]:
        """Return the paths of the inputs of which anything could be read."""
        return tuple(
            state.spec.path
            for state in self.states
            if state.capture is not None and (state.damage is None or state.capture.packets > 0)
        )

    def _read(
        self, index: int, state: InputState, decoding: _Decoding, bytes_total: int | None
    ) -> Iterator[Batch]:
        spec = state.spec
        try:
            capture = state.capture = self.open_frames(spec, self.points, index)
            for frames in capture.batches():
                names = self.points.names if self.selector else []
                yield from decoding.batches(index, frames, names)
                self._tell_progress(bytes_total)
            if capture.cut_short:
                self._warn_cut_short(capture)
        except DamagedCapture as error:
            state.damage = Damage(
                record=error.record, offset=error.offset, needed=error.needed, had=error.had
            )
            self._tell(spec, "error", str(error))
        except CaptureError as error:
            self._tell(spec, "error", str(error))
        self._ended += 1
        if self._ended == len(self.specs):
            self._warn_unmatched()

    def _tell_progress(self, bytes_total: int | None) -> None:
        if self.progress is None:
            return
        opened = [state.capture for state in self.states if state.capture is not None]
        self.progress.update(
            sum(capture.bytes_read() for capture in opened),
            bytes_total,
            sum(capture.packets for capture in opened),
        )

    def _warn_unmatched(self) -> None:
        """Tell which patterns of the manifest matched nothing: a name that was mistyped, say."""
        manifest, unmatched = self.points.manifest, self.points.unmatched()
        if manifest is None or not unmatched:
            return
        names = [point.own_name for point in self.points.points]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        known = ", ".join(names[:_MOST_NAMES]) or "none"
        self.on_problem(
            Problem(
                path=manifest.path,
                severity="warning",
                message=f"--points {manifest.path}: no capture point matches "
                f"{', '.join(map(repr, unmatched))}; there are {known}{more}",
            )
        )

    def _warn_cut_short(self, capture: FrameSource) -> None:
        self._tell(
            capture.spec,
            "warning",
            f"{capture.spec.path}: cut short: {capture.why_cut_short()}. "
            "Was the capture stopped while writing?",
        )

    def _tell(self, spec: CaptureSpec, severity: str, message: str) -> None:
        self.on_problem(Problem(path=spec.path, severity=severity, message=message))


def read_into(inputs: Inputs, update: Callable[[Batch], None]) -> bool:
    """Give every batch to `update`; return whether an interrupt ended that early."""
    try:
        for batch in inputs.batches():
            update(batch)
    except KeyboardInterrupt:
        return True
    return False


@dataclass(slots=True)
class _Decoding:
    """What all captures of a run share: one decoder, one batch that it fills, the selectors."""

    decoder: Decoder
    decoded: DecodedBatch
    rows: RowFilter

    def batches(self, index: int, frames: FrameBatch, names: list[str]) -> Iterator[Batch]:
        """Yield the decoded frames of one batch, in as many pieces as the side tables need."""
        first = 0
        while first < frames.count:
            first = self.decoder.decode(frames, first, self.decoded)
            _note_times(frames, self.decoded)
            self.rows.apply(frames, self.decoded, names)
            yield Batch(index, frames, self.decoded)


def _note_times(frames: FrameBatch, decoded: DecodedBatch) -> None:
    """Mark frames whose time does not fit int64; a frame without any has no such finding."""
    if not frames.untimed:
        return
    for i in range(decoded.count):
        row = decoded.first + i
        if frames.time_ns[row] == NO_TIME and row not in frames.timeless:
            decoded.findings[i] |= Finding.C01


def _stored_bytes(specs: Sequence[CaptureSpec]) -> int | None:
    """Return the size of all inputs as stored, None where one is not a regular file."""
    total = 0
    for spec in specs:
        try:
            status = Path(spec.path).stat()
        except (OSError, ValueError):
            continue
        if not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return None if any(spec.path == "-" for spec in specs) else total
