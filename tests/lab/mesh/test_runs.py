# SPDX-License-Identifier: Apache-2.0
"""Short runs of the mesh: its truth and its captures say the same, and nothing stays behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.mesh import checks, run, sightings
from tests.lab.mesh.conftest import namespaces_of
from tests.lab.mesh.modes.in_pod import PROBE_SOURCES
from tests.lab.mesh.scenario import MODES, scenario
from tests.lab.mesh.sightings import Sighting
from tests.lab.mesh.topology import ZTUNNEL_A
from tests.lab.namespaces import wait_until

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("mode", MODES)
def test_every_leg_is_seen_where_the_mode_puts_it_and_nowhere_else(mode, mesh):
    chosen, found, folder = mesh(mode, "short")
    checks.check(chosen, found, folder)
    flows = checks.towards_server(found)
    assert len(flows) == 6
    for flow in flows:
        if flow["conn1"]["kind"] == "refused":
            assert (flow["conn2"]["status"], flow["conn3"]) == (503, None)
        else:
            assert flow["conn3"]["client"].startswith(f"{flow['conn1']['client'].split(':')[0]}:")
    check_kinds(mode, found)
    check_probes(mode, found)
    check_lookups(mode, found, folder)
    check_mode(mode, found, folder, flows)


def check_kinds(mode: str, found) -> None:
    kinds = {flow["conn1"]["kind"]: flow["session_kind"] for flow in found["flows"]}
    same_node = "hbone" if mode == "in-pod" else "in-memory"
    assert kinds == {
        "new": "hbone", "vip": "hbone", "keepalive": "hbone", "refused": "hbone",
        "same-node": same_node, "passthrough": "passthrough", "plaintext": "plaintext-inbound",
        "probe": "outside",
    }  # fmt: skip
    assert found["counts"]["requests_ok"] == found["counts"]["server_requests"] == 13
    for flow in found["flows"]:
        assert flow["outcome"] == ("refused" if flow["conn1"]["kind"] == "refused" else "completed")


def check_probes(mode: str, found) -> None:
    """Kubelet reaches pods without ztunnel; in-pod its address is translated on the way."""
    probes = [flow["conn1"] for flow in found["flows"] if flow["conn1"]["kind"] == "probe"]
    assert [probe["client"].split(":")[0] for probe in probes] == ["10.244.1.1", "10.244.2.1"]
    seen = [probe.get("translated_as", probe["client"]).split(":")[0] for probe in probes]
    if mode == "in-pod":
        assert seen == [PROBE_SOURCES[4]] * 2
    else:
        assert seen == ["10.244.1.1", "10.244.2.1"]


def check_lookups(mode: str, found, folder: Path) -> None:
    """In-pod, names of the mesh are answered in the pod; all other questions leave it."""
    in_mesh, outer, outside = found["lookups"]
    caught = mode == "in-pod"
    assert [one["addresses"] for one in found["lookups"]] == [
        ["10.96.0.50"], ["192.0.2.80"], ["10.96.0.50"]
    ]  # fmt: skip
    assert [one["captured"] for one in found["lookups"]] == [caught, caught, False]
    assert in_mesh["answered_by"] == ("ztunnel" if caught else "resolver")
    assert outer["answered_by"] == outside["answered_by"] == "resolver"
    fields = ("frame.interface_name", "dns.qry.name", "udp.srcport")
    queries = sightings.rows(folder / "cli.pcapng", "dns.flags.response == 0", *fields)
    left = [name for interface, name, _ in queries if interface == "eth0"]
    assert left == (["example.org"] if caught else [in_mesh["host"], "example.org"])
    if caught:
        port = in_mesh["client"].split(":")[1]
        assert ["lo", in_mesh["host"], port] in queries


def check_mode(mode: str, found, folder: Path, flows) -> None:
    if mode == "ebpf":
        # A short cut below IP: another destination MAC, the same TTL.
        conn1 = sightings.syns(folder)[checks.first_leg(found, flows[0])]
        at = conn1[Sighting("node-a", "veth-ztunnel")]
        assert (at.destination_mac, at.ttl) == (ZTUNNEL_A.mac, 64)
    if mode == "iptables-geneve":
        assert found["geneve_devices"] in ("kernel", "tap")
        # Only first packets are tunnelled.
        tunnelled = sightings.rows(
            folder / "node-a.pcapng", "geneve && tcp.flags.syn==0", "frame.number"
        )
        assert tunnelled == []


def test_without_redirection_pods_talk_in_plain_text(mesh):
    _, found, folder = mesh("in-pod", "broken-interception")
    checks_broken(found, folder)


def checks_broken(found, folder: Path) -> None:
    """Connections of node A's pods go to their server as they are; its ztunnel takes them."""
    seen = sightings.syns(folder)
    flows = [flow for flow in found["flows"] if flow["conn1"]["kind"] == "new"]
    assert found["counts"]["conn2"] == 0
    for flow in flows:
        assert (flow["session_kind"], flow["planned_kind"]) == ("plaintext-inbound", "hbone")
        at = set(seen[flow["conn1"]["client"], "10.244.2.5:8080"])
        assert checks.path_of_the_wire() < at


def test_what_the_wire_lost_is_seen_before_it_and_not_behind(mesh):
    chosen, found, folder = mesh("iptables-geneve", "loss")
    checks.check(chosen, found, folder)
    assert found["counts"]["wire_drops"] > 0
    assert found["counts"]["requests_ok"] >= 40


@pytest.mark.parametrize("after_s", [0.2, 3.5], ids=["while-building", "while-recording"])
def test_an_interrupted_run_leaves_nothing(after_s, tmp_path):
    reason = run.why_not(scenario("in-pod"))
    if reason:
        pytest.skip(reason)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.mesh", "--mode", "in-pod", str(tmp_path / "run")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: bool(namespaces_of(process.pid)), "the first namespace", 30.0)
    time.sleep(after_s)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=40)
    assert process.returncode == 130, said
    assert "SIGTERM" in said
    assert namespaces_of(process.pid) == []
    assert not (tmp_path / "run").exists()
