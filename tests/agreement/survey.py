# SPDX-License-Identifier: Apache-2.0
"""Run genevecap over the corpus and hold every frame against the truth.

The test and the report are two views of a `Survey`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import listed
from .readings import Difference, FormError, Reading, compare, read_row, silences
from .truth import ExpectedFile, ExpectedFrame, expected_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DECODERS = ("compiled", "readable")
DISABLE_KERNELS = "GENEVECAP_DISABLE_KERNELS"
CORPUS_VARIABLE = "GENEVECAP_CORPUS"
REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 10.0
WHOLE_FILE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one run of the command on one file did."""

    exit_code: int
    rows: Mapping[int, Mapping[str, Any]]
    stderr: str
    seconds: float
    kernels: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameVerdict:
    """One frame held against the truth; `ours` is None where there is no row."""

    expected: ExpectedFrame
    row: Mapping[str, Any] | None
    ours: Reading | None
    unlisted: tuple[Difference, ...]
    listed: tuple[Difference, ...]

    @property
    def in_full(self) -> bool:
        """Whether the frame counts as compared in full."""
        return self.expected.reading is not None and self.expected.skipped_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict:
    """One file held against the truth.

    unlisted, listed: differences of the file as a whole and of rows that the truth does not have.
    extra_rows: rows behind the frame at which the dissector gave up.
    """

    expected: ExpectedFile
    output: Output
    frames: tuple[FrameVerdict, ...]
    unlisted: tuple[Difference, ...]
    listed: tuple[Difference, ...]
    extra_rows: int

    def all_unlisted(self) -> list[Difference]:
        """Return every difference that no entry explains."""
        return [*self.unlisted, *(d for frame in self.frames for d in frame.unlisted)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All files held against the truth with one decoder."""

    decoder: str
    files: tuple[FileVerdict, ...]
    stale: tuple[listed.Entry, ...]

    def frames(self) -> Iterator[tuple[FileVerdict, FrameVerdict]]:
        """Yield every frame with its file."""
        for file in self.files:
            for frame in file.frames:
                yield file, frame

    def unlisted(self) -> list[Difference]:
        """Return every difference that no entry explains."""
        return [d for file in self.files for d in file.all_unlisted()]

    def faults(self) -> list[str]:
        """Return everything that must not happen on any input, each with its file."""
        return [f"{f.expected.name}: {fault}" for f in self.files for fault in f.output.faults]

    def summary(self) -> Summary:
        """Count what was compared and how it came out."""
        counts = Summary(decoder=self.decoder, files=len(self.files))
        for file in self.files:
            counts.extra_rows += file.extra_rows
        for _, frame in self.frames():
            counts.add(frame)
        return counts


@dataclass(slots=True, kw_only=True)
class Summary:
    """The numbers of a survey; `str()` is what the test prints."""

    decoder: str
    files: int
    no_packet: int = 0
    in_full: int = 0
    agreed: int = 0
    only_listed: int = 0
    different: int = 0
    partly_agreed: int = 0
    partly_listed: int = 0
    partly_different: int = 0
    extra_rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)

    def add(self, frame: FrameVerdict) -> None:
        """Count one frame."""
        expected = frame.expected
        if expected.reading is None:
            self.no_packet += 1
            self.partly_different += bool(frame.unlisted)
            return
        for name, why in silences(expected.reading):
            self.silent[f"{name}: {why}"] += 1
        outcome = "different" if frame.unlisted else "listed" if frame.listed else "agreed"
        if frame.in_full:
            self.in_full += 1
            name = "only_listed" if outcome == "listed" else outcome
        else:
            self.skipped[str(expected.skipped_at)] += 1
            name = f"partly_{outcome}"
        setattr(self, name, getattr(self, name) + 1)

    @property
    def share_agreed(self) -> float:
        """Share of the frames compared in full that agree without any entry; 0 where none."""
        return self.agreed / self.in_full if self.in_full else 0.0

    def __str__(self) -> str:
        skipped = sum(self.skipped.values())
        lines = [
            f"agreement, {self.decoder} decoder: {self.files} files",
            f"  {self.in_full:6} frames compared in full, of which",
            f"  {self.agreed:6}   agree without an entry ({100 * self.share_agreed:.2f} %)",
            f"  {self.only_listed:6}   differ as listed in differences.toml",
            f"  {self.different:6}   differ in another way",
            f"  {skipped:6} frames compared down to a layer that is not decoded, of which",
            f"  {self.partly_agreed:6}   agree that far",
            f"  {self.partly_listed:6}   differ as listed in differences.toml",
            f"  {self.partly_different:6}   differ in another way; the layers:",
            *(f"  {count:6}   {layer}" for layer, count in self.skipped.most_common()),
            f"  {self.no_packet:6} numbers used up by blocks that hold no packet",
            f"  {self.extra_rows:6} rows behind the point where the dissector gave up a file",
        ]
        if self.silent:
            lines.append(f"  {sum(self.silent.values()):6} fields on which the truth is silent:")
            lines += [f"  {count:6}   {name}" for name, count in self.silent.most_common()]
        return "\n".join(lines)


def corpus_directory() -> Path | None:
    """Return the corpus: GENEVECAP_CORPUS, else ../shared/corpus, or None where it is not there."""
    named = os.environ.get(CORPUS_VARIABLE)
    directory = Path(named) if named else REPOSITORY.parent / "shared" / "corpus"
    return directory if (directory / "truth").is_dir() else None


def file_names(corpus: Path) -> list[str]:
    """Return the names of all captures that have a truth."""
    suffix = ".truth.json"
    return sorted(p.name.removesuffix(suffix) for p in (corpus / "truth").glob(f"*{suffix}"))


def load_truth(corpus: Path, name: str) -> dict[str, Any]:
    """Return the dissector's record of one capture."""
    record: dict[str, Any] = json.loads((corpus / "truth" / f"{name}.truth.json").read_text())
    return record


def expectations(corpus: Path, name: str) -> ExpectedFile:
    """Return what genevecap should say about one capture, published texts taken into account."""
    expected = expected_file(load_truth(corpus, name))
    published = listed.published()
    frames = tuple(
        dataclasses.replace(
            frame,
            skipped_at=None,
            reading=dataclasses.replace(
                frame.reading, layers=better.layers, tunnels=better.tunnels, inner=better.inner
            ),
        )
        if frame.reading is not None and (better := published.get((name, frame.number))) is not None
        else frame
        for frame in expected.frames
    )
    return dataclasses.replace(expected, frames=frames)


def package_directory() -> Path | None:
    """Return the folder of the genevecap that is imported here, or None."""
    spec = importlib.util.find_spec("genevecap")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def has_kernels() -> bool:
    """Return whether the decoder of that genevecap was compiled."""
    package = package_directory()
    return package is not None and any(
        path.suffix in (".so", ".pyd") for path in package.glob("decode/_kernel*")
    )


def environment(decoder: str) -> dict[str, str]:
    """Return the environment in which the same genevecap uses the given decoder."""
    result = {k: v for k, v in os.environ.items() if k != DISABLE_KERNELS}
    if decoder == "readable":
        result[DISABLE_KERNELS] = "1"
    package = package_directory()
    if package is not None:
        paths = [str(package.parent), result.get("PYTHONPATH", "")]
        result["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return result


def run(paths: Sequence[Path], decoder: str) -> dict[str, Output]:
    """Run the command on each file; return what it did, by file name.

    One process serves all files; where it dies, the file that it died on is a fault, and another
    process serves the rest.
    """
    outputs: dict[str, Output] = {}
    waiting = [str(path) for path in paths]
    while waiting:
        process = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("runner.py")), str(LIMIT_SECONDS)],
            input="\n".join(waiting),
            capture_output=True,
            text=True,
            env=environment(decoder),
            check=False,
        )
        for line in process.stdout.splitlines():
            result = json.loads(line)
            outputs[Path(result["path"]).name] = _output(result)
            waiting.remove(result["path"])
        if waiting and (process.returncode or not process.stdout):
            died = waiting.pop(0)
            fault = f"the process ended with {process.returncode}: {process.stderr[-2000:]}"
            outputs[Path(died).name] = Output(
                exit_code=process.returncode,
                rows={},
                stderr=process.stderr,
                seconds=0.0,
                kernels=(),
                faults=(fault,),
            )
    return outputs


