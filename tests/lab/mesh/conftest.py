# SPDX-License-Identifier: Apache-2.0
"""Running the mesh in a test: skipped where it cannot be, and nothing may stay behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.mesh import record, run
from tests.lab.mesh.scenario import scenario
from tests.lab.namespaces import LabUnavailable, why_unavailable


def own_children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def namespaces_of(pid: int) -> list[str]:
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith(f"genevecap-{pid:x}-")]


@pytest.fixture
def mesh(tmp_path):
    """Return a function that does a run; it returns scenario, truth and folder."""

    def make(mode: str, variant: str = "standard", underlay: str = "routed"):
        chosen = scenario(mode, underlay, variant)
        reason = why_unavailable(("tshark",)) or run.why_not(chosen)
        if reason:
            pytest.skip(reason)
        pytest.importorskip("h2")
        pytest.importorskip("cryptography")
        folder, children = tmp_path / "run", own_children()
        try:
            found = run.run(chosen, folder)
        except LabUnavailable as error:
            pytest.skip(str(error))
        assert namespaces_of(os.getpid()) == []
        assert own_children() == children
        files = {path.name for path in folder.iterdir()}
        assert files >= {*record.files(chosen), "truth.json"}
        return chosen, found, folder

    return make
