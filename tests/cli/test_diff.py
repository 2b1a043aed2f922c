# SPDX-License-Identifier: Apache-2.0
"""`genevecap diff` on the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

import genevecap
from genevecap.cli.main import main
from genevecap.reports import encapsulation

GENEVE = "geneve-ovs.pcapng"


@pytest.fixture
def run(samples, monkeypatch):
    monkeypatch.chdir(samples)

    def call(*words):
        return CliRunner().invoke(main, ["diff", "vxlan-vs-geneve", *map(str, words)])

    return call


def test_without_a_capture(run):
    result = run()
    assert result.exit_code == 0
    assert (
        "1500 − 20 (IPv4) − 8 (UDP) − 8 (VXLAN or Geneve) − 14 (Ethernet) = 1450" in result.stdout
    )
    assert "IMIX 340" in result.stdout
    assert "RFC 8926 section 3.4" in result.stdout


def test_keys_of_the_contract(run):
    document = json.loads(run(GENEVE, "--format", "json").stdout)
    assert document["schema"] == "genevecap/diff-encapsulation/1"
    assert document["traffic"].keys() >= {"packets", "inner_bytes", "observed"}
    for row in document["encapsulations"]:
        assert row.keys() >= {
            "kind", "outer", "option_bytes", "outer_mtu_bytes", "packet_bytes", "header_bytes",
            "overhead_bytes", "wire_bytes", "overhead_share", "inner_mtu", "packets_over_mtu",
            "extra_segments", "goodput_share",
        }  # fmt: skip
        assert row["packet_bytes"] is None
        traffic = document["traffic"]
        assert row["wire_bytes"] == (
            traffic["inner_bytes"] + row["overhead_bytes"] + 14 * traffic["packets"]
        )
    assert [set(row) for row in document["features"]] == [
        {"feature", "vxlan", "geneve", "source"}
    ] * len(document["features"])
    sizes = json.loads(run("--format", "json").stdout)["encapsulations"]
    assert {row["packet_bytes"] for row in sizes} == {64, 128, 256, 512, 1024, 1460, 9000, 340}


BOTH = (GENEVE, "vxlan-kernel.pcapng", "--same-clock")


@pytest.mark.parametrize("name", encapsulation.TABLES)
def test_every_table_in_every_format(run, name):
    assert run(*BOTH, "--table", name).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(run(*BOTH, "--table", name, "--format", "csv").stdout)))
    lines = run(*BOTH, "--table", name, "--format", "ndjson").stdout.splitlines()
    assert [set(json.loads(line)) for line in lines] == [set(row) for row in rows] != []
    document = json.loads(run(*BOTH, "--table", name, "--format", "json").stdout)
    assert list(document) == ["schema", name]


def test_times_of_both_formats_side_by_side(run):
    document = json.loads(run(*BOTH, "--format", "json").stdout)
    assert document["traffic"]["observed"] == "both"
    hops = {(hop["kind"], hop["step"], hop["from"], hop["to"]): hop for hop in document["latency"]}
    into = hops["geneve", "encapsulate", "geneve-ovs/pod-a1", "geneve-ovs/eth0"]
    out = hops["vxlan", "decapsulate", "vxlan-kernel/eth0", "vxlan-kernel/flannel.1"]
    assert into["packets"] > 10
    assert into["p50_ns"] > out["p50_ns"] > 0
    assert {kind for kind, *_ in hops} == {"geneve", "vxlan"}
    assert "Time  into tunnels and out of them" in run(*BOTH).stdout


def test_why_there_are_no_times(run):
    """The cards alone show no packet outside its tunnel."""
    words = (*BOTH, "--point", "*/eth0")
    assert "no times: no packet was seen both inside and outside a tunnel" in run(*words).stdout
    assert json.loads(run(*words, "--format", "json").stdout)["latency"] == []
    assert "no times" not in run(GENEVE).stdout


def test_selectors(run, samples):
    document = json.loads(run(GENEVE, "--vni", 70000, "--format", "json").stdout)
    tunnels = genevecap.inspect(str(samples / GENEVE), vnis=(70000,)).tunnels
    assert document["traffic"]["packets"] == sum(tunnel.packets for tunnel in tunnels)


def test_one_outer_version(run):
    rows = json.loads(run("--outer", "ipv6", "--format", "json").stdout)["encapsulations"]
    assert {row["outer"] for row in rows} == {"ipv6"}


def test_wrong_usage(run):
    result = run("--options-bytes", 10)
    assert result.exit_code == 2
    assert "multiple of 4" in result.stderr
    assert run("--options-bytes", 256).exit_code == 2
    assert run("--outer-mtu", 60).exit_code == 2
    assert CliRunner().invoke(main, ["diff", "nothing"]).exit_code == 2


def test_what_cannot_be_read(run, tmp_path):
    result = run(tmp_path / "missing.pcap")
    assert (result.exit_code, result.stdout) == (3, "")
    result = run(tmp_path / "missing.pcap", GENEVE)
    assert result.exit_code == 3
    assert "Geneve" in result.stdout


def test_a_capture_without_packets(run, tmp_path):
    from tests.build import captures as c

    (tmp_path / "empty.pcap").write_bytes(c.pcap_header())
    document = json.loads(run(tmp_path / "empty.pcap", "--format", "json").stdout)
    assert document["traffic"]["packets"] == 0
    assert {row["wire_bytes"] for row in document["encapsulations"]} == {0}


def test_the_api(samples):
    result = genevecap.diff_encapsulations(str(samples / GENEVE), option_bytes=8)
    assert result.traffic.observed == "geneve"
    assert {row.option_bytes for row in result.encapsulations} == {0, 8}
