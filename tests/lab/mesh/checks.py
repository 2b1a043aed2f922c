# SPDX-License-Identifier: Apache-2.0
"""What must hold between a run's truth and its captures, whatever the variant.

Each function raises AssertionError. Times are compared with what cannot be undercut (a delay, the
order of cause and effect), never with an upper bound: machines that run tests are busy.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.lab.mesh import sightings, workload
from tests.lab.mesh import topology as net
from tests.lab.mesh.client import request_bytes
from tests.lab.mesh.sightings import Sighting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.mesh.scenario import Scenario

Flow = dict[str, Any]

_UNDERLAY_PATH = [("node-a", "eth0"), ("wire", "wa"), ("wire", "wb"), ("node-b", "eth0")]
_MS = 1_000_000


def _points(*places: tuple[Any, ...]) -> frozenset[Sighting]:
    return frozenset(Sighting(*place) for place in places)


# Where the SYN of each leg between cli (or cli2) and srv is seen, and nowhere else.
_IN_POD = {
    "conn1": _points(("{pod}", "lo")),
    "conn2": _points(("{pod}", "eth0"), ("node-a", "veth-{pod}"), *_UNDERLAY_PATH,
                     ("node-b", "veth-srv"), ("srv", "eth0")),
    "conn3": _points(("srv", "lo")),
}  # fmt: skip
_IPTABLES_GENEVE = {
    "conn1": _points(("{pod}", "eth0"), ("node-a", "veth-{pod}"), ("node-a", "istioout"),
                     ("node-a", "veth-ztunnel", 1001), ("ztunnel-a", "eth0", 1001),
                     ("ztunnel-a", "pistioout")),
    "conn2": _points(("ztunnel-a", "eth0"), ("node-a", "veth-ztunnel"), *_UNDERLAY_PATH,
                     ("node-b", "istioin"), ("node-b", "veth-ztunnel", 1000),
                     ("ztunnel-b", "eth0", 1000), ("ztunnel-b", "pistioin")),
    "conn3": _points(("ztunnel-b", "eth0"), ("node-b", "veth-ztunnel"), ("node-b", "veth-srv"),
                     ("srv", "eth0")),
}  # fmt: skip
_EBPF = {
    "conn1": _points(("{pod}", "eth0"), ("node-a", "veth-{pod}"), ("node-a", "veth-ztunnel"),
                     ("ztunnel-a", "eth0")),
    "conn2": _points(("ztunnel-a", "eth0"), ("node-a", "veth-ztunnel"), *_UNDERLAY_PATH,
                     ("node-b", "veth-ztunnel"), ("ztunnel-b", "eth0")),
    "conn3": _points(("ztunnel-b", "eth0"), ("node-b", "veth-ztunnel"), ("node-b", "veth-srv"),
                     ("srv", "eth0")),
}  # fmt: skip
_SECOND_SYN = _points(("node-b", "veth-ztunnel"), ("ztunnel-b", "eth0"))
PLACES = {"in-pod": _IN_POD, "iptables-geneve": _IPTABLES_GENEVE, "ebpf": _EBPF}


def expected(mode: str, leg: str, pod: str) -> set[Sighting]:
    """Return where the SYN of a leg between a pod of node A and srv is seen."""
    return {
        Sighting(one.namespace.format(pod=pod), one.interface.format(pod=pod), one.vni)
        for one in PLACES[mode][leg]
    }


def path_of_the_wire() -> set[Sighting]:
    """Return the points between the nodes."""
    return {Sighting(*place) for place in _UNDERLAY_PATH}


def towards_server(found: dict[str, Any]) -> list[Flow]:
    """Return the flows that went through both ztunnels to srv."""
    server = found["addresses"][net.SERVER.name]
    return [
        flow
        for flow in found["flows"]
        if flow["session_kind"] == "hbone"
        and flow["conn2"]
        and flow["conn2"]["dst"] == net.with_port(server, 15008)
    ]


def first_leg(found: dict[str, Any], flow: Flow) -> tuple[str, str]:
    """Return conn1's ends as its SYN shows them."""
    if found["mode"] == "in-pod":
        loopback = "[::1]:15001" if found["family"] == 6 else "127.0.0.1:15001"
        return flow["conn1"].get("redirected_as", flow["conn1"]["client"]), loopback
    return flow["conn1"]["client"], flow["conn1"]["dst"]


