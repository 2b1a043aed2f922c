# SPDX-License-Identifier: Apache-2.0
"""Traffic as data, and the functions that make it happen in a `Lab`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.lab.namespaces import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.namespaces import Lab

_PEER = Path(__file__).with_name("peer.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One conversation, begun in `namespace`."""

    namespace: str
    kind: Literal["ping", "tcp", "udp"]
    target: str
    port: int = 0
    send_bytes: int = 56
    """Payload; for ping that of each of the two echo requests."""
    receive_bytes: int = 0
    """TCP only: size of the answer. UDP and ping get back what they sent."""
    mark: int = 0
    """The packets' mark in the sender's kernel; a GBP device sends it as the group policy ID."""


def start_server(lab: Lab, namespace: str, port: int) -> None:
    """Start the lab's TCP and UDP server and wait until it listens."""
    log = lab.folder / f"server-{namespace}-{port}.log"
    lab.start(namespace, *_python(), "serve", str(port), log=log)
    wait_until(lambda: b"ready" in log.read_bytes(), f"the server in {namespace}")


def run_exchanges(lab: Lab, exchanges: Iterable[Exchange]) -> None:
    """Run one exchange after the other; each must succeed."""
    for exchange in exchanges:
        lab.run(exchange.namespace, *_command(exchange))


def warm_up(lab: Lab, namespace: str, target: str) -> None:
    """Ping until an answer comes: switches and tunnels have to find each other first."""
    lab.run(namespace, *_python(), "await", target, "10")


def forget_neighbours(lab: Lab, namespaces: Iterable[str]) -> None:
    """Empty the ARP and IPv6 neighbour tables, so that the next exchange shows how they fill."""
    for namespace in namespaces:
        lab.run(namespace, "ip", "-4", "neighbour", "flush", "nud", "all")
        lab.run(namespace, "ip", "-6", "neighbour", "flush", "nud", "all")


def _python() -> tuple[str, ...]:
    return (sys.executable, "-I", str(_PEER))


def _command(exchange: Exchange) -> tuple[str, ...]:
    numbers = (exchange.port, exchange.send_bytes, exchange.receive_bytes, exchange.mark)
    return (*_python(), exchange.kind, exchange.target, *map(str, numbers))
