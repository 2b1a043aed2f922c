# SPDX-License-Identifier: Apache-2.0
"""What all tests share: where captures are, and surroundings that do not change the output."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
SHARED = ROOT.parent / "shared"
"""The shared material beside the checkout; optional."""

# The gate gives the same answer twice; the long run looks for what nobody thought of.
settings.register_profile("gate", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=5000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

# Set here and not in a fixture, so that programs started by tests see the same.
os.environ.update(
    {"TZ": "UTC", "COLUMNS": "120", "LINES": "50", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
)
os.environ.pop("FORCE_COLOR", None)
time.tzset()

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # So is what a shell runs in the background, and so would be all programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def recorded_set(name: str) -> Path:
    """Return the folder of a recorded ambient set; skip the test where the sets are not here."""
    folder = SHARED / "lab" / name
    if not folder.is_dir():
        pytest.skip(f"the recorded set {name} (../shared/lab beside the checkout) is not here")
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of the sample captures."""
    return SAMPLES


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of the third-party captures and their ground truth; not part of the repository."""
    folder = SHARED / "corpus"
    if not folder.is_dir():
        pytest.skip("the corpus (../shared/corpus beside the checkout) is not here")
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs root for everybody else."""
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        pytest.skip("needs root, to make network namespaces")
