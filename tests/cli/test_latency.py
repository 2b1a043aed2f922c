# SPDX-License-Identifier: Apache-2.0
"""cli/latency: `genevecap latency` as it is called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from genevecap.cli.main import main
from tests.build import packets as p
from tests.build.captures import Pcapng, pcap


def run(*words: str):
    return CliRunner().invoke(main, ["latency", *words])


def test_what_control_packets_hold_is_not_measured(tmp_path):
    def sightings(name, oam):
        inside = [
            p.ethernet(p.ipv4(p.tcp(b"x" * 10, sequence=10 * n, flags=0x18), 6)) for n in range(20)
        ]
        path = tmp_path / name
        path.write_bytes(
            pcap(*(p.ethernet(p.ipv4(p.udp(p.geneve(f, oam=oam), 1, 6081))) for f in inside))
        )
        return str(path)

    for oam in (0, 1):
        paths = [sightings(f"{name}{oam}.pcap", oam) for name in "ab"]
        words = ["latency", *paths, "--same-clock", "--format", "json"]
        told = json.loads(CliRunner().invoke(main, words).stdout)
        assert told["matching"]["segments"] == 40 * (1 - oam)


def test_json_has_what_the_contract_names(samples: Path) -> None:
    done = run(str(samples / "vxlan-kernel.pcapng"), "--format", "json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["schema"] == "genevecap/latency/1"
    assert document["hops"]
    assert {hop["from"].split("/")[0] for hop in document["hops"]} == {"vxlan-kernel"}


def test_clocks_of_several_hosts(samples: Path) -> None:
    folder = samples / "ztunnel-in-pod"
    paths = [str(folder / f"{name}.pcapng") for name in ("nA", "nB")]
    document = json.loads(run(*paths, "--format", "json").stdout)
    (clock,) = document["clocks"]
    assert {clock["host"], clock["reference"]} == {"nA", "nB"}
    assert set(clock["segments"][0]) == {
        "from_ns", "to_ns", "at_ns", "offset_ns", "drift_ppm", "uncertainty_ns",
    }  # fmt: skip
    # One clock stamped both: zero lies in the interval, and both directions add up.
    assert all(abs(s["offset_ns"]) <= s["uncertainty_ns"] for s in clock["segments"])
    wires = [hop["p50_ns"] for hop in document["hops"] if hop["kind"] == "wire"]
    same = json.loads(run("--same-clock", *paths, "--format", "json").stdout)
    assert same["clocks"] == []
    really = [hop["p50_ns"] for hop in same["hops"] if hop["kind"] == "wire"]
    assert abs(sum(wires) - sum(really)) < 0.05 * sum(really)
    for form in ("table", "csv", "ndjson"):
        assert "nB" in run(*paths, "--format", form, "--table", "clocks").stdout


def test_a_clock_that_cannot_be(samples: Path) -> None:
    paths = [str(samples / "ztunnel-in-pod" / f"{name}.pcapng") for name in ("nA", "nB")]
    assert run(*paths, "--clock", "nA=2").exit_code == 2
    assert run(*paths, "--clock", "nC=±2ms").exit_code == 2
    assert run(*paths, "--clock", "nA=±2ms").exit_code == 0


def test_the_window_can_be_set(samples: Path) -> None:
    path = str(samples / "vxlan-kernel.pcapng")
    done = run(path, "--window", "0.5", "--table", "matching", "--format", "ndjson")
    assert json.loads(done.stdout)["window_ns"] == 500_000_000
    assert run(path, "--window", "0").exit_code == 2


def test_selectors_apply(samples: Path) -> None:
    path = str(samples / "vxlan-kernel.pcapng")
    everything = json.loads(run(path, "--format", "json").stdout)["matching"]["segments"]
    some = json.loads(run(path, "--vni", "100", "--format", "json").stdout)["matching"]["segments"]
    assert 0 < some < everything


def test_one_that_cannot_be_read_and_one_that_can(samples: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no capture")
    both = run("--same-clock", str(text), str(samples / "vxlan-kernel.pcapng"))
    assert both.exit_code == 3
    assert "Hops" in both.stdout
    alone = run(str(text))
    assert (alone.exit_code, alone.stdout) == (3, "")


def test_nothing_to_measure(tmp_path: Path) -> None:
    empty = tmp_path / "udp.pcapng"
    w = Pcapng()
    empty.write_bytes(w.section() + w.interface() + w.packet(p.ethernet(p.ipv4(p.udp(b"x")))))
    done = run(str(empty))
    assert done.exit_code == 4
    assert "nothing to measure" in done.stderr


def test_one_point_alone(samples: Path) -> None:
    path = str(samples / "ztunnel-in-pod" / "cli.pcapng")
    done = run(path, "--point", "*/lo", "--format", "json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["hops"] == []
    assert {trip["point"] for trip in document["round_trips"]} == {"cli/lo"}
    assert "No packet was seen at two points" in run(path, "--point", "*/lo").stdout


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is missing")
def test_keys_and_logs_make_sessions_surer(samples: Path) -> None:
    folder = samples / "ztunnel-in-pod"
    paths = [str(folder / f"{name}.pcapng") for name in ("cli2", "nA", "nB", "srv")]
    words = ["--same-clock", *paths, "--format", "json"]
    helps = ["--keylog", folder / "sslkeylog.txt", "--ztunnel-log", folder / "ztA.log"]
    sessions = json.loads(run(*words, *map(str, helps)).stdout)["sessions"]
    codes = {line.split(":")[0] for session in sessions for line in session["evidence"]}
    assert {"keys", "log"} <= codes
    assert not any(
        "log: " in line
        for s in json.loads(run(*words).stdout)["sessions"]
        for line in s["evidence"]
    )
    own = [s for s in sessions if s["legs"][0]["role"] == "outbound"]
    assert len(own) > 20
    assert all(leg["stream"] for s in own for leg in s["legs"] if leg["role"] == "hbone")
