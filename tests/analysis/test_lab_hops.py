# SPDX-License-Identifier: Apache-2.0
"""Hops of recorded ambient traffic, against what the recordings say themselves."""

from __future__ import annotations

import json
import statistics

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.capture.spec import CaptureSpec
from tests.conftest import SHARED

LAB = SHARED / "lab"
MS = 1_000_000
pytestmark = pytest.mark.skipif(
    not LAB.is_dir(), reason="the recorded sets (../shared/lab beside the checkout) are not here"
)

REAL = [
    "ztunnel-1.24", "ztunnel-1.31", "ztunnel-1.31-faults", "ztunnel-1.31-ingress",
    "ztunnel-1.31-multinetwork", "ztunnel-1.31-storm", "ztunnel-1.31-waypoint",
]  # fmt: skip
STAND_IN = ["ebpf-redirect", "inpod", "iptables-geneve", "ovs-geneve-underlay", "vxlan-4789"]
NODES = ("cli", "cli2", "nA", "nB", "srv", "wp", "out", "ztA", "ztB")


def measure(name, *files):
    paths = [LAB / name / file for file in files] or [
        path for ns in NODES if (path := LAB / name / f"{ns}.pcapng.gz").exists()
    ]
    return latency([CaptureSpec(path=str(p), name=p.name.split(".")[0], host="one") for p in paths])


def truth(name):
    return json.loads((LAB / name / "truth.json").read_text("utf-8"))


def wire(result, origin, to):
    """The hop between two points that most packets took."""
    found = [h for h in result.hops if (h.origin, h.to, h.kind) == (origin, to, "wire")]
    return max(found, key=lambda hop: hop.packets)


@pytest.mark.parametrize("name", REAL)
def test_the_wire_between_the_nodes(name):
    result, said = measure(name), truth(name)["wire_captured_ms"]
    for key, ends in (("A->B", ("nA/eth0", "nB/eth0")), ("B->A", ("nB/eth0", "nA/eth0"))):
        expected_ns = said[key]["p50"] * MS
        hop = wire(result, *ends)
        assert abs(hop.p50_ns - expected_ns) <= max(0.05 * expected_ns, 0.1 * MS)
        assert hop.packets >= 0.8 * said[key]["segments"]
    assert all(hop.packets > 20 for hop in result.hops if hop.kind == "wire")


@pytest.mark.parametrize("name", STAND_IN)
def test_the_wire_between_the_nodes_of_the_stand_in(name):
    result, said = measure(name), truth(name)["wire"]
    for key, ends in (("wA->wB", ("nA/eth0", "nB/eth0")), ("wB->wA", ("nB/eth0", "nA/eth0"))):
        expected_ns = said[key]["actual_ms"]["p50"] * MS
        hop = wire(result, *ends)
        assert abs(hop.p50_ns - expected_ns) <= max(0.05 * expected_ns, 0.1 * MS)
        assert hop.lost == 0


PASSES = {
    ("hbone", "forward"): "ztA_up",
    ("inbound", "forward"): "ztB_up",
    ("hbone", "reverse"): "ztB_down",
    ("outbound", "reverse"): "ztA_down",
}


@pytest.mark.parametrize("name", STAND_IN)
def test_proxies_and_servers_of_the_stand_in(name):
    """It logs inside the process, so what packets show is longer: by the kernel and the wake-up."""
    result, said = measure(name), truth(name)
    for (leg, direction), key in PASSES.items():
        chunks = [chunk for flow in said["flows"] for chunk in flow[key][1:] if chunk[2]]
        inside_ns = statistics.median(left - came for came, left, _ in chunks)
        later = [
            hop
            for hop in result.hops
            if (hop.leg, hop.direction, hop.kind, hop.phase) == (leg, direction, "proxy", "later")
        ]
        for hop in later:
            assert 0 <= hop.p50_ns - inside_ns <= 0.8 * MS, key
        assert sum(hop.packets for hop in later) >= 0.9 * len(chunks), key
    (server,) = [hop for hop in result.hops if hop.kind == "server"]
    assert 0 <= server.p50_ns - said["measured_ms"]["server"]["p50"] * MS <= 0.8 * MS


