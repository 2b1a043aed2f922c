# SPDX-License-Identifier: Apache-2.0
"""Traffic of meshed pods that went around ztunnel.

Accused is a TCP connection whose handshake was captured, in plain sight between pods, from a pod
that is known to send HBONE or to be intercepted, to a pod that is known to take HBONE, and that
no session explains.  Anything short of that is unknown: an address that was never seen to take
HBONE may be a workload that takes plain TCP; a connection without its SYN may be older than the
pod's enrolment.  UDP, ICMP, node-local sources (translated to 169.254.7.127), a pod's calls of its
own address and hosts' own addresses are not intercepted in the first place.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ambient import SNAT_ADDRESSES
from ...capture.roles import Role
from ..grouping import Connection
from ..health.hellos import is_tls
from ..linking.legs import Leg, endpoint_address
from ..points.roles import PointRole
from .draft import text
from .mesh import Mesh
from .outcomes import ending
from .results import BypassSummary

_FRAMES = 5


def find(
    mesh: Mesh,
    claimed: set[int],
    roles: Sequence[PointRole],
    paths: Sequence[str],
) -> list[BypassSummary]:
    """Return connections that went around the mesh; `claimed` are those that sessions explain.

    paths: of the captures, as given, by their index.
    """
    spoken = [leg.connection for leg in mesh.hbone if _is_spoken(leg.connection)]
    clients = {leg.connection.client[:3] for leg in mesh.outbound}
    clients |= {connection.client[:3] for connection in spoken}
    clients -= mesh.senders
    servers = {connection.server[:3] for connection in spoken}
    nodes = {address for role in roles if role.role is Role.UNDERLAY for address in role.addresses}
    result = []
    for index, leg in enumerate(mesh.direct):
        connection = leg.connection
        if index in claimed or not _is_plain_and_seen(leg):
            continue
        client, server = connection.client[:3], connection.server[:3]
        if client not in clients or server not in servers or client == server:
            continue
        source = endpoint_address(connection.client)
        if source in SNAT_ADDRESSES or source in nodes:
            continue
        if endpoint_address(connection.server) in nodes:
            continue
        result.append(_summary(connection, paths))
    return result


def _is_spoken(connection: Connection) -> bool:
    """Tell whether a connection to port 15008 was taken, and may carry TLS."""
    end = ending(connection)
    return (end.answered or end.went_on) and is_tls(connection) is not False


def _is_plain_and_seen(leg: Leg) -> bool:
    """Tell whether the handshake was seen at a place that intercepted traffic never reaches."""
    opened = any(half.syn_ns is not None for half in leg.connection.forward.values())
    return opened and (leg.between or (leg.client_side and leg.server_side))


def _summary(connection: Connection, paths: Sequence[str]) -> BypassSummary:
    halves = sorted(connection.halves(), key=lambda half: half.first_ns)
    point = halves[0].point
    packets = sum(
        side[point].packets for side in (connection.forward, connection.reverse) if point in side
    )
    client, server = connection.client, connection.server
    field = "ip" if client.version == 4 else "ipv6"
    return BypassSummary(
        source=text(client),
        destination=text(server),
        packets=packets,
        why="plain TCP between two pods of the mesh; both speak HBONE elsewhere in this capture",
        frames=tuple((paths[half.capture], half.first_frame) for half in halves[:_FRAMES]),
        display_filter=(
            f"{field}.addr == {endpoint_address(client)} && "
            f"{field}.addr == {endpoint_address(server)} && "
            f"tcp.port == {client.port} && tcp.port == {server.port}"
        ),
    )
