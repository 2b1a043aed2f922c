# SPDX-License-Identifier: Apache-2.0
"""Where requests go on behind a waypoint, and on which connection they reach the server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .draft import text
from .keys import Keys, OpenStream
from .mesh import LinkInputs, Mesh
from .requests import Exchange, Exchanges, Onward

Place = tuple[int, int]
"""HBONE connection (index) and stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRequest:
    """The first request of a session, on both sides of the waypoint."""

    inside: Exchange
    onward: Exchange
    hbone: int
    """Connection (index) that it went on in."""
    exchange: int
    """Which one of the onward stream it is."""
    inbound: int | None
    """Index of the inbound leg that its server's ztunnel opened for the stream."""


_SURE = 0.9
_MOST = 0.9999
"""What is as alike as can be may still be another: a request that an Envoy tried again, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """An onward stream that took requests of a session."""

    hbone: int
    stream: OpenStream
    requests: int
    by_content: bool
    """Whether header lines tell it, for all of them; else it is times alone for some."""
    probability: float
    """That it took one of the session's requests at least."""
    others: tuple[tuple[int, int, float], ...]
    """(connection, stream, probability) of those that may have taken them instead."""
    inbound: int | None
    """Index of the inbound leg that its server's ztunnel opened for it."""


def exchanges_of(mesh: Mesh) -> Exchanges:
    """Return what gathers the requests on HBONE connections to waypoints, and from them."""
    ends = {
        text(end)
        for leg in mesh.hbone
        for end in (leg.connection.client, leg.connection.server)
        if end[:3] in mesh.waypoints
    }
    return Exchanges(lambda connection: not ends.isdisjoint((connection.client, connection.server)))


class Waypoints:
    """Finds the streams that waypoints sent requests on in; nothing without keys."""

    def __init__(self, mesh: Mesh, inputs: LinkInputs, keys: Keys, slack_ns: int) -> None:
        self._keys = keys
        self._went: dict[Place, list[list[Onward[Place]]]] = {}
        self._inbound: Mapping[Place, int] = {}
        out_of: list[int] = []
        for address in sorted(mesh.waypoints):
            into = [h for h, leg in enumerate(mesh.hbone) if leg.connection.server[:3] == address]
            own = [h for h, leg in enumerate(mesh.hbone) if leg.connection.client[:3] == address]
            self._went |= keys.passed_on(into, own, slack_ns)
            out_of += own
        if self._went:
            self._inbound = _inbound_legs(mesh, inputs, keys, out_of)

    def first_request(self, stream: OpenStream | None) -> FirstRequest | None:
        """Return the first request of a session, where it is known which one it was behind."""
        if stream is None:
            return None
        place = stream.hbone, stream.stream
        requests = self._went.get(place, [])
        if not requests or not requests[0] or requests[0][0].probability < _SURE:
            return None
        went = requests[0][0]
        return FirstRequest(
            inside=self._keys.exchange(place, 0),
            onward=self._keys.exchange(went.stream, went.exchange),
            hbone=went.stream[0],
            exchange=went.exchange,
            inbound=self._inbound.get(went.stream),
        )

    def carriers(self, stream: OpenStream | None) -> list[Carrier]:
        """Return the onward streams of a session, in the order of its requests."""
        requests = [] if stream is None else self._went.get((stream.hbone, stream.stream), [])
        by_place: dict[Place, list[list[Onward[Place]]]] = defaultdict(list)
        for candidates in requests:
            if candidates:
                by_place[candidates[0].stream].append(candidates)
        found = (self._carrier(place, mine) for place, mine in by_place.items())
        return [carrier for carrier in found if carrier is not None]

    def _carrier(self, place: Place, requests: Sequence[Sequence[Onward[Place]]]) -> Carrier | None:
        stream = next((s for s in self._keys.on(place[0]) if s.stream == place[1]), None)
        if stream is None:
            return None
        missed = 1.0
        others: dict[Place, float] = {}
        for candidates in requests:
            by_stream: dict[Place, float] = defaultdict(float)
            for one in candidates:
                by_stream[one.stream] += one.probability
            missed *= 1 - min(by_stream.pop(place), 1.0)
            for other, probability in by_stream.items():
                others[other] = max(others.get(other, 0.0), probability)
        left = missed / max(sum(others.values()), missed, 1e-9)  # together at most 1
        return Carrier(
            hbone=place[0],
            stream=stream,
            requests=len(requests),
            by_content=all(candidates[0].shared_lines for candidates in requests),
            probability=min(1 - missed, _MOST),
            others=tuple((h, number, p * left) for (h, number), p in others.items()),
            inbound=self._inbound.get(place),
        )


def _inbound_legs(
    mesh: Mesh, inputs: LinkInputs, keys: Keys, out_of: Sequence[int]
) -> dict[Place, int]:
    """Return the inbound leg of each onward stream, where one alone fits."""
    by_source: dict[int, list[int]] = defaultdict(list)
    for h in out_of:
        by_source[inputs.hbone[h].source].append(h)
    fitting: dict[Place, list[int]] = defaultdict(list)
    for j, leg in enumerate(mesh.inbound):
        events = inputs.inbound[j]
        server = text(leg.connection.server)
        found = [
            stream
            for h in by_source.get(events.source, ())
            if (stream := keys.of_server(h, events, server)) is not None
        ]
        if len(found) == 1:
            fitting[found[0].hbone, found[0].stream].append(j)
    return {place: legs[0] for place, legs in fitting.items() if len(legs) == 1}
