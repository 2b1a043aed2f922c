# SPDX-License-Identifier: Apache-2.0
"""`genevecap overhead` on the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

import genevecap
from genevecap.cli.main import main
from genevecap.reports import overhead as report

GENEVE, VXLAN = "geneve-ovs.pcapng", "vxlan-kernel.pcapng"


@pytest.fixture
def run(samples, monkeypatch):
    monkeypatch.chdir(samples)

    def call(*words):
        return CliRunner().invoke(main, ["overhead", *map(str, words)])

    return call


def test_for_people(run):
    result = run(GENEVE, "--mtu", 1500)
    assert result.exit_code == 0
    assert "1500 − 20 (IPv4) − 8 (UDP) − 8 (Geneve) − 28 (options: OVN 8, class 0xffff 20)" in (
        result.stdout
    )
    assert "geneve  underlay" in result.stdout


def test_keys_of_the_contract(run):
    document = json.loads(run(VXLAN, "--format", "json").stdout)
    assert document["schema"] == "genevecap/overhead/1"
    for row in document["layers"]:
        assert row.keys() >= {
            "kind", "purpose", "packets", "overhead_bytes", "option_bytes", "share", "basis",
            "uncertainty_bytes", "per_packet",
        }  # fmt: skip
        assert row["per_packet"].keys() == {"min", "p50", "max"}
        assert 0 <= row["share"] <= 1
    for row in document["mtu"]:
        assert row.keys() >= {
            "point", "largest_frame_bytes", "mtu_bytes", "headroom_bytes", "fragments",
            "icmp_too_big", "super_packets", "black_hole", "flows",
        }  # fmt: skip
    assert document["sums"][0]["terms"][0] == {"name": "IPv4", "bytes": 20, "parts": []}


@pytest.mark.parametrize("name", report.TABLES)
@pytest.mark.parametrize("capture", [GENEVE, VXLAN])
def test_every_table_in_every_format(run, name, capture):
    assert run(capture, "--table", name).exit_code == 0
    text = run(capture, "--table", name, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    lines = run(capture, "--table", name, "--format", "ndjson").stdout.splitlines()
    assert len(rows) == len(lines) > 0
    document = json.loads(run(capture, "--table", name, "--format", "json").stdout)
    assert list(document) == ["schema", name]
    assert document[name] == [json.loads(line) for line in lines]


def test_every_table_of_a_capture_without_packets(run, tmp_path):
    from tests.build import captures as c

    (tmp_path / "empty.pcap").write_bytes(c.pcap_header())
    for name in report.TABLES:
        result = run(tmp_path / "empty.pcap", "--table", name)
        assert (result.exit_code, result.stdout) == (0, f"no {name}\n")
    assert run(tmp_path / "empty.pcap").exit_code == 0


def test_selectors(run):
    document = json.loads(run(GENEVE, "--vni", 70000, "--format", "json").stdout)
    assert [row["vni"] for row in document["vnis"]] == [70000]


def test_what_cannot_be_read(run, tmp_path):
    assert (run(tmp_path / "missing").exit_code, run(tmp_path / "missing").stdout) == (3, "")
    assert run("--mtu", 20, GENEVE).exit_code == 2


def test_the_api(samples):
    result = genevecap.overhead(str(samples / GENEVE), mtu_bytes=9000, vnis=(5,))
    assert [each.vni for each in result.vnis] == [5]
    assert {row.mtu_bytes for row in result.mtu} == {9000}


def test_findings_fail_a_run_where_that_was_asked(run):
    assert run(VXLAN, "--fail-on", "M02").exit_code == 1
    assert run(VXLAN, "--fail-on", "M02", "--ignore", "M02").exit_code == 0
    document = json.loads(run(VXLAN, "--format", "json", "--ignore", "U01").stdout)
    codes = [row["code"] for row in document["findings"]]
    assert "U01" not in codes
    assert codes[0] == "V08"
