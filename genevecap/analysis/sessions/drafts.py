# SPDX-License-Identifier: Apache-2.0
"""Decide for each session which connections it is, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...addresses import address_text, endpoint_text, parse_address
from ..grouping import Connection
from ..linking.link import Links, Partner, link
from ..linking.views import Views
from .answers import FarEnds
from .attempts import Attempts
from .draft import Draft, text
from .keys import Keys, OpenStream, outcome_of_status
from .logs import Logs
from .logs import outcome_of as logged_outcome
from .mesh import Address, LinkInputs, Mesh, client_hello_bytes
from .outcomes import Ending, ending, outcome_of
from .plain import LIKELY, passed_through, taken_inside
from .verdicts import Verdicts
from .waypoints import Waypoints

NAMED = 0.01
"""Least probability of an alternative that is listed."""
_SURE = 0.9
_OPENED, _READ, _PORT_ALONE = 0.9999, 0.99, 0.9
"""How sure it is that a connection without a client's leg is HBONE: with keys, with TLS that was
read, and by its port.  All such connections of the recorded sets are; what else may use that port
nobody can count."""
_ONE_ATTEMPT, _SOME_ATTEMPTS = 0.99, 0.9
"""That an attempt is the one that a client waited for, if no other fits, and if others do."""


class Drafts:
    """All sessions of a mesh, as drafts."""

    def __init__(self, mesh: Mesh, views: Views, slack_ns: int, keys: Keys, logs: Logs) -> None:
        """slack_ns: how far clocks may be apart; keys: what was opened; logs: what was logged."""
        self.mesh = mesh
        self.slack_ns = slack_ns
        self.views = views
        self.inputs = LinkInputs(mesh, views)
        self._far_ends = FarEnds(mesh, self.inputs)
        self._keys = keys
        self._logs = logs
        for i, leg in enumerate(mesh.outbound):
            found = keys.of_client(text(leg.connection.client), self.inputs.outbound[i])
            if found is not None:
                self.inputs.outbound[i].hbone = found.hbone
        self.links: Links = link(
            self.inputs.outbound, self.inputs.hbone, self.inputs.inbound, slack_ns=slack_ns
        )
        self._waypoints = Waypoints(mesh, self.inputs, keys, slack_ns)
        self._drafts: list[Draft] | None = None
        self.used_inbound: set[int] = set()
        self.used_direct: set[int] = set()
        self.shared_by: Counter[int] = Counter()
        """Sessions by HBONE connection."""
        self.inbound_shared_by: Counter[int] = Counter()
        """Sessions by inbound leg, of those behind waypoints."""

    def all(self) -> list[Draft]:
        """Return all sessions; `used_*` and `shared_by` say afterwards what they use."""
        if self._drafts is None:
            self._drafts = self._make()
        return self._drafts

    def _make(self) -> list[Draft]:
        self._assign_partners()
        drafts = self._outbound_drafts()
        drafts += self._plaintext_drafts()
        drafts += self._gateway_drafts()
        return drafts

    def _assign_partners(self) -> None:
        self._onward = self._onward_connections()
        free = [i for i in range(len(self.mesh.outbound)) if not self._is_sure(i)]
        self._passthrough = passed_through(self.mesh, self.inputs, self.views, free)
        taken = {
            found[0].index
            for found in self.links.partners.values()
            if found[0].probability >= LIKELY
        }
        self._plaintext = taken_inside(self.mesh, self.inputs, self.views, taken)
        attempts = Attempts(self.mesh, self.inputs)
        self._unanswered = attempts.unanswered
        self._tried = attempts.by_outbound(
            i
            for i, events in enumerate(self.inputs.outbound)
            if events.open_ns is not None and not events.down and self.partner(i) is None
        )

    def partner(self, i: int) -> Partner | None:
        """Return the inbound leg of an outbound one, where one is likelier than all others."""
        found = self.links.partners.get(i)
        return found[0] if found and found[0].probability >= LIKELY else None

    def _onward_connections(self) -> dict[int, int]:
        """Return the connection on which a gateway's ztunnel peer reached each inbound leg.

        A gateway opens one for each session, so they are given out one to one, the surest first.
        """
        gateways = self.mesh.gateways
        choices = [
            (-p, j, h)
            for j, found in self.links.own_backs.items()
            for h, p in found
            if self.mesh.hbone[h].connection.client[:3] in gateways
        ]
        result: dict[int, int] = {}
        given: set[int] = set()
        for _, j, h in sorted(choices):
            if j not in result and h not in given:
                result[j] = h
                given.add(h)
        return result

    def _outbound_drafts(self) -> list[Draft]:
        drafts = []
        for i, leg in enumerate(self.mesh.outbound):
            draft = Draft(connection=leg.connection, outbound=i)
            self._draft_way(i, draft)
            self._use(draft)
            drafts.append((ending(leg.connection), draft))
        verdicts = Verdicts(self.mesh, self.inputs, self.used_inbound)
        for end, draft in sorted(drafts, key=lambda pair: pair[0].server_reset_ns or 0):
            verdicts.settle(draft, end)
            self._draft_log(draft)
        return [draft for _, draft in drafts]

    def _draft_log(self, draft: Draft) -> None:
        client, last_ns = text(draft.connection.client), self.last_ns(draft.connection)
        line = draft.logged = self._logs.of_client(client, last_ns)
        if line is not None and draft.outcome == "unknown":
            draft.outcome = logged_outcome(line) or draft.outcome
        if line is not None and draft.server is None and draft.outbound is not None:
            draft.server = line.hbone_address

    def _use(self, draft: Draft) -> None:
        own = {draft.hbone, draft.onward, *(carrier.hbone for carrier in draft.carriers)}
        self.shared_by.update(h for h in own if h is not None)
        reached = {c.inbound for c in draft.carriers if c.inbound is not None}
        self.used_inbound |= reached
        self.inbound_shared_by.update(reached)
        if draft.inbound is not None:
            self.used_inbound.add(draft.inbound)
        if draft.direct is not None:
            self.used_direct.add(draft.direct)

    def _draft_way(self, i: int, draft: Draft) -> None:
        partner = self.partner(i)
        client = text(self.mesh.outbound[i].connection.client)
        draft.stream = self._keys.of_client(client, self.inputs.outbound[i])
        passed = self._passthrough.get(i)
        if partner is not None and (passed is None or self._is_sure(i)):
            self._draft_linked(i, partner, draft)
            return
        if passed is not None:
            draft.kind, draft.origin = "passthrough", "ztunnel"
            draft.direct, draft.confidence = passed.index, passed.probability
            draft.server = text(self.mesh.direct[passed.index].connection.server)
            return
        tried = self._tried.get(i)
        if tried is not None:
            draft.kind, draft.origin, draft.hbone = "hbone", "ztunnel", tried.hbone
            draft.outcome = "unreachable"
            draft.confidence = _ONE_ATTEMPT if tried.alone else _SOME_ATTEMPTS
            return
        way = self._own_way(i)
        if way is not None:
            draft.hbone, draft.confidence = way
        if draft.stream is not None:
            draft.hbone, draft.confidence = draft.stream.hbone, 1.0
        if draft.hbone is not None:
            called = self.mesh.outbound[i].connection.server[:3]
            draft.kind, draft.notes = self._kind_of(draft.hbone, called)
            draft.origin = "ztunnel"
            self._go_on(draft)

    def _go_on(self, draft: Draft) -> None:
        """Fill in where a waypoint sent the requests of a stream on."""
        if draft.kind != "waypoint":
            return
        draft.carriers = self._waypoints.carriers(draft.stream)
        draft.first_request = self._waypoints.first_request(draft.stream)
        servers = {
            text(self.mesh.inbound[carrier.inbound].connection.server)
            for carrier in draft.carriers
            if carrier.inbound is not None
        }
        if len(servers) == 1:
            (draft.server,) = servers
        for carrier in draft.carriers:
            draft.confidence *= carrier.probability

    def _draft_linked(self, i: int, partner: Partner, draft: Draft) -> None:
        draft.inbound = partner.index
        draft.origin = "ztunnel"
        draft.server = text(self.mesh.inbound[partner.index].connection.server)
        through = self.links.through.get((i, partner.index), [])
        if partner.index in self._onward:
            through = through or [(self._onward[partner.index], partner.probability)]
        if not through:
            draft.kind, draft.confidence = "hbone", partner.probability
            return
        h, probability = through[0]
        if self.mesh.hbone[h].connection.client[:3] in self.mesh.gateways:
            h = self._onward.get(partner.index, h)
            if draft.stream is not None and draft.stream.onward is not None:
                h = draft.stream.onward
            outer = self.inputs.hbone[h].relayed_from
            draft.kind, draft.onward = "multi-network", h
            draft.hbone = outer if outer is not None else self._outer_way(i)
        else:
            draft.kind, draft.hbone = "hbone", h
        if draft.stream is not None:
            draft.hbone = draft.stream.hbone
        draft.confidence = probability

    def _outer_way(self, i: int) -> int | None:
        way = self._own_way(i)
        return None if way is None else way[0]

    def _own_way(self, i: int) -> tuple[int, float] | None:
        """Return the HBONE connection that carried an outbound leg, where one is likely."""
        found = self.own_ways(i)
        return found[0] if found and found[0][1] >= LIKELY else None

    def own_ways(self, i: int) -> list[tuple[int, float]]:
        """Return (HBONE connection, probability) of those that left the leg's own ztunnel."""
        events = self.inputs.outbound[i]
        pair: dict[int, float] = {}
        for h, p in self.links.ways.get(i, []):
            # What a gateway passed on came from it inside another connection.
            outer = self.inputs.hbone[h].relayed_from
            own = h if self.inputs.hbone[h].source in events.pools else outer
            if own is not None and own not in self._unanswered:
                pair[own] = pair.get(own, 0.0) + p
        if not pair:
            pair = {h: p for h, p in self.links.own_ways.get(i, []) if h not in self._unanswered}
        total = sum(pair.values())
        return sorted(((h, p / total) for h, p in pair.items()), key=lambda item: -item[1])

    def last_ns(self, connection: Connection) -> int:
        """Return when a connection's last packet was seen, on the common clock."""
        return max(self.views.at(h.point, h.last_ns) for h in connection.halves())

    def _is_sure(self, i: int) -> bool:
        """Tell whether an outbound leg's partner leaves no room for a plain connection."""
        partner = self.partner(i)
        return partner is not None and partner.probability >= _SURE

    def _kind_of(self, h: int, called: Address | None = None) -> tuple[str, list[str]]:
        """Return the kind of what HBONE carries, and what tells it where little was captured.

        called: address that the client called, where it is known.
        """
        server = self.mesh.hbone[h].connection.server[:3]
        if server in self.mesh.waypoints:
            return "waypoint", []
        if server in self.mesh.gateways:
            return "multi-network", []
        far = self._far_ends.of(server)
        if far is None or server == called:  # a pod's own sidecar is where the pod is
            return "hbone", []
        told = (
            f"markers: the answer on HBONE has {far.answer_bytes} octets, as an Envoy's has and no "
            "ztunnel's"
        )
        if far.passes_on:
            return "multi-network", [f"{told}; the client's ztunnel speaks TLS through it"]
        return "waypoint", [told]

    def _plaintext_drafts(self) -> Iterator[Draft]:
        """Yield plain connections into pods, which their ztunnel took and passed on."""
        for d, partner in self._plaintext.items():
            connection = self.mesh.direct[d].connection
            draft = Draft(
                connection=connection,
                kind="plaintext-inbound",
                outcome=outcome_of(ending(connection)),
                server=text(self.mesh.inbound[partner.index].connection.server),
                confidence=partner.probability,
                inbound=partner.index,
            )
            self.used_inbound.add(partner.index)
            self.used_direct.add(d)
            yield draft

    def _gateway_drafts(self) -> Iterator[Draft]:
        """Yield sessions whose client is not in the capture: HBONE of gateways and sidecars."""
        captured = {leg.connection.client[:3] for leg in self.mesh.outbound}
        known = captured | self.mesh.waypoints | self.mesh.gateways
        for j in range(len(self.mesh.inbound)):
            if j in self.used_inbound:
                continue
            back = self.links.backs.get(j)
            candidates = self.links.outbound_of.get(j)
            if not back or (candidates and candidates[0].probability >= NAMED):
                continue
            h, probability = back[0]
            if self.mesh.hbone[h].connection.client[:3] not in known:
                yield self._with_server(h, j, probability)
        for h, leg in enumerate(self.mesh.hbone):
            if self.shared_by[h] or leg.connection.client[:3] in known:
                continue
            drafts = [self._of_stream(h, stream) for stream in self._keys.on(h)]
            for draft in drafts or [self._of_hbone(h)]:
                self._use(draft)
                yield draft

    def _with_server(self, h: int, j: int, probability: float) -> Draft:
        connection = self.mesh.inbound[j].connection
        draft = self._of_hbone(h)
        draft.inbound, draft.confidence = j, probability
        draft.outcome = outcome_of(ending(connection))
        draft.server = text(connection.server)
        draft.stream = self._keys.of_server(h, self.inputs.inbound[j], draft.server)
        if draft.stream is not None:
            draft.notes.append("keys: no other stream fits in time, target and octets")
        self._use(draft)
        return draft

    def _of_stream(self, h: int, stream: OpenStream) -> Draft:
        """Return the session of a stream whose client was not captured."""
        draft = self._of_hbone(h)
        named = "" if stream.forwarded_for is None else f" for {stream.forwarded_for}"
        draft.stream, draft.confidence, draft.outcome = stream, _OPENED, stream.outcome
        draft.server = _endpoint(stream.authority)
        draft.notes.append(f"keys: CONNECT to {stream.authority or 'nowhere'}{named}")
        if outcome_of_status(stream.status) is not None:
            draft.verdict.append(f"keys: the answer on its stream is {stream.status}")
        self._go_on(draft)
        if draft.outcome == "unknown" and draft.carriers:
            draft.outcome = "completed"  # an Envoy resets a tunnel after its last response
        return draft

    def _of_hbone(self, h: int) -> Draft:
        connection = self.mesh.hbone[h].connection
        end = ending(connection)
        kind, notes = self._kind_of(h)
        read = client_hello_bytes(connection) is not None and len(self.inputs.hbone[h].down) > 0
        notes.append(
            "markers: TLS in both directions, as HBONE has it"
            if read
            else "address: port 15008 alone says that this is HBONE"
        )
        return Draft(
            connection=connection,
            kind=kind,
            notes=notes,
            outcome=_outcome_of_hbone(end),
            origin=self.mesh.origin(connection.client[:3]),
            hbone=h,
            confidence=_READ if read else _PORT_ALONE,
        )


def _endpoint(authority: str | None) -> str | None:
    """Return an authority that is an address and a port; what it names else is no endpoint."""
    host, _, port = (authority or "").rpartition(":")
    try:
        return endpoint_text(address_text(*parse_address(host.strip("[]"))), int(port))
    except ValueError:
        return None


def _outcome_of_hbone(end: Ending) -> str:
    if end.unreachable:
        return "unreachable"
    return outcome_of(end) if end.answered else "unknown"