def check(scenario: Scenario, found: dict[str, Any], folder: Path) -> None:
    """Check all that holds in every run."""
    assert found["flows"]
    check_order(scenario, found)
    check_bytes(scenario, found)
    check_stamps(found)
    check_drops(scenario, found, folder)
    if scenario.underlay == "routed":
        check_places(found, sightings.syns(folder))
    if not scenario.clock_b.offset_ns:
        check_departures(found, folder)


def check_places(found: dict[str, Any], seen: dict[sightings.Flow, Any]) -> None:
    """Each leg's SYN is seen where the mode puts it, and nowhere else.

    conn3 may get, in another namespace, the very port that some conn1 has: then both have the same
    ends, and the places of both are expected.
    Where the wire lost the answer to conn2's SYN, a second SYN follows: with iptables and Geneve
    the first answer has marked the connection by then, and the second SYN is not tunnelled.
    """
    lost = {one["flow"] for one in found["wire_events"] if one["event"] == "drop"}
    places: defaultdict[sightings.Flow, set[Sighting]] = defaultdict(set)
    for flow in towards_server(found):
        if flow["conn3"] is None:
            continue
        pod, second, third = flow["conn1"]["pod"], flow["conn2"], flow["conn3"]
        places[first_leg(found, flow)] |= expected(found["mode"], "conn1", pod)
        places[second["client"], second["dst"]] |= expected(found["mode"], "conn2", pod)
        places[third["client"], third["dst"]] |= expected(found["mode"], "conn3", pod)
    for (source, target), expected_places in places.items():
        again = found["mode"] == "iptables-geneve" and f"{target} > {source}" in lost
        at = set(seen[source, target]) - (_SECOND_SYN - expected_places if again else set())
        assert at == expected_places, (source, target, at ^ expected_places)


def check_order(scenario: Scenario, found: dict[str, Any]) -> None:
    """Causes come before effects, and the wire takes its time."""
    up_ms, down_ms = scenario.forward.delay_ms, scenario.reverse.delay_ms
    for flow in towards_server(found):
        first, second, third = flow["conn1"], flow["conn2"], flow["conn3"]
        if third is None:
            continue
        times = [
            first["t_connect"], first["t_accept"], second["t_connect_sent"],
            second["t_connect_recv"], third["t_dial"], third["t_established"],
            second["t_response_sent"], second["t_connect_resp"],
        ]  # fmt: skip
        assert times == sorted(times), (flow["name"], times)
        assert second["t_connect_recv"] - second["t_connect_sent"] >= up_ms * _MS
        assert second["t_connect_resp"] - second["t_response_sent"] >= down_ms * _MS
    for flow in found["flows"]:
        for request in flow["requests"]:
            if request["t_done"] is None or request["server_recv"] is None:
                continue
            times = [request[key] for key in (
                "t_send", "server_recv", "server_req_body", "server_sent", "t_done"
            )]  # fmt: skip
            assert times == sorted(times), (request["id"], times)
            assert request["server_sent"] - request["server_req_body"] >= 8 * _MS


def check_bytes(scenario: Scenario, found: dict[str, Any]) -> None:
    """Both proxies relayed what the client sent, and what the server answered."""
    planned = {one.name: one for one in workload.connections(scenario.traffic, scenario.family)}
    for flow in found["flows"]:
        if flow["outcome"] != "completed" or flow["session_kind"] in ("outside", "waypoint"):
            continue
        plan = planned[flow["name"]]
        sent = sum(len(request_bytes(asdict(one), plan.target[0])) for one in plan.requests)
        sums = {key: sum(chunk[2] for chunk in flow[key]) for key in _CHUNKS}
        near, far = bool(flow["conn2"] or not flow["ztB_up"]), bool(flow["ztB_up"])
        if near:
            assert sums["ztA_up"] == sent, flow["name"]
        if far:
            assert sums["ztB_up"] == sent, flow["name"]
        if near and far:
            assert sums["ztA_down"] == sums["ztB_down"], flow["name"]


_CHUNKS = ("ztA_up", "ztA_down", "ztB_up", "ztB_down")


def check_stamps(found: dict[str, Any]) -> None:
    """The kernel had a chunk before the proxy, and sent it after the proxy gave it."""
    stamped = 0
    for flow in found["flows"]:
        for key in _CHUNKS:
            for in_ns, out_ns, _, received_ns, sent_ns in flow[key]:
                assert in_ns <= out_ns
                assert received_ns is None or received_ns <= in_ns
                assert sent_ns is None or sent_ns >= out_ns
                stamped += received_ns is not None and sent_ns is not None
    chunks = sum(len(flow[key]) for flow in found["flows"] for key in _CHUNKS)
    assert stamped >= chunks / 4


