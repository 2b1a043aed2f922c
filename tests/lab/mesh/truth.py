# SPDX-License-Identifier: Apache-2.0
"""The truth about a run, from the logs of everybody who took part in it.

Clients know conn1 and the requests, servers know conn3 and the requests, proxies know all three
legs; the wire knows what it dropped. conn1 and conn3 of a request are found twice, by its id and
by the proxies' logs; where both disagree there is no truth, and the run fails.
The form is described in tests/lab/README.md.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.lab.mesh import events, hops, modes, workload
from tests.lab.mesh import topology as net
from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.lab.mesh.events import Event, Session
    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.workload import Connection

_MS = 1e6
CHUNK_FORMAT = (
    "[t_in_ns, t_out_ns, bytes, kernel_rx_ns, kernel_tx_ns] per relayed chunk; the kernel's own"
    " times (SO_TIMESTAMPING) are null where it gave none"
)


class Run:
    """Everything that was logged in one run."""

    def __init__(self, scenario: Scenario, folder: Path, until_ns: int | None = None) -> None:
        self.scenario = scenario
        self.planned = workload.connections(scenario.traffic, scenario.family)
        self.by_name: defaultdict[str, list[Event]] = defaultdict(list)
        self.lookups = workload.lookups(scenario.traffic, scenario.family)
        pods = {one.pod for one in self.planned} | {one.pod for one in self.lookups}
        for name in sorted(pods):
            for event in events.read(events.client_log(folder, name)):
                self.by_name[event["name"]].append(event)
        self.served: dict[str, Event] = {}
        for pod in scenario.mesh.pods:
            for event in events.read(events.server_log(folder, pod.name)):
                if event["event"] == "request":
                    self.served[event["id"]] = event
        self.proxy_events: list[tuple[str, Event]] = []
        self.sessions: list[Session] = []
        for proxy in modes.BY_NAME[scenario.mode].proxies(scenario):
            logged = events.read(events.proxy_log(folder, proxy.name))
            self.proxy_events += [(proxy.name, event) for event in logged]
            self.sessions += events.sessions(proxy.name, logged)
        self.wire = [
            one
            for one in events.read(events.wire_log(folder))
            if one["event"] == "summary" or until_ns is None or one["t_ns"] <= until_ns
        ]
        self._by_stream = {
            one.stream: one for one in self.sessions if one.listener == "inbound_hbone"
        }
        self._unclaimed = [one for one in self.sessions if "accept" in one.first]
        self.hops = hops.Hops(scenario, folder, self.sessions)

    def claim(self, local: str, target: str, connected_ns: int) -> Session | None:
        """Return the proxy's session of a conn1; each is given once.

        In-pod, NAT may have changed the client's port: then it is the one session left from that
        address to that target that was accepted nearest to the client's own time.
        """
        # Past a broken redirection, kube-proxy's translation comes before the server's ztunnel.
        targets = {target}
        if target == _service(self.scenario):
            targets.add(_server(self.scenario))
        same_target = [
            one for one in self._unclaimed if one.first["accept"]["destination"] in targets
        ]
        exact = [one for one in same_target if one.first["accept"]["client"] == local]
        # A session that the client's own port fits belongs to somebody else.
        host = local.rpartition(":")[0]
        moved = [
            one
            for one in same_target
            if one.first["accept"]["client"].rpartition(":")[0] == host
            and (one.first["accept"]["client"], one.first["accept"]["destination"])
            not in self._own_addresses()
        ]
        candidates = exact or moved
        if not candidates:
            return None
        chosen = min(candidates, key=lambda one: abs(one.first["accept"]["t_ns"] - connected_ns))
        self._unclaimed.remove(chosen)
        return chosen

    def far_end(self, near: Session | None) -> Session | None:
        """Return the session at the server's end of a stream."""
        if near is not None and self.hops.leads_through(near):
            return self.hops.far_end(near)
        return self._by_stream.get(near.stream) if near and near.stream else None

    def _own_addresses(self) -> set[tuple[str, str]]:
        return {
            (event["local"], net.with_port(*event["target"]))
            for logged in self.by_name.values()
            for event in logged
            if event["event"] == "connected"
        }


