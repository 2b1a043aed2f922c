# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs and measures what it says; no test is about how long something takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import decoder_name

from . import follow, instructions, kinds
from .__main__ import main
from .captures import cut, generate, generate_hops, generate_sessions, repeated
from .programs import Program

TINY = ["--frames", "400", "--cut", "100", "--short", "20", "--conversations", "50",
        "--times", "2", "--rounds", "1", "--hops", "2000"]  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "capture.pcap"
    generate(path, 5_000, 1_000, 3)
    return path


def summary(path: Path):
    return inspect([CaptureSpec.parse(str(path))])


def test_the_mix_is_what_it_says(capture):
    result = summary(capture)
    assert result.selected_packets == result.stops.complete == 5_000
    assert "error" not in {finding.severity for finding in result.findings}
    shares = {
        kind: sum(t.packets for t in result.tunnels if t.kind == kind) / 5_000
        for kind in ("geneve", "vxlan")
    }
    assert 0.40 < shares["geneve"] < 0.58
    assert 0.33 < shares["vxlan"] < 0.51
    assert len(result.options) == 3
    assert any(":" in tunnel.source for tunnel in result.tunnels)
    assert 250 < result.captures[0].wire_bytes / 5_000 < 450


def test_one_seed_gives_one_capture(capture, tmp_path):
    generate(tmp_path / "again.pcap", 5_000, 1_000, 3)
    assert (tmp_path / "again.pcap").read_bytes() == capture.read_bytes()
    generate(tmp_path / "other.pcap", 5_000, 1_000, 4)
    assert (tmp_path / "other.pcap").read_bytes() != capture.read_bytes()


def test_cut_and_repeated(capture, tmp_path):
    assert cut(capture, tmp_path / "cut.pcap", 7) == 7
    assert summary(tmp_path / "cut.pcap").selected_packets == 7
    assert cut(tmp_path / "cut.pcap", tmp_path / "all.pcap", 100) == 7
    with repeated(tmp_path / "cut.pcap", tmp_path / "three.pcap", 3) as path:
        assert summary(path).selected_packets == 21
        assert summary(path).captures[0].cut_short is False
    assert not path.exists()


def test_a_program_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="broken: exit code 3"):
        Program(name="broken", command=(sys.executable, "-c", "raise SystemExit(3)")).run()


def test_the_whole_benchmark(capsys, tmp_path):
    main([*TINY, "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    for name in ("inspect ", "inspect, no kernels", "inspect, 2 times as much", "--version"):
        assert name in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_is_what_it_says(kind, tmp_path):
    path = tmp_path / "kind.pcap"
    kinds.generate(path, kind, 100)
    result = summary(path)
    assert result.selected_packets == 100
    assert "error" not in {finding.severity for finding in result.findings}
    name = kind.split(",")[0].split(" ")[0]
    hidden = {"esp": "esp", "wireguard": "wireguard", "stt": "stt"}.get(name)
    if kind == "macsec, encrypted":
        hidden = "macsec"
    assert {stop.layer for stop in result.stop_layers} == ({hidden} if hidden else set())
    assert result.flows == kinds.FLOWS if not hidden else result.flows <= 1
    if hidden or name in {"none", "macsec"}:
        assert result.tunnels == ()
    else:
        assert {"ah": "ipip"}.get(name, name) in {tunnel.kind for tunnel in result.tunnels}


@pytest.mark.long
def test_the_table_of_kinds(capsys, tmp_path, monkeypatch):
    if not instructions.available():
        pytest.skip("valgrind is not here")
    monkeypatch.setattr(kinds, "KINDS", {"vxlan": kinds.KINDS["vxlan"]})
    main(["--kinds", "--short", "500", "--folder", str(tmp_path)])
    assert "vxlan" in capsys.readouterr().out


@pytest.mark.long
def test_the_profile(capture, tmp_path):
    if not instructions.available():
        pytest.skip("valgrind is not here")
    counts = instructions.per_frame(capture, tmp_path, 1_000)
    compiled = {"read", "decode", "count"} if decoder_name() == "compiled" else set()
    assert set(counts) == compiled | {instructions.OTHER}
    assert all(counts[phase] > 10 for phase in compiled)


def test_it_is_what_make_bench_runs():
    help_text = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--help"],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    ).stdout  # fmt: skip
    assert "--profile" in help_text


def test_latency_finds_what_the_generator_knows(tmp_path):
    paths = generate_hops(tmp_path, 200_000, 5)
    specs = [CaptureSpec(path=str(path), name=path.stem, host="one") for path in paths]
    found = {(h.origin, h.to, h.direction): h for h in latency(specs).hops}
    truth = json.loads((tmp_path / "truth.json").read_text("utf-8"))
    assert len(found) == len(truth) == 8
    assert sum(row["lost"] for row in truth) > 20
    for row in truth:
        hop = found[row["from"], row["to"], row["direction"]]
        for key in ("packets", "lost", "min_ns", "max_ns"):
            assert getattr(hop, key) == row[key]
        for key in ("p50_ns", "p90_ns", "p99_ns"):
            assert getattr(hop, key) == pytest.approx(row[key], rel=0.01)


@pytest.fixture(scope="module", params=[0, 24])
def ambient(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions")
    paths = generate_sessions(folder, 15_000, 150, 3, request.param)
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    return [CaptureSpec(path=str(path), name=path.stem, host="one") for path in paths], truth


def test_the_generators_sessions_are_linked_right(ambient):
    specs, truth = ambient
    result = flows(specs)
    assert result.mode == "in-pod"
    assert not result.unlinked_legs
    assert not result.bypass
    assert len(result.sessions) == len(truth["sessions"]) == 150
    for session, ports in zip(result.sessions, truth["sessions"], strict=True):
        assert (session.kind, session.outcome) == ("hbone", "completed")
        assert [int(leg.source.rpartition(":")[2]) for leg in session.legs] == ports
        assert session.confidence > 0.9


def test_latency_finds_the_proxies_of_the_generators_sessions(ambient):
    specs, truth = ambient
    hops = latency(specs).hops
    found = {(h.origin, h.to, h.direction, h.phase): h for h in hops}
    assert len(found) == len(truth["hops"]) == 13
    for row in truth["hops"]:
        hop = found[row["from"], row["to"], row["direction"], row.get("phase")]
        if hop.kind in {"proxy", "server"}:  # a record that may be another's is not measured
            assert 0.9 * row["packets"] <= hop.packets <= row["packets"]
            assert hop.p50_ns == pytest.approx(row["p50_ns"], rel=0.05)
        else:
            assert (hop.packets, hop.lost) == (row["packets"], 0)
            assert (hop.min_ns, hop.max_ns) == (row["min_ns"], row["max_ns"])


def test_following_is_measured(capture, capsys):
    follow.main([str(capture)])
    said = capsys.readouterr().out
    assert all(name in said for name in ("readable ", "compiled ", "memory ", "objects "))
