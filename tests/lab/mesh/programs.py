# SPDX-License-Identifier: Apache-2.0
"""Start the lab's own programs and wait until they say that they are ready."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabError, wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.lab.namespaces import Lab

_START_LIMIT_S = 20.0


REPOSITORY = Path(__file__).resolve().parents[3]


def start(lab: Lab, namespace: str, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a file that needs nothing but the standard library; return once it said `ready`."""
    command = (sys.executable, "-I", str(program), *arguments)
    return _start(lab, namespace, program.stem, command, {})


def start_module(lab: Lab, namespace: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a module of this repository; return once it said `ready`."""
    command = (sys.executable, "-m", module, *arguments)
    name = module.rpartition(".")[2]
    return _start(lab, namespace, name, command, {"PYTHONPATH": str(REPOSITORY)})


def _start(
    lab: Lab, namespace: str, name: str, command: tuple[str, ...], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    log = lab.folder / f"{name}-{namespace}.log"
    process = lab.start(namespace, *command, log=log, environment=environment)

    def is_ready() -> bool:
        if process.poll() is not None:
            raise LabError(f"{name} in {namespace} ended: {log.read_text()}")
        return b"ready" in log.read_bytes()

    wait_until(is_ready, f"{name} in {namespace}", _START_LIMIT_S)
    return process