def check_departures(found: dict[str, Any], folder: Path) -> None:
    """Kernel stamps of what left for the server are those of captured packets.

    They are taken a little after the capture's, in the same run of the kernel; a packet that
    waited in a queue between, or was cut, has none close by, so most must be.
    """
    sent: defaultdict[str, list[int]] = defaultdict(list)
    path = folder / ("srv.pcapng" if found["mode"] == "in-pod" else "ztunnel-b.pcapng")
    server = net.with_port(found["addresses"][net.SERVER.name], net.SERVER_PORT)
    fields = ("frame.time_epoch", "ip.src", "ipv6.src", "tcp.srcport")
    only = f"tcp.dstport == {net.SERVER_PORT} && tcp.len > 0 && !geneve"
    for time, source, source6, port in sightings.rows(path, only, *fields):
        sent[net.with_port(source or source6, int(port))].append(nanoseconds(time))
    gaps = [
        min(abs(one - chunk[4]) for one in sent[flow["conn3"]["client"]])
        for flow in towards_server(found)
        if flow["conn3"] and flow["conn3"]["dst"] == server and sent[flow["conn3"]["client"]]
        for chunk in flow["ztB_up"]
        if chunk[4] is not None
    ]
    if gaps:
        assert statistics.median(gaps) < 100_000, sorted(gaps)


def check_drops(scenario: Scenario, found: dict[str, Any], folder: Path) -> None:
    """What the wire lost is seen before it and not behind; what it held is seen at both ends."""
    # The wire's own sums go on a little longer than the recording.
    assert found["counts"]["wire_drops"] <= sum(one["dropped"] for one in found["wire"].values())
    if not found["wire_events"] or scenario.underlay != "routed":
        return
    fields = ("frame.interface_name", "ip.src", "ipv6.src", "tcp.srcport", "tcp.seq_raw", "tcp.len")
    packets = Counter(
        (interface, net.with_port(v4 or v6, int(port)), sequence, length)
        for interface, v4, v6, port, sequence, length in sightings.rows(
            folder / "wire.pcapng", "tcp", *fields
        )
    )
    for event in found["wire_events"]:
        assert event["event"] in ("drop", "hold"), event
        before, behind = event["direction"].split("->")
        packet = (
            event["flow"].split(" > ")[0],
            str(event["sequence"]),
            str(event["payload_bytes"]),
        )
        if event["event"] == "drop":
            assert packets[before, *packet] > packets[behind, *packet], event
        else:
            assert packets[before, *packet], event


def nanoseconds(text: str) -> int:
    """Return tshark's `seconds.fraction` as ns."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


def rank_distances(found: dict[str, Any], folder: Path) -> dict[str, list[int]]:
    """Return by pod how many places each connection moved between conn1's and conn3's SYNs."""
    server = folder / ("srv.pcapng" if found["mode"] == "in-pod" else "ztunnel-b.pcapng")
    opened = {pod: _opened(folder / f"{pod}.pcapng") for pod in ("cli", "cli2")}
    arrived = _opened(server)
    pairs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for flow in towards_server(found):
        pod, third = flow["conn1"]["pod"], (flow["conn3"]["client"], flow["conn3"]["dst"])
        pairs[pod].append((opened[pod][first_leg(found, flow)], arrived[third]))
    return {pod: _moved(found) for pod, found in pairs.items()}


def _opened(path: Path) -> dict[sightings.Flow, int]:
    """Return when the first SYN of each flow was seen in a capture, in ns."""
    fields = ("frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport")
    only = "tcp.flags.syn == 1 && tcp.flags.ack == 0 && !geneve"
    times: dict[sightings.Flow, int] = {}
    for time, source, port, target, target_port in sightings.rows(path, only, *fields):
        times.setdefault((f"{source}:{port}", f"{target}:{target_port}"), nanoseconds(time))
    return times


def _moved(pairs: list[tuple[int, int]]) -> list[int]:
    in_order = sorted(pairs)
    places = {pair: place for place, pair in enumerate(sorted(pairs, key=lambda pair: pair[1]))}
    return [abs(places[pair] - place) for place, pair in enumerate(in_order)]
