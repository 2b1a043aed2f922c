# SPDX-License-Identifier: Apache-2.0
"""Who connects to whom, when and with what: plans for `client.py`, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.lab.mesh import topology as net
from tests.lab.mesh.topology import Pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.topology import Family

SERVER_DELAY_MS = 8.0
_SHARED_SOURCE_PORT = 40_404
_BULK_BYTES = 150_000
_RECORD_TYPES = {4: 1, 6: 28}
_OUTER_HOST = "example.org"
_OUTER_ADDRESSES = {4: "192.0.2.80", 6: "2001:db8::80"}
"""Of the ranges for documentation (RFC 5737, RFC 3849)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request and its answer."""

    id: str
    send_bytes: int = 0
    receive_bytes: int = 600
    delay_ms: float = SERVER_DELAY_MS
    """How long the server waits."""
    gap_ms: float = 0.0
    """How long the client waits before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One connection of an application."""

    name: str
    pod: str
    kind: str
    target: tuple[str, int]
    start_ms: float
    source_port: int = 0
    requests: tuple[Request, ...] = ()
    end: Literal["close", "abort"] = "close"
    end_after_ms: float = 0.0
    session_kind: str = "hbone"
    """What an undisturbed mesh makes of it: hbone, passthrough, plaintext-inbound, outside, or
    through-hop where it depends on the Envoy there is."""

    def instructions(self) -> dict[str, object]:
        """Return it as `client.py` reads it."""
        told = asdict(self)
        del told["pod"], told["session_kind"]
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One question to DNS, by UDP."""

    name: str
    pod: str
    host: str
    record_type: int
    """A or AAAA, as the run's IP version wants it."""
    resolver: tuple[str, int]
    start_ms: float

    def instructions(self) -> dict[str, object]:
        """Return it as `client.py` reads it."""
        told = asdict(self)
        del told["pod"]
        return told


@dataclass(slots=True)
class _Plan:
    """Collects connections and lookups; names them and their requests."""

    family: Family
    connections: list[Connection] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)

    def look_up(self, pod: Pod, host: str, start_ms: float) -> None:
        self.lookups.append(Lookup(
            name=f"{pod.name}-dns-{len(self.lookups) + 1}", pod=pod.name, host=host,
            record_type=_RECORD_TYPES[self.family], start_ms=start_ms,
            resolver=(net.dns_address(self.family), net.DNS_PORT),
        ))  # fmt: skip

    def probe(self, to: Pod, start_ms: float) -> None:
        """Add what kubelet does: the node itself connects to one of its pods."""
        kubelet = Pod(name=to.node_name, node=to.node, host=1, in_mesh=False)
        self.add(kubelet, "probe", start_ms, to=to, receive_bytes=20, session_kind="outside")

    def add(self, pod: Pod, kind: str, start_ms: float, *, to: Pod = net.SERVER,
            port: int = net.SERVER_PORT, requests: int = 1, send_bytes: int = 0,
            receive_bytes: int = 600, service: str = "", **rest: object) -> None:  # fmt: skip
        name = f"{pod.name}-{len(self.connections) + 1:03}"
        target = service or to.address(self.family)
        if kind == "vip":
            target = net.service_address(self.family)
        if service or kind == "vip":
            port = net.SERVICE_PORT
        self.connections.append(Connection(
            name=name, pod=pod.name, kind=kind, target=(target, port), start_ms=start_ms,
            requests=tuple(
                Request(id=f"{name}-{number}", send_bytes=send_bytes + 7 * number,
                        receive_bytes=receive_bytes + 11 * number,
                        gap_ms=30.0 if number > 1 else 0.0)
                for number in range(1, requests + 1)
            ),
            **rest,  # type: ignore[arg-type]
        ))  # fmt: skip


def _short(plan: _Plan) -> None:
    """Add one connection of every kind, two where a single one would be special."""
    plan.add(net.CLIENT, "new", 0)
    plan.add(net.SECOND_CLIENT, "new", 20)
    plan.add(net.CLIENT, "new", 120)
    plan.add(net.CLIENT, "vip", 150)
    plan.add(net.CLIENT, "keepalive", 180, requests=4)
    plan.add(net.CLIENT, "same-node", 200, to=net.SECOND_CLIENT)
    plan.add(net.CLIENT, "passthrough", 220, to=net.PLAIN_SERVER, session_kind="passthrough")
    plan.add(net.OUTSIDE_CLIENT, "plaintext", 240, session_kind="plaintext-inbound")
    plan.add(net.CLIENT, "refused", 260, port=net.REFUSED_PORT)
    plan.probe(net.SECOND_CLIENT, 280)
    plan.probe(net.SERVER, 300)
    plan.look_up(net.CLIENT, net.service_host("server"), 320)
    plan.look_up(net.CLIENT, _OUTER_HOST, 330)
    plan.look_up(net.OUTSIDE_CLIENT, net.service_host("server"), 340)


