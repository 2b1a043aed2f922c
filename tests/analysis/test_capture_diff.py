# SPDX-License-Identifier: Apache-2.0
"""analysis/comparison: two runs compared."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import genevecap
from genevecap.analysis.comparison.bootstrap import MEDIAN, compare
from genevecap.analysis.comparison.captures import diff_captures
from genevecap.analysis.comparison.hop_pairs import RunHops, compare_hops, compare_times
from genevecap.analysis.comparison.results import CaptureDiff, HopDifference
from genevecap.analysis.hops.latency import latency, latency_by_session
from genevecap.analysis.hops.results import Hop
from genevecap.analysis.hops.table import name_of
from genevecap.analysis.inputs import Inputs
from genevecap.capture.spec import CaptureSpec
from tests.build.captures import pcap
from tests.build.journeys import ACK, PSH, SYN, Journeys, Segment
from tests.build.packets import ethernet, ipv4, udp, vxlan

US = 1_000
MS = 1_000_000
SERVER = ("10.244.2.5", 8080)


def record(path: Path, *, sessions=30, added_us=0, seed=1, points=("pod", "veth", "eth0")) -> str:
    """Connections of four packets over two hops: 50 us and more, 200 us and more (+ added_us)."""
    chance, journeys = random.Random(seed), Journeys()
    for n in range(sessions):
        client = ("10.244.1.4", 40000 + n)
        own = chance.randrange(20)
        for packet in range(4):
            segment = Segment(
                source=client, destination=SERVER, sequence=1000 * n + packet * 100 + 1,
                acknowledgment=0 if packet == 0 else 7, octets=0 if packet == 0 else 100,
                stamp=5000 + n * 10 + packet, echo=0 if packet == 0 else 9,
                flags=SYN if packet == 0 else ACK | PSH,
            )  # fmt: skip
            first = 50 + own + chance.randrange(5)
            second = 200 + own + chance.randrange(5) + added_us
            journeys.way(
                n * 10 * MS + packet * MS, segment,
                (points[0], 0), (points[1], first * US), (points[2], second * US),
            )  # fmt: skip
    return journeys.write(path)


def by_ends(result: CaptureDiff) -> dict[tuple[str, str], HopDifference]:
    return {(hop.origin.split("/")[-1], hop.to.split("/")[-1]): hop for hop in result.hops}


def test_a_known_shift_is_found_where_it_is(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    record(tmp_path / "a" / "run.pcapng", seed=1)
    record(tmp_path / "b" / "run.pcapng", seed=2, added_us=30)
    result = genevecap.diff_captures([str(tmp_path / "a")], [str(tmp_path / "b")])
    hops = by_ends(result)
    assert set(hops) == {("pod", "veth"), ("veth", "eth0")}
    same, shifted = hops["pod", "veth"].times, hops["veth", "eth0"].times
    assert (same.sessions_a, same.packets_a, same.sessions_b, same.packets_b) == (30, 120, 30, 120)
    low, high = same.median.ci95_ns
    assert low < 0 < high
    assert same.conclusion == "undecided"
    low, high = shifted.median.ci95_ns
    assert 0 < low <= 30 * US <= high < 60 * US
    assert shifted.conclusion == "longer"
    assert shifted.median.p_value < 0.01
    assert all(hop.matched_by == "name" for hop in result.hops)
    # p99 of 30 sessions: the figure is there, and that nothing can be said of it.
    assert shifted.p99.difference_ns > 0
    assert shifted.p99.ci95_ns is None
    assert result.tells


def test_the_times_are_those_of_latency(tmp_path):
    spec = CaptureSpec.parse(record(tmp_path / "run.pcapng"))
    result, times = latency_by_session([spec])
    assert result == latency([spec])
    assert set(times) == {name_of(hop) for hop in result.hops}
    for hop in result.hops:
        mine = times[name_of(hop)]
        assert (mine.packets, len(mine.ns)) == (hop.packets, hop.packets)
        assert (mine.ns.min(), mine.ns.max()) == (hop.min_ns, hop.max_ns)
        (median,) = compare(mine, mine, (MEDIAN,))
        assert median.a_ns == pytest.approx(hop.p50_ns, rel=0.01)


def test_too_few_sessions_are_said_to_be(tmp_path):
    a = record(tmp_path / "a.pcapng", sessions=5)
    b = record(tmp_path / "b.pcapng", sessions=30, added_us=1000)
    result = genevecap.diff_captures([f"run={a}"], [f"run={b}"])
    for hop in result.hops:
        assert hop.times.conclusion == "too-few-sessions"
        assert hop.times.median.ci95_ns is None
    assert not result.tells


@pytest.mark.parametrize("name", ["ambient-in-pod", "ambient-ebpf", "ambient-iptables-geneve"])
def test_a_set_against_itself_differs_in_nothing(samples, name):
    run = [str(samples / name)]
    result = genevecap.diff_captures(run, run, same_clock=True)
    assert result.a == result.b
    assert result.tells
    for row in (*result.hops, *result.segments):
        assert row.times.conclusion in {"undecided", "too-few-sessions", "not-measured"}
        for quantile in (row.times.median, row.times.p99):
            if quantile is not None:
                assert quantile.difference_ns == 0
                assert quantile.ci95_ns is None or quantile.ci95_ns[0] <= 0 <= quantile.ci95_ns[1]
    assert all(row.matched_by == "name" for row in result.hops)
    assert {row.kind for row in result.hops} >= {"server", "wire"}
    assert all(row.times.packets_a > 0 for row in result.hops)
    assert all(row.a == row.b for row in result.sessions)
    assert all(row.overhead_bytes_a == row.overhead_bytes_b for row in result.overhead)
    assert result.findings == ()


def test_iptables_against_in_pod(samples):
    a, b = (str(samples / name) for name in ("ambient-iptables-geneve", "ambient-in-pod"))
    result = genevecap.diff_captures([a], [b], same_clock=True)
    assert (result.a.mode, result.b.mode) == ("iptables-geneve", "in-pod")
    inspected = genevecap.inspect(*(str(p) for p in sorted(Path(a).glob("*.pcap*"))))
    assert result.a.packets == sum(capture.packets for capture in inspected.captures)
    # Only what is between the nodes is in both; istioout is iptables' alone.
    both = [hop for hop in result.hops if hop.matched_by == "name"]
    assert {hop.kind for hop in both} == {"wire"}
    assert any(
        hop.to.endswith("istioout") and hop.times.conclusion == "only-a" for hop in result.hops
    )
    billed = {(row.kind, row.purpose): row for row in result.overhead}
    assert billed["geneve", "interception"].overhead_bytes_a > 0
    assert billed["geneve", "interception"].overhead_bytes_b == 0
    assert (
        billed["all", "all"].overhead_bytes_a
        == genevecap.overhead(
            *(str(p) for p in sorted(Path(a).glob("*.pcap*")))
        ).totals.overhead_bytes
    )
    segments = {(row.kind, row.segment): row.times for row in result.segments}
    whole = segments["hbone", "first-byte"]
    assert min(whole.sessions_a, whole.sessions_b) >= 6
    assert whole.median.ci95_ns is not None
    assert {(row.kind, row.outcome) for row in result.sessions} >= {("hbone", "completed")}


def test_findings_that_came_and_went(samples, tmp_path):
    plain, broken = str(samples / "vxlan-kernel.pcapng"), tmp_path / "broken.pcap"
    without_flag = ethernet(ipv4(udp(vxlan(ethernet(ipv4(udp(b""))), flags=0), 40000, 4789)))
    broken.write_bytes(pcap(without_flag))
    came = genevecap.diff_captures([plain], [str(broken)]).findings
    went = genevecap.diff_captures([str(broken)], [plain]).findings
    for changes, change in ((came, "appeared"), (went, "went")):
        ((code, packets, other),) = (
            (each.code, each.packets, each.change) for each in changes if each.code == "V01"
        )
        assert (code, packets, other) == ("V01", 1, change)
    # What both have is no change.
    assert "V04" not in {each.code for each in came}


def hop(origin, to, *, measured=True):
    return Hop(
        origin=origin, to=to, leg="outbound", direction="forward", kind="pass", phase=None,
        measured=measured, packets=1, lost=0, min_ns=1, p50_ns=1, p90_ns=1, p99_ns=1, max_ns=1,
        uncertainty_ns=0, added_p50_bytes=0, added_max_bytes=0,
    )  # fmt: skip


def run_of(*ways, times, roles, measured=True):
    hops = tuple(hop(*way, measured=measured) for way in ways)
    return RunHops(hops=hops, times={name_of(h): times for h in hops}, roles=roles)


def test_hops_of_new_pods_are_matched_by_role(tmp_path):
    spec = CaptureSpec.parse(record(tmp_path / "run.pcapng"))
    times = next(iter(latency_by_session([spec])[1].values()))
    a = run_of(
        ("n/veth1", "n/eth0"), ("n/veth2", "n/eth0"), ("x", "n/eth0"), times=times,
        roles={"n/veth1": "node-veth", "n/veth2": "node-veth", "n/eth0": "underlay"},
    )  # fmt: skip
    b = run_of(
        ("n/veth9", "n/eth0"), ("y", "n/eth0"), times=times,
        roles={"n/veth9": "node-veth", "n/eth0": "underlay", "y": "unknown"},
    )  # fmt: skip
    found = {(row.origin, row.matched_by): row for row in compare_hops(a, b)}
    assert set(found) == {("node-veth", "role"), ("x", "none"), ("y", "none")}
    pair = found["node-veth", "role"]
    assert (pair.to, pair.hops_a, pair.hops_b) == ("underlay", 2, 1)
    # Both hops have the same sessions here, which do not become more by being pooled.
    assert pair.times.sessions_a == pair.times.sessions_b == times.sessions
    assert pair.times.packets_a == 2 * pair.times.packets_b
    assert found["x", "none"].times.conclusion == "only-a"
    assert found["y", "none"].times.conclusion == "only-b"


def test_what_was_not_measured_is_not_compared(tmp_path):
    spec = CaptureSpec.parse(record(tmp_path / "run.pcapng"))
    times = next(iter(latency_by_session([spec])[1].values()))
    a = run_of(("p", "q"), times=times, roles={})
    b = run_of(("p", "q"), times=times, roles={}, measured=False)
    (row,) = compare_hops(a, b)
    assert row.times.conclusion == "not-measured"
    assert row.times.median is None
    assert row.times.sessions_a == times.sessions
    assert compare_times(None, None).conclusion == "not-measured"


@pytest.mark.parametrize("readings", [0, 1, 4, 6])
def test_an_interrupt_gives_what_was_read(tmp_path, monkeypatch, readings):
    """Each run is read four times, each capture is one batch."""
    specs = [[CaptureSpec.parse(record(tmp_path / f"{name}.pcapng"))] for name in ("a", "b")]
    whole = diff_captures(*specs)
    real, left = Inputs._tell_progress, [readings]

    def tell(inputs, total):
        real(inputs, total)
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Inputs, "_tell_progress", tell)
    result = diff_captures(*specs)
    assert result.interrupted
    assert not whole.interrupted
    assert result.a.packets == whole.a.packets
    assert bool(result.b.captures) == (readings >= 4)
    if readings >= 4:
        assert result.hops
        assert all(row.times.packets_a for row in result.hops)
    else:
        assert result.b.packets == 0
    assert left[0] == -1
