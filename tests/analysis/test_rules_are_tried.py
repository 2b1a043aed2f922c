# SPDX-License-Identifier: Apache-2.0
"""Every rule is expected by a test, and is missing from a capture; many are met in recordings."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from genevecap.analysis.findings import rules
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.conftest import SAMPLES, recorded_set

TESTS = Path(__file__).parents[1]

MET = {
    "A03": ("ztunnel-1.31-faults/cli.pcapng.gz", 20),
    "A04": ("ztunnel-1.24/cli.pcapng.gz", 2),
    "A05": ("ztunnel-1.24/cli.pcapng.gz", 1),
    # One of two that a policy denied: its sizes would be those of a refusal as well.
    "A06": ("ztunnel-1.24/cli.pcapng.gz", 1),
    "A09": ("ztunnel-1.24/cli2.pcapng.gz", 10),
    "A10": ("ovs-geneve-underlay/nA.pcapng.gz", 72),
    "A12": ("ztunnel-1.31/srv.pcapng.gz", 57),
    "H04": ("ebpf-redirect/wire.pcapng.gz", 3),
    "H06": ("ztunnel-1.31-faults/cli.pcapng.gz", 13),
    "H07": ("ovs-geneve-underlay/nA.pcapng.gz", 2),
}
"""Rules about a mesh that one recorded capture alone shows, with so many packets."""

MADE_BY_HAND = {"A01", "A02", "A07", "A08", "A11", "H01", "H02", "H03", "H05", "H08"}
"""Those that none shows by itself: nothing recorded is broken in that way.

A08 is met in a recorded set with another threshold than its own.
"""


@cache
def met_in(name: str) -> dict[str, int]:
    """Return the findings of `flows` about a recorded capture, with their packets."""
    folder, _, file = name.partition("/")
    path = recorded_set(folder) / file
    return {f.code: f.packets for f in flows([CaptureSpec.parse(str(path))]).findings}


@pytest.mark.parametrize("code", MET)
def test_a_rule_that_a_recording_shows(code: str) -> None:
    name, packets = MET[code]
    assert met_in(name).get(code) == packets


def test_what_was_refused_or_denied_is_told_in_one_way() -> None:
    """Two requests of the set were refused and two denied; the client's capture has all four."""
    found = met_in("ztunnel-1.24/cli.pcapng.gz")
    assert sum(found.get(code, 0) for code in ("A04", "A05", "A06")) == 4


def test_every_rule_about_a_mesh_is_met_or_made() -> None:
    assert MET.keys() | MADE_BY_HAND == {code for code in rules() if code[0] in "AH"}
    assert not MET.keys() & MADE_BY_HAND


# --- every rule ----------------------------------------------------------------------------------


def codes_expected(tree: ast.AST) -> Counter[str]:
    """Count the rules that a module of tests names, but for what it says is not there."""
    denied = {
        id(constant)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.NotIn)
        for constant in ast.walk(node.left)
    }
    return Counter(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in denied
    )


def test_what_is_expected() -> None:
    tree = ast.parse('assert "A01" not in found and "A02" in found\nassert found["A03"] == {"A04"}')
    assert codes_expected(tree).keys() == {"A02", "A03", "A04"}


def test_every_rule_is_expected_by_a_test() -> None:
    expected = Counter[str]()
    for path in TESTS.rglob("test_*.py"):
        if path != Path(__file__):
            expected += codes_expected(ast.parse(path.read_text()))
    assert rules().keys() - expected.keys() == set()


def test_every_rule_is_missing_from_a_capture() -> None:
    """No rule says the same of everything: each is missing from one of these."""
    found = [
        {f.code for f in inspect([CaptureSpec.parse(str(SAMPLES / name))]).findings}
        for name in ("geneve-ovs.pcapng", "vxlan-kernel.pcapng")
    ]
    folder = SAMPLES / "ztunnel-waypoint"
    specs = [CaptureSpec.parse(str(path)) for path in sorted(folder.glob("*.pcap*"))]
    found.append({f.code for f in flows(specs).findings})
    assert set.intersection(*found) == set()
