# SPDX-License-Identifier: Apache-2.0
"""The logs of one run, read back: who wrote what where, and the sessions of each proxy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Event = dict[str, Any]


def wire_log(folder: Path) -> Path:
    """Return where the wire writes its events."""
    return folder / "wire.events.ndjson"


def server_log(folder: Path, pod: str) -> Path:
    """Return where the server in `pod` writes its events."""
    return folder / f"server-{pod}.events.ndjson"


def client_log(folder: Path, pod: str) -> Path:
    """Return where the client in `pod` writes its events."""
    return folder / f"client-{pod}.events.ndjson"


def proxy_log(folder: Path, name: str) -> Path:
    """Return where a proxy writes its events."""
    return folder / f"{name}.events.ndjson"


def read(path: Path) -> list[Event]:
    """Return the events of a log, in order; none where there is no log."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(slots=True, kw_only=True)
class Session:
    """What one proxy logged about one connection of an application."""

    proxy: str
    first: dict[str, Event] = field(default_factory=dict)
    """The first event of each kind."""
    chunks: dict[str, list[list[int | None]]] = field(default_factory=dict)
    """By direction: [t_in_ns, t_out_ns, bytes, kernel_rx_ns, kernel_tx_ns] of each chunk."""
    endings: list[Event] = field(default_factory=list)
    """FINs and resets, in order."""

    @property
    def listener(self) -> str:
        """`outbound`, `inbound_plaintext`, or `inbound_hbone` for what came through a stream."""
        if "connect_received" in self.first:
            return "inbound_hbone"
        return str(self.first.get("accept", {}).get("listener", ""))

    @property
    def stream(self) -> tuple[str, str, int] | None:
        """(conn2's client, conn2's destination, stream number) where there is a stream."""
        event = self.first.get("connect_sent") or self.first.get("connect_received")
        if event is None:
            return None
        return event["conn2"]["client"], event["conn2"]["destination"], event["stream"]

    def time_ns(self, event: str) -> int | None:
        """Return when an event came, None if it did not."""
        return self.first[event]["t_ns"] if event in self.first else None

    def add(self, event: Event) -> None:
        """Take one more event of this connection."""
        if event["event"] == "chunk":
            keys = ("in_ns", "out_ns", "bytes", "kernel_rx_ns", "kernel_tx_ns")
            self.chunks.setdefault(event["direction"], []).append([event.get(key) for key in keys])
        elif event["event"] in ("fin", "reset"):
            self.endings.append({key: event[key] for key in ("t_ns", "event", "side")})
        else:
            self.first.setdefault(event["event"], event)


def sessions(proxy: str, events: Iterable[Event]) -> list[Session]:
    """Return the sessions of one proxy, in the order they began."""
    found: dict[int, Session] = {}
    for event in events:
        if "connection" in event:
            found.setdefault(event["connection"], Session(proxy=proxy)).add(event)
    return list(found.values())
