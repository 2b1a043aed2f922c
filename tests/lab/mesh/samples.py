# SPDX-License-Identifier: Apache-2.0
"""The lab's own sets in `samples/`: small runs of the mesh, one for each redirect mode and more.

Recorded by `python -m tests.lab.record_samples`; what to see is in the README of the samples.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import samplefiles
from tests.lab.mesh import run
from tests.lab.mesh.scenario import STANDARD, Scenario, scenario
from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRAFFIC = "short"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """One folder of `samples/`: a run, and which of its captures are kept."""

    mode: str
    underlay: str = "routed"
    variant: str = STANDARD
    captures: tuple[str, ...]

    @property
    def scenario(self) -> Scenario:
        """The run: the few connections of every kind, whatever the variant."""
        return replace(scenario(self.mode, self.underlay, self.variant), traffic=_TRAFFIC)


_NODES = ("node-a.pcapng", "node-b.pcapng")
_IN_POD = ("cli.pcapng", "cli2.pcapng", *_NODES, "srv.pcapng")
_ZTUNNELS = (*_NODES, "ztunnel-a.pcapng", "ztunnel-b.pcapng")

SETS = {
    "ambient-iptables-geneve": SampleSet(
        mode="iptables-geneve", underlay="ovs-geneve", captures=_ZTUNNELS
    ),
    "ambient-ebpf": SampleSet(mode="ebpf", underlay="vxlan-4789", captures=_ZTUNNELS),
    "ambient-in-pod": SampleSet(
        mode="in-pod", captures=(*_IN_POD, "node-a.any-sll2.pcap", "node-b.any-sll2.pcap")
    ),
    "ambient-clocks": SampleSet(mode="in-pod", variant="clocks", captures=_IN_POD),
    "ambient-broken-interception": SampleSet(
        mode="iptables-geneve", variant="broken-interception", captures=_NODES
    ),
}


def files(name: str) -> tuple[str, ...]:
    """Return the captures of a set, as the README of the samples names them."""
    return tuple(f"{name}/{file}" for file in SETS[name].captures)


def record(name: str, folder: Path) -> dict[str, int]:
    """Record one set into `folder`/`name`; return the packet count of each capture.

    Raises LabUnavailable where the machine cannot, LabError where something went wrong; either
    leaves what was there as it was.
    """
    chosen = SETS[name]
    with tempfile.TemporaryDirectory(prefix=".recording-", dir=folder) as staging_name:
        recorded, staging = Path(staging_name) / "run", Path(staging_name) / "set"
        run.run(chosen.scenario, recorded)
        staging.mkdir()
        for path in _kept(chosen, recorded):
            data = path.read_bytes()
            if path.suffix == ".pcapng":
                data = samplefiles.without_machine(data)
            (staging / path.name).write_bytes(data)
        counts = {f"{name}/{file}": _counted(staging / file) for file in chosen.captures}
        for path in staging.iterdir():
            if path.stat().st_size >= samplefiles.LARGEST_SAMPLE_BYTES:
                raise LabError(f"{name}/{path.name}: {path.stat().st_size} bytes are too many")
        readme = folder / "README.md"
        if readme.exists():
            readme.write_text(samplefiles.update_counts(readme.read_text(), counts))
        target = folder / name
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    return counts


def _kept(chosen: SampleSet, recorded: Path) -> Iterator[Path]:
    for path in sorted(recorded.iterdir()):
        is_capture = path.suffix in (".pcapng", ".pcap")
        if path.stat().st_size and (not is_capture or path.name in chosen.captures):
            yield path


def _counted(path: Path) -> int:
    count = samplefiles.count_packets(path.read_bytes())
    if not count:
        raise LabError(f"{path.name}: no packet was recorded")
    return count