@pytest.mark.parametrize("name", [*REAL, *STAND_IN])
def test_estimated_clocks_leave_the_truth_inside(name):
    """One clock stamped all files; here that is not said, so the offset has to be found to be 0."""
    hosts = {"A": ("cli", "nA", "ztA"), "B": ("nB", "srv", "ztB")}
    result = latency([
        CaptureSpec(path=str(path), name=node, host=host)
        for host, nodes in hosts.items()
        for node in nodes
        if (path := LAB / name / f"{node}.pcapng.gz").exists()
    ])  # fmt: skip
    (clock,) = result.clocks
    assert clock.segments
    for part in clock.segments:
        assert abs(part.offset_ns) <= part.uncertainty_ns
    said = truth(name)
    expected_ns = []
    for key, ends in (("A->B", ("nA/eth0", "nB/eth0")), ("B->A", ("nB/eth0", "nA/eth0"))):
        if name in REAL:
            expected_ns.append(said["wire_captured_ms"][key]["p50"] * MS)
        else:
            expected_ns.append(
                said["wire"][key.replace("A", "wA").replace("B", "wB")]["actual_ms"]["p50"] * MS
            )
        hop = wire(result, *ends)
        assert abs(hop.p50_ns - expected_ns[-1]) <= hop.uncertainty_ns + 0.1 * MS
    both_ns = sum(
        wire(result, *ends).p50_ns for ends in (("nA/eth0", "nB/eth0"), ("nB/eth0", "nA/eth0"))
    )
    assert abs(both_ns - sum(expected_ns)) <= 0.05 * sum(expected_ns)


def test_losses_are_counted_where_packets_were_dropped():
    """At node A, 15 that its rule dropped outbound and 9 inbound (state-gl-nA.txt counts them).

    One more inbound, a FIN after its connection had been reset, never reached the pod either.
    """
    lost = {(h.origin, h.to): h.lost for h in measure("ztunnel-1.31-faults").hops if h.lost}
    assert lost == {
        ("nA/veth7a81c12c", "nA/eth0"): 14,
        ("nA/veth2c61d0f6", "nA/eth0"): 1,
        ("nA/eth0", "nA/veth7a81c12c"): 7,
        ("nA/eth0", "nA/veth2c61d0f6"): 3,
    }


def test_two_handshakes_were_sent_twice():
    lost = {(h.origin, h.to): h.lost for h in measure("ovs-geneve-underlay").hops if h.lost}
    assert lost == {("nA/ovn-k8s-mp0", "nA/eth0"): 2}


@pytest.mark.parametrize("name", STAND_IN)
def test_kinds_of_hops_in_each_mode(name):
    kinds = {(h.origin, h.to): h.kind for h in measure(name).hops}
    geneve = {
        ("nA/veth7a81c12c", "nA/istioout"): "pass",
        ("nA/istioout", "nA/veth08baa690"): "encapsulate",
        ("ztA/eth0", "ztA/pistioout"): "decapsulate",
        ("nA/veth08baa690", "nA/veth7a81c12c"): "pass",
    }
    expected = {
        "ebpf-redirect": {("nA/veth7a81c12c", "nA/veth08baa690"): "redirect"},
        "inpod": {("cli/eth0", "nA/veth7a81c12c"): "pass"},
        "iptables-geneve": geneve,
        "ovs-geneve-underlay": geneve | {("nA/ovn-k8s-mp0", "nA/eth0"): "encapsulate"},
        "vxlan-4789": geneve | {("nB/eth0", "nB/flannel.1"): "decapsulate"},
    }[name]
    assert {pair: kinds.get(pair) for pair in expected} == expected


@pytest.mark.parametrize("name", ["ebpf-redirect", "iptables-geneve"])
def test_legs_by_where_ztunnel_stands(name):
    legs = {(h.origin, h.to, h.direction): h.leg for h in measure(name).hops}
    assert legs["cli/eth0", "nA/veth7a81c12c", "forward"] == "outbound"
    assert legs["nA/veth7a81c12c", "cli/eth0", "reverse"] == "outbound"
    assert legs["nA/eth0", "nB/eth0", "forward"] == "hbone"
    assert legs["nB/veth935904a0", "srv/eth0", "forward"] == "inbound"
    assert legs["srv/eth0", "nB/veth935904a0", "reverse"] == "inbound"


def test_every_segment_of_the_stand_in_was_seen_twice():
    matching = measure("iptables-geneve").matching
    assert (matching.unmatched, matching.ambiguous) == (0, 0)


def test_a_capture_on_any_measures_its_interfaces():
    result = measure("iptables-geneve", "nA.any-sll2.pcap.gz")
    hops = {
        (h.leg, h.direction, h.origin.split("-")[-1], h.to.split("-")[-1]): h for h in result.hops
    }
    assert hops["hbone", "forward", "2", "5"].packets == 652
    assert hops["outbound", "forward", "7", "2"].kind == "encapsulate"
