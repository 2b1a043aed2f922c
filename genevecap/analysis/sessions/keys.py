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
from ..hbone.results import HboneReading, OpenedConnection, OpenedStream, StreamId
from ..linking.events import LegEvents
from .requests import Exchange, Exchanges, Onward, pass_on

Correct = Callable[[int, int], int]
"""From (point index, time) to the time on the common clock."""

_OK = 200
_DENIED = frozenset({401, 403})
"""A policy's denial; other statuses but 200 are refusals: istio/ztunnel src/proxy/inbound.rs."""
_NO_ERROR = 0
"""RFC 9113 section 7: an Envoy resets a stream so when all of it was said."""
_LATE_NS = 30_000_000_000
"""How long after a client's SYN its CONNECT may come: HBONE may have to be opened first."""
_EARLY_NS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """One opened stream, and the HBONE connection (index) that it is on."""

    hbone: int
    stream: int
    id: StreamId
    authority: str | None
    status: int | None
    up_bytes: int
    down_bytes: int
    connect_ns: int
    """On the common clock."""
    status_ns: int | None
    end_ns: int
    forwarded_for: str | None
    """`ip:port` of the client that CONNECT names."""
    outcome: str
    """How it ended, in CONTRACT's words, as far as the stream alone shows."""
    onward: int | None
    """Index of the connection on which a gateway passed on what is in this stream."""
    onward_stream: int | None
    """The client's stream inside it."""


class Keys:
    """Opened streams by what names them; empty where nothing was opened."""

    def __init__(
        self,
        reading: HboneReading | None,
        connections: Sequence[Connection],
        correct: Correct,
        exchanges: Exchanges | None = None,
    ) -> None:
        """Index what was opened; `connections` are the mesh's HBONE connections in its order.

        exchanges: what was read of the streams of waypoints.
        """
        self._exchanges: dict[tuple[int, int], list[Exchange]] = {}
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
                if exchanges is not None:
                    self._add_exchanges(opened, h, correct, exchanges)
                self._add(opened, h, by_random, correct)

    def _add_exchanges(
        self, opened: OpenedConnection, h: int, correct: Correct, exchanges: Exchanges
    ) -> None:
        for stream in opened.streams:
            found = exchanges.of(stream.id)
            if found:
                self._exchanges[h, stream.id.stream] = [
                    Exchange(
                        request_ns=correct(opened.point, one.request_ns),
                        response_ns=None
                        if one.response_ns is None
                        else correct(opened.point, one.response_ns),
                        lines=one.lines,
                    )
                    for one in found
                ]

    def _add(
        self,
        opened: OpenedConnection,
        h: int,
        by_random: dict[bytes, int | None],
        correct: Correct,
    ) -> None:
        for stream in opened.streams:
            inner = stream.inner
            spoken = [
                one.response_ns or one.request_ns
                for one in self._exchanges.get((h, stream.id.stream), ())
            ]
            found = OpenStream(
                hbone=h,
                stream=stream.id.stream,
                id=stream.id,
                authority=stream.authority,
                status=stream.status,
                up_bytes=stream.up_bytes,
                down_bytes=stream.down_bytes,
                connect_ns=correct(opened.point, stream.connect_ns),
                status_ns=None
                if stream.status_ns is None
                else correct(opened.point, stream.status_ns),
                end_ns=max([correct(opened.point, _end_ns(stream)), *spoken[-1:]]),
                forwarded_for=stream.forwarded_for,
                outcome=_outcome(stream),
                onward_stream=inner.streams[0].id.stream
                if inner is not None and inner.streams
                else None,
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

    def on(self, h: int) -> Sequence[OpenStream]:
        """Return the streams of a connection, in the order they were opened."""
        return self._by_hbone.get(h, ())

    def exchange(self, place: tuple[int, int], number: int) -> Exchange:
        """Return an exchange of a (connection, stream) that `passed_on` named."""
        return self._exchanges[place][number]

    def passed_on(
        self, into: Sequence[int], out_of: Sequence[int], slack_ns: int
    ) -> dict[tuple[int, int], list[list[Onward[tuple[int, int]]]]]:
        """Return where a waypoint sent the requests of each (connection, stream) into it.

        For each request the (connection, stream) out of it that it may have gone on in.
        """
        inside, onward = (
            {key: found for key, found in self._exchanges.items() if key[0] in set(side)}
            for side in (into, out_of)
        )
        found = pass_on(inside, onward, slack_ns=slack_ns)
        return {
            key: [found.get((key, number), []) for number in range(len(exchanges))]
            for key, exchanges in inside.items()
        }

    def of_server(self, h: int, events: LegEvents, server: str) -> OpenStream | None:
        """Return the stream of a connection that an inbound leg answers, if only one fits."""
        fitting = [
            stream
            for stream in self._by_hbone.get(h, ())
            if stream.authority == server
            and (events.open_ns is None or _is_opened_in(stream, events.open_ns))
            and events.up_bytes in {None, stream.up_bytes}
            and events.down_bytes in {None, stream.down_bytes}
        ]
        if len(fitting) > 1:
            seen = _seen_bytes(events)
            fitting = [stream for stream in fitting if (stream.up_bytes, stream.down_bytes) == seen]
        return fitting[0] if len(fitting) == 1 else None


def _seen_bytes(events: LegEvents) -> tuple[int, int]:
    """Return the payload of both directions of a leg, as far as it was seen."""
    return sum(message.bytes for message in events.up), sum(m.bytes for m in events.down)


def _is_opened_in(stream: OpenStream, open_ns: int) -> bool:
    """Tell whether a server's connection was opened between CONNECT and its answer."""
    last_ns = stream.end_ns if stream.status_ns is None else stream.status_ns
    return stream.connect_ns <= open_ns <= last_ns


def outcome_of_status(status: int | None) -> str | None:
    """Return the outcome that an answer means, None where it means none: 200, or none at all."""
    if status is None or status == _OK:
        return None
    return "denied" if status in _DENIED else "refused"


def _outcome(stream: OpenedStream) -> str:
    told = outcome_of_status(stream.status)
    if told is not None:
        return told
    if stream.inner is not None and stream.inner.streams:
        inside = stream.inner.streams[-1]
        told = _outcome(inside)
        if told == "open" and stream.reset is not None:  # the client resets it when it has all
            return "completed" if inside.end_down_ns is not None else "unknown"
        return told
    if stream.reset is not None:
        return "completed" if stream.reset.code == _NO_ERROR else "unknown"
    ended = stream.end_up_ns is not None and stream.end_down_ns is not None
    return "completed" if ended else "open"


def _end_ns(stream: OpenedStream) -> int:
    """Return when a stream was last heard of."""
    reset = stream.reset.time_ns if stream.reset is not None else None
    known = (stream.connect_ns, stream.status_ns, stream.end_up_ns, stream.end_down_ns, reset)
    return max(moment for moment in known if moment is not None)
