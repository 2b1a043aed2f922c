# SPDX-License-Identifier: Apache-2.0
"""Who connects to whom, when and with what: plans for `client.py`, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.lab.mesh import topology as net

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.mesh.topology import Family, Pod

SERVER_DELAY_MS = 8.0
_SHARED_SOURCE_PORT = 40_404
_BULK_BYTES = 150_000


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
    """What an undisturbed mesh makes of it: hbone, passthrough or plaintext-inbound."""

    def instructions(self) -> dict[str, object]:
        """Return it as `client.py` reads it."""
        told = asdict(self)
        del told["pod"], told["session_kind"]
        return told


@dataclass(slots=True)
class _Plan:
    """Collects connections; names them and their requests."""

    family: Family
    connections: list[Connection] = field(default_factory=list)

    def add(self, pod: Pod, kind: str, start_ms: float, *, to: Pod = net.SERVER,
            port: int = net.SERVER_PORT, requests: int = 1, send_bytes: int = 0,
            receive_bytes: int = 600, **rest: object) -> None:  # fmt: skip
        name = f"{pod.name}-{len(self.connections) + 1:03}"
        target = to.address(self.family)
        if kind == "vip":
            target, port = net.service_address(self.family), net.SERVICE_PORT
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
    for number in range(60):
        for pod in (net.CLIENT, net.SECOND_CLIENT):
            plan.add(pod, "burst", 100 + 2.0 * number)


PLANS: dict[str, Callable[[_Plan], None]] = {
    "short": _short,
    "standard": _standard,
    "storm": _storm,
}


def connections(plan: str, family: Family) -> tuple[Connection, ...]:
    """Return the connections of a plan."""
    collected = _Plan(family)
    PLANS[plan](collected)
    return tuple(collected.connections)
