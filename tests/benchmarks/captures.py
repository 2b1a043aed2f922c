# SPDX-License-Identifier: Apache-2.0
"""The capture files of a benchmark run: made once, cut and repeated octet by octet."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .programs import ROOT

HEADER_BYTES = 24
RECORD = struct.Struct("<IIII")


def generate(path: Path, frames: int, conversations: int, seed: int) -> None:
    """Make the capture in a process of its own (see `generate`)."""
    numbers = map(str, (frames, conversations, seed))
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.generate", str(path), *numbers],
        check=True,
        cwd=ROOT,
    )


def cut(path: Path, to: Path, frames: int) -> int:
    """Write the first frames of a (little-endian pcap) capture; return how many there were."""
    with path.open("rb") as source, to.open("wb") as target:
        target.write(source.read(HEADER_BYTES))
        for number in range(frames):
            record = source.read(RECORD.size)
            if not record:
                return number
            target.write(record + source.read(RECORD.unpack(record)[2]))
    return frames


@contextmanager
def repeated(path: Path, to: Path, times: int) -> Iterator[Path]:
    """A capture with the records of another one several times over, while it is needed."""
    try:
        with to.open("wb") as target:
            for number in range(times):
                with path.open("rb") as source:
                    source.seek(HEADER_BYTES if number else 0)
                    shutil.copyfileobj(source, target, 1 << 20)
        yield to
    finally:
        to.unlink(missing_ok=True)


def generate_hops(folder: Path, frames: int, seed: int) -> tuple[Path, Path]:
    """Make the captures of five points, in a process of its own; see `generate_hops`."""
    words = [str(folder), str(frames), "0", str(seed)]
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.generate_hops", *words], cwd=ROOT, check=True
    )
    return folder / "nA.pcapng", folder / "nB.pcapng"


def generate_sessions(folder: Path, frames: int, sessions: int, *more: int) -> list[Path]:
    """Make the captures of ambient sessions, in a process of its own; see `generate_sessions`."""
    words = [str(folder), *map(str, (frames, sessions, *more))]
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.generate_sessions", *words], cwd=ROOT, check=True
    )
    return sorted(folder.glob("*.pcapng"))
