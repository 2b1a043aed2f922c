# SPDX-License-Identifier: Apache-2.0
"""analysis/run_counts and analysis/ambient_mode: every report counts, and so finds, the same."""

from __future__ import annotations

import pytest

from genevecap.analysis.costs.overhead import overhead
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.conftest import ROOT

SAMPLES = sorted(
    [path] if path.is_file() else sorted(path.glob("*.pcapng"))
    for path in (ROOT / "samples").iterdir()
    if path.is_dir() or ".pcap" in path.name
)


@pytest.mark.parametrize("paths", SAMPLES, ids=lambda paths: paths[0].parent.name + paths[0].stem)
def test_flows_and_overhead_find_what_inspect_finds(paths):
    specs = [CaptureSpec.parse(str(path)) for path in paths]
    inspected = inspect(specs)
    assert inspected.findings
    of_flows, of_sizes = flows(specs), overhead(specs)
    # Without connections less is told of SYNs that nobody answers, but it is the same ones.
    blocked = {f for f in inspected.findings if f.code == "A03"}
    packets = {(f.code, f.packets) for f in of_flows.findings}
    assert {(f.code, f.packets) for f in blocked} <= packets
    common = set(inspected.findings) - blocked
    assert common <= set(of_flows.findings)
    assert {f.code[0] for f in set(of_flows.findings) - common} <= {"A", "H"}
    assert common <= set(of_sizes.findings)
    assert {f.code[0] for f in set(of_sizes.findings) - common} <= {"M"}
    assert (of_flows.mode, of_flows.mode_evidence) == (
        inspected.ambient.mode,
        inspected.ambient.evidence,
    )
