# SPDX-License-Identifier: Apache-2.0
"""Every variant in every mode, and every underlay: long runs of the mesh."""

from __future__ import annotations

import statistics
from collections import defaultdict

import pytest

from tests.lab.mesh import checks, events, sightings
from tests.lab.mesh.scenario import MODES, UNDERLAYS, VARIANTS
from tests.lab.mesh.sightings import Sighting
from tests.lab.mesh.test_runs import checks_broken

pytestmark = [pytest.mark.root, pytest.mark.long]

MS = 1_000_000
DONE_ELSEWHERE = {("in-pod", "broken-interception"), ("iptables-geneve", "loss")}
DONE_ELSEWHERE |= {(mode, "short") for mode in MODES}
"""Those are in the short form: test_runs.py."""

RUNS = [
    (mode, name)
    for name, variant in VARIANTS.items()
    for mode in variant.modes
    if (mode, name) not in DONE_ELSEWHERE
]
TUNNELLED = [(mode, underlay) for mode in MODES for underlay in UNDERLAYS if underlay != "routed"]


@pytest.mark.parametrize(("mode", "variant"), RUNS)
def test_variant(mode, variant, mesh):
    chosen, found, folder = mesh(mode, variant)
    checks.check(chosen, found, folder)
    ESPECIALLY[variant](chosen, found, folder)


@pytest.mark.parametrize(
    ("mode", "underlay", "variant", "especially"),
    [
        ("in-pod", "vxlan-4789", "pmtu-black-hole", "pmtu-black-hole"),
        ("iptables-geneve", "ovs-geneve", "pmtu-black-hole", "pmtu-black-hole"),
        ("in-pod", "routed", "waypoint+clocks", "waypoint"),
        ("in-pod", "vxlan-8472", "east-west-gateway", "east-west-gateway"),
        ("ebpf", "routed", "loss+clocks", "loss"),
    ],
)
def test_what_goes_together(mode, underlay, variant, especially, mesh):
    chosen, found, folder = mesh(mode, variant, underlay)
    checks.check(chosen, found, folder)
    ESPECIALLY[especially](chosen, found, folder)


@pytest.mark.parametrize(("mode", "underlay"), TUNNELLED)
def test_underlay(mode, underlay, mesh):
    chosen, found, folder = mesh(mode, underlay=underlay)
    checks.check(chosen, found, folder)
    standard(chosen, found, folder)
    fields = ("vxlan.vni", "udp.dstport", "geneve.option.class", "tcp.dstport")
    rows = sightings.rows(
        folder / "node-a.pcapng", 'frame.interface_name == "eth0" && tcp.flags.syn == 1', *fields
    )
    to_hbone = [row for row in rows if row[3] == "15008"]
    assert to_hbone
    for vni, ports, classes, _ in to_hbone:
        if underlay == "ovs-geneve":
            assert (ports, classes) == ("6081", "0x0102,0x0104")
        else:
            assert (vni, ports) == ({"vxlan-4789": "4096"}.get(underlay, "1"), underlay[-4:])


def by_kind(found) -> dict[str, list]:
    kinds = defaultdict(list)
    for flow in found["flows"]:
        kinds[flow["conn1"]["kind"]].append(flow)
    return kinds


def everything_as_planned(found) -> None:
    in_memory = found["mode"] != "in-pod"
    for flow in found["flows"]:
        planned, kind = flow["planned_kind"], flow["session_kind"]
        assert kind == planned or (in_memory and (planned, kind) == ("hbone", "in-memory"))


def standard(chosen, found, folder) -> None:
    everything_as_planned(found)
    kinds = by_kind(found)
    for flow in found["flows"]:
        kind = flow["conn1"]["kind"]
        assert flow["outcome"] == {"refused": "refused", "abort": "aborted"}.get(kind, "completed")
    # One source port towards two destinations: in-pod both would be the same forward half on lo.
    clients = [flow["conn1"]["client"] for flow in kinds["same-port"]]
    moved = [flow["conn1"].get("redirected_as") for flow in kinds["same-port"]]
    assert clients == ["10.244.1.4:40404"] * 2 or chosen.family == 6
    (near,) = kinds["same-node"]
    if found["mode"] == "in-pod":
        assert moved[0] is None
        assert moved[1] not in (None, clients[1])
        assert f'for="{moved[1]}"' in kinds["same-port"][1]["conn2"]["forwarded"]
    else:
        assert moved == [None, None]
        assert (near["session_kind"], near["conn2"]) == ("in-memory", None)
    if chosen.underlay == "routed":
        paths(found, sightings.syns(folder), near, kinds["plaintext"][0])