def gather(
    scenario: Scenario,
    folder: Path,
    interface_indices: dict[str, dict[str, int]],
    until_ns: int | None = None,
) -> dict[str, Any]:
    """Return the contents of truth.json but for the clocks.

    until_ns: when the recording ended; what happened on the wire later is left out.
    """
    run = Run(scenario, folder, until_ns)
    flows = [_flow(run, planned) for planned in run.planned]
    return {
        "mode": scenario.mode,
        "underlay": scenario.underlay,
        "variant": scenario.variant,
        "family": scenario.family,
        "ztunnel_version": scenario.version,
        "geneve_port": scenario.geneve_port if scenario.mode == "iptables-geneve" else None,
        "addresses": {pod.name: pod.address(scenario.family) for pod in scenario.mesh.pods},
        "services": {
            _service(scenario): _server(scenario),
            **({_hop_service(scenario): _server(scenario)} if scenario.hop else {}),
        },
        "hop": scenario.hop or None,
        "configured": {
            "wire": {"wa->wb": asdict(scenario.forward), "wb->wa": asdict(scenario.reverse)},
            "residence_ms": dict(zip(("up", "down"), scenario.residence_ms, strict=True)),
            "server_ms": workload.SERVER_DELAY_MS,
        },
        "wire": {one["direction"]: one for one in run.wire if one["event"] == "summary"},
        "wire_events": [one for one in run.wire if one["event"] != "summary"],
        "measured_ms": _measured(flows),
        "interfaces": interface_indices,
        "counts": _counts(run, flows),
        "conn2": _opened(run),
        "conn2_accepts": _accepted(run),
        "waypoint_streams": run.hops.streams(flows),
        "lookups": _lookups(run),
        "special": [
            {"event": one["conn1"]["kind"], "conn1": [one["conn1"]["client"], one["conn1"]["dst"]]}
            for one in flows
            if one["conn1"]["kind"] in ("idle", "abort", "refused", "same-port")
        ],
        "chunk_format": CHUNK_FORMAT,
        "flows": flows,
    }


def _service(scenario: Scenario) -> str:
    return net.with_port(net.service_address(scenario.family), net.SERVICE_PORT)


def _hop_service(scenario: Scenario) -> str:
    return net.with_port(net.hop_service_address(scenario.family), net.SERVICE_PORT)


def _server(scenario: Scenario) -> str:
    return net.with_port(net.SERVER.address(scenario.family), net.SERVER_PORT)


def _flow(run: Run, planned: Connection) -> dict[str, Any]:
    """Return all that is known of one connection of an application."""
    logged = run.by_name[planned.name]
    connected = next((one for one in logged if one["event"] == "connected"), None)
    target = net.with_port(*planned.target)
    near = run.claim(connected["local"], target, connected["t_connected"]) if connected else None
    if near is not None and near.listener == "inbound_plaintext":
        near, far = None, near  # nobody but the server's ztunnel saw it
    else:
        far = run.far_end(near)
    requests = [_request(run, one) for one in logged if one["event"] == "request"]
    conn1 = _first_leg(planned, connected, target, near)
    peers = {one["server_peer"] for one in requests} - {None, conn1["client"]}
    if planned.kind == "probe" and peers:
        (conn1["translated_as"],) = peers
    flow = {
        "name": planned.name,
        "conn1": conn1,
        "session_kind": _kind(run, near, far, planned),
        "planned_kind": _planned_kind(run, planned),
        "outcome": _outcome(logged, near, far),
        "target": near.first.get("connect_sent", {}).get("authority") if near else None,
        "conn2": _second_leg(near, far),
        "inner": hops.inner(near, far),
        "conn3": None if run.hops.leads_through(near) and not far else _third_leg(near, far),
        "requests": requests,
        "ended": next((one for one in logged if one["event"] in ("ended", "error")), None),
        "ztA_up": near.chunks.get("up", []) if near else [],
        "ztA_down": near.chunks.get("down", []) if near else [],
        "ztB_up": far.chunks.get("up", []) if far else [],
        "ztB_down": far.chunks.get("down", []) if far else [],
        "ztA_endings": near.endings if near else [],
        "ztB_endings": far.endings if far else [],
    }
    _agree(flow)
    return flow


