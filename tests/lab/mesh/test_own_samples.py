# SPDX-License-Identifier: Apache-2.0
"""The recorded sets `samples/ambient-*`: their README, truth and packets agree."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import cache

import pytest

import genevecap
from tests.conftest import ROOT, SAMPLES
from tests.lab import record_samples, samplefiles
from tests.lab.mesh import checks, samples, sightings

README = (SAMPLES / "README.md").read_text()
LISTED = {
    name: int(count)
    for name, count in re.findall(r"^\| `(ambient-[^`]+)` \| (\d+) \|", README, re.MULTILINE)
}
CAPTURES = [SAMPLES / file for name in samples.SETS for file in samples.files(name)]

each_set = pytest.mark.parametrize("name", samples.SETS)
each_capture = pytest.mark.parametrize(
    "path", CAPTURES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is missing")


@cache
def truth(name):
    return json.loads((SAMPLES / name / "truth.json").read_text())


@each_set
def test_the_folder_holds_what_is_recorded_and_the_readme_lists_it(name):
    folder = SAMPLES / name
    found = {path.name for path in folder.glob("*.pcap*")}
    assert found == set(samples.SETS[name].captures)
    assert {f"{name}/{file}" for file in found} == {
        file for file in LISTED if file.startswith(f"{name}/")
    }
    assert f"### `{name}/`\n\n```\ngenevecap inspect samples/{name}/" in README
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert 0 < max(sizes) < samplefiles.LARGEST_SAMPLE_BYTES


@each_capture
def test_packets_are_counted_and_do_not_name_the_machine(path):
    data = path.read_bytes()
    assert samplefiles.count_packets(data) == LISTED[f"{path.parent.name}/{path.name}"]
    if path.suffix == ".pcapng":
        assert samplefiles.without_machine(data) == data


@each_set
def test_truth_is_that_of_the_run_and_in_itself_sound(name):
    chosen, found = samples.SETS[name].scenario, truth(name)
    assert (found["mode"], found["underlay"]) == (chosen.mode, chosen.underlay)
    assert found["clock"]["b"]["offset_ns"] == chosen.clock_b.offset_ns
    checks.check_order(chosen, found)
    checks.check_bytes(chosen, found)
    checks.check_stamps(found)
    # Past a broken redirection the Service's address is nobody's: kube-proxy is left out.
    assert found["counts"]["requests_ok"] == (13 if chosen.intercepts else 12)
    assert [one["addresses"] for one in found["lookups"]] == [
        ["10.96.0.50"], ["192.0.2.80"], ["10.96.0.50"]
    ]  # fmt: skip


@needs_tshark
@each_set
def test_each_leg_is_seen_where_the_kept_captures_can_show_it(name):
    found, folder = truth(name), SAMPLES / name
    seen = sightings.syns(folder)
    kept = {path.stem for path in folder.glob("*.pcapng")}
    flows = checks.towards_server(found)
    assert len(flows) == (0 if name == "ambient-broken-interception" else 6)
    for flow in flows:
        if flow["conn3"] is None:
            continue
        at = {
            "conn1": checks.first_leg(found, flow),
            "conn2": (flow["conn2"]["client"], flow["conn2"]["dst"]),
            "conn3": (flow["conn3"]["client"], flow["conn3"]["dst"]),
        }
        for leg, ends in at.items():
            expected = {
                one for one in checks.expected(found["mode"], leg, flow["conn1"]["pod"])
                if one.namespace in kept
            }  # fmt: skip
            if found["underlay"] == "ovs-geneve":  # between the nodes it is in their Geneve
                expected = {
                    replace(one, vni=5) if (one.namespace[:4], one.interface) == ("node", "eth0")
                    else one for one in expected
                }  # fmt: skip
            assert expected <= set(seen[ends])


@each_set
def test_genevecap_recognises_the_mode(name):
    paths = [str(path) for path in (SAMPLES / name).glob("*.pcapng")]
    assert genevecap.inspect(*paths).ambient.mode == truth(name)["mode"]


def test_broken_interception_is_plain_text():
    found = truth("ambient-broken-interception")
    kinds = {flow["planned_kind"]: flow["session_kind"] for flow in found["flows"]}
    assert kinds["hbone"] in ("plaintext-inbound", "outside")
    assert found["counts"]["conn2"] == 0


def test_make_demo_shows_a_sample_of_the_readme():
    makefile = (ROOT / "Makefile").read_text()
    (sample,) = re.findall(r"^SAMPLE := samples/(\S+)$", makefile, re.MULTILINE)
    assert sample in LISTED


def test_the_one_command_records_every_set(monkeypatch, tmp_path):
    recorded = []

    def note(name, folder):
        recorded.append(name)
        return {}

    monkeypatch.setattr(record_samples, "record", note)
    monkeypatch.setattr(samples, "record", note)
    monkeypatch.setattr(record_samples.os, "nice", lambda by: None)
    assert record_samples.main([str(tmp_path)]) == 0
    assert recorded == [*record_samples.SCENARIOS, *samples.SETS]
    recorded.clear()
    assert record_samples.main(["--only", "ambient-ebpf", str(tmp_path)]) == 0
    assert recorded == ["ambient-ebpf"]
