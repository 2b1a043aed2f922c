# SPDX-License-Identifier: Apache-2.0
"""Write completions/ from the command line's own definition, or check that they are up to date.

click's scripts ask the program itself at completion time, so they change rarely: when click or the
program's name does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from genevecap.cli.main import main

PROGRAM = "genevecap"
FOLDER = Path(__file__).resolve().parent.parent / "completions"
SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
NOTE = """\
# SPDX-License-Identifier: Apache-2.0
# Generated from click by `make completions`; do not edit.
"""


def script(shell: str) -> str:
    """Return the completion script of one shell."""
    completion = SHELLS[shell](main, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    # Not completion.source(): for bash that also runs the bash at hand to ask for its version.
    text = ShellComplete.source(completion).strip() + "\n"
    first, _, rest = text.partition("\n")
    # zsh recognises a completion by its first line.
    return f"{first}\n{NOTE}{rest}" if first.startswith("#compdef") else NOTE + text


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail where a file is out of date.")
def generate(*, check: bool) -> None:
    """Write completions/ for bash, zsh and fish."""
    stale = []
    for shell in SHELLS:
        path = FOLDER / f"{PROGRAM}.{shell}"
        text = script(shell)
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    if check and stale:
        click.echo(
            f"completions/ out of date: {', '.join(stale)}; run `make completions`", err=True
        )
        sys.exit(1)


if __name__ == "__main__":
    generate()