def _first_leg(
    planned: Connection, connected: Event | None, target: str, near: Session | None
) -> dict[str, Any]:
    leg: dict[str, Any] = {
        "client": connected["local"] if connected else None,
        "dst": target,
        "kind": planned.kind,
        "pod": planned.pod,
        "t_connect": connected["t_connect"] if connected else None,
        "t_connected": connected["t_connected"] if connected else None,
        "t_accept": near.time_ns("accept") if near else None,
    }
    if near and connected and near.first["accept"]["client"] != connected["local"]:
        leg["redirected_as"] = near.first["accept"]["client"]
    return leg


def _second_leg(near: Session | None, far: Session | None) -> dict[str, Any] | None:
    if near is None or "connect_sent" not in near.first:
        return None
    sent, answer = near.first["connect_sent"], near.first.get("connect_response", {})
    direct = "inner_connect_sent" not in near.first
    return {
        "client": sent["conn2"]["client"],
        "dst": sent["conn2"]["destination"],
        **{key: sent.get(key) for key in ("stream", "reused", "authority", "forwarded")},
        "traceparent": sent.get("traceparent"),
        "t_connect_sent": sent["t_ns"],
        # Inside another stream they belong to that inner one.
        "t_connect_recv": far.time_ns("connect_received") if far and direct else None,
        "t_response_sent": far.time_ns("response_sent") if far and direct else None,
        "t_connect_resp": answer.get("t_ns"),
        "status": answer.get("status"),
    }


def _third_leg(near: Session | None, far: Session | None) -> dict[str, Any] | None:
    """Return the connection to the server: conn3, or the plain onward one."""
    opener = far or near
    if opener is None or "established" not in opener.first:
        return None
    leg = opener.first["established"]["conn3"]
    return {
        "client": leg["client"],
        "dst": leg["destination"],
        "t_dial": opener.time_ns("dial"),
        "t_established": opener.time_ns("established"),
        "opened_by": opener.proxy,
    }


def _kind(run: Run, near: Session | None, far: Session | None, planned: Connection) -> str:
    """Name what became of a connection; see tests/lab/README.md."""
    if run.hops.leads_through(near):
        return hops.session_kind(run.scenario)
    if near is not None:
        family = run.scenario.family
        is_service = planned.target[0] == net.service_address(family)
        address = net.SERVER.address(family) if is_service else planned.target[0]
        nodes = {pod.address(family): pod.node for pod in run.scenario.mesh.members}
        if address not in nodes:
            return "passthrough"
        own = next(pod for pod in run.scenario.mesh.pods if pod.name == planned.pod)
        on_same_node = nodes[address] == own.node
        # From 1.21, in-pod, HBONE is used on one node as well.
        return "in-memory" if on_same_node and run.scenario.mesh.ztunnel_pods else "hbone"
    return "plaintext-inbound" if far is not None else "outside"


def _outcome(logged: list[Event], near: Session | None, far: Session | None) -> str:
    for ending in ("unreachable", "denied", "refused"):
        if any(one and ending in one.first for one in (near, far)):
            return ending
    last = logged[-1] if logged else {"event": "error", "error": "TimeoutError"}
    if last["event"] == "ended":
        return "aborted" if last["how"] == "abort" else "completed"
    known = {"TimeoutError": "timeout", "ConnectionRefusedError": "refused"}
    return known.get(str(last.get("error")), "unknown")


def _planned_kind(run: Run, planned: Connection) -> str:
    through = planned.session_kind == "through-hop"
    return hops.session_kind(run.scenario) if through else planned.session_kind


def _request(run: Run, logged: Event) -> dict[str, Any]:
    served = run.served.get(logged["id"], {})
    known = {
        "id": logged["id"],
        **{key: logged[key] for key in ("t_send", "t_first", "t_done")},
        "req_bytes": logged["send_bytes"],
        "resp_bytes": logged["receive_bytes"],
        "server_recv": served.get("t_received"),
        "server_req_body": served.get("t_body"),
        "server_sent": served.get("t_sent"),
        "server_peer": served.get("peer"),
    }
    return known | run.hops.request(known)


