# SPDX-License-Identifier: Apache-2.0
"""What opened HBONE says of sessions: which stream carried which client's connection.

From 1.22 ztunnel's CONNECT has a `forwarded` header with the client's address *and port*
(istio/ztunnel src/proxy/outbound.rs), which names the outbound leg exactly.  Before, it has the
address alone, which names nothing that was not known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..grouping import Connection
from ..hbone.results import HboneReading, OpenedConnection, OpenedStream
from ..linking.events import LegEvents

Correct = Callable[[int, int], int]
"""From (point index, time) to the time on the common clock."""

_LATE_NS = 30_000_000_000
"""How long after a client's SYN its CONNECT may come: HBONE may have to be opened first."""
_EARLY_NS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """One opened stream, and the HBONE connection (index) that it is on."""

    hbone: int
    stream: int
    authority: str | None
    status: int | None
    up_bytes: int
    down_bytes: int
    connect_ns: int
    """On the common clock."""
    end_ns: int
    onward: int | None
    """Index of the connection on which a gateway passed on what is in this stream."""


class Keys:
    """Opened streams by what names them; empty where nothing was opened."""

    def __init__(
        self,
        reading: HboneReading | None,
        connections: Sequence[Connection],
        correct: Correct,
    ) -> None:
        """Index what was opened; `connections` are the mesh's HBONE connections in its order."""
        self._by_client: dict[str, list[OpenStream]] = defaultdict(list)
        self._by_hbone: dict[int, list[OpenStream]] = defaultdict(list)
        if reading is None:
            return
        by_isn = {
            half.isn: h
            for h, connection in enumerate(connections)
            for half in connection.forward.values()
            if half.isn is not None
        }
        by_random = {
            opened.id.client_random: by_isn.get(isn)
            for opened in reading.opened
            if (isn := opened.id.client_isn) is not None
        }
        for opened in reading.opened:
            isn = opened.id.client_isn
            h = None if isn is None else by_isn.get(isn)
            if h is not None:
                self._add(opened, h, by_random, correct)

    def _add(
        self,
        opened: OpenedConnection,
        h: int,
        by_random: dict[bytes, int | None],
        correct: Correct,
    ) -> None:
        for stream in opened.streams:
            inner = stream.inner
            found = OpenStream(
                hbone=h,
                stream=stream.id.stream,
                authority=stream.authority,
                status=stream.status,
                up_bytes=stream.up_bytes,
                down_bytes=stream.down_bytes,
                connect_ns=correct(opened.point, stream.connect_ns),
                end_ns=correct(opened.point, _end_ns(stream)),
                onward=by_random.get(inner.id.client_random) if inner is not None else None,
            )
            self._by_hbone[h].append(found)
            names = {stream.forwarded_for}
            if inner is not None:
                names |= {nested.forwarded_for for nested in inner.streams}
            for name in names:
                if name is not None:
                    self._by_client[name].append(found)

    def of_client(self, client: str, events: LegEvents) -> OpenStream | None:
        """Return the stream whose CONNECT names a client's `ip:port`, at a time that fits."""
        fitting = [
            stream
            for stream in self._by_client.get(client, ())
            if events.open_ns is None
            or events.open_ns - _EARLY_NS <= stream.connect_ns <= events.open_ns + _LATE_NS
        ]
        return min(fitting, key=lambda s: s.connect_ns, default=None)

    def of_server(self, h: int, events: LegEvents, server: str) -> OpenStream | None:
        """Return the stream of a connection that an inbound leg answers, if only one fits."""
        fitting = [
            stream
            for stream in self._by_hbone.get(h, ())
            if stream.authority == server
            and (events.open_ns is None or stream.connect_ns <= events.open_ns <= stream.end_ns)
            and events.up_bytes in {None, stream.up_bytes}
            and events.down_bytes in {None, stream.down_bytes}
        ]
        return fitting[0] if len(fitting) == 1 else None


def _end_ns(stream: OpenedStream) -> int:
    """Return when a stream was last heard of."""
    reset = stream.reset.time_ns if stream.reset is not None else None
    known = (stream.connect_ns, stream.status_ns, stream.end_up_ns, stream.end_down_ns, reset)
    return max(moment for moment in known if moment is not None)
