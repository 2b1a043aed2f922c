# SPDX-License-Identifier: Apache-2.0
"""What is true of the Envoy between client and server, from its logs and the server's ztunnel's.

Envoy pools HTTP anew, so a session has no onward stream of its own: each request has. The server
names the conn3 a request came by, the server's ztunnel the stream that opened it. Envoy's access
log gives the request's times there. In an east-west gateway each stream has one onward connection,
which Envoy's log and the traceparent inside name independently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lab.mesh import envoy, events
from tests.lab.mesh import topology as net
from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.lab.mesh.events import Event, Session
    from tests.lab.mesh.scenario import Scenario

_SESSION_KINDS = {"waypoint": "waypoint", "eastwest": "multi-network"}
_REQUEST_TIMES = {
    "request_end_ns": "t_request_end",
    "request_out_ns": "t_request_sent",
    "response_in_ns": "t_response_received",
    "response_out_ns": "t_response_sent",
    "done_ns": "t_done",
}


def session_kind(scenario: Scenario) -> str:
    """Return what a session through the Envoy of a run is called."""
    return _SESSION_KINDS[scenario.hop]


class Hops:
    """The Envoy's part of the truth; empty where a run has none."""

    def __init__(self, scenario: Scenario, folder: Path, sessions: Iterable[Session]) -> None:
        self._pod = net.HOPS.get(scenario.hop)
        self._host = self._pod.address(scenario.family) if self._pod else ""
        self._inbound = {
            one.first["established"]["conn3"]["client"]: one
            for one in sessions
            if one.listener == "inbound_hbone" and "established" in one.first
        }
        self._by_trace = {
            str(one.first["connect_received"].get("traceparent")): one
            for one in self._inbound.values()
        }
        self._requests: dict[str, Event] = {}
        self._tunnels: dict[str, Event] = {}
        if self._pod is not None:
            written = envoy.files(folder, self._pod, {})
            self._requests = {one["id"]: one for one in events.read(written.access_log)}
            self._tunnels = {
                str(one["traceparent"]): one for one in events.read(written.tunnel_log)
            }

    def leads_through(self, near: Session | None) -> bool:
        """Say whether a session's stream ends at the Envoy."""
        sent = near.first.get("connect_sent") if near else None
        return bool(sent and self._host and _host(sent["conn2"]["destination"]) == self._host)

    def far_end(self, near: Session) -> Session | None:
        """Return the server's end of a session through an east-west gateway.

        Raises LabError where Envoy and the two proxies name different connections.
        """
        if self._pod is not net.EAST_WEST:
            return None
        trace = str(near.first["connect_sent"].get("traceparent"))
        far = self._by_trace.get(trace)
        logged = self._tunnels.get(trace)
        if far is not None and logged is not None:
            seen = far.first["connect_received"]["conn2"]["client"]
            if logged["upstream_local"] != seen:
                raise LabError(
                    f"{trace}: Envoy says {logged['upstream_local']}, the server's ztunnel {seen}"
                )
        return far

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what is to be added to a request: its onward stream, and its times at Envoy.

        Raises LabError where the server saw the Envoy's address but no stream belongs to it.
        """
        peer = request["server_peer"]
        if self._pod not in (net.WAYPOINT, net.INGRESS) or not peer or _host(peer) != self._host:
            return {}
        far, logged = self._inbound.get(peer), self._requests.get(request["id"])
        if far is None or far.stream is None or logged is None:
            raise LabError(f"{request['id']}: nobody knows the stream that brought it")
        began_ns = nanoseconds(logged["t_start"])
        times = {"t_request_received": began_ns} | {
            name: began_ns + int(logged[key]) if str(logged[key]).isdecimal() else None
            for key, name in _REQUEST_TIMES.items()
        }
        return {
            "conn3": [peer, far.first["established"]["conn3"]["destination"]],
            "hop2": list(far.stream),
            "envoy": times,
        }

    def streams(self, flows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the Envoy's onward streams, with the requests that each carried."""
        if self._pod not in (net.WAYPOINT, net.INGRESS):
            return []
        ids: dict[tuple[Any, ...], list[str]] = {}
        for flow in flows:
            for request in flow["requests"]:
                if "hop2" in request:
                    ids.setdefault(tuple(request["hop2"]), []).append(request["id"])
        return [
            _onward(one, ids.get(one.stream, []))
            for one in self._inbound.values()
            if one.stream and _host(one.stream[0]) == self._host
        ]


def _onward(session: Session, ids: list[str]) -> dict[str, Any]:
    received = session.first["connect_received"]
    client, destination, stream = session.stream or ("", "", 0)
    return {
        "client": client,
        "dst": destination,
        "stream": stream,
        "ids": ids,
        **{key: received.get(key) for key in ("authority", "forwarded", "traceparent")},
        "t_connect_recv": received["t_ns"],
        "t_response_sent": session.time_ns("response_sent"),
        "status": session.first.get("response_sent", {}).get("status"),
        "conn3": session.first["established"]["conn3"],
        "ztB_up": session.chunks.get("up", []),
        "ztB_down": session.chunks.get("down", []),
        "ztB_endings": session.endings,
    }


def inner(near: Session | None, far: Session | None) -> dict[str, Any] | None:
    """Return the HBONE stream inside another one, None where there is none."""
    if near is None or "inner_connect_sent" not in near.first:
        return None
    received = far.first["connect_received"] if far else {}
    conn2 = received.get("conn2", {})
    return {
        "client": conn2.get("client"),
        "dst": conn2.get("destination"),
        "stream": near.first["inner_connect_sent"]["stream"],
        "authority": received.get("authority"),
        "forwarded": received.get("forwarded"),
        "traceparent": received.get("traceparent"),
        "t_connect_sent": near.time_ns("inner_connect_sent"),
        "t_connect_recv": far.time_ns("connect_received") if far else None,
        "t_response_sent": far.time_ns("response_sent") if far else None,
        "t_connect_resp": near.time_ns("inner_connect_response"),
        "status": near.first.get("inner_connect_response", {}).get("status"),
    }


def nanoseconds(text: str) -> int:
    """Return `seconds.nanoseconds` as ns."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


def _host(end: str) -> str:
    return end.rpartition(":")[0]
