# SPDX-License-Identifier: Apache-2.0
"""A progress line on stderr: for terminals, and for work that takes more than a second."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from ..reports.text import cells, plural, shorten, size
from .output import is_terminal

FIRST_AFTER_S = 1.0
EVERY_S = 0.2
BAR_CELLS = 20


class TerminalProgress:
    """Redraws one line; `erase` leaves nothing of it."""

    def __init__(self) -> None:
        self._start = monotonic()
        self._next = self._start + FIRST_AFTER_S
        self._drawn = False

    def update(self, bytes_read: int, bytes_total: int | None, packets: int) -> None:
        """Draw how far the work is, at most five times a second."""
        now = monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        text = progress_text(bytes_read, bytes_total, packets, now - self._start)
        width = shutil.get_terminal_size((80, 24)).columns
        self._write(f"\r{shorten(text, width - 1)}\x1b[K")
        self._drawn = True

    def erase(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._drawn = False
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        # Whatever happens to the terminal is no reason to lose the work.
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def progress_text(bytes_read: int, bytes_total: int | None, packets: int, elapsed_s: float) -> str:
    """Return a bar with share, rate and time left; without a total, what was done and the rate."""
    rate = bytes_read / elapsed_s if elapsed_s > 0 else 0.0
    speed = f"{size(int(rate))}/s"
    if not bytes_total:
        return f"{size(bytes_read)}  {plural(packets, 'packet')}  {speed}"
    done = min(bytes_read / bytes_total, 1.0)
    filled = int(done * BAR_CELLS)
    bar = "█" * filled + "░" * (BAR_CELLS - filled)
    left = f"{_clock((bytes_total - bytes_read) / rate)} left" if rate > 0 and done < 1 else ""
    text = f"{bar} {int(done * 100):3} %  {plural(packets, 'packet')}  {speed}  {left}"
    return text.rstrip() if cells(text) else text


def _clock(left_s: float) -> str:
    minutes, seconds = divmod(int(left_s) + 1, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


@contextmanager
def show_progress(*, wanted: bool = True) -> Iterator[TerminalProgress | None]:
    """Give a progress line where stderr is a terminal (else None), and erase it at the end.

    wanted: False where results appear on the same terminal meanwhile.
    """
    if not wanted or not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield None
        return
    progress = TerminalProgress()
    try:
        yield progress
    finally:
        progress.erase()
