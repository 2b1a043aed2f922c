# SPDX-License-Identifier: Apache-2.0
"""What health is judged by, and how connections are named in findings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ...capture.points import Point
from ..connections import Endpoint
from ..grouping import Connection
from ..hbone.results import HboneReading
from ..linking.legs import endpoint_address
from ..points.roles import PointRole
from ..sessions.draft import text
from ..sessions.drafts import Drafts
from ..sessions.results import BypassSummary

Span = tuple[int, int]
"""From when to when, on the common clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSeen:
    """What health is judged by."""

    drafts: Drafts
    """Sessions and the connections they use."""
    connections: Sequence[Connection]
    roles: Sequence[PointRole]
    bypass: Sequence[BypassSummary]
    paths: Sequence[str]
    """Of the captures, as given, by their index."""
    opened: HboneReading | None = None
    """What keys opened."""
    dropping: frozenset[int] = frozenset()
    """Points whose capture reported drops."""


def dropping_points(points: Sequence[Point]) -> frozenset[int]:
    """Return the indices of points whose capture reported drops."""
    return frozenset(i for i, p in enumerate(points) if p.dropped or p.dropped_by_dumpcap)


class Spans:
    """Spans, to ask whether any of them meets another one."""

    def __init__(self, spans: Iterable[Span]) -> None:
        rows = sorted(spans)
        self._begins = [begin for begin, _ in rows]
        self._ends = list(accumulate((end for _, end in rows), max))
        """The latest end of this span and all that begin before it."""

    def meet(self, span: Span) -> bool:
        """Tell whether any of the spans has a moment in common with this one."""
        place = bisect_right(self._begins, span[1])
        return place > 0 and self._ends[place - 1] >= span[0]


def span_of(seen: MeshSeen, connection: Connection) -> Span:
    """Return from when to when a connection was seen."""
    views = seen.drafts.views
    first_ns = min(views.at(half.point, half.first_ns) for half in connection.halves())
    return first_ns, seen.drafts.last_ns(connection)


def connection_filter(connection: Connection) -> str:
    """Return Wireshark's filter for a connection.

    By its client alone where points see the server's end under other addresses, as redirection and
    a Service's address make it.
    """
    client, server = connection.client, connection.server
    parts = [f"{field_of(client)}.addr == {endpoint_address(client)}", f"tcp.port == {client.port}"]
    called = {half.destination for half in connection.forward.values()}
    answered = {half.source for half in connection.reverse.values()}
    if called | answered == {server}:
        parts.insert(1, f"{field_of(server)}.addr == {endpoint_address(server)}")
        parts.append(f"tcp.port == {server.port}")
    return " && ".join(parts)


def first_frames(connection: Connection, *, forward: bool = True) -> list[tuple[int, int]]:
    """Return (capture, frame) of a direction's first packet at each point."""
    side = connection.forward if forward else connection.reverse
    return [(half.capture, half.first_frame) for half in side.values()]


def payload_frames(connection: Connection, *, forward: bool) -> list[tuple[int, int]]:
    """Return (capture, frame) of the segment with a direction's first octets, at each point."""
    side = connection.forward if forward else connection.reverse
    return [
        (half.capture, half.events[3])
        for half in side.values()
        if half.events and not half.events[0]
    ]


def pair_text(connection: Connection) -> str:
    """Return `client > server:port`; the client's port, which says nothing, is left out."""
    return f"{endpoint_address(connection.client)} > {text(connection.server)}"


def field_of(endpoint: Endpoint) -> str:
    """Return what Wireshark calls the IP header of an endpoint's address."""
    return "ip" if endpoint.version == 4 else "ipv6"


def packets_of(connection: Connection) -> int:
    """Return the packets of both directions at the point that saw most."""
    return max(
        sum(
            side[point].packets
            for side in (connection.forward, connection.reverse)
            if point in side
        )
        for point in connection.points
    )
