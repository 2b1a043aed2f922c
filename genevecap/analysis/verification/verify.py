# SPDX-License-Identifier: Apache-2.0
"""Verify a decoding against an independent witness: tshark, over the same file.

Two programs that share no code read the capture side by side, and their readings are compared
frame by frame.  Nothing is kept but counts: a difference is handed on where it is met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import GenevecapError, UsageError
from ..packets import packets
from ..results import PacketRow, Problem
from ..select import Selector
from ..summary import inspect
from ..tshark import find_tshark, tshark_version
from .compare import FIELDS, Comparison, compare
from .reading import Reading
from .tshark import decode_as, witness

if TYPE_CHECKING:
    from ...capture.spec import CaptureSpec
    from ...decode.settings import DecodeSettings
    from ..progress import Progress

NOT_A_PACKET = (
    "a block that holds no packet (a pcapng Custom Block, say): tshark numbers it like one"
)
NOT_READ = "no such frame"
GAVE_UP = "tshark gave the damaged file up before this record, which is whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of one frame that the two readings do not agree on."""

    capture: str
    frame: int
    field: str
    ours: str
    theirs: str
    explanation: str | None
    """Why we are right; None where nothing known explains the difference."""

    @property
    def display_filter(self) -> str:
        """Wireshark's filter that shows the frame."""
        return f"frame.number == {self.frame}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldAgreement:
    """How often one field was compared, agreed, and differed for a known reason."""

    field: str
    compared: int
    agreed: int
    explained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureAgreement:
    """How far the readings of one capture agree."""

    path: str
    frames: int
    """Frames that both have."""
    fields: tuple[FieldAgreement, ...]

    @property
    def unexplained(self) -> int:
        """Differences that nothing known explains."""
        return sum(f.compared - f.agreed - f.explained for f in self.fields)

    @property
    def explained(self) -> int:
        """Differences that come of a known limit of tshark."""
        return sum(f.explained for f in self.fields)


class Verification:
    """Compares captures with tshark's reading of them, while `differences()` is gone through.

    specs: the captures; regular files, since both programs read them.
    on_problem: told about captures that cannot be read or are damaged.
    """

    def __init__(
        self,
        specs: Sequence[CaptureSpec],
        *,
        settings: DecodeSettings,
        on_problem: Callable[[Problem], None],
        progress: Progress | None = None,
    ) -> None:
        """Raise ToolMissing without tshark, UsageError for what is not a file."""
        for spec in specs:
            _require_file(spec.path)
        self._specs = specs
        self._settings = settings
        self._on_problem = on_problem
        self._progress = progress
        self._tshark = find_tshark("verify")
        self.tshark_version = tshark_version(self._tshark)
        self.captures: list[CaptureAgreement] = []
        """One per capture that was gone through; complete when `differences()` has ended."""
        self.interrupted = False

    @property
    def unexplained(self) -> int:
        """Differences so far that nothing known explains."""
        return sum(capture.unexplained for capture in self.captures)

    def differences(self) -> Iterator[Difference]:
        """Yield every difference, in the order of captures and frames.

        An interrupt ends it early: what was compared so far stands, `interrupted` is set.
        """
        for spec in self._specs:
            tally = _Tally(spec.path)
            try:
                yield from self._capture(spec, tally)
            except KeyboardInterrupt:
                self.interrupted = True
            except GenevecapError as error:
                problem = Problem(path=spec.path, severity="error", message=str(error))
                self._on_problem(problem)
            if tally.seen:
                self.captures.append(tally.result())
            if self.interrupted:
                return

    def _capture(self, spec: CaptureSpec, tally: _Tally) -> Iterator[Difference]:
        """Read one capture twice: for the ports that tshark has to be told, then to compare."""
        summary = inspect([spec], settings=self._settings, selector=Selector())
        if summary.interrupted:
            raise KeyboardInterrupt
        ports = {tunnel.port: tunnel.kind for tunnel in summary.tunnels if tunnel.port is not None}
        total = sum(capture.packets for capture in summary.captures)
        rows = packets(
            [spec], settings=self._settings, selector=Selector(), on_problem=self._on_problem
        )
        if not total:
            # Nothing to compare, but what is wrong with the file must be told.
            for _ in rows:
                pass
            return
        size = Path(spec.path).stat().st_size
        rules = decode_as(self._settings, ports)
        with witness(
            spec.path, tshark=self._tshark, rules=rules, settings=self._settings
        ) as readings:
            for row, reading in _side_by_side(rows, iter(readings)):
                yield from tally.take(row, reading, gave_up=readings.gave_up)
                if self._progress is not None:
                    share = min(size, size * tally.seen // total)
                    self._progress.update(share, size, tally.seen)


def _require_file(path: str) -> None:
    """Raise UsageError for standard input, pipes and devices: tshark could not read them again."""
    if path == "-" or (Path(path).exists() and not Path(path).is_file()):
        raise UsageError(
            f"{path}: verify reads a capture several times, so it needs a file: save it first"
        )


def _side_by_side(
    rows: Iterator[PacketRow], readings: Iterator[Reading]
) -> Iterator[tuple[PacketRow | None, Reading | None]]:
    """Pair both readings by frame number; both count upwards."""
    row, reading = next(rows, None), next(readings, None)
    while row is not None or reading is not None:
        if reading is None or (row is not None and row.frame < reading.frame):
            yield row, None
            row = next(rows, None)
        elif row is None or reading.frame < row.frame:
            yield None, reading
            reading = next(readings, None)
        else:
            yield row, reading
            row, reading = next(rows, None), next(readings, None)


class _Tally:
    """Counts the comparisons of one capture."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._compared: Counter[str] = Counter()
        self._agreed: Counter[str] = Counter()
        self._explained: Counter[str] = Counter()
        self._frames = 0
        self.seen = 0
        """Frames that one of the two has, or both."""

    def take(
        self, row: PacketRow | None, reading: Reading | None, *, gave_up: bool = False
    ) -> Iterator[Difference]:
        """Count one frame and yield its differences; gave_up: whether tshark's end was an error."""
        self.seen += 1
        if row is not None and reading is not None:
            self._frames += 1
            number, comparisons = row.frame, compare(row, reading)
        elif row is not None:
            number = row.frame
            explanation = GAVE_UP if gave_up else None
            comparisons = iter(
                (
                    Comparison(
                        field="frame", ours="a packet", theirs=NOT_READ, explanation=explanation
                    ),
                )
            )
        elif reading is not None:
            number, comparisons = reading.frame, iter((_only_theirs(reading),))
        for comparison in comparisons:
            self._compared[comparison.field] += 1
            if comparison.agrees:
                self._agreed[comparison.field] += 1
                continue
            if comparison.explanation is not None:
                self._explained[comparison.field] += 1
            yield Difference(
                capture=self._path,
                frame=number,
                field=comparison.field,
                ours=comparison.ours,
                theirs=comparison.theirs,
                explanation=comparison.explanation,
            )

    def result(self) -> CaptureAgreement:
        """Return the counts."""
        return CaptureAgreement(
            path=self._path,
            frames=self._frames,
            fields=tuple(
                FieldAgreement(
                    field=field,
                    compared=self._compared[field],
                    agreed=self._agreed[field],
                    explained=self._explained[field],
                )
                for field in FIELDS
                if self._compared[field]
            ),
        )


def _only_theirs(reading: Reading) -> Comparison:
    return Comparison(
        field="frame",
        ours=NOT_READ,
        theirs="a packet" if reading.is_packet else "a block",
        explanation=None if reading.is_packet else NOT_A_PACKET,
    )
