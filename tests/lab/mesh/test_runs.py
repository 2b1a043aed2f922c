# SPDX-License-Identifier: Apache-2.0
"""Short runs of the mesh: its truth and its captures say the same, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.mesh import record, run, sightings
from tests.lab.mesh.scenario import scenario
from tests.lab.mesh.sightings import Sighting
from tests.lab.mesh.topology import ZTUNNEL_A
from tests.lab.namespaces import why_unavailable

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parents[3]
UNDERLAY_PATH = [("node-a", "eth0"), ("wire", "wa"), ("wire", "wb"), ("node-b", "eth0")]


def points(*places) -> set[Sighting]:
    return {Sighting(*place) for place in places}


# Where the SYN of each leg between cli (or cli2) and srv is seen, and nowhere else.
IN_POD = {
    "conn1": points(("{pod}", "lo")),
    "conn2": points(("{pod}", "eth0"), ("node-a", "veth-{pod}"), *UNDERLAY_PATH,
                    ("node-b", "veth-srv"), ("srv", "eth0")),
    "conn3": points(("srv", "lo")),
}  # fmt: skip
IPTABLES_GENEVE = {
    "conn1": points(("{pod}", "eth0"), ("node-a", "veth-{pod}"), ("node-a", "istioout"),
                    ("node-a", "veth-ztunnel", 1001), ("ztunnel-a", "eth0", 1001),
                    ("ztunnel-a", "pistioout")),
    "conn2": points(("ztunnel-a", "eth0"), ("node-a", "veth-ztunnel"), *UNDERLAY_PATH,
                    ("node-b", "istioin"), ("node-b", "veth-ztunnel", 1000),
                    ("ztunnel-b", "eth0", 1000), ("ztunnel-b", "pistioin")),
    "conn3": points(("ztunnel-b", "eth0"), ("node-b", "veth-ztunnel"), ("node-b", "veth-srv"),
                    ("srv", "eth0")),
}  # fmt: skip
EBPF = {
    "conn1": points(("{pod}", "eth0"), ("node-a", "veth-{pod}"), ("node-a", "veth-ztunnel"),
                    ("ztunnel-a", "eth0")),
    "conn2": points(("ztunnel-a", "eth0"), ("node-a", "veth-ztunnel"), *UNDERLAY_PATH,
                    ("node-b", "veth-ztunnel"), ("ztunnel-b", "eth0")),
    "conn3": points(("ztunnel-b", "eth0"), ("node-b", "veth-ztunnel"), ("node-b", "veth-srv"),
                    ("srv", "eth0")),
}  # fmt: skip
PLACES = {"in-pod": IN_POD, "iptables-geneve": IPTABLES_GENEVE, "ebpf": EBPF}


def make(tmp_path: Path, mode: str, variant: str):
    chosen = scenario(mode, variant=variant)
    reason = why_unavailable((*run.tools(chosen), "tshark"))
    if reason:
        pytest.skip(reason)
    pytest.importorskip("h2")
    pytest.importorskip("cryptography")
    children = own_children()
    found = run.run(chosen, tmp_path / "run")
    assert namespaces_of(os.getpid()) == []
    assert own_children() == children
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files >= {*record.files(chosen), "truth.json"}
    return found, sightings.syns(tmp_path / "run")


def own_children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def namespaces_of(pid: int) -> list[str]:
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith(f"genevecap-{pid:x}-")]


def expected(mode: str, leg: str, pod: str) -> set[Sighting]:
    return {
        Sighting(one.namespace.format(pod=pod), one.interface.format(pod=pod), one.vni)
        for one in PLACES[mode][leg]
    }


def towards_server(found) -> list[dict]:
    """Return the flows that went through both ztunnels to srv."""
    return [
        flow for flow in found["flows"]
        if flow["session_kind"] == "hbone" and flow["conn2"]["dst"] == "10.244.2.5:15008"
    ]  # fmt: skip


def first_leg(mode: str, flow) -> tuple[str, str]:
    if mode == "in-pod":
        return flow["conn1"].get("redirected_as", flow["conn1"]["client"]), "127.0.0.1:15001"
    return flow["conn1"]["client"], flow["conn1"]["dst"]


@pytest.mark.parametrize("mode", PLACES)
def test_every_leg_is_seen_where_the_mode_puts_it_and_nowhere_else(mode, tmp_path):
    found, seen = make(tmp_path, mode, "short")
    flows = towards_server(found)
    assert len(flows) == 6
    for flow in flows:
        pod = flow["conn1"]["pod"]
        assert set(seen[first_leg(mode, flow)]) == expected(mode, "conn1", pod)
        second = (flow["conn2"]["client"], flow["conn2"]["dst"])
        assert set(seen[second]) == expected(mode, "conn2", pod)
        if flow["conn1"]["kind"] == "refused":
            assert (flow["conn2"]["status"], flow["conn3"]) == (503, None)
            continue
        assert flow["conn3"]["client"].startswith(f"{flow['conn1']['client'].split(':')[0]}:")
        assert set(seen[flow["conn3"]["client"], flow["conn3"]["dst"]]) == expected(
            mode, "conn3", pod
        )
    check_kinds(mode, found)
    check_mode(mode, tmp_path / "run", seen, flows)


def check_kinds(mode: str, found) -> None:
    kinds = {flow["conn1"]["kind"]: flow["session_kind"] for flow in found["flows"]}
    same_node = "hbone" if mode == "in-pod" else "in-memory"
    assert kinds == {
        "new": "hbone", "vip": "hbone", "keepalive": "hbone", "refused": "hbone",
        "same-node": same_node, "passthrough": "passthrough", "plaintext": "plaintext-inbound",
    }  # fmt: skip
    assert found["counts"]["requests_ok"] == found["counts"]["server_requests"] == 11
    for flow in found["flows"]:
        assert flow["outcome"] == ("refused" if flow["conn1"]["kind"] == "refused" else "completed")


def check_mode(mode: str, folder: Path, seen, flows) -> None:
    conn1 = seen[first_leg(mode, flows[0])]
    if mode == "ebpf":
        # A short cut below IP: another destination MAC, the same TTL.
        at = conn1[Sighting("node-a", "veth-ztunnel")]
        assert (at.destination_mac, at.ttl) == (ZTUNNEL_A.mac, 64)
    if mode == "iptables-geneve":
        # Only first packets are tunnelled.
        tunnelled = sightings.rows(
            folder / "node-a.pcapng", "geneve && tcp.flags.syn==0", "frame.number"
        )
        assert tunnelled == []


def test_without_redirection_pods_talk_in_plain_text(tmp_path):
    found, seen = make(tmp_path, "in-pod", "broken-interception")
    flows = [flow for flow in found["flows"] if flow["conn1"]["kind"] == "new"]
    assert found["counts"]["conn2"] == 0
    for flow in flows:
        assert (flow["session_kind"], flow["planned_kind"]) == ("plaintext-inbound", "hbone")
        at = set(seen[flow["conn1"]["client"], "10.244.2.5:8080"])
        assert {Sighting(*place) for place in UNDERLAY_PATH} < at


def test_what_the_wire_lost_is_seen_before_it_and_not_behind(tmp_path):
    found, _ = make(tmp_path, "iptables-geneve", "loss")
    drops = [one for one in found["wire_events"] if one["event"] == "drop"]
    assert len(drops) == found["counts"]["wire_drops"] > 0
    assert found["counts"]["requests_ok"] >= 40
    fields = ("frame.interface_name", "ip.src", "tcp.srcport", "tcp.seq_raw", "tcp.len")
    packets = [tuple(row) for row in sightings.rows(tmp_path / "run/wire.pcapng", "tcp", *fields)]
    for drop in drops:
        before, behind = drop["direction"].split("->")
        source, _, port = drop["flow"].split(" > ")[0].rpartition(":")
        packet = (source, port, str(drop["sequence"]), str(drop["payload_bytes"]))
        assert packets.count((before, *packet)) > packets.count((behind, *packet))


@pytest.mark.parametrize("after_s", [1.0, 4.0], ids=["while-building", "while-recording"])
def test_an_interrupted_run_leaves_nothing(after_s, tmp_path):
    reason = why_unavailable(run.tools(scenario("in-pod")))
    if reason:
        pytest.skip(reason)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.mesh", "--mode", "in-pod", str(tmp_path / "run")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(after_s)
    assert namespaces_of(process.pid)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=40)
    assert process.returncode == 130, said
    assert "SIGTERM" in said
    assert namespaces_of(process.pid) == []
    assert not (tmp_path / "run").exists()
