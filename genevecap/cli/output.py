# SPDX-License-Identifier: Apache-2.0
"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from ..reports.layout import Style
    from .options import OutputChoice

PLAIN_WIDTH = 120
"""Columns of tables that do not go to a terminal."""


class Sink:
    """Writes text; `prompt` flushes after each piece, for inputs that are still growing."""

    def __init__(self, stream: IO[str] | None, *, prompt: bool = False) -> None:
        self._stream = stream
        self._prompt = prompt

    def pieces(self, pieces: Iterable[str]) -> None:
        """Write pieces of text one after the other."""
        for piece in pieces:
            self.write(piece)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines, each with its line end."""
        for line in lines:
            self.write(f"{line}\n")

    def write(self, text: str) -> None:
        """Write text."""
        if self._stream is None:  # standard output is closed
            return
        self._stream.write(text)
        if self._prompt:
            self._stream.flush()


def output_style(choice: OutputChoice) -> Style:
    """Return width and colours of the place that results go to.

    COLUMNS decides the width where it is set; a terminal has its own, anything else 120 columns.
    Colours are for terminals only, and not for those that NO_COLOR or TERM=dumb speak against.
    """
    from ..reports.layout import Style

    if choice.path is not None or not is_terminal(sys.stdout):
        width = shutil.get_terminal_size((PLAIN_WIDTH, 0)).columns
        if choice.path is not None or not os.environ.get("COLUMNS", "").isdecimal():
            width = PLAIN_WIDTH
        return Style(width=width)
    width = shutil.get_terminal_size((80, 24)).columns
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(width=width, colour=not plain)


def is_terminal(stream: IO[str] | None) -> bool:
    """Tell whether a stream is a terminal; one that is closed or missing is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class NothingToSay(Exception):
    """Ends a sink's block without a result: an earlier file of the same name stays as it is."""


@contextmanager
def open_sink(
    choice: OutputChoice, inputs: Sequence[str], *, prompt: bool = False
) -> Iterator[Sink]:
    """Give a sink for results; a file takes its name only when the block ends without an error.

    inputs: paths of the captures, which are never overwritten.
    Raises UsageError where the file cannot be made, or is one of the inputs.
    """
    if choice.path is None:
        yield Sink(sys.stdout, prompt=prompt)
        return
    from ..capture.whole_file import open_text_file

    with open_text_file(Path(choice.path), inputs, label=f"-o {choice.path}") as stream:
        yield Sink(stream)
