# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.benchmarks` (make bench): speed, start-up and memory, in one table.

Everything is measured in the same run, in turns, in CPU seconds of whole processes (user and
system), and the median is printed: the aims are about CPU time, and machines are shared.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from . import captures, instructions, kinds
from .programs import Program, genevecap, measure, peers, yardstick

READABLE = {"GENEVECAP_DISABLE_KERNELS": "1"}
ROUNDS_OF_SLOW = 3


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--frames", type=int, default=2_000_000, help="of the capture")
    parser.add_argument("--cut", type=int, default=100_000, help="frames for slower programs")
    parser.add_argument("--short", type=int, default=10_000, help="frames for tshark")
    parser.add_argument("--times", type=int, default=4, help="the larger capture for memory")
    parser.add_argument("--conversations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hops", type=int, default=2_000_000, help="frames for latency")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where captures are made (temporary)")
    parser.add_argument("--capture", type=Path, help="measure with this one (ordinary pcap)")
    parser.add_argument("--profile", action="store_true", help="instructions by phase (valgrind)")
    parser.add_argument(
        "--kinds", action="store_true", help="instructions for each kind of tunnel (valgrind)"
    )
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Make the captures, measure, print."""
    options = arguments(words)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="genevecap-bench-") as name:
        folder = Path(name)
        if options.kinds:
            by_kind(folder, options.short)
            return
        capture = options.capture
        if capture is None:
            capture = folder / "capture.pcap"
            captures.generate(capture, options.frames, options.conversations, options.seed)
        if options.profile:
            profile(capture, folder, min(options.cut, options.frames // 2))
        else:
            compare(capture, folder, options)


def compare(capture: Path, folder: Path, options: argparse.Namespace) -> None:
    """Measure everything and print the table."""
    cut, short, tiny = (folder / f"{name}.pcap" for name in ("cut", "short", "tiny"))
    frames_cut = captures.cut(capture, cut, options.cut)
    frames_short = captures.cut(capture, short, options.short)
    captures.cut(capture, tiny, 10)
    summary = Program(
        name="inspect", command=genevecap("inspect", capture), frames=options.frames,
        aim=">= 3 Mpps, <= 64 MB",
    )  # fmt: skip
    fast = [summary, *yardstick(folder, capture, options.frames)]
    starts = [
        Program(name="--version", command=genevecap("--version"), aim="<= 0.10 s"),
        Program(name="inspect, 10 frames", command=genevecap("inspect", tiny), aim="<= 0.20 s"),
    ]
    slow = [
        Program(
            name="inspect, no kernels", command=genevecap("inspect", cut), frames=frames_cut,
            environment=READABLE, aim=">= 0.05 Mpps",
        ),
        *peers(cut, frames_cut, short, frames_short),
    ]  # fmt: skip
    measure([*fast, *starts], options.rounds)
    measure(slow, min(options.rounds, ROUNDS_OF_SLOW))
    with captures.repeated(capture, folder / "larger.pcap", options.times) as path:
        larger = Program(
            name=f"inspect, {options.times} times as much", command=genevecap("inspect", path),
            frames=options.frames * options.times, aim="<= 64 MB, flat",
        )  # fmt: skip
        measure([larger], 1)
    hops, sessions = latency_program(folder, options), sessions_program(folder, options)
    measure([hops, sessions], min(options.rounds, ROUNDS_OF_SLOW))
    print(describe(options, capture))
    print(table([summary, larger, hops, sessions, *starts, *slow, *fast[1:]], summary))


def latency_program(folder: Path, options: argparse.Namespace) -> Program:
    """Make captures of five points, 100 frames a connection, and the program that reads them."""
    paths = captures.generate_hops(folder, options.hops, options.seed)
    return Program(
        name="latency, 5 points", command=genevecap("latency", "--same-clock", *paths),
        frames=options.hops, aim=">= 1 Mpps, bounded by --window",
    )  # fmt: skip


def sessions_program(folder: Path, options: argparse.Namespace) -> Program:
    """Make captures of ambient sessions, 100 frames each, and the program that reads them."""
    within = folder / "sessions"
    within.mkdir()
    frames = max(options.hops // 2, 200)
    paths = captures.generate_sessions(within, frames, frames // 100, options.seed)
    return Program(
        name="latency, sessions", command=genevecap("latency", "--same-clock", *paths),
        frames=frames, aim=">= 1 Mpps, 10,000 sessions",
    )  # fmt: skip


def describe(options: argparse.Namespace, capture: Path) -> str:
    """Say what was measured, on what."""
    size = capture.stat().st_size / 1e6
    return (
        f"{options.frames:,} frames, {size:,.0f} MB; Python {platform.python_version()}, "
        f"{platform.machine()}; medians of {options.rounds} runs in turn, CPU seconds\n"
    )


def table(programs: list[Program], ours: Program) -> str:
    """Return the figures as text; the ratio says how many times faster `inspect` is."""
    rows = []
    for program in programs:
        rate = program.rate / 1e6 if program.frames else None
        ratio = ours.rate / program.rate if program.frames else None
        rows.append(
            (
                program.name,
                f"{program.frames:,}" if program.frames else "",
                f"{program.seconds:.3f}",
                "" if rate is None else f"{rate:.3f}" if rate < 1 else f"{rate:.2f}",
                "" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}",
                f"{max(program.peak_bytes) / 1e6:.0f}",
                program.aim,
            )
        )
    headers = ("program", "frames", "CPU s", "Mpps", "inspect is x times", "peak MB", "aim")
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", *("right",) * 5))


def profile(capture: Path, folder: Path, frames: int) -> None:
    """Print instructions per frame by phase."""
    if not instructions.available():
        sys.exit("valgrind is not here: nothing to count instructions with")
    counts = instructions.per_frame(capture, folder, frames)
    rows = sorted(counts.items(), key=lambda item: -item[1])
    rows.append(("together", sum(counts.values())))
    print(tabulate(rows, ("phase", "instructions a frame"), floatfmt=",.0f"))


def by_kind(folder: Path, frames: int) -> None:
    """Print instructions per frame for each kind of tunnel and protection."""
    if not instructions.available():
        sys.exit("valgrind is not here: nothing to count instructions with")
    rows = []
    for kind in kinds.KINDS:
        capture = folder / "kind.pcap"
        octets = kinds.generate(capture, kind, 2 * frames)
        counts = instructions.per_frame(capture, folder, frames)
        phases = [counts.get(phase, 0) for phase in ("read", "decode", "count")]
        rows.append((kind, octets, *phases, sum(counts.values())))
    headers = ("kind", "octets", "read", "decode", "count", "together")
    print(f"instructions a frame, what {frames:,} more frames cost\n")
    print(tabulate(rows, headers, floatfmt=",.0f"))


if __name__ == "__main__":
    main()
