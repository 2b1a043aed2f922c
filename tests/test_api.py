# SPDX-License-Identifier: Apache-2.0
"""The public API (`genevecap._api`): what `import genevecap` offers, used as its docstring says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import genevecap
from genevecap.analysis.results import Problem
from genevecap.errors import NotACapture, UsageError


def test_everything_that_is_promised_is_there() -> None:
    for name in genevecap.__all__:
        assert getattr(genevecap, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        genevecap.nothing  # noqa: B018


def test_inspect(samples: Path) -> None:
    result = genevecap.inspect(str(samples / "geneve-ovs.pcapng"), vnis=(70000,))
    assert {tunnel.vni for tunnel in result.tunnels} == {70000}
    assert result.selected_packets == sum(tunnel.packets for tunnel in result.tunnels)
    assert result.problems == ()


def test_packets_are_what_inspect_counts(samples: Path) -> None:
    path = str(samples / "vxlan-kernel.pcapng")
    rows = list(genevecap.packets(path))
    assert len(rows) == genevecap.inspect(path).selected_packets
    assert [row.frame for row in rows] == list(range(1, len(rows) + 1))
    selected = list(genevecap.packets(path, since="+0.1", ports=(8472,)))
    assert 0 < len(selected) < len(rows)


def test_open_capture(samples: Path, tmp_path: Path) -> None:
    capture = genevecap.open_capture(f"node@host={samples / 'geneve-ovs.pcapng'}")
    frames = sum(batch.count for batch in capture.batches())
    assert frames == capture.packets > 0
    assert [point.host for point in capture.points.points] == ["host"] * 3
    (tmp_path / "text").write_text("no capture")
    with pytest.raises(NotACapture, match="begins with"):
        genevecap.open_capture(str(tmp_path / "text"))


def test_problems_are_told_not_raised(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pcap")
    told: list[Problem] = []
    assert list(genevecap.packets(missing, on_problem=told.append)) == []
    assert list(genevecap.packets(missing)) == []
    assert [problem.severity for problem in told] == ["error"]
    assert genevecap.inspect(missing).problems == tuple(told)


def test_a_selector_that_cannot_be_understood_is_raised(samples: Path) -> None:
    with pytest.raises(UsageError, match="not an IPv4 or IPv6 address"):
        genevecap.inspect(str(samples / "geneve-ovs.pcapng"), addresses=("nowhere",))


def test_importing_it_is_cheap() -> None:
    """Nothing but the package itself is loaded until something of it is used."""
    code = "import sys, genevecap; print(*[m for m in sys.modules if m.startswith('genevecap')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["genevecap"]


def test_points_are_what_inspect_says(samples: Path, tmp_path: Path) -> None:
    path = str(samples / "vxlan-any-sll2.pcap")
    result = genevecap.points(path)
    inspected = genevecap.inspect(path).captures[0].points
    assert [(p.name, str(p.role)) for p in result.points] == [(p.name, p.role) for p in inspected]
    manifest = tmp_path / "points.toml"
    manifest.write_text('[[point]]\nmatch = "*/ifindex-3"\nrole = "wire"\n')
    assert {p.role for p in genevecap.points(path, manifest=str(manifest)).points} >= {"wire"}
    with pytest.raises(UsageError, match="No such file"):
        genevecap.points(path, manifest=str(tmp_path / "none.toml"))
