# SPDX-License-Identifier: Apache-2.0
"""What is said on stderr, and how the exit code comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..reports.text import printable

if TYPE_CHECKING:
    from ..analysis.results import Problem

_PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.UNREADABLE,
    ExitCode.NOT_ENOUGH_DATA,
    ExitCode.DIFFERENCE,
)


def error_line(error: Exception) -> str:
    """Return an error as the one line that stderr gets, harmless for a terminal."""
    if isinstance(error, click.ClickException):
        text = " ".join(error.format_message().split())
        if isinstance(error, click.UsageError) and error.ctx is not None:
            text = f"{text.rstrip('.')} (see {error.ctx.command_path} --help)"
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else "output: "
        text = f"{place}{error.strerror}"
    else:
        text = str(error) or type(error).__name__
    return f"error: {printable(text)}"


class Outcome:
    """Gathers what went wrong in a run: prints each problem once, and knows the exit code."""

    def __init__(self) -> None:
        self._codes: set[ExitCode] = set()
        self.failed: set[str] = set()
        """Paths of inputs that could not be read, or not to their end."""

    def problem(self, problem: Problem) -> None:
        """Print a problem with an input; one of severity `error` ends the run in exit code 3."""
        if problem.severity == "error":
            self._codes.add(ExitCode.UNREADABLE)
            self.failed.add(problem.path)
        click.echo(f"{problem.severity}: {printable(problem.message)}", err=True)

    def add(self, code: ExitCode) -> None:
        """Let the run end in this exit code unless a graver one comes."""
        self._codes.add(code)

    @property
    def code(self) -> ExitCode:
        """The gravest exit code there was; precedence is the contract's."""
        return next((code for code in _PRECEDENCE if code in self._codes), ExitCode.DONE)
