# SPDX-License-Identifier: Apache-2.0
"""Which connections of a recorded set go into a sample, and what the set's truth says of them.

A session is one application connection, an entry of `flows` in the set's `truth.json`. The form of
that file is the recorded sets' own; `cut` is what a sample's truth has beside it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.lab.cut_packets import Pair, pair
from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Truth = dict[str, Any]

REDIRECTED_TO = "127.0.0.1:15001"
"""Where in-pod redirection takes an application's connection."""

_OF_THE_SET = (
    "mode", "proxy", "waypoint", "gateway", "family", "underlay", "ip", "vips", "mtu", "faults",
    "offload", "clock", "configured_delays_ms", "interfaces",
)  # fmt: skip


class Window(NamedTuple):
    """The part of a connection that is kept: from `since_ns`, before `until_ns`; None is open."""

    since_ns: int | None
    until_ns: int | None

    def holds(self, time_ns: int) -> bool:
        """Tell whether a packet of this time is kept."""
        early = self.since_ns is not None and time_ns < self.since_ns
        return not early and (self.until_ns is None or time_ns < self.until_ns)


@dataclass(frozen=True)
class Hbone:
    """An HBONE connection, named by its client's end, and the streams of it that are kept.

    With a first stream other than 1 its packets are kept from the time that stream's session began.
    """

    client: str
    first_stream: int = 1
    last_stream: int | None = None

    def has(self, conn2: Truth) -> bool:
        """Tell whether this is a kept stream of this connection."""
        stream: int = conn2["stream"]
        last = stream if self.last_stream is None else self.last_stream
        return bool(conn2["client"] == self.client) and self.first_stream <= stream <= last


@dataclass(frozen=True)
class Recipe:
    """What a sample is cut from, and what is kept."""

    source: str
    """Folder of the recorded set."""
    captures: tuple[str, ...]
    """Its recordings to cut, without `.pcapng.gz`."""
    why: str
    """What is kept and why, for whoever runs the script or reads `truth.json`."""
    hbone: tuple[Hbone, ...] = ()
    sessions: tuple[str, ...] = ()
    """Further sessions, each named by its client's end."""
    stop_before: str | None = None
    """The first session left out, by its client's end: all packets are from before its start."""
    secrets_in: str | None = None
    """The capture that carries the keys as a Decryption Secrets Block."""

    def keeps(self, flow: Truth) -> bool:
        """Tell whether this session is kept."""
        conn2 = flow["conn2"]
        return flow["conn1"]["client"] in self.sessions or (
            conn2 is not None and any(hbone.has(conn2) for hbone in self.hbone)
        )


def kept_flows(recipe: Recipe, truth: Truth) -> list[Truth]:
    """Return the sessions of the sample; LabError where the set lacks one that is named."""
    flows = [flow for flow in truth["flows"] if recipe.keeps(flow)]
    clients = {flow["conn1"]["client"] for flow in flows}
    hbone = {flow["conn2"]["client"] for flow in flows if flow["conn2"]}
    lacking = {*recipe.sessions} - clients | {one.client for one in recipe.hbone} - hbone
    if lacking:
        raise LabError(f"{recipe.source}: the truth has no {', '.join(sorted(lacking))}")
    return flows


def windows(recipe: Recipe, truth: Truth, unnamed: Iterable[Pair]) -> dict[Pair, Window]:
    """Return the connections of the kept sessions, named by the truth or not, and the part kept."""
    until_ns = _stop_ns(recipe, truth)
    flows = kept_flows(recipe, truth)
    named = (both for flow in flows for both in connections(flow))
    found = {both: Window(None, until_ns) for both in (*named, *unnamed)}
    for hbone in recipe.hbone:
        if hbone.first_stream > 1:
            streams = [flow for flow in flows if flow["conn2"] and hbone.has(flow["conn2"])]
            since_ns = min(flow["conn1"]["t_connect"] for flow in streams)
            found[_ends(streams[0]["conn2"])] = Window(since_ns, until_ns)
    return found