def _agree(flow: dict[str, Any]) -> None:
    """Raise LabError where server and proxies name different clients of conn3."""
    requests = (one for one in flow["requests"] if "hop2" not in one)
    seen = {one["server_peer"] for one in requests if one["server_peer"]}
    leg = flow["conn3"] or flow["conn1"]
    if seen - {leg.get("translated_as", leg["client"])}:
        raise LabError(
            f"{flow['name']}: the server saw {', '.join(sorted(seen))}, the proxies' logs say"
            f" {leg['client']}"
        )


def _counts(run: Run, flows: list[dict[str, Any]]) -> dict[str, int]:
    requests = [request for flow in flows for request in flow["requests"]]
    return {
        "conn1": sum(flow["conn1"]["client"] is not None for flow in flows),
        "conn2": sum(event["event"] == "pool_ready" for _, event in run.proxy_events),
        "conn3": sum(flow["conn3"] is not None for flow in flows),
        "streams": sum(flow["conn2"] is not None for flow in flows),
        "requests": len(requests),
        "requests_ok": sum(one["t_done"] is not None for one in requests),
        "server_requests": len(run.served),
        "wire_drops": sum(one["event"] == "drop" for one in run.wire),
        "wire_holds": sum(one["event"] == "hold" for one in run.wire),
    }


def _lookups(run: Run) -> list[dict[str, Any]]:
    """Return the questions to DNS: who answered them, by ztunnel's log, and what."""
    caught = {
        (event["client"], event["host"]): event["answered_by"]
        for _, event in run.proxy_events
        if event["event"] == "dns"
    }
    return [
        {
            "pod": planned.pod,
            "client": logged["local"],
            "resolver": net.with_port(*planned.resolver),
            "host": planned.host,
            "t_send": logged["t_send"],
            "t_answer": logged["t_answer"],
            "addresses": logged["addresses"],
            "captured": (logged["local"], planned.host) in caught,
            "answered_by": caught.get((logged["local"], planned.host), "resolver"),
        }
        for planned in run.lookups
        for logged in run.by_name[planned.name]
    ]


def _opened(run: Run) -> list[dict[str, Any]]:
    """Return the HBONE connections that proxies opened."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    times = {
        "pool_connect": "t_connect", "pool_connected": "t_established", "pool_ready": "t_tls_done"
    }  # fmt: skip
    for proxy, event in run.proxy_events:
        if event["event"] in times:
            ends = (event["conn2"]["client"], event["conn2"]["destination"])
            opened = found.setdefault(ends, {"proxy": proxy, "conn2": list(ends)})
            opened[times[event["event"]]] = event["t_ns"]
    return list(found.values())


def _accepted(run: Run) -> list[dict[str, Any]]:
    """Return the HBONE connections that proxies accepted."""
    return [
        {
            "proxy": proxy,
            "conn2": [event["conn2"]["client"], event["conn2"]["destination"]],
            "t_accept": event.get("accepted_ns"),
            "t_tls_done": event["t_ns"],
            "identity": event.get("identity"),
        }
        for proxy, event in run.proxy_events
        if event["event"] == "hbone_accept"
    ]


def _measured(flows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how long chunks stayed in each ztunnel, servers answered and requests took."""
    spans: dict[str, list[float]] = {
        key: [out_ns - in_ns for flow in flows for in_ns, out_ns, *_ in flow[key]]
        for key in ("ztA_up", "ztA_down", "ztB_up", "ztB_down")
    }
    requests = [one for flow in flows for one in flow["requests"] if one["t_done"]]
    spans["server"] = [one["server_sent"] - one["server_recv"] for one in requests]
    spans["request_total"] = [one["t_done"] - one["t_send"] for one in requests]
    return {key: quantiles_ms(values) for key, values in spans.items() if values}


def quantiles_ms(spans_ns: Iterable[float]) -> dict[str, float]:
    """Return min, p50, p95 and max of spans in ns, as ms."""
    ordered = sorted(spans_ns)
    shares = {"min": 0.0, "p50": 0.5, "p95": 0.95, "max": 1.0}
    return {
        name: round(ordered[round(share * (len(ordered) - 1))] / _MS, 3)
        for name, share in shares.items()
    }