def _output(result: Mapping[str, Any]) -> Output:
    """Turn what the runner reports into rows and faults."""
    rows: dict[int, Mapping[str, Any]] = {}
    faults = [result["fault"]] if result["fault"] else []
    faults += process_faults(result["exit_code"], result["stderr"], result["seconds"])
    for line in result["stdout"].splitlines():
        try:
            row = json.loads(line)
            number = row["frame"]
        except (ValueError, KeyError, TypeError):
            faults.append(f"not a row: {line[:200]}")
            continue
        if row.get("capture") != result["path"]:
            faults.append(f"frame {number}: capture is {row.get('capture')!r}, not the path given")
        if number in rows:
            faults.append(f"frame {number} has two rows")
        rows[number] = row
    return Output(
        exit_code=result["exit_code"],
        rows=rows,
        stderr=result["stderr"],
        seconds=result["seconds"],
        kernels=tuple(result["kernels"]),
        faults=tuple(faults),
    )


def process_faults(exit_code: int, stderr: str, seconds: float) -> list[str]:
    """Return what is wrong with how a run ended, whatever the file was."""
    faults = []
    errors = [line for line in stderr.splitlines() if line.startswith("error:")]
    if exit_code not in (0, 3):
        faults.append(f"exit code {exit_code}: {stderr[-500:]}")
    if exit_code == 0 and errors:
        faults.append(f"exit code 0 with an error line: {errors[0]}")
    if exit_code == 3 and len(errors) != 1:
        faults.append(f"exit code 3 with {len(errors)} error lines: {stderr[-500:]!r}")
    if "Traceback (most recent call last)" in stderr:
        faults.append(f"a traceback: {stderr[-2000:]}")
    if seconds > LIMIT_SECONDS:
        faults.append(f"took {seconds:.1f} s, more than {LIMIT_SECONDS:.0f} s")
    return faults


