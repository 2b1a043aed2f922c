# SPDX-License-Identifier: Apache-2.0
"""What is measured: commands, and running them for their CPU time and peak memory."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
YARDSTICK = ROOT.parent / "shared" / "bench" / "limit.c"
"""The same walk, decode and flow table in plain C; optional, beside the checkout."""


@dataclass(kw_only=True)
class Program:
    """A command, how many frames it reads, and what came of its runs."""

    name: str
    command: tuple[str, ...]
    frames: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    aim: str = ""
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Run it once: user and system time of the whole process and its children."""
        null = os.open(os.devnull, os.O_RDWR)
        try:
            pid = os.posix_spawnp(
                self.command[0],
                self.command,
                {**_settings(), **self.environment},
                file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)],
            )
        finally:
            os.close(null)
        _, status, usage = os.wait4(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            raise RuntimeError(f"{self.name}: exit code {code} of {' '.join(self.command)}")
        self.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
        self.peak_bytes.append(usage.ru_maxrss * 1024)

    @property
    def seconds(self) -> float:
        """The median of its runs."""
        return statistics.median(self.cpu_seconds)

    @property
    def rate(self) -> float:
        """Frames a CPU second."""
        return self.frames / self.seconds


def _settings() -> dict[str, str]:
    """The environment, with modules compiled once and kept, as in any installation."""
    return {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(programs: Sequence[Program], rounds: int) -> None:
    """Run all programs in turn, round by round, so that a busy moment hits all of them."""
    for _ in range(rounds):
        for program in programs:
            program.run()


def genevecap(*arguments: object) -> tuple[str, ...]:
    """The command as users run it: the installed script where there is one."""
    script = Path(sys.executable).with_name("genevecap")
    start = (str(script),) if script.exists() else (sys.executable, "-m", "genevecap")
    return (*start, *map(str, arguments))


def peers(cut: Path, frames: int, short: Path, short_frames: int) -> list[Program]:
    """Other programs that are here; the slow ones get the shorter cut."""
    found = []
    if shutil.which("tcpdump"):
        command = ("tcpdump", "-nn", "-r", str(cut))
        found.append(Program(name="tcpdump, text", command=command, frames=frames))
    if shutil.which("tshark"):
        fields = ("-T", "fields", "-e", "frame.number", "-e", "geneve.vni", "-e", "vxlan.vni")
        command = ("tshark", "-n", "-r", str(short), *fields)
        found.append(Program(name="tshark, fields", command=command, frames=short_frames))
    return found


def yardstick(folder: Path, capture: Path, frames: int) -> list[Program]:
    """The C program that is the limit, where its source and a compiler are here."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not YARDSTICK.is_file():
        return []
    binary = folder / "limit"
    command = [compiler, "-O3", "-march=native", "-o", str(binary), str(YARDSTICK), "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    return [
        Program(
            name=f"C yardstick, {what}",
            command=(str(binary), str(capture), what, "read"),
            frames=frames,
        )
        for what in ("walk", "decode", "flow")
    ]