def connections(flow: Truth) -> Iterator[Pair]:
    """Yield every connection that the truth names for a session."""
    conn1 = flow["conn1"]
    yield _ends(conn1)
    yield pair(redirected(flow), REDIRECTED_TO)
    for leg in ("conn2", "conn3"):
        if flow[leg]:
            yield _ends(flow[leg])
    for request in flow["requests"]:
        for leg in ("conn3", "hop2"):
            if request.get(leg):
                client, server = request[leg][:2]
                yield pair(client, server)


def redirected(flow: Truth) -> str:
    """Return the client's end of conn1 as ztunnel sees it: NAT changes a port met twice."""
    conn1 = flow["conn1"]
    as_seen: str = conn1.get("redirected_as") or conn1["client"]
    return as_seen


def truth_of_sample(
    name: str, recipe: Recipe, truth: Truth, cut: dict[Pair, Window], packets: dict[str, int]
) -> Truth:
    """Return the set's truth for the kept sessions.

    `cut` has the connections of which packets were left out, `packets` the count of each file.
    What is measured over the whole set (delays of wire and proxies) is left out.
    """
    flows = kept_flows(recipe, truth)
    streams = _streams(flows)
    sample = {"name": name, **{key: truth[key] for key in _OF_THE_SET}}
    conn2 = [
        one | {"streams": sorted(streams[one["client"]])}
        for one in truth["conn2"]
        if one["client"] in streams
    ]
    sample["cut"] = {
        "set": recipe.source,
        "why": " ".join(recipe.why.split()),
        "packets": packets,
        "connections_not_whole": [
            {"ends": list(both), "since_ns": window.since_ns, "until_ns": window.until_ns}
            for both, window in sorted(cut.items())
        ],
    }
    sample["counts"] = counts(flows, conn2)
    sample["conn2"] = conn2
    sample["waypoint_streams"] = list(_waypoint_streams(truth, flows, {*cut}))
    sample["flows"] = flows
    return sample


def counts(flows: list[Truth], conn2: list[Truth]) -> Truth:
    """Count as the sets do; their `conn3` are those behind an HBONE connection."""
    requests = [request for flow in flows for request in flow["requests"]]
    return {
        "conn1": len(flows),
        "conn2": len(conn2),
        "streams": sum(len(one["streams"]) for one in conn2),
        "conn3": sum(None not in (flow["conn2"], flow["conn3"]) for flow in flows),
        "requests": len(requests),
        "requests_ok": sum(request["error"] is None for request in requests),
        "kinds": dict(Counter(f"{flow['session_kind']}/{flow['outcome']}" for flow in flows)),
    }


def request_ids(flows: Iterable[Truth]) -> set[str]:
    """Return the ids of all requests of these sessions."""
    return {request["id"] for flow in flows for request in flow["requests"]}


def _stop_ns(recipe: Recipe, truth: Truth) -> int | None:
    if recipe.stop_before is None:
        return None
    for flow in truth["flows"]:
        if flow["conn1"]["client"] == recipe.stop_before:
            time_ns: int = flow["conn1"]["t_connect"]
            return time_ns
    raise LabError(f"{recipe.source}: the truth has no session of {recipe.stop_before}")


def _streams(flows: list[Truth]) -> dict[str, set[int]]:
    """Return the kept streams of each HBONE connection, waypoints' onward ones included."""
    streams: dict[str, set[int]] = {}
    for flow in flows:
        if flow["conn2"]:
            streams.setdefault(flow["conn2"]["client"], set()).add(flow["conn2"]["stream"])
        for request in flow["requests"]:
            if request.get("hop2"):
                client, _, stream = request["hop2"]
                streams.setdefault(client, set()).add(stream)
    return streams


def _waypoint_streams(truth: Truth, flows: list[Truth], cut: set[Pair]) -> Iterator[Truth]:
    """Yield the onward streams of kept requests; totals of a stream that is cut are null."""
    kept = request_ids(flows)
    for stream in truth["waypoint_streams"]:
        ids = [one for one in stream["ids"] if one in kept]
        if ids:
            totals = {"up_bytes": None, "down_bytes": None} if _ends(stream) in cut else {}
            yield stream | {"ids": ids} | totals


def _ends(leg: Truth) -> Pair:
    return pair(leg["client"], leg["dst"])
