# SPDX-License-Identifier: Apache-2.0
"""Record the captures of `samples/` anew: `python -m tests.lab.record_samples [OUTDIR]`.

Needs root, for network namespaces. Each scenario builds a network of its own, records and removes
it. A file appears in OUTDIR only whole and checked; a README.md there gets its packet counts.
The folders `ambient-*` are runs of the mesh (`mesh/samples.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import geneve_ovs, samplefiles, vxlan_kernel
from tests.lab.mesh import samples as mesh_samples
from tests.lab.namespaces import Lab, LabError, LabInterrupted, LabUnavailable, why_unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SCENARIOS: dict[str, ModuleType] = {
    "geneve-ovs": geneve_ovs,
    "vxlan-kernel": vxlan_kernel,
}
"""Each has TOOLS (programs it needs), FILES (what it writes) and record(lab, folder)."""

_LIMIT_S = 60.0
_NICE = -15


def record(name: str, folder: Path) -> dict[str, int]:
    """Record one scenario into `folder`; return the packet count of each file.

    Raises LabUnavailable where the machine cannot, LabError where something went wrong; either
    leaves the files that were there as they were.
    """
    scenario = SCENARIOS[name]
    reason = why_unavailable(scenario.TOOLS)
    if reason:
        raise LabUnavailable(reason)
    with tempfile.TemporaryDirectory(prefix=".recording-", dir=folder) as staging_name:
        staging = Path(staging_name)
        with Lab(_LIMIT_S) as lab:
            scenario.record(lab, staging)
        counts = {file: _finish(staging / file) for file in scenario.FILES}
        readme = folder / "README.md"
        if readme.exists():
            (staging / "README.md").write_text(
                samplefiles.update_counts(readme.read_text(), counts)
            )
        for path in sorted(staging.iterdir()):
            path.replace(folder / path.name)
    return counts


def _finish(path: Path) -> int:
    """Take the machine's name out of a recording, check its size and return its packet count."""
    if path.suffix == ".pcapng":
        path.write_bytes(samplefiles.without_machine(path.read_bytes()))
    size_bytes = path.stat().st_size
    if size_bytes >= samplefiles.LARGEST_SAMPLE_BYTES:
        raise LabError(
            f"{path.name}: {size_bytes} bytes, the limit is {samplefiles.LARGEST_SAMPLE_BYTES}"
        )
    count = samplefiles.count_packets(samplefiles.read(path))
    if not count:
        raise LabError(f"{path.name}: no packet was recorded")
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Record what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="record_samples", description=__doc__)
    names = [*SCENARIOS, *mesh_samples.SETS]
    parser.add_argument("--only", choices=sorted(names), help="record this scenario only")
    parser.add_argument("outdir", nargs="?", type=Path, default=SAMPLES, metavar="OUTDIR")
    options = parser.parse_args(arguments)
    options.outdir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # what else this machine does should not be seen
        os.nice(_NICE)
    try:
        for name in [options.only] if options.only else names:
            recorder = record if name in SCENARIOS else mesh_samples.record
            for file, count in recorder(name, options.outdir).items():
                sys.stdout.write(f"{file}: {count} packets\n")
    except LabError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, LabUnavailable) else 1
    except LabInterrupted as interruption:
        sys.stderr.write(f"interrupted by {interruption}\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