def judge(expected: ExpectedFile, output: Output, entries: listed.Entries) -> FileVerdict:
    """Hold what the command said about one file against the truth."""
    frames = tuple(_judge_frame(expected.name, f, output, entries) for f in expected.frames)
    known = {frame.number for frame in expected.frames}
    extra = sorted(number for number in output.rows if number not in known)
    found = []
    if output.exit_code not in expected.exit_codes:
        right = " or ".join(str(code) for code in sorted(expected.exit_codes))
        ours = str(output.exit_code)
        found.append(Difference(expected.name, WHOLE_FILE, "exit_code", right, ours))
    if expected.complete:
        found += [Difference(expected.name, number, "row", "no row", "a row") for number in extra]
    unlisted, explained = entries.split(found)
    return FileVerdict(
        expected=expected,
        output=output,
        frames=frames,
        unlisted=unlisted,
        listed=explained,
        extra_rows=0 if expected.complete else len(extra),
    )


def _judge_frame(
    file: str, expected: ExpectedFrame, output: Output, entries: listed.Entries
) -> FrameVerdict:
    row = output.rows.get(expected.number)
    ours: Reading | None = None
    found: list[Difference] = []
    if (row is None) != (expected.reading is None):
        sides = ["no row" if side is None else "a row" for side in (expected.reading, row)]
        found.append(Difference(file, expected.number, "row", *sides))
    elif row is not None and expected.reading is not None:
        try:
            ours = read_row(row)
            found = compare(file, expected.number, expected.reading, ours)
        except FormError as error:
            found = [Difference(file, expected.number, "form", "by the contract", str(error))]
    unlisted, explained = entries.split(found)
    return FrameVerdict(expected=expected, row=row, ours=ours, unlisted=unlisted, listed=explained)


def survey(corpus: Path, decoder: str, names: Iterable[str] | None = None) -> Survey:
    """Run the command on the named captures (all by default) and hold the answers to the truth."""
    chosen = sorted(names) if names is not None else file_names(corpus)
    outputs = run([corpus / "captures" / name for name in chosen], decoder)
    entries = listed.Entries.load()
    files = tuple(judge(expectations(corpus, n), outputs[n], entries) for n in chosen)
    return Survey(decoder=decoder, files=files, stale=entries.unused(chosen))
