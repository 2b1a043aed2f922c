# SPDX-License-Identifier: Apache-2.0
"""Instructions per frame by phase, counted by callgrind: unlike times, the same on every run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from .captures import cut

PHASES = {
    "_kernel_records": "read",
    "_kernel_driver": "decode",
    "_kernel_walk": "decode",
    "_kernel_link": "decode",
    "_kernel_network": "decode",
    "_kernel_transport": "decode",
    "_kernel_security": "decode",
    "_kernel_tunnels": "decode",
    "_kernel_gre": "decode",
    "_kernel_tables": "count",
    "_kernel_answers": "count",
    "_kernel_findings": "count",
    "_kernel_inner_flows": "count",
    "_kernel_options": "count",
    "_kernel_merge": "count",
    "_kernel_services": "count",
    "_kernel_replays": "count",
}
OTHER = "python, libc"
_LINE = re.compile(r"^\s*([\d,]+)\s(?:\([^)]*\)\s)?.*\[([^\]]+)\]\s*$")


def by_phase(capture: Path, folder: Path) -> Counter[str]:
    """Return the instructions of one run of `inspect`, by phase."""
    output = folder / "callgrind.out"
    arguments = ("-m", "genevecap", "inspect", str(capture))
    subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", sys.executable,
         *arguments],
        check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    listing = subprocess.run(
        ["callgrind_annotate", "--threshold=100", "--show-percs=no", str(output)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    result: Counter[str] = Counter()
    for line in listing.splitlines():
        match = _LINE.match(line)
        if match:
            module = Path(match[2]).name.split(".")[0]
            result[PHASES.get(module, OTHER)] += int(match[1].replace(",", ""))
    return result


def per_frame(capture: Path, folder: Path, frames: int) -> dict[str, float]:
    """Return instructions per frame by phase: what twice as many frames cost more."""
    counts, sizes = [], []
    for number in (frames, 2 * frames):
        piece = folder / f"profile-{number}.pcap"
        sizes.append(cut(capture, piece, number))
        counts.append(by_phase(piece, folder))
    more = sizes[1] - sizes[0]
    if more <= 0:
        raise ValueError(f"{capture} has fewer than {2 * frames} frames")
    return {phase: (counts[1][phase] - counts[0][phase]) / more for phase in counts[1]}


def available() -> bool:
    """Tell whether callgrind is here."""
    return shutil.which("valgrind") is not None and shutil.which("callgrind_annotate") is not None
