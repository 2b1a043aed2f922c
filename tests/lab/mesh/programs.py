# SPDX-License-Identifier: Apache-2.0
"""Start the lab's own programs, those that need nothing but Python's standard library."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabError, wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.lab.namespaces import Lab


def start(lab: Lab, namespace: str, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a program in `namespace` and return once it has said `ready`."""
    log = lab.folder / f"{program.stem}-{namespace}.log"
    process = lab.start(namespace, sys.executable, "-I", str(program), *arguments, log=log)

    def is_ready() -> bool:
        if process.poll() is not None:
            raise LabError(f"{program.name} in {namespace} ended: {log.read_text()}")
        return b"ready" in log.read_bytes()

    wait_until(is_ready, f"{program.name} in {namespace}")
    return process
