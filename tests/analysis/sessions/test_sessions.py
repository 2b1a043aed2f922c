# SPDX-License-Identifier: Apache-2.0
"""`flows` on the samples: sessions, clocks between hosts, what is cut away, hostile input.

Modules: sessions.build, drafts, bypass, clocks, evidence, keys, mesh, modes; flows, flow_results.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from pathlib import Path

import pytest

from genevecap.analysis.sessions import (
    bypass,
    clocks,
    draft,
    drafts,
    evidence,
    keys,
    logs,
    mesh,
    modes,
    plain,
)
from genevecap.analysis.sessions.build import SessionBuilder
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.sessions.helps import Helps
from genevecap.analysis.sessions.results import FlowsResult
from genevecap.analysis.sessions.ztunnel_log import LoggedConnection, LogPeer
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.conftest import ROOT, recorded_set
from tests.properties.test_sets import packets

SAMPLE = ROOT / "samples" / "ztunnel-in-pod"
NAMES = ("cli", "cli2", "nA", "nB", "srv")
MODULES = (bypass, clocks, draft, drafts, evidence, keys, logs, mesh, modes, plain)


def run(paths, *, one_clock=True, **options):
    specs = [CaptureSpec.parse(str(path)) for path in paths]
    return flows(on_one_clock(specs) if one_clock else specs, **options)


@pytest.fixture(scope="module")
def whole() -> FlowsResult:
    return run([SAMPLE / f"{name}.pcapng" for name in NAMES])


def test_every_module_of_the_package_says_what_it_is():
    assert all(module.__doc__ for module in (*MODULES, SessionBuilder))


def test_sessions_are_complete_and_sure(whole):
    hbone = [s for s in whole.sessions if s.kind == "hbone" and s.outcome == "completed"]
    assert len(hbone) > 20
    for session in hbone:
        assert [leg.role for leg in session.legs] == ["outbound", "hbone", "inbound"]
        assert session.confidence > 0.9
        assert session.evidence
        parts = session.timing.by_segment
        assert sum(part.ns for part in parts) == (session.timing.first_byte_ns or 0)
    assert not whole.unlinked_legs
    assert not whole.bypass


def test_identifiers_count_sessions_in_time_order(whole):
    assert [s.id for s in whole.sessions] == list(range(1, len(whole.sessions) + 1))
    firsts = [s.legs[0].first_ns for s in whole.sessions]
    assert firsts == sorted(firsts)


def set_back(source, target, from_ns, by_ns):
    """Write a capture whose clock was set back at a moment."""
    octets = bytearray(source.read_bytes())
    for packet, _ in packets(octets):
        high, low = struct.unpack_from("<II", octets, packet - 16)
        if (time_ns := high << 32 | low) >= from_ns:
            struct.pack_into("<II", octets, packet - 16, *divmod(time_ns - by_ns, 1 << 32))
    target.write_bytes(octets)


def test_no_time_is_negative_where_a_clock_was_set_back(tmp_path):
    before = run([SAMPLE / "cli2.pcapng"]).sessions[0]
    middle_ns = before.legs[0].first_ns + before.timing.first_byte_ns // 2
    set_back(SAMPLE / "cli2.pcapng", tmp_path / "cli2.pcapng", middle_ns, 500_000_000)
    after = next(s for s in run([tmp_path / "cli2.pcapng"]).sessions if s.client == before.client)
    assert after.timing.first_byte_ns is None
    assert after.timing.total_ns is None or after.timing.total_ns >= 0
    assert after.timing.by_segment == ()


def test_without_the_servers_captures_nothing_is_made_up():
    result = run([SAMPLE / "cli2.pcapng"])
    assert result.sessions
    for session in result.sessions:
        assert session.server is None or session.kind == "passthrough" or session.legs
        assert all(leg.role != "inbound" for leg in session.legs if session.kind == "hbone")


@pytest.mark.parametrize("points", [("nA", "nB"), ("cli", "srv"), ("wp",)])
def test_a_gateway_is_known_by_what_it_passes_on(points):
    folder = recorded_set("ztunnel-1.31-multinetwork")
    result = run([folder / f"{point}.pcapng.gz" for point in points])
    assert "multi-network" in {s.kind for s in result.sessions}


def test_the_servers_pod_alone_tells_its_ztunnels_connections_from_its_callers():
    result = run([recorded_set("ztunnel-1.31") / "srv.pcapng.gz"])
    assert sum(s.kind == "plaintext-inbound" for s in result.sessions) == 5
    assert not result.unlinked_legs


def test_one_syn_without_an_answer_is_not_called_unreachable():
    """Istio's tunnel carries the SYN only; its answer goes past this device."""
    result = run([recorded_set("iptables-geneve") / "nB.istioin.pcap.gz"])
    assert [s.outcome for s in result.sessions] == ["unknown"] * 3