def paths(found, seen, near, plaintext) -> None:
    """See where pods of one node speak to each other, and where plain text comes into the mesh."""

    def places(flow, leg) -> set[tuple[str, str]]:
        syn = seen[flow[leg]["client"], flow[leg]["dst"]]
        return {(one.namespace, one.interface) for one in syn}

    if found["mode"] == "in-pod":
        assert places(near, "conn2") == {
            ("cli", "eth0"), ("node-a", "veth-cli"), ("node-a", "veth-cli2"), ("cli2", "eth0")
        }  # fmt: skip
        assert places(near, "conn3") == {("cli2", "lo")}
    common = {("out", "eth0"), ("node-a", "veth-out"), ("node-a", "eth0"), ("wire", "wa"),
              ("wire", "wb"), ("node-b", "eth0")}  # fmt: skip
    arrival = {
        "in-pod": {("node-b", "veth-srv"), ("srv", "eth0")},
        "iptables-geneve": {("node-b", "istioin"), ("node-b", "veth-ztunnel"),
                            ("ztunnel-b", "eth0"), ("ztunnel-b", "pistioin")},
        "ebpf": {("node-b", "veth-ztunnel"), ("ztunnel-b", "eth0")},
    }  # fmt: skip
    assert places(plaintext, "conn1") == common | arrival[found["mode"]]


def storm(chosen, found, folder) -> None:
    """Connections overtake each other about as much as in the real ztunnel's storm.

    There, of 380 connections of two pods, 13 and 17 % kept their place among their pod's, the
    median moved 1 and 2 places, 95 % at most 6.
    """
    everything_as_planned(found)
    assert found["counts"]["requests_ok"] == 130
    moved = checks.rank_distances(found, folder)
    assert {pod: len(distances) for pod, distances in moved.items()} == {"cli": 65, "cli2": 65}
    distances = sorted(distance for one in moved.values() for distance in one)
    assert distances.count(0) < 0.4 * len(distances)
    assert 1 <= statistics.median(distances) <= 3, distances
    assert 3 <= distances[int(0.95 * len(distances))] <= 9, distances


def all_tunnelled(chosen, found, folder) -> None:
    standard(chosen, found, folder)
    rows = sightings.rows(
        folder / "node-a.pcapng", "geneve && tcp.len > 0", "ip.src", "geneve.vni", "tcp.dstport"
    )
    assert {(row[0].split(",")[-1], int(row[1], 16)) for row in rows} == {
        ("10.244.1.4", 1001), ("10.244.1.6", 1001)
    }  # fmt: skip


def shared_pool(chosen, found, folder) -> None:
    """One conn2 has streams of both pods, and conn3 the address of the pod that opened it."""
    pods, addresses = defaultdict(set), defaultdict(set)
    for flow in checks.towards_server(found):
        conn2 = flow["conn2"]["client"]
        pods[conn2].add(flow["conn1"]["pod"])
        if flow["conn3"]:
            addresses[conn2].add(flow["conn3"]["client"].split(":")[0])
    assert {"cli", "cli2"} in pods.values()
    assert all(hosts == {conn2.split(":")[0]} for conn2, hosts in addresses.items() if hosts)


def broken(chosen, found, folder) -> None:
    checks_broken(found, folder)


def loss(chosen, found, folder) -> None:
    assert found["counts"]["wire_drops"] > 0
    assert found["counts"]["requests_ok"] >= 40


def reordering(chosen, found, folder) -> None:
    standard(chosen, found, folder)
    assert found["counts"]["wire_holds"] > 0
    for one in found["wire"].values():
        assert one["actual_ms"]["max"] >= one["actual_ms"]["min"] + 1.5


