# SPDX-License-Identifier: Apache-2.0
"""Print where genevecap and the truth differ: `python -m tests.agreement.report`.

Without arguments: the summary, then the differences that no entry explains, first gathered by what
differs, then by file.  With --file: every differing frame of these files, both readings side by
side.  With --frame too: everything that is known about that frame, agreed fields included.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import survey as surveys
from .readings import Difference, Reading, compared_fields

if TYPE_CHECKING:
    from pathlib import Path

    from .listed import Entry
    from .survey import FileVerdict, FrameVerdict, Survey

Print = Callable[[str], None]
WIDTH = 36


def main(arguments: Sequence[str] | None = None, out: Print = print) -> int:
    """Run the report; return 1 where something differs that is not listed, else 0."""
    options = _options(arguments)
    corpus = surveys.corpus_directory()
    if corpus is None:
        out(f"no corpus: {surveys.CORPUS_VARIABLE} names the folder with truth/ and captures/")
        return 2
    names = surveys.file_names(corpus)
    if options.file is not None:
        names = [n for n in names if fnmatch.fnmatchcase(n, options.file) or options.file in n]
        exact = [n for n in names if n == options.file]
        names = exact or names
        if not names:
            out(f"no file of the corpus is called {options.file!r}")
            return 2
    result = surveys.survey(corpus, options.decoder, names)
    wanted = [d for d in result.unlisted() if _wanted(d, options)]
    if options.entries:
        print_entries(wanted, out)
    elif options.frame is not None:
        print_frames(result, options.frame, corpus, out)
    elif options.file is not None:
        print_files(result, options, out)
    else:
        print_overview(result, wanted, options.limit, out)
    return 1 if result.unlisted() or result.faults() or result.stale else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.agreement.report", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--file", help="a file's name, part of it, or a pattern")
    parser.add_argument("--frame", type=int, help="one frame of that file, with all that is known")
    parser.add_argument("--field", default="*", help="only differences in fields like this one")
    parser.add_argument("--decoder", choices=surveys.DECODERS, default=default_decoder())
    parser.add_argument("--listed", action="store_true", help="also what differences.toml explains")
    parser.add_argument("--entries", action="store_true", help="print entries to fill in and paste")
    parser.add_argument("--limit", type=int, default=40, help="lines per list (default 40; 0: all)")
    options = parser.parse_args(arguments)
    if options.frame is not None and options.file is None:
        parser.error("--frame needs --file")
    return options


def default_decoder() -> str:
    """Return the decoder that genevecap itself would take."""
    return "compiled" if surveys.has_kernels() else "readable"


def _wanted(difference: Difference, options: argparse.Namespace) -> bool:
    return fnmatch.fnmatchcase(_plain(difference.field), options.field) or fnmatch.fnmatchcase(
        difference.field, options.field
    )


def _plain(name: str) -> str:
    """Return a field's name without the tunnel's number."""
    return re.sub(r"\[\d+\]", "", name)


# --- all files -----------------------------------------------------------------------------------


def print_overview(result: Survey, wanted: list[Difference], limit: int, out: Print) -> None:
    """Print the summary and the differences, gathered."""
    out(str(result.summary()))
    _print_faults(result, out)
    _print_stale(result.stale, out)
    if not wanted:
        out("\nno difference that is not listed")
        return
    out(f"\n{len(wanted)} differences that are not listed, by what differs:")
    groups: dict[tuple[str, str, str], list[Difference]] = defaultdict(list)
    for difference in wanted:
        groups[_group(difference)].append(difference)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    for (name, theirs, ours), members in _cut(ordered, limit, out):
        files = {d.file for d in members}
        first = members[0]
        out(f"  {len(members):5} in {len(files):3} files  {name:26} truth {theirs} | ours {ours}")
        out(f"{'':24}e.g. {_place(first)}: {first.truth} | {first.ours}")
    out("\nby file:")
    by_file: dict[str, list[Difference]] = defaultdict(list)
    for difference in wanted:
        by_file[difference.file].append(difference)
    for file, members in _cut(sorted(by_file.items(), key=lambda i: -len(i[1])), limit, out):
        frames = sorted({d.frame for d in members})
        fields = sorted({_plain(d.field) for d in members})
        out(f"  {len(members):5}  {file}: {', '.join(fields)} in frame {_numbers(frames)}")
    out("\nnext: --file NAME, then --file NAME --frame N; --field GLOB narrows; --limit 0 for all")


def _group(difference: Difference) -> tuple[str, str, str]:
    return (_plain(difference.field), _shape(difference.truth), _shape(difference.ours))


def _shape(value: str) -> str:
    """Return what kind of value it is: small words stay, numbers and addresses become a kind."""
    if re.fullmatch(r"-?\d+", value):
        return value if len(value) <= 3 else "(number)"
    if re.fullmatch(r"[0-9a-f:.]+", value) and any(sign in value for sign in ":."):
        return "(address)" if " " not in value else "(list)"
    if " -> " in value:
        return "(an IP header)"
    return value if len(value) <= 24 else "(other)"


def _place(difference: Difference) -> str:
    if difference.frame == surveys.WHOLE_FILE:
        return difference.file
    return f"{difference.file} frame {difference.frame}"


def _numbers(frames: list[int]) -> str:
    shown = " ".join(str(n) for n in frames[:8])
    return shown + (" …" if len(frames) > 8 else "")


def _cut(items: Sequence[Any], limit: int, out: Print) -> Sequence[Any]:
    if limit and len(items) > limit:
        out(f"  (the first {limit} of {len(items)}; --limit 0 for all)")
        return items[:limit]
    return items


def _print_faults(result: Survey, out: Print) -> None:
    kinds: dict[str, list[str]] = defaultdict(list)
    for file in result.files:
        for fault in file.output.faults:
            kinds[(fault.strip().splitlines() or [""])[-1]].append(file.expected.name)
    for fault, files in sorted(kinds.items(), key=lambda item: -len(item[1])):
        out(f"\nmay not happen on any input, in {len(files)} files, e.g. {files[0]}:\n  {fault}")


def _print_stale(stale: Iterable[Entry], out: Print) -> None:
    for entry in stale:
        d = entry.difference
        out(f"\nentry that no longer differs: {_place(d)} {d.field}: {d.truth} | {d.ours}")


# --- some files ----------------------------------------------------------------------------------


def print_files(result: Survey, options: argparse.Namespace, out: Print) -> None:
    """Print every frame of these files that differs, the readings side by side."""
    shown = 0
    for file in result.files:
        lines = [
            _line("x", f"{d.field} of frame {d.frame}" if d.frame else d.field, d.truth, d.ours)
            for d in file.unlisted
            if _wanted(d, options)
        ]
        for frame in file.frames:
            marked = [("x", d) for d in frame.unlisted if _wanted(d, options)]
            marked += [("=", d) for d in frame.listed if options.listed]
            if marked:
                lines += ["", *_heading(file, frame), _titles()]
                lines += [_line(mark, d.field, d.truth, d.ours) for mark, d in marked]
        output = file.output
        if len(result.files) > 1 and not (lines or output.faults):
            continue
        out("")
        out(
            f"{file.expected.name}: {'differs' if lines else 'agrees'}; "
            f"exit code {output.exit_code}, {len(output.rows)} rows, "
            f"{len(file.frames)} frames in the truth, {output.seconds:.2f} s"
        )
        for line in output.stderr.splitlines()[:4]:
            out(f"  stderr: {line}")
        for line in output.faults:
            out(f"  fault: {line}")
        for line in lines:
            out(f"  {line}")
        shown += bool(lines)
    _print_stale(result.stale, out)
    if len(result.files) > 1:
        out(f"\n{shown} of {len(result.files)} files differ")


def _heading(file: FileVerdict, frame: FrameVerdict) -> list[str]:
    expected, row = frame.expected, frame.row
    record = expected.record
    how = f"compared down to {expected.skipped_at}" if expected.skipped_at else "compared in full"
    if expected.reading is None:
        how = "holds no packet"
    marks = " ".join(mark for mark in ("malformed", "truncated") if record.get(mark))
    lengths = f"{record['cap_len']} of {record['len']} octets captured"
    lines = [
        f"{file.expected.name} frame {expected.number}: {how}; {lengths}",
        f"  dissector: {record['protocols'] or '(nothing)'} {marks}".rstrip(),
    ]
    if row is None:
        return [*lines, "  genevecap: no row"]
    stop = f"{row.get('stop')}" + (f" at {row['stop_layer']}" if row.get("stop_layer") else "")
    findings = " ".join(row.get("findings") or ()) or "no findings"
    return [*lines, f"  genevecap: {':'.join(row.get('layers') or ())} [{stop}; {findings}]"]


def _titles() -> str:
    return _line(" ", "field", "truth", "ours")


def _line(mark: str, name: str, theirs: str, ours: str) -> str:
    if max(len(theirs), len(ours)) <= WIDTH:
        return f"  {mark} {name:30} {theirs:{WIDTH}} {ours}"
    return f"  {mark} {name}\n        truth  {theirs}\n        ours   {ours}"


# --- one frame -----------------------------------------------------------------------------------


def print_frames(result: Survey, number: int, corpus: Path, out: Print) -> None:
    """Print everything that is known about one frame of each file."""
    for file in result.files:
        frames = [f for f in file.frames if f.expected.number == number]
        if not frames:
            row = file.output.rows.get(number)
            out(f"{file.expected.name}: the truth has no frame {number}; our row: {_json(row)}")
        for frame in frames:
            _print_frame(file, frame, corpus, out)


def _print_frame(file: FileVerdict, frame: FrameVerdict, corpus: Path, out: Print) -> None:
    name, number = file.expected.name, frame.expected.number
    for line in _heading(file, frame):
        out(line)
    if frame.expected.reading is not None and frame.ours is not None:
        out(_titles())
        for line in _all_fields(frame, frame.expected.reading, frame.ours):
            out(line)
    else:
        for difference in (*frame.unlisted, *frame.listed):
            out(_line("x", difference.field, difference.truth, difference.ours))
    out("\ndissector's layers:")
    for layer in frame.expected.record["layers"]:
        fields = " ".join(f"{k}={_short(v)}" for k, v in layer.items() if k != "L")
        out(f"  {layer['L']:9} {fields}")
    out(f"\nour row: {_json(frame.row)}")
    truth = surveys.load_truth(corpus, name)
    if lines := tcpdump_text(truth, number):
        out("\ntcpdump says:")
        for line in lines:
            out(f"  {line}")
    for path in sorted((corpus / "truth").glob(f"{name}.upstream.*")):
        out(f"\nthe source project publishes {path.name.removeprefix(name + '.upstream.')}")
    path = corpus / "captures" / name
    out(f"\nwireshark -r {path} -Y frame.number=={number}")
    out(f"genevecap inspect --frame {number} {path}")
    for line in _hex_view(path, number):
        out(line)
    if frame.unlisted:
        out("")
        print_entries(frame.unlisted, out)


def _all_fields(frame: FrameVerdict, truth: Reading, ours: Reading) -> Iterable[str]:
    explained = {d.field for d in frame.listed}
    for name, theirs, mine, same in compared_fields(truth, ours):
        mark = " " if same else "=" if name in explained else "x"
        yield _line(mark, name, theirs, mine)


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _json(row: Mapping[str, Any] | None) -> str:
    return "none" if row is None else json.dumps(row)


def tcpdump_text(truth: Mapping[str, Any], number: int) -> list[str]:
    """Return tcpdump's lines about one frame, where its text can be told apart by frame."""
    starts: list[list[str]] = []
    for line in truth["tcpdump"].get("text", ()):
        if re.match(r"\d+\.\d{6,9} ", line):
            starts.append([])
        if starts:
            starts[-1].append(line)
    packets = [f["n"] for f in truth["frame_list"] if not f.get("not_packet")]
    if number in packets and packets.index(number) < len(starts):
        return starts[packets.index(number)]
    return []


def _hex_view(path: Path, number: int) -> list[str]:
    """Return the octets of one frame as tshark shows them; nothing where it is not there."""
    if shutil.which("tshark") is None:
        return []
    process = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-Y", f"frame.number=={number}", "-x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return process.stdout.splitlines()[:80]


def print_entries(differences: Iterable[Difference], out: Print) -> None:
    """Print differences as entries of differences.toml; the reason is for a person to write."""
    for d in differences:
        out("[[difference]]")
        for key in ("file", "frame", "field", "truth", "ours"):
            out(f"{key} = {json.dumps(getattr(d, key), ensure_ascii=False)}")
        out('reason = ""\n')


if __name__ == "__main__":
    sys.exit(main())