def test_clocks_of_several_hosts_are_estimated_and_said():
    paths = [
        f"{name}@{host}={SAMPLE / name}.pcapng"
        for name, host in (("cli", "A"), ("cli2", "A"), ("nA", "A"), ("nB", "B"), ("srv", "B"))
    ]
    result = run(paths, one_clock=False)
    (clock,) = result.clocks
    assert clock.segments
    for segment in clock.segments:
        assert abs(segment.offset_ns) <= segment.uncertainty_ns
        # The recorded wire is some 5 ms there and 4 ms back: the interval is half of their sum.
        assert 3_000_000 < segment.uncertainty_ns < 8_000_000
    linked = [s for s in result.sessions if len(s.legs) == 3]
    assert len(linked) > 15


@pytest.mark.parametrize("seed", range(6))
def test_changed_files_are_answered_or_refused(seed, tmp_path):
    rng = random.Random(seed)
    paths = []
    for name in NAMES:
        octets = bytearray((SAMPLE / f"{name}.pcapng").read_bytes())
        for _ in range(200):
            octets[rng.randrange(400, len(octets))] = rng.randrange(256)
        path = tmp_path / f"{name}.pcapng"
        path.write_bytes(octets[: rng.randrange(1000, len(octets))])
        paths.append(Path(path))
    result = run(paths)
    for session in result.sessions:
        assert 0 <= session.confidence <= 1
        for leg in session.legs:
            named = leg.confidence + sum(other.confidence for other in leg.alternatives)
            assert named <= 1 + 1e-3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, None),
        ("http status: 503 Service Unavailable", "refused"),
        ("http status: 401 Unauthorized", "denied"),
        ("connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008", "unreachable"),
        ("something else", None),
    ],
)
def test_errors_of_the_access_log_mean_outcomes(error, outcome):
    peer = LogPeer(address="10.0.0.1:1", workload="a", namespace="b", identity=None)
    line = LoggedConnection(
        path="", line=1, time_ns=100, direction="outbound", source=peer, destination=peer,
        hbone_address=None, service="s", up_bytes=1, down_bytes=2, duration_ns=3, error=error,
    )  # fmt: skip
    assert logs.outcome_of(line) == outcome
    assert logs.evidence_of(line).startswith("log: a to a for s, 1 up and 2 down")
    assert logs.Logs([line]).of_client("10.0.0.1:1", 90) is line
    assert logs.Logs([line]).of_client("10.0.0.1:1", 10**18) is None
    assert logs.Logs([line]).of_client("10.0.0.1:2", 90) is None


def test_the_log_names_servers_and_identities():
    files = [SAMPLE / f"{name}.pcapng" for name in NAMES]
    result = run(files, helps=Helps(ztunnel_logs=(str(SAMPLE / "ztA.log"),)))
    named = [s for s in result.sessions if any(e.startswith("log: spiffe://") for e in s.evidence)]
    assert len(named) > 20


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ambient-ebpf", {"hbone": 7, "passthrough": 1, "plaintext-inbound": 1}),
        ("ambient-iptables-geneve", {"hbone": 7, "passthrough": 1, "plaintext-inbound": 1}),
        ("ambient-in-pod", {"hbone": 7, "passthrough": 1, "plaintext-inbound": 1}),
        # Nothing takes the clients' traffic; the server's ztunnel takes it as plain text.
        ("ambient-broken-interception", {"plaintext-inbound": 6}),
    ],
)
def test_each_mode_has_the_sessions_that_were_made(name, kinds):
    paths = [p for p in (ROOT / "samples" / name).glob("*.pcap*") if ".any-" not in p.name]
    result = run(sorted(paths))
    assert Counter(session.kind for session in result.sessions) == kinds
    assert not result.bypass


def test_a_log_without_a_line_of_it_is_told():
    paths = [SAMPLE / "cli2.pcapng"]
    result = run(paths, helps=Helps(ztunnel_logs=(str(SAMPLE / "truth.json"),)))
    assert [p.severity for p in result.problems] == ["warning"]
    assert "truth.json" in result.problems[0].message