def black_hole(chosen, found, folder) -> None:
    drops = [one for one in found["wire_events"] if one["event"] == "drop"]
    assert drops
    assert all(one["packet_bytes"] > 1400 for one in drops)
    kinds = by_kind(found)
    assert [flow["outcome"] for flow in kinds["big-up"]] == ["timeout"]
    # Downwards nothing is too large for the wire.
    assert kinds["new"][0]["outcome"] == "completed"
    icmp = sightings.rows(folder / "node-a.pcapng", "icmp.type == 3", "icmp.code")
    assert icmp == []
    assert found["mtus_bytes"]["cli"]["eth0"] == chosen.mesh.pod_mtu_bytes


def unreachable(chosen, found, folder) -> None:
    kinds = by_kind(found)
    for flow in [*kinds["new"], *kinds["vip"], *kinds["keepalive"]]:
        assert flow["outcome"] in ("unreachable", "timeout")
        assert flow["conn3"] is None
    first = min((one for one in kinds["new"]), key=lambda flow: flow["conn1"]["t_connect"])
    assert first["outcome"] == "unreachable"
    assert first["ended"]["t_ns"] - first["conn1"]["t_connect"] >= 10_000 * MS
    assert {one["flow"].rpartition(":")[2] for one in found["wire_events"]} == {"15008"}


def denied(chosen, found, folder) -> None:
    for flow in checks.towards_server(found):
        assert (flow["outcome"], flow["conn2"]["status"]) == ("denied", 401)
        assert flow["conn3"] is None


def clocks(chosen, found, folder) -> None:
    """Host B's files show its own clock: the wire seems to take 137 ms more than it does."""
    standard(chosen, found, folder)
    seen = {}
    for name in ("node-a", "node-b"):
        rows = sightings.rows(
            folder / f"{name}.pcapng",
            'frame.interface_name == "eth0" && tcp.flags.syn == 1 && tcp.flags.ack == 0',
            "frame.time_epoch", "ip.src", "tcp.srcport",
        )  # fmt: skip
        seen[name] = {tuple(row[1:]): checks.nanoseconds(row[0]) for row in rows}
    crossed = [seen["node-b"][ends] - at for ends, at in seen["node-a"].items()]
    least = min(crossed) - chosen.clock_b.offset_ns
    # 40 ppm of some seconds is less than a millisecond.
    assert 5 * MS <= least <= 5 * MS + 10 * MS


def ipv6(chosen, found, folder) -> None:
    standard(chosen, found, folder)
    assert all("[" in flow["conn1"]["client"] for flow in found["flows"])
    assert [one["addresses"] for one in found["lookups"]] == [
        ["fd00:10:96::50"], ["2001:db8::80"], ["fd00:10:96::50"]
    ]  # fmt: skip


def slow_proxies(chosen, found, folder) -> None:
    standard(chosen, found, folder)
    for side in "AB":
        assert found["measured_ms"][f"zt{side}_up"]["min"] >= 2
        assert found["measured_ms"][f"zt{side}_down"]["min"] >= 1


# --- Envoy ------------------------------------------------------------------------------------


def carried(folder, name: str) -> dict[str, set[tuple[str, str]]]:
    """Return, of the Envoy's HBONE to srv as its keys open it, request ids by source and stream."""
    done = sightings.rows(
        folder / f"{name}.pcapng", "http2.data.data && ip.dst == 10.244.2.5",
        "tcp.srcport", "http2.type", "http2.length", "http2.streamid", "http2.data.data",
        keylog=folder / "sslkeylog.txt",
    )  # fmt: skip
    found = defaultdict(set)
    for port, *frames, datas in done:
        columns = zip(*(column.split(",") for column in frames), strict=True)
        # DATA frames alone have data, and not the empty ones.
        streams = [stream for kind, size, stream in columns if kind == "0" and size != "0"]
        for stream, data in zip(streams, datas.split(","), strict=True):
            for line in bytes.fromhex(data).decode("latin-1").split("\r\n"):
                if line.startswith("x-request-id: "):
                    found[line.partition(": ")[2]].add((port, stream))
    return found


