# SPDX-License-Identifier: Apache-2.0
"""What ztunnel's access log says of sessions: names, identities, and how they ended.

An outbound line names the client's own address and port, so it belongs to one outbound leg; it
holds neither the stream nor the server leg's port, so it confirms a link and makes none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .ztunnel_log import LoggedConnection

_NEAR_NS = 60_000_000_000
"""How far the log's time and the end of a connection may be apart: clocks differ, and a connection
is logged when both directions have ended."""

_OUTCOMES = (
    ("timed out", "unreachable"),
    ("networkpolicy", "unreachable"),
    ("policy", "denied"),
    ("401", "denied"),
    ("rbac", "denied"),
    ("unauthorized", "denied"),
    ("503", "refused"),
    ("refused", "refused"),
)
"""Words of ztunnel's errors and what they mean: istio/ztunnel src/proxy.rs (1.24 to 1.31)."""


class Logs:
    """Lines of access logs by the client that they name; empty where no log was given."""

    def __init__(self, lines: Iterable[LoggedConnection]) -> None:
        self._by_client: dict[str, list[LoggedConnection]] = defaultdict(list)
        for line in lines:
            if line.direction == "outbound" and line.source.address is not None:
                self._by_client[line.source.address].append(line)

    def of_client(self, client: str, last_ns: int) -> LoggedConnection | None:
        """Return the line of a client's `ip:port`, the one nearest to the connection's end."""
        lines = self._by_client.get(client, ())
        near = [line for line in lines if abs(line.time_ns - last_ns) <= _NEAR_NS]
        return min(near, key=lambda line: abs(line.time_ns - last_ns), default=None)


def outcome_of(line: LoggedConnection) -> str | None:
    """Return the outcome that a line's error means, None where it means none for sure."""
    if line.error is None:
        return None
    error = line.error.lower()
    return next((outcome for word, outcome in _OUTCOMES if word in error), None)


def evidence_of(line: LoggedConnection) -> str:
    """Return a line in few words; its text is the log's, for whoever prints it to escape."""
    ends = [peer.identity or peer.workload for peer in (line.source, line.destination)]
    words = " to ".join(end for end in ends if end)
    if line.service:
        words += f" for {line.service}"
    if line.up_bytes is not None and line.down_bytes is not None:
        words += f", {line.up_bytes} up and {line.down_bytes} down"
    if line.error:
        words += f", error: {line.error}"
    return f"log: {words.strip(' ,') or 'a line names this client'}"
