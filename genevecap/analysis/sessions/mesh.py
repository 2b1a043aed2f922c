# SPDX-License-Identifier: Apache-2.0
"""Who is who in the mesh, as its connections show it, and what may be linked with what.

Who stands between client and server is told by ClientHellos (`relays`), and the capture itself
shows what ztunnel's is like, for a pod with an intercepted connection is behind one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from ...decode.tls_records import HANDSHAKE
from ..connections import Half
from ..grouping import Connection
from ..linking.events import HboneRecords, LegEvents
from ..linking.legs import Leg, LegRole
from ..linking.relay import relay
from ..linking.views import Views
from ..relays import Relay, by_hellos

Address = tuple[int, int, int]


def client_hello_bytes(connection: Connection) -> int | None:
    """Return the length of a connection's ClientHello record, None where it was not read."""
    for half in connection.forward.values():
        first = _first_record(half)
        if first is not None and first[0] == HANDSHAKE:
            return first[1]
    return None


def _first_record(half: Half) -> tuple[int, int] | None:
    """Return (type, length) of a direction's first record."""
    if half.records is None or not half.records.rows or half.records.rows[2]:
        return None
    return half.records.rows[0], half.records.rows[1]


@dataclass(slots=True, kw_only=True)
class Mesh:
    """The legs of a capture by their role, and what is between their ends."""

    outbound: list[Leg] = field(default_factory=list)
    hbone: list[Leg] = field(default_factory=list)
    inbound: list[Leg] = field(default_factory=list)
    direct: list[Leg] = field(default_factory=list)
    gateways: set[Address] = field(default_factory=set)
    """Addresses that pass HBONE on as it is (multi-network)."""
    waypoints: set[Address] = field(default_factory=set)
    """Addresses that end HBONE and open another."""
    senders: set[Address] = field(default_factory=set)
    """Addresses that open HBONE themselves, without a ztunnel: gateways and sidecars."""

    @classmethod
    def of(cls, legs: Sequence[Leg]) -> Mesh:
        """Sort legs by role and find out who stands between."""
        mesh = cls()
        lists = {
            LegRole.OUTBOUND: mesh.outbound,
            LegRole.HBONE: mesh.hbone,
            LegRole.INBOUND: mesh.inbound,
            LegRole.DIRECT: mesh.direct,
        }
        for leg in legs:
            if leg.role in lists:
                lists[leg.role].append(leg)
        mesh._find_intermediates()
        return mesh

    def _find_intermediates(self) -> None:
        captured = {leg.connection.client[:3] for leg in self.outbound}
        hellos: dict[Address, list[int]] = defaultdict(list)
        for leg in self.hbone:
            size = client_hello_bytes(leg.connection)
            if size is not None:
                hellos[leg.connection.client[:3]].append(size)
        known = {size for address in captured for size in hellos[address]}
        servers: dict[Address, list[Connection]] = defaultdict(list)
        for leg in self.hbone:
            servers[leg.connection.server[:3]].append(leg.connection)
        for address in {leg.connection.client[:3] for leg in self.hbone} - captured:
            into = servers.get(address, [])
            found = by_hellos(hellos[address], partial(_came, into), known)
            if found is Relay.WAYPOINT:
                (self.waypoints if into else self.senders).add(address)
            elif found is Relay.GATEWAY:
                self.gateways.add(address)

    def origin(self, address: Address) -> str:
        """Return who opened HBONE from an address, in CONTRACT's words."""
        if address in self.waypoints:
            return "waypoint"
        if address in self.senders:
            return "gateway"
        return "ztunnel"


def _came(connections: Sequence[Connection], lengths: Collection[int]) -> int:
    """Return how many TLS records of these lengths the clients of connections sent."""
    counts = (
        max(
            (
                sum(length in lengths for length in half.records.rows[1::5])
                for half in connection.forward.values()
                if half.records is not None
            ),
            default=0,
        )
        for connection in connections
    )
    return sum(counts)


class LinkInputs:
    """The columns that `linking.link` takes, of the legs of a mesh."""

    def __init__(self, mesh: Mesh, views: Views) -> None:
        self.outbound: list[LegEvents] = [
            views.events(leg.connection, inbound=False) for leg in mesh.outbound
        ]
        self.inbound: list[LegEvents] = [
            views.events(leg.connection, inbound=True) for leg in mesh.inbound
        ]
        self.hbone: list[HboneRecords] = [views.hbone(leg.connection) for leg in mesh.hbone]
        self._relay(mesh, views)
        self._allow(mesh, views)

    def _relay(self, mesh: Mesh, views: Views) -> None:
        """Find the outer connections of what gateways pass on."""
        for address in mesh.gateways:
            gateway = views.number(address)
            inside = [i for i, leg in enumerate(mesh.hbone) if leg.connection.server[:3] == address]
            onward = [i for i, records in enumerate(self.hbone) if records.source == gateway]
            found = relay([self.hbone[i] for i in inside], [self.hbone[i] for i in onward])
            for i, outer in zip(onward, found, strict=True):
                if outer is not None:
                    self.hbone[i].relayed_from = inside[outer]
                    self.hbone[i].relayed_source = self.hbone[inside[outer]].source

    def _allow(self, mesh: Mesh, views: Views) -> None:
        """Say which HBONE connections and which inbound legs each outbound leg may have."""
        reached: dict[int, set[int]] = defaultdict(set)
        gateways = {views.number(address) for address in mesh.gateways}
        waypoints = {views.number(address) for address in mesh.waypoints}
        for leg, records in zip(mesh.hbone, self.hbone, strict=True):
            reached[records.source].add(views.number(leg.connection.server[:3]))
        # Up to 1.21 two pods of one service account may share a connection; then it and the
        # inbound legs carry the first pod's address (istio/ztunnel src/proxy/pool.rs, 1.19-1.21).
        senders = {views.number(address) for address in mesh.senders}
        shared = frozenset(reached.keys() - gateways - waypoints - senders)
        groups = _Groups()
        for events in self.outbound:
            own = frozenset({events.source})
            events.pools = own if events.source in reached else shared
            onward = {hop for source in events.pools for hop in reached[source] if hop in gateways}
            events.partners = events.pools | own | onward
            for number in (*events.pools, *events.partners):
                groups.join(events.source, number)
        for leg_events in (*self.outbound, *self.inbound):
            leg_events.address = groups.find(leg_events.source)
        for records in self.hbone:
            records.address = groups.find(records.source)


class _Groups:
    """Numbers that belong together (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, number: int) -> int:
        """Return the number that stands for a group."""
        root = number
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while self._parent.get(number, number) != root:
            self._parent[number], number = root, self._parent[number]
        return root

    def join(self, one: int, other: int) -> None:
        """Make two groups one."""
        self._parent[self.find(one)] = self.find(other)
