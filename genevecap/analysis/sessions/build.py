# SPDX-License-Identifier: Apache-2.0
"""Sessions as results: what each draft's connections show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..connections import Endpoint
from ..grouping import Connection
from ..linking.events import LegEvents
from ..linking.legs import endpoint_address
from ..linking.link import Partner
from ..points.roles import PointRole
from . import evidence
from .draft import Draft, text
from .drafts import NAMED, Drafts
from .keys import OpenStream
from .logs import evidence_of
from .modes import Modes
from .outcomes import ending
from .results import Alternative, LegSummary, SegmentTime, SessionSummary, Timing, Wait
from .timing import by_segment, through_waypoint
from .waits import all_waits, handshake, waits_of, within
from .waypoint_times import WaypointTimes
from .waypoints import Carrier

_WENT_ON = frozenset({"completed", "open", "aborted"})
"""Outcomes of sessions that reached a server, or may have."""


class SessionBuilder:
    """Turns drafts into sessions."""

    def __init__(
        self,
        drafts: Drafts,
        roles: Sequence[PointRole],
        modes: Modes,
        uncertainty_ns: Callable[[int, int], int],
    ) -> None:
        """uncertainty_ns: of the clocks of two points against each other."""
        self._drafts = drafts
        self._mesh = drafts.mesh
        self._views = drafts.views
        self._inputs = drafts.inputs
        self._links = drafts.links
        self._waypoint_times = WaypointTimes(drafts.mesh, drafts.inputs, roles)
        self._hbone_waits: dict[tuple[str, int], list[Wait]] = {}
        self._roles = {role.index: role for role in roles}
        self._nodes: dict[str, str] = {}
        for role in roles:
            for address in role.addresses if role.node is not None else ():
                self._nodes.setdefault(address, role.node or "")
        self._modes = modes
        self._uncertainty_ns = uncertainty_ns

    def sessions(self) -> list[SessionSummary]:
        """Return all sessions, in the order of their first packets."""
        found = [self._session(draft) for draft in self._drafts.all()]
        found.sort(key=lambda session: (session[0], session[1].client))
        return [replace(session, id=number) for number, (_, session) in enumerate(found, 1)]

    def unlinked(self) -> list[LegSummary]:
        """Return legs of the mesh that no session uses; call it after `sessions`."""
        legs = []
        for j, leg in enumerate(self._mesh.inbound):
            if j not in self._drafts.used_inbound:
                legs.append(self._leg("inbound", leg.connection, 0.0, 0, []))
        for h, leg in enumerate(self._mesh.hbone):
            if not self._drafts.shared_by[h]:
                legs.append(self._leg("hbone", leg.connection, 0.0, 0, []))
        return legs

    def _session(self, draft: Draft) -> tuple[int, SessionSummary]:
        i = draft.outbound
        events = self._inputs.outbound[i] if i is not None else None
        legs = list(self._legs(draft, i))
        lines = self._evidence(draft, i)
        first_ns = min(
            self._views.at(half.point, half.first_ns) for half in draft.connection.halves()
        )
        if draft.outbound is None and draft.stream is not None:
            first_ns = draft.stream.connect_ns
        return first_ns, SessionSummary(
            id=0,
            client=text(draft.connection.client),
            destination=text(draft.connection.server),
            server=draft.server,
            kind=draft.kind,
            outcome=draft.outcome,
            origin=draft.origin,
            same_node=self._same_node(draft),
            mode_client=self._modes.of_client(draft.connection),
            mode_server=self._modes.of_server(self._server_connection(draft)),
            confidence=round(min(draft.confidence, 1.0, *(leg.confidence for leg in legs)), 6),
            evidence=tuple(lines),
            legs=tuple(legs),
            timing=self._timing(draft, events, i),
        )

    def _server_connection(self, draft: Draft) -> Connection | None:
        if draft.inbound is not None:
            return self._mesh.inbound[draft.inbound].connection
        if draft.hbone is not None:
            return self._mesh.hbone[draft.hbone].connection
        return None

    def _legs(self, draft: Draft, i: int | None) -> Iterator[LegSummary]:
        if i is not None or draft.kind == "plaintext-inbound":
            yield self._leg("outbound", draft.connection, 1.0, 1, [])
        if draft.hbone is not None:
            ways = self._drafts.own_ways(i) if i is not None else []
            others = [
                self._alternative(self._mesh.hbone[h].connection, p)
                for h, p in ways
                if h not in {draft.hbone, draft.onward} and p >= NAMED
            ]
            known = dict(ways).get(draft.hbone, draft.confidence)
            if draft.stream is not None or draft.hbone not in dict(ways):
                others = []
            if draft.stream is not None:
                known = 1.0
            leg = self._leg(
                "hbone",
                self._mesh.hbone[draft.hbone].connection,
                known,
                self._drafts.shared_by[draft.hbone],
                others,
            )
            yield leg if draft.stream is None else _with_stream(leg, draft.stream)
        for carrier in draft.carriers:
            yield from self._onward_legs(carrier)
        if draft.onward is not None:
            onward = self._mesh.hbone[draft.onward].connection
            leg = self._leg("waypoint", onward, draft.confidence, 1, [])
            if draft.stream is not None and draft.stream.onward == draft.onward:
                leg = replace(leg, stream=draft.stream.onward_stream)
            yield leg
        if draft.direct is not None:
            direct = self._mesh.direct[draft.direct].connection
            yield self._leg("inbound", direct, draft.confidence, 1, [])
        yield from self._inbound_leg(draft, i)

    def _onward_legs(self, carrier: Carrier) -> Iterator[LegSummary]:
        """Yield an onward stream of a waypoint, and what its server's ztunnel opened for it."""
        others = [
            replace(self._alternative(self._mesh.hbone[h].connection, p), stream=stream)
            for h, stream, p in carrier.others
            if p >= NAMED
        ]
        leg = self._leg(
            "waypoint",
            self._mesh.hbone[carrier.hbone].connection,
            carrier.probability,
            self._drafts.shared_by[carrier.hbone],
            others,
        )
        yield _with_stream(leg, carrier.stream)
        if carrier.inbound is not None:
            yield self._leg(
                "inbound",
                self._mesh.inbound[carrier.inbound].connection,
                carrier.probability,
                self._drafts.inbound_shared_by[carrier.inbound],
                [],
            )

    def _inbound_leg(self, draft: Draft, i: int | None) -> Iterator[LegSummary]:
        found = self._links.partners.get(i, []) if i is not None else []
        named = [p for p in found if p.probability >= NAMED]
        if draft.inbound is None:
            if draft.kind in {"hbone", "multi-network"} and named and draft.outcome in _WENT_ON:
                yield from self._uncertain_leg(named)
            return
        probability = draft.confidence
        for partner in found:
            if partner.index == draft.inbound:
                probability = partner.probability
        others = [
            self._alternative(self._mesh.inbound[p.index].connection, p.probability)
            for p in named
            if p.index != draft.inbound
        ]
        connection = self._mesh.inbound[draft.inbound].connection
        yield self._leg("inbound", connection, probability, 1, others)

    def _uncertain_leg(self, named: Sequence[Partner]) -> Iterator[LegSummary]:
        """Name the likeliest candidate although it is less likely than all others together."""
        best, *others = named
        yield self._leg(
            "inbound",
            self._mesh.inbound[best.index].connection,
            best.probability,
            1,
            [
                self._alternative(self._mesh.inbound[p.index].connection, p.probability)
                for p in others
            ],
        )
        self._drafts.used_inbound.add(best.index)

    def _alternative(self, connection: Connection, probability: float) -> Alternative:
        return Alternative(
            source=text(connection.client),
            destination=text(connection.server),
            stream=None,
            confidence=round(probability, 6),
        )

    def _leg(
        self,
        role: str,
        connection: Connection,
        confidence: float,
        shared_by: int,
        alternatives: Sequence[Alternative],
    ) -> LegSummary:
        point = self._views.point(connection)
        halves = [side[point] for side in (connection.forward, connection.reverse) if point in side]
        alone = shared_by <= 1
        order = sorted(
            connection.points,
            key=lambda p: min(
                self._views.at(half.point, half.first_ns)
                for half in connection.halves()
                if half.point == p
            ),
        )
        return LegSummary(
            role=role,
            source=text(connection.client),
            destination=text(connection.server),
            stream=None,
            shared_by=shared_by,
            confidence=round(min(confidence, 1.0), 6),
            points=tuple(self._roles[p].name for p in order),
            packets=sum(half.packets for half in halves) if alone else None,
            payload_bytes=sum(half.highest for half in halves) if alone else None,
            first_ns=min(self._views.at(h.point, h.first_ns) for h in connection.halves()),
            last_ns=self._drafts.last_ns(connection),
            alternatives=tuple(alternatives),
        )

    def _evidence(self, draft: Draft, i: int | None) -> list[str]:
        if draft.kind == "unlinked":
            return ["address: no HBONE connection of this client was captured that fits"]
        lines: list[str] = []
        if draft.stream is not None and i is not None:
            lines.append(f"keys: stream {draft.stream.stream} was opened for this client")
        if draft.logged is not None:
            lines.append(evidence_of(draft.logged))
        if i is not None and draft.inbound is not None:
            partner = self._drafts.partner(i)
            if partner is not None:
                lines += evidence.of_pair(
                    self._inputs.outbound[i], self._inputs.inbound[draft.inbound], partner
                )
        lines += [*draft.notes, *draft.verdict, *_evidence_of_way(draft)]
        if draft.hbone is not None:
            syns = ending(self._mesh.hbone[draft.hbone].connection).syns
            if syns > 1 and draft.outcome != "unreachable":
                lines.append(f"causality: HBONE's SYN was sent {syns} times before it was answered")
        if not lines and draft.hbone is not None:
            lines.append("address: HBONE comes from this client's address")
        if i is not None and draft.inbound is None and draft.kind == "hbone":
            candidates = self._links.partners.get(i, [])
            if not candidates:
                lines.append("address: no connection to a server was captured that fits")
        return lines

    def _same_node(self, draft: Draft) -> bool | None:
        if draft.hbone is None:
            return None
        connection = self._mesh.hbone[draft.hbone].connection
        client = self._node_of(connection.client)
        server = self._node_of(connection.server)
        if client is not None and server is not None:
            return client == server
        return False if self._mesh.hbone[draft.hbone].between else None

    def _node_of(self, endpoint: Endpoint) -> str | None:
        return self._nodes.get(endpoint_address(endpoint))

    def _timing(self, draft: Draft, events: LegEvents | None, i: int | None) -> Timing:
        if events is None or events.open_ns is None:
            return Timing(total_ns=None, first_byte_ns=None, by_segment=())
        point = self._views.point(draft.connection)
        halves = [
            side[point]
            for side in (draft.connection.forward, draft.connection.reverse)
            if point in side
        ]
        lasts = [self._views.at(h.point, h.last_payload_ns) for h in halves if h.last_payload_ns]
        first = _since(events.open_ns, events.down[0].time_ns if events.down else None)
        return Timing(
            total_ns=_since(events.open_ns, max(lasts, default=None)),
            first_byte_ns=first,
            by_segment=() if first is None else self._by_segment(draft, events, i),
            waits=self._waits(draft, events.open_ns),
        )

    def _by_segment(
        self, draft: Draft, events: LegEvents, i: int | None
    ) -> tuple[SegmentTime, ...]:
        request, stream = draft.first_request, draft.stream
        if request is not None and stream is not None:
            times = self._waypoint_times
            return through_waypoint(
                events,
                times.inside(stream, request),
                times.onward(request),
                times.served(request),
                self._uncertainty_between(draft, self._mesh.hbone[request.hbone].connection),
            )
        carrier = draft.onward if draft.onward is not None else draft.hbone
        if draft.inbound is None or carrier is None:
            return by_segment(events, None, None, 0)
        return by_segment(
            events,
            self._inputs.inbound[draft.inbound],
            self._links.moments(i, draft.inbound, carrier),
            self._uncertainty_between(draft, self._mesh.inbound[draft.inbound].connection),
        )

    def _uncertainty_between(self, draft: Draft, other: Connection) -> int:
        """Return that of the clocks of two connections' points against each other."""
        points = self._views.point(draft.connection), self._views.point(other)
        return self._uncertainty_ns(*points)

    def _waits(self, draft: Draft, open_ns: int) -> tuple[Wait, ...]:
        """Return the waits of a session's legs that have a name, while it was open."""
        span_ns = open_ns, self._drafts.last_ns(draft.connection)
        found = waits_of("outbound", draft.connection, self._views.corrected, span_ns)
        for role, h in (("hbone", draft.hbone), ("waypoint", draft.onward)):
            if h is not None:
                found += within(self._waits_of_hbone(role, h), span_ns)
                found += handshake(role, self._inputs.hbone[h], span_ns)
        if draft.inbound is not None:
            connection = self._mesh.inbound[draft.inbound].connection
            found += waits_of("inbound", connection, self._views.corrected, span_ns)
        return tuple(sorted(found, key=lambda wait: (wait.at_ns, wait.name)))

    def _waits_of_hbone(self, role: str, h: int) -> list[Wait]:
        """Return all waits of a connection, which many sessions may share."""
        found = self._hbone_waits.get((role, h))
        if found is None:
            connection = self._mesh.hbone[h].connection
            found = all_waits(role, connection, self._views.corrected)
            self._hbone_waits[role, h] = found
        return found


