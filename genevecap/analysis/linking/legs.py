# SPDX-License-Identifier: Apache-2.0
"""Which part of the way each connection is.

A connection to port 15008 is HBONE.  One that is redirected to 127.0.0.1:15001, or whose SYN
travels in Istio's outbound tunnel, is an outbound leg.  For the others it matters where they were
seen: what is seen on the client's side only was ended by the client's ztunnel, what is seen on the
server's side only was opened by the server's, and what is seen on both, or between nodes, went
directly.  On a pod's loopback, what is not redirected comes from the pod's own ztunnel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ...addresses import address_text, is_loopback
from ...ambient import HBONE_PORT, SNAT_ADDRESSES
from ...ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI
from ...capture.roles import Role
from ..connections import Endpoint
from ..grouping import Connection, is_redirected_half
from ..points.roles import PointRole

_FIRST_CLIENT_PORT = 1024
_ISTIO_VNIS = frozenset({INBOUND_VNI, OUTBOUND_VNI})
_BETWEEN_NODES = frozenset({Role.UNDERLAY, Role.OVERLAY, Role.WIRE})
_AT_POD = frozenset({Role.POD, Role.NODE_VETH, Role.GATEWAY})
_AT_ZTUNNEL = frozenset({Role.ZTUNNEL, Role.ZTUNNEL_VETH})


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
    return any(map(is_redirected_half, connection.forward.values()))


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
            and not is_loopback(*connection.client[:3])
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
        if is_loopback(*connection.server[:3]) or is_loopback(*connection.client[:3]):
            return LegRole.LOCAL
        if between or (client_side and server_side) or self._in_pod:
            return LegRole.DIRECT
        if client_side and connection.client[:3] in self._meshed_clients:
            return LegRole.OUTBOUND
        if server_side and connection.server[:3] in self._meshed_servers:
            return LegRole.INBOUND
        return self._at_ztunnel(connection, seen, server_side=server_side)

    def _on_loopback(self, connection: Connection) -> LegRole:
        if is_loopback(*connection.server[:3]) or is_loopback(*connection.client[:3]):
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
