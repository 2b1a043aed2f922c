# SPDX-License-Identifier: Apache-2.0
"""Which part of the way each connection is, and the best view that the captures have of it.

A connection to port 15008 is HBONE.  One that is redirected to 127.0.0.1:15001, or whose SYN
travels in Istio's outbound tunnel, is an outbound leg.  For the others it matters where they were
seen: what is seen on the client's side only was ended by the client's ztunnel, what is seen on the
server's side only was opened by the server's, and what is seen on both, or between nodes, went
directly.  On a pod's loopback, what is not redirected comes from the pod's own ztunnel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ...addresses import address_text
from ...ambient import HBONE_PORT, OUTBOUND_PORT, SNAT_ADDRESSES
from ...ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI
from ...capture.roles import Role
from ...decode.tls_records import APPLICATION_DATA
from ..connections import Endpoint, Half
from ..grouping import Connection
from ..points.roles import PointRole
from ..rows import Array
from .events import HboneRecords, LegEvents, Message, RecordColumns
from .likeness import LegContent, StreamContent
from .segments import segments_as_records

Correction = Callable[[int, Array], Array]
"""From (point index, times by its host's clock) to the times on the common clock."""

_FIRST_CLIENT_PORT = 1024
_WAIT_NS = 10_000_000_000
"""How long the server's leg may come after the last packet that was seen of a connection that goes
on: ztunnel tries for 10 s to open HBONE, as recordings show, while the client waits."""
_ISTIO_VNIS = frozenset({INBOUND_VNI, OUTBOUND_VNI})
_LOOPBACK_4 = 127
_BETWEEN_NODES = frozenset({Role.UNDERLAY, Role.OVERLAY, Role.WIRE})
_AT_POD = frozenset({Role.POD, Role.NODE_VETH, Role.GATEWAY})
_AT_ZTUNNEL = frozenset({Role.ZTUNNEL, Role.ZTUNNEL_VETH})
_NEAREST = (Role.LO, Role.ZTUNNEL, Role.ZTUNNEL_VETH, Role.NODE_VETH, Role.POD, Role.GATEWAY)
"""Points to look at a leg from, the nearest to ztunnel first."""


class LegRole(StrEnum):
    """What a connection is on the way."""

    OUTBOUND = "outbound"
    """From a client to its ztunnel."""
    HBONE = "hbone"
    INBOUND = "inbound"
    """From the server's ztunnel to the server."""
    DIRECT = "direct"
    """All the way from one address to another, past any ztunnel or behind one."""
    LOCAL = "local"
    """Inside a pod, of no interest."""


@dataclass(slots=True, kw_only=True)
class Leg:
    """A connection and what it is."""

    connection: Connection
    role: LegRole
    client_side: bool
    """Seen at a point of the client's pod."""
    server_side: bool
    between: bool
    """Seen between nodes."""


def same_address(one: Endpoint, other: Endpoint) -> bool:
    """Tell whether two endpoints have one address."""
    return one[:3] == other[:3]


def endpoint_address(endpoint: Endpoint) -> str:
    """Return the text of an endpoint's address."""
    return address_text(endpoint.version, endpoint.hi, endpoint.lo)


def is_loopback(endpoint: Endpoint) -> bool:
    """Tell whether an endpoint's address is 127.0.0.0/8 or ::1."""
    if endpoint.version == 4:
        return endpoint.lo >> 24 == _LOOPBACK_4
    return endpoint.hi == 0 and endpoint.lo == 1


def is_hbone(connection: Connection) -> bool:
    """Tell whether a connection is to port 15008 (opposite a well-known port it is chance)."""
    return any(
        h.destination.port == HBONE_PORT and h.source.port >= _FIRST_CLIENT_PORT
        for h in connection.forward.values()
    ) or any(
        h.source.port == HBONE_PORT and h.destination.port >= _FIRST_CLIENT_PORT
        for h in connection.reverse.values()
    )


def is_redirected(connection: Connection) -> bool:
    """Tell whether a connection is redirected to ztunnel inside a pod."""
    return any(
        h.destination.port == OUTBOUND_PORT and is_loopback(h.destination)
        for h in connection.forward.values()
    )


class Sorter:
    """Says what each connection is, from the points that saw it."""

    def __init__(self, roles: Sequence[PointRole], connections: Sequence[Connection]) -> None:
        self._roles = {role.index: role for role in roles}
        hbone = [c for c in connections if is_hbone(c)]
        self._meshed_clients = {c.client[:3] for c in hbone}
        self._self_callers = {c.client[:3] for c in hbone if same_address(c.client, c.server)}
        self._meshed_servers = {c.server[:3] for c in hbone}
        self._in_pod = any(self._shows_in_pod(c) for c in connections)
        self._tunnelled = {h.point for c in connections for h in c.halves() if h.vnis & _ISTIO_VNIS}
        """Points that show Istio's tunnels."""

    def sort(self, connections: Iterable[Connection]) -> list[Leg]:
        """Return the legs that these connections are."""
        return [self._leg(connection) for connection in connections]

    def _shows_in_pod(self, connection: Connection) -> bool:
        """Tell whether a connection is one that only in-pod redirection makes.

        It is redirected, comes from the address that node-local callers are translated to, or is
        what ztunnel opened from a client's address on the loopback of the server's pod.
        """
        if is_redirected(connection) or endpoint_address(connection.client) in SNAT_ADDRESSES:
            return True
        on_loopback = any(
            self._roles[point].role is Role.LO
            for point in connection.points
            if point in self._roles
        )
        return (
            on_loopback
            and connection.server[:3] in self._meshed_servers
            and not same_address(connection.client, connection.server)
            and not is_loopback(connection.client)
        )

    def _leg(self, connection: Connection) -> Leg:
        client = endpoint_address(connection.client)
        server = endpoint_address(connection.server)
        seen = [self._roles[point] for point in connection.points if point in self._roles]
        between = any(role.role in _BETWEEN_NODES for role in seen)
        at_pods = [role for role in seen if role.role in _AT_POD]
        client_side = any(client in role.addresses for role in at_pods)
        server_side = any(server in role.addresses for role in at_pods)
        return Leg(
            connection=connection,
            role=self._role(connection, seen, client_side, server_side, between),
            client_side=client_side,
            server_side=server_side,
            between=between,
        )

    def _role(
        self,
        connection: Connection,
        seen: Sequence[PointRole],
        client_side: bool,
        server_side: bool,
        between: bool,
    ) -> LegRole:
        if is_hbone(connection):
            return LegRole.HBONE
        if is_redirected(connection) or any(
            OUTBOUND_VNI in half.vnis for half in connection.halves()
        ):
            return LegRole.OUTBOUND
        if any(role.role is Role.LO for role in seen):
            return self._on_loopback(connection)
        if is_loopback(connection.server) or is_loopback(connection.client):
            return LegRole.LOCAL
        if between or (client_side and server_side) or self._in_pod:
            return LegRole.DIRECT
        if client_side and connection.client[:3] in self._meshed_clients:
            return LegRole.OUTBOUND
        if server_side and connection.server[:3] in self._meshed_servers:
            return LegRole.INBOUND
        return self._at_ztunnel(connection, seen, server_side=server_side)

    def _on_loopback(self, connection: Connection) -> LegRole:
        if is_loopback(connection.server) or is_loopback(connection.client):
            return LegRole.LOCAL
        # A pod's call of its own address is not intercepted; through a Service's it is.
        own = same_address(connection.client, connection.server)
        if own and connection.client[:3] not in self._self_callers:
            return LegRole.LOCAL
        return LegRole.INBOUND

    def _at_ztunnel(
        self, connection: Connection, seen: Sequence[PointRole], *, server_side: bool
    ) -> LegRole:
        """Judge a connection that only ztunnel's own points saw.

        What ztunnel gets is a client's own connection (or a plain caller's), what it sends is one
        that it opened: for a server in the mesh, or out of it.
        """
        at_ztunnel = [role for role in seen if role.role in _AT_ZTUNNEL]
        if not at_ztunnel:
            return LegRole.DIRECT
        meshed_client = connection.client[:3] in self._meshed_clients
        meshed_server = connection.server[:3] in self._meshed_servers
        told = (self._is_opened(connection, role) for role in at_ztunnel)
        opened = next((one for one in told if one is not None), server_side or not meshed_client)
        if opened:
            return LegRole.INBOUND if server_side or meshed_server else LegRole.DIRECT
        return LegRole.OUTBOUND if meshed_client else LegRole.DIRECT

    def _is_opened(self, connection: Connection, role: PointRole) -> bool | None:
        """Tell whether ztunnel opened a connection that its link shows, None where nothing tells.

        Where SYNs come to ztunnel in Istio's tunnels, one outside of them is its own.  Else packets
        of two addresses that go one way only say it; where they go both ways, as on a node with
        client and server, who answers sooner does: ztunnel answers a SYN at its own link at once,
        and takes as little to acknowledge the answer to a SYN of its own.
        """
        forward = connection.forward.get(role.index)
        reverse = connection.reverse.get(role.index)
        if role.index in self._tunnelled and forward is not None and forward.syn_ns is not None:
            return not forward.vnis & _ISTIO_VNIS
        way = role.ztunnel_sends.get((connection.client[:3], connection.server[:3]))
        if way is not None or forward is None or reverse is None:
            return way
        syn, answer, acknowledged = forward.syn_ns, reverse.syn_ns, forward.handshake
        if syn is None or answer is None or acknowledged is None:
            return None
        gaps = answer - syn, acknowledged - answer
        return None if gaps[0] == gaps[1] else gaps[0] > gaps[1]


# --- views -----------------------------------------------------------------------------------


class Views:
    """Chooses from which point to look at a connection, and reads its events there."""

    def __init__(self, roles: Sequence[PointRole], correct: Correction) -> None:
        self._roles = {role.index: role.role for role in roles}
        self._correct = correct
        none_ns = np.zeros(0, np.int64)
        self._as_it_is = {r.index for r in roles if correct(r.index, none_ns) is none_ns}
        """Points whose times are returned as they are."""
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._points: dict[Connection, int] = {}

    def corrected(self, point: int, times_ns: Array) -> Array:
        """Return times of a point on the common clock."""
        return self._correct(point, times_ns)

    def at(self, point: int, moment: int) -> int:
        """Return a time of a point on the common clock."""
        if point in self._as_it_is:
            return moment
        return int(self._correct(point, np.array([moment], np.int64))[0])

    def number(self, address: tuple[int, int, int]) -> int:
        """Return the number of an address; the same address always has the same."""
        return self._numbers.setdefault(address, len(self._numbers))

    def address(self, endpoint: Endpoint) -> int:
        """Return the number of an endpoint's address."""
        return self.number(endpoint[:3])

    def point(self, connection: Connection) -> int:
        """Return the point nearest to ztunnel that saw (nearly) all of a connection."""
        point = self._points.get(connection)
        if point is None:
            point = self._points[connection] = self._nearest(connection)
        return point

    def _nearest(self, connection: Connection) -> int:
        packets = {
            point: sum(
                side[point].packets
                for side in (connection.forward, connection.reverse)
                if point in side
            )
            for point in connection.points
        }
        most = max(packets.values())
        full = [point for point, count in packets.items() if count * 10 >= most * 9]
        return min(full, key=self._distance)

    def _distance(self, point: int) -> int:
        role = self._roles.get(point, Role.UNKNOWN)
        return _NEAREST.index(role) if role in _NEAREST else len(_NEAREST)

    def events(self, connection: Connection, *, inbound: bool) -> LegEvents:
        """Return the events of an outbound or inbound leg."""
        point = self.point(connection)
        up, down = connection.forward.get(point), connection.reverse.get(point)

        def at(moment: int | None) -> int | None:
            return None if moment is None else self.at(point, moment)

        return LegEvents(
            address=self.address(connection.client),
            source=self.address(connection.client),
            open_ns=at(_opened_ns(up, down)),
            accept_ns=at(down.syn_ns) if down and inbound else None,
            up=self._messages(up),
            down=self._messages(down),
            up_bytes=up.total if up else None,
            down_bytes=down.total if down else None,
            close_up_ns=at(up.fin_ns) if up else None,
            close_down_ns=at(down.fin_ns) if down else None,
            last_ns=max(self.at(h.point, h.last_ns) for h in (up, down) if h)
            + (0 if _is_closed(up, down) else _WAIT_NS),
            content=LegContent(up=_content(up), down=_content(down)),
        )

    def _messages(self, half: Half | None) -> list[Message]:
        if half is None:
            return []
        first = dict(zip(half.events[::4], half.events[1::4], strict=True))
        whole = half.highest if half.total is None else half.total
        ends = [turn.offset for turn in half.turns[1:]]
        ends += [whole] * (len(half.turns) - len(ends))
        return [
            Message(
                offset=turn.offset,
                time_ns=self.at(half.point, turn.time_ns),
                first_bytes=first.get(turn.offset, turn.offset) - turn.offset,
                bytes=max(end - turn.offset, 0),
            )
            for turn, end in zip(half.turns, ends, strict=True)
        ]

    def hbone(self, connection: Connection) -> HboneRecords:
        """Return the records of an HBONE connection as its two ends saw them."""
        order = sorted(
            connection.forward.values() or connection.reverse.values(),
            key=lambda half: self.at(half.point, half.first_ns),
        )
        points = [half.point for half in order]
        return HboneRecords(
            address=self.address(connection.client),
            source=self.address(connection.client),
            open_ns=self.at(order[0].point, order[0].first_ns),
            up=self._records(connection.forward, points),
            down=self._records(connection.reverse, points),
        )

    def _records(self, side: dict[int, Half], points: Sequence[int]) -> RecordColumns:
        """Join the records that the points nearest to both ends read."""
        readable = []
        for point in points:
            half = side.get(point)
            if half is not None and half.records is not None:
                readable.append((half, len(half.records.rows)))
        most = max((count for _, count in readable), default=0)
        good = [half for half, count in readable if count and count * 10 >= most * 9]
        if not good:
            return segments_as_records([side[p] for p in points if p in side], self._correct)
        client, server = self._table(good[0]), self._table(good[-1])
        _, a, b = np.intersect1d(
            client[:, 2], server[:, 2], assume_unique=True, return_indices=True
        )
        data = client[a, 0] == APPLICATION_DATA
        a, b = a[data], b[data]
        return RecordColumns(
            length=client[a, 1],
            client_first_ns=client[a, 3],
            client_last_ns=client[a, 4],
            server_first_ns=server[b, 3],
            server_last_ns=server[b, 4],
            client_point=good[0].point,
            server_point=good[-1].point,
        )

    def _table(self, half: Half) -> Array:
        """Return the records of a half, five columns as in `records.Record`, times corrected."""
        rows = half.records.rows if half.records else ()
        table = np.array(rows, np.int64).reshape(-1, 5)
        if len(table):
            for column in (3, 4):
                table[:, column] = self._correct(half.point, table[:, column])
        _, first = np.unique(table[:, 2], return_index=True)
        unique: Array = table[first]
        return unique


def _opened_ns(up: Half | None, down: Half | None) -> int | None:
    """Return when a leg was opened: by its SYN, else by the answer, which comes at once."""
    return next((h.syn_ns for h in (up, down) if h is not None and h.syn_ns is not None), None)


def _is_closed(up: Half | None, down: Half | None) -> bool:
    """Tell whether a connection was seen to end, so that its last packet was its last."""
    halves = [half for half in (up, down) if half is not None]
    if any(half.rst_ns is not None for half in halves):
        return True
    return len(halves) == 2 and all(half.fin_ns is not None for half in halves)


def _content(half: Half | None) -> StreamContent:
    if half is None:
        return StreamContent()
    prefixes = {turn.offset: turn.prefix for turn in half.turns if turn.prefix is not None}
    prefix = half.prefix
    if prefix is not None and half.total == prefix[0]:
        prefixes[prefix[0]] = prefix[1]
    return StreamContent(
        prefixes=prefixes, heads={turn.offset: turn.head for turn in half.turns if turn.head}
    )
