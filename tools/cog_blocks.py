# SPDX-License-Identifier: Apache-2.0
"""The generated parts of the documentation: what commands print, and the command reference.

cog runs these functions and puts what they print between the marks in the page; `make docs`
writes the pages anew, `make check` fails where one is out of date.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "genevecap"
WIDTH = 100
"""Columns of the terminal in all pages."""


def console(line: str) -> None:
    """Print a command line and what it really prints, as a block of Markdown.

    line: begins with `genevecap`, and reads only files of the repository.
    Raises RuntimeError when the command fails: no page shows a failure as an answer.
    """
    words = shlex.split(line)
    if words[0] != PROGRAM:
        raise RuntimeError(f"not a {PROGRAM} command: {line}")
    fixed = {"TZ": "UTC", "COLUMNS": str(WIDTH), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-m", PROGRAM, *words[1:]],
        cwd=ROOT,
        env=os.environ | fixed,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{line}: exit code {done.returncode}: {done.stderr.strip()}")
    _block("console", f"$ {line}\n{_tidy(done.stdout)}")


def reference() -> None:
    """Print one section for each command: its full help."""
    from genevecap.cli.main import main

    for path, context in _commands(main, None):
        print(f"## `{' '.join(path)}`\n")
        _block("text", _tidy(context.get_help()))
        print()


def rules() -> None:
    """Print a section for each rule: what it is, why it matters, what to do."""
    from genevecap.analysis.findings import rules
    from genevecap.reports.rules import markdown

    print("\n".join(markdown(list(rules().values()))))


def _commands(
    command: click.Command, parent: click.Context | None, name: str = PROGRAM
) -> Iterator[tuple[list[str], click.Context]]:
    """Yield the words and the context of a command and of all below it, in the order of help."""
    settings = {**command.context_settings, "terminal_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path.split(), context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from _commands(found, context, below)


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in click.unstyle(text).strip("\n").splitlines())


def _block(language: str, text: str) -> None:
    print(f"```{language}\n{text}\n```")