def _since(open_ns: int, time_ns: int | None) -> int | None:
    """Return the time since a SYN; None where a clock that was set back makes it negative."""
    return None if time_ns is None or time_ns < open_ns else time_ns - open_ns


def _with_stream(leg: LegSummary, stream: OpenStream) -> LegSummary:
    """Return an HBONE leg as the one stream that keys opened."""
    return replace(
        leg,
        stream=stream.stream,
        packets=None,
        payload_bytes=stream.up_bytes + stream.down_bytes,
        first_ns=stream.connect_ns,
        last_ns=stream.end_ns,
    )


def _evidence_of_way(draft: Draft) -> list[str]:
    """Return what speaks for a session's kind and outcome."""
    lines: list[str] = []
    if draft.outcome == "unreachable":
        lines.append("causality: SYNs to port 15008 were never answered")
    if draft.carriers:
        count = sum(carrier.requests for carrier in draft.carriers)
        told = all(carrier.by_content for carrier in draft.carriers)
        lines.append(
            f"{'content' if told else 'causality'}: the waypoint sent {count} of its requests on "
            f"in the streams named here, {'as header lines' if told else 'as times alone'} tell"
        )
    elif draft.kind == "waypoint":
        lines.append(
            "address: the waypoint ends this tunnel; what it sends on is pooled anew, and "
            "without keys the evidence ends here"
        )
    if draft.kind == "passthrough":
        lines.append("address: ztunnel opened a plain connection for this one")
    return lines