def _standard(plan: _Plan) -> None:
    _short(plan)
    for number in range(4):
        plan.add(net.CLIENT, "new", 400 + 40 * number, send_bytes=100 * number)
        plan.add(net.SECOND_CLIENT, "new", 410 + 40 * number, receive_bytes=2_000)
    plan.add(net.SECOND_CLIENT, "keepalive", 500, requests=6, send_bytes=300)
    plan.add(net.SECOND_CLIENT, "vip", 520)
    plan.add(net.OUTSIDE_CLIENT, "plaintext", 540, session_kind="plaintext-inbound")
    for number in range(12):
        plan.add(net.CLIENT, "burst", 800 + 0.3 * number)
    plan.add(net.CLIENT, "big-up", 1_000, send_bytes=_BULK_BYTES)
    plan.add(net.CLIENT, "big-down", 1_050, receive_bytes=_BULK_BYTES)
    # In-pod, both become the same forward half on lo, unless NAT gives one another port.
    plan.add(net.CLIENT, "same-port", 1_300, source_port=_SHARED_SOURCE_PORT, end_after_ms=150.0)
    plan.add(net.CLIENT, "same-port", 1_320, to=net.SECOND_CLIENT,
             source_port=_SHARED_SOURCE_PORT, end_after_ms=150.0)  # fmt: skip
    plan.add(net.CLIENT, "abort", 1_400, end="abort", end_after_ms=60.0)
    plan.add(net.CLIENT, "idle", 1_450, requests=0, end_after_ms=600.0)


def _storm(plan: _Plan) -> None:
    """Add what is hard to link: many of the same size at once."""
    for number in range(65):
        for pod in (net.CLIENT, net.SECOND_CLIENT):
            plan.add(pod, "burst", 100 + 0.5 * number)


def _through_hop(plan: _Plan) -> None:
    """Add what takes the way through a waypoint or east-west gateway, and what does not."""
    service = net.hop_service_address(plan.family)

    def add(pod: Pod, kind: str, start_ms: float, **rest: object) -> None:
        plan.add(pod, kind, start_ms, service=service, session_kind="through-hop", **rest)  # type: ignore[arg-type]

    for number in range(4):
        add(net.CLIENT, "new", 60.0 * number)
        add(net.SECOND_CLIENT, "new", 20.0 + 60.0 * number)
        plan.add(net.CLIENT, "direct", 40.0 + 60.0 * number)
    add(net.CLIENT, "keepalive", 300, requests=5)
    add(net.SECOND_CLIENT, "keepalive", 320, requests=5)
    for number in range(8):
        add(net.CLIENT, "burst", 700 + 0.5 * number)
        add(net.SECOND_CLIENT, "burst", 700 + 0.5 * number)
    add(net.CLIENT, "big-up", 900, send_bytes=_BULK_BYTES)
    add(net.CLIENT, "big-down", 950, receive_bytes=_BULK_BYTES)
    add(net.CLIENT, "idle", 1_000, requests=0, end_after_ms=400.0)


def _ingress(plan: _Plan) -> None:
    """Add what comes in through a gateway, and ordinary connections beside it."""
    for number in range(4):
        plan.add(net.OUTSIDE_CLIENT, "ingress", 60.0 * number, to=net.INGRESS,
                 session_kind="outside")  # fmt: skip
        plan.add(net.CLIENT, "new", 30.0 + 60.0 * number)
    plan.add(net.OUTSIDE_CLIENT, "ingress-keepalive", 300, to=net.INGRESS, requests=5,
             session_kind="outside")  # fmt: skip
    for number in range(8):
        plan.add(net.OUTSIDE_CLIENT, "ingress-burst", 600 + 0.5 * number, to=net.INGRESS,
                 session_kind="outside")  # fmt: skip


PLANS: dict[str, Callable[[_Plan], None]] = {
    "short": _short,
    "standard": _standard,
    "storm": _storm,
    "through-hop": _through_hop,
    "ingress": _ingress,
}


def connections(plan: str, family: Family) -> tuple[Connection, ...]:
    """Return the connections of a plan."""
    return tuple(_collected(plan, family).connections)


def lookups(plan: str, family: Family) -> tuple[Lookup, ...]:
    """Return the questions to DNS of a plan."""
    return tuple(_collected(plan, family).lookups)


def _collected(plan: str, family: Family) -> _Plan:
    collected = _Plan(family)
    PLANS[plan](collected)
    return collected


def mesh_names(scenario: Scenario) -> dict[str, list[str]]:
    """Return the host names of the Services, with their addresses."""
    names = {net.service_host("server"): [net.service_address(scenario.family)]}
    if scenario.hop:
        names[net.service_host(scenario.hop)] = [net.hop_service_address(scenario.family)]
    return names


def all_names(scenario: Scenario) -> dict[str, list[str]]:
    """Return what the cluster's DNS knows: the Services, and a host outside the cluster."""
    return mesh_names(scenario) | {_OUTER_HOST: [_OUTER_ADDRESSES[scenario.family]]}
