# SPDX-License-Identifier: Apache-2.0
"""Every folder here is one behaviour: `command` is run, `expected.txt` is what it must print.

The command runs in an empty folder beside a link to `samples/`. `make golden` writes the expected
texts anew; the difference is reviewed like code.  Where there is a file `needs`, the case is
skipped on machines without the program that it names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CASES = sorted(path.parent.name for path in HERE.glob("*/command"))
REWRITE = os.environ.get("GENEVECAP_REWRITE_GOLDEN") == "1"


def run(case: str, folder: Path) -> str:
    """Run a case's command and return what it printed, errors and exit code included."""
    (folder / "samples").symlink_to(ROOT / "samples")
    tools = folder / "bin"
    tools.mkdir()
    program = tools / "genevecap"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genevecap "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", str(HERE / case / "command")],
        cwd=folder,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = done.stdout
    if done.stderr:
        text += f"--- stderr\n{done.stderr}"
    if done.returncode:
        text += f"--- exit code {done.returncode}\n"
    return text


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, tmp_path: Path) -> None:
    expected, needs = HERE / case / "expected.txt", HERE / case / "needs"
    if needs.exists() and shutil.which(needs.read_text().strip()) is None:
        pytest.skip(f"{needs.read_text().strip()} is missing")
    actual = run(case, tmp_path)
    if REWRITE:
        expected.write_text(actual)
    assert actual == expected.read_text()


def test_there_are_cases() -> None:
    assert len(CASES) > 20