def pooled_anew(chosen, found, folder) -> None:
    """Requests are on the streams that truth says, by their contents; conn3 is Envoy's."""
    everything_as_planned(found)
    assert all(flow["outcome"] == "completed" for flow in found["flows"])
    own = found["addresses"][found["hop"]]
    seen, syns = carried(folder, found["hop"]), sightings.syns(folder)
    hops = 0
    for flow in found["flows"]:
        for request in flow["requests"]:
            if "hop2" not in request:
                continue
            source, target, stream = request["hop2"]
            assert source.split(":")[0] == own
            assert (source.split(":")[1], str(stream)) in seen[request["id"]]
            assert Sighting(found["hop"], "eth0") in syns[source, target]
            assert set(syns[tuple(request["conn3"])]) == {Sighting("srv", "lo")}
            times = request["envoy"]
            order = ("t_request_received", "t_request_sent", "t_response_received",
                     "t_response_sent", "t_done")  # fmt: skip
            assert [times[key] for key in order] == sorted(times[key] for key in order)
            assert times["t_request_received"] <= min(
                times["t_request_end"], request["server_recv"]
            )
            assert request["server_sent"] <= times["t_response_received"]
            hops += 1
    ids = [one for stream in found["waypoint_streams"] for one in stream["ids"]]
    assert len(ids) == len(set(ids)) == hops > 0
    assert max(len(stream["ids"]) for stream in found["waypoint_streams"]) > 1


def waypoint(chosen, found, folder) -> None:
    pooled_anew(chosen, found, folder)
    for flow in found["flows"]:
        if flow["session_kind"] == "waypoint":
            assert flow["conn2"]["dst"] == "10.244.2.7:15008"
            assert flow["conn2"]["authority"] == flow["conn1"]["dst"] == "10.96.0.51:80"
            assert flow["conn3"] is None
            assert all("hop2" in request for request in flow["requests"])


def ingress(chosen, found, folder) -> None:
    pooled_anew(chosen, found, folder)
    for flow in found["flows"]:
        if flow["conn1"]["pod"] == "out":
            assert (flow["conn2"], flow["conn3"]) == (None, None)
            assert all("hop2" in request for request in flow["requests"])


def east_west(chosen, found, folder) -> None:
    """The gateway passes the inner connection on, byte for byte."""
    everything_as_planned(found)
    assert all(flow["outcome"] == "completed" for flow in found["flows"])
    syns = sightings.syns(folder)
    flows = [flow for flow in found["flows"] if flow["session_kind"] == "multi-network"]
    assert len({flow["inner"]["client"] for flow in flows}) == len(flows) == 29
    assert len({flow["conn2"]["client"] for flow in flows}) == 2
    for flow in flows:
        outer, inner = flow["conn2"], flow["inner"]
        assert outer["authority"] == inner["authority"] == "eastwest.default.svc.cluster.local:80"
        assert outer["traceparent"] == inner["traceparent"]
        assert outer["dst"] == "10.244.2.7:15008"
        assert flow["conn3"]["client"].startswith("10.244.2.7:")
        assert Sighting("eastwest", "eth0") in syns[inner["client"], inner["dst"]]
        assert set(syns[flow["conn3"]["client"], flow["conn3"]["dst"]]) == {Sighting("srv", "lo")}
        times = [outer[key] for key in ("t_connect_sent", "t_connect_resp")]
        times += [inner[key] for key in (
            "t_connect_sent", "t_connect_recv", "t_response_sent", "t_connect_resp"
        )]  # fmt: skip
        assert times == sorted(times)
    logged = {one["traceparent"]: one for one in events.read(folder / "eastwest.tunnels.log")}
    ends = ("tcp.srcport", "ip.src", "ip.dst", "tcp.len")
    sent = defaultdict(int)
    for port, source, target, length in sightings.rows(
        folder / "eastwest.pcapng", "tcp.len > 0 && !tcp.analysis.retransmission", *ends
    ):
        if (source, target) == ("10.244.2.7", "10.244.2.5"):
            sent[f"{source}:{port}"] += int(length)
    for flow in flows:
        received = logged[flow["conn2"]["traceparent"]]["received_bytes"]
        assert sent[flow["inner"]["client"]] == received


ESPECIALLY = {
    "standard": standard,
    "storm": storm,
    "all-tunnelled": all_tunnelled,
    "broken-interception": broken,
    "shared-pool": shared_pool,
    "loss": loss,
    "reordering": reordering,
    "pmtu-black-hole": black_hole,
    "unreachable": unreachable,
    "denied": denied,
    "clocks": clocks,
    "ipv6": ipv6,
    "waypoint": waypoint,
    "east-west-gateway": east_west,
    "ingress-gateway": ingress,
    "slow-proxies": slow_proxies,
}
