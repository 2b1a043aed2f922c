# SPDX-License-Identifier: Apache-2.0
"""An interrupt ends the reading, not the document that is being written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Interruptible:
    """Passes rows on until SIGINT comes, so that what was gathered can be written to its end.

    While a row is waited for (a pipe may be silent for hours) SIGINT ends the wait at once; while
    rows are written it ends them after the one being written.  A second SIGINT is not held up.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._waiting = False

    def rows(self, rows: Iterator[T]) -> Iterator[T]:
        """Yield rows, ending early at an interrupt."""
        previous = None
        with suppress(ValueError):  # not the main thread: signals are not ours
            previous = signal.signal(signal.SIGINT, self._note)
        try:
            while (row := self._next(rows)) is not None:
                yield row
        finally:
            if previous is not None:
                signal.signal(signal.SIGINT, previous)

    def _next(self, rows: Iterator[T]) -> T | None:
        if self.interrupted:
            return None
        try:
            self._waiting = True
            return next(rows, None)
        except KeyboardInterrupt:
            self.interrupted = True
            return None
        finally:
            self._waiting = False

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        again, self.interrupted = self.interrupted, True
        if again or self._waiting:
            raise KeyboardInterrupt
