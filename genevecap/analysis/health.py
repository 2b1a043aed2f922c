# SPDX-License-Identifier: Apache-2.0
"""Whether an ambient mesh works, as its connections and sessions show it: findings A01 to A11.

Nothing is accused without evidence: a SYN without an answer only where the answer would have been
seen, a connection that was opened although another was there only where that one was open and all
sessions of its client are known.  `findings.ambient` says what each finding means.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ..ambient import SNAT_ADDRESSES
from ..ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI
from ..capture.points import Point
from ..capture.roles import Role
from .connections import Endpoint
from .findings.noted import Noted
from .flow_results import BypassSummary
from .grouping import Connection
from .hbone.results import HboneReading
from .linking.legs import Leg, endpoint_address
from .roles import PointRole
from .sessions.draft import Draft, text
from .sessions.drafts import Drafts
from .sessions.outcomes import Ending, ending

_ISTIO_VNIS = frozenset({INBOUND_VNI, OUTBOUND_VNI})
_AT_ZTUNNEL = frozenset({Role.ZTUNNEL, Role.ZTUNNEL_VETH})
_ISTIO_DEVICES = frozenset({Role.ISTIOIN, Role.ISTIOOUT, Role.PISTIOIN, Role.PISTIOOUT})
_SURE = 0.9
_NEEDLESS = 3
"""Connections opened although another was there, from which on nothing is reused."""
_NEVER_NS = 2**63 - 1
_IN_USE_NS = 100_000_000
"""How long a connection must have been open before another one was opened needlessly."""


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


def note_health(noted: Noted, seen: MeshSeen) -> None:
    """Note what is wrong with a mesh, or worth knowing."""
    _note_bypass(noted, seen)
    _note_unanswered(noted, seen)
    _note_unreachable(noted, seen)
    for draft in seen.drafts.all():
        _note_failure(noted, draft)
    _note_needless(noted, seen)
    _note_node_local(noted, seen)


def connection_filter(connection: Connection) -> str:
    """Return Wireshark's filter for a connection, at points that see its own addresses."""
    client, server = connection.client, connection.server
    return (
        f"{_field(client)}.addr == {endpoint_address(client)} && "
        f"{_field(server)}.addr == {endpoint_address(server)} && "
        f"tcp.port == {client.port} && tcp.port == {server.port}"
    )


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


def _field(endpoint: Endpoint) -> str:
    return "ip" if endpoint.version == 4 else "ipv6"


def _packets(connection: Connection) -> int:
    """Return the packets of both directions at the point that saw most."""
    return max(
        sum(
            side[point].packets
            for side in (connection.forward, connection.reverse)
            if point in side
        )
        for point in connection.points
    )


# --- around the mesh, and from the node ------------------------------------------------------


def _note_bypass(noted: Noted, seen: MeshSeen) -> None:
    for item in seen.bypass:
        noted.note(
            "A01",
            packets=item.packets,
            frames=[(seen.paths.index(path), frame) for path, frame in item.frames],
            detail=f"{item.source} > {item.destination}",
            display_filter=item.display_filter,
        )


def _note_node_local(noted: Noted, seen: MeshSeen) -> None:
    for connection in seen.connections:
        client = endpoint_address(connection.client)
        if client in SNAT_ADDRESSES:
            noted.note(
                "A09",
                packets=_packets(connection),
                frames=first_frames(connection),
                detail=f"{client} > {text(connection.server)}",
            )


# --- SYNs without an answer ------------------------------------------------------------------


def _note_unanswered(noted: Noted, seen: MeshSeen) -> None:
    """Note SYNs that went into istioout again and again, and nothing came back from ztunnel."""
    roles = {role.index: role for role in seen.roles}
    recorded = _recorded(seen)
    for connection in seen.connections:
        if connection.reverse:
            continue
        entered = [
            half
            for half in connection.forward.values()
            if half.syn_count > 1 and roles[half.point].role is Role.ISTIOOUT and not half.highest
        ]
        if not entered:
            continue
        half = entered[0]
        last_ns = max(other.last_ns for other in connection.forward.values())
        if recorded.get(roles[half.point].node, last_ns - 1) < last_ns:
            continue  # an answer would not have been seen
        arrived = any(
            OUTBOUND_VNI in other.vnis and roles[other.point].role in _AT_ZTUNNEL
            for other in connection.forward.values()
        )
        where = "arrives at ztunnel's link" if arrived else "does not arrive at ztunnel's link"
        noted.note(
            "A02",
            packets=half.syn_count,
            frames=[(half.capture, half.first_frame)],
            detail=f"{text(connection.client)} > {text(connection.server)}: {where}",
            display_filter=f"tcp.flags.syn == 1 && {connection_filter(connection)}",
        )


def _recorded(seen: MeshSeen) -> dict[str | None, int]:
    """Return, by node, until when the capture of ztunnel's link went on, where it dropped nothing.

    A node that is not there has none.
    """
    links = {
        role.index: role.node
        for role in seen.roles
        if role.role in _AT_ZTUNNEL and role.index not in seen.dropping
    }
    result: dict[str | None, int] = {}
    for connection in seen.connections:
        for half in connection.halves():
            if half.point in links:
                node = links[half.point]
                result[node] = max(half.last_ns, result.get(node, half.last_ns))
    return result


def _note_unreachable(noted: Noted, seen: MeshSeen) -> None:
    by_geneve = any(role.role in _ISTIO_DEVICES for role in seen.roles) or any(
        half.vnis & _ISTIO_VNIS for connection in seen.connections for half in connection.halves()
    )
    waited = _waits(seen)
    devices = {role.index for role in seen.roles if role.role in _ISTIO_DEVICES}
    for h, leg in enumerate(seen.drafts.mesh.hbone):
        end = ending(leg.connection)
        if not end.unreachable:
            continue
        if by_geneve and _inherits_marks(leg, end, devices):
            _note_marks(noted, leg)
            continue
        how = "reset" if end.server_reset_ns is not None else f"{end.syns} SYNs, no answer"
        detail = f"{pair_text(leg.connection)}: {how}"
        if h in waited:
            detail += f", client reset after {', '.join(sorted(waited[h], key=float))} s"
        server = leg.connection.server
        noted.note(
            "A03",
            packets=end.syns,
            frames=first_frames(leg.connection),
            detail=detail,
            display_filter=f"tcp.flags.syn == 1 && {_field(server)}.addr == "
            f"{endpoint_address(server)} && tcp.port == {server.port}",
        )


def _waits(seen: MeshSeen) -> dict[int, list[str]]:
    """Return, by HBONE connection, after how many seconds clients that waited for it were reset."""
    result: dict[int, list[str]] = defaultdict(list)
    for draft in seen.drafts.all():
        if (
            draft.outcome == "unreachable"
            and draft.hbone is not None
            and draft.outbound is not None
        ):
            opened_ns = seen.drafts.inputs.outbound[draft.outbound].open_ns
            end = ending(draft.connection)
            if opened_ns is not None and end.server_reset_ns is not None and not end.client_fin:
                result[draft.hbone].append(f"{(end.server_reset_ns - opened_ns) / 1e9:.1f}")
    return result


def _inherits_marks(leg: Leg, end: Ending, devices: Collection[int]) -> bool:
    """Tell whether a SYN left the underlay's tunnel and went to the pod, which reset it.

    Where it should have gone is istioin, on the node of the server; devices: Istio's.
    """
    halves = list(leg.connection.halves())
    in_tunnel = any(half.vnis - _ISTIO_VNIS for half in halves)
    redirected = any(half.vnis & _ISTIO_VNIS or half.point in devices for half in halves)
    return end.server_reset_ns is not None and leg.server_side and in_tunnel and not redirected


def _note_marks(noted: Noted, leg: Leg) -> None:
    vnis = sorted({vni for half in leg.connection.halves() for vni in half.vnis} - _ISTIO_VNIS)
    noted.note(
        "A11",
        frames=first_frames(leg.connection, forward=False),
        detail=f"{pair_text(leg.connection)}, out of VNI {', '.join(map(str, vnis))}",
        display_filter=connection_filter(leg.connection),
    )


# --- refused and denied ----------------------------------------------------------------------


def _note_failure(noted: Noted, draft: Draft) -> None:
    if draft.outcome in {"refused", "denied"}:
        noted.note(
            "A04" if draft.outcome == "refused" else "A05",
            frames=first_frames(draft.connection),
            detail=f"{_session_text(draft)}: {_how_known(draft)}",
            display_filter=connection_filter(draft.connection),
        )
    elif draft.outcome == "unknown" and draft.verdict:
        noted.note(
            "A06",
            frames=first_frames(draft.connection),
            detail=f"{_session_text(draft)}: {_how_known(draft)}",
            display_filter=connection_filter(draft.connection),
        )


def _session_text(draft: Draft) -> str:
    return f"{endpoint_address(draft.connection.client)} > {text(draft.connection.server)}"


def _how_known(draft: Draft) -> str:
    """Return what tells that a session was refused or denied, without the codes of evidence."""
    if draft.verdict:
        return "; ".join(line.partition(": ")[2] for line in draft.verdict)
    return "ztunnel's log says it"


# --- reuse -----------------------------------------------------------------------------------


_Way = tuple[tuple[int, int, int], Endpoint, Endpoint]
"""Client's address, HBONE's server, and what the client called: by that ztunnel pools to 1.21."""


def _note_needless(noted: Noted, seen: MeshSeen) -> None:
    """Note pods whose HBONE connections carry one session each, though others are open."""
    hbone = seen.drafts.mesh.hbone
    carried: dict[int, int] = defaultdict(int)
    ways: dict[_Way, set[int]] = defaultdict(set)
    unknown = set()
    for draft in seen.drafts.all():
        client = draft.connection.client[:3]
        if draft.kind == "passthrough":
            continue
        if draft.outbound is None or draft.hbone is None or draft.confidence < _SURE:
            unknown.add(client)
            continue
        carried[draft.hbone] += 1
        if ending(hbone[draft.hbone].connection).answered:
            way = (client, hbone[draft.hbone].connection.server, draft.connection.server)
            ways[way].add(draft.hbone)
    for (client, *_), numbers in ways.items():
        if client not in unknown and all(carried[h] == 1 for h in numbers):
            _note_way(noted, seen, sorted(numbers))


def _note_way(noted: Noted, seen: MeshSeen, numbers: Sequence[int]) -> None:
    needless = [seen.drafts.mesh.hbone[h].connection for h in _needless(seen, numbers)]
    if len(needless) < _NEEDLESS:
        return
    client, server = needless[0].client, needless[0].server
    noted.note(
        "A07",
        packets=len(needless),
        frames=[frame for connection in needless for frame in first_frames(connection)],
        detail=f"{pair_text(needless[0])}: {len(numbers)} connections for {len(numbers)} sessions, "
        f"{len(needless)} of them while another was open",
        display_filter=f"tcp.flags.syn == 1 && {_field(client)}.src == {endpoint_address(client)} "
        f"&& {_field(server)}.dst == {endpoint_address(server)} && tcp.dstport == {server.port}",
    )


def _needless(seen: MeshSeen, numbers: Sequence[int]) -> Iterator[int]:
    """Yield the connections that were opened while another one was there that could be used."""
    spans = sorted((*span, h) for h in numbers for span in _open_spans(seen, h))
    usable = deque(spans)
    open_until = 0
    for opened, _, h in spans:
        while usable[0][0] <= opened - _IN_USE_NS:
            open_until = max(open_until, usable.popleft()[1])
        if opened < open_until:
            yield h


def _open_spans(seen: MeshSeen, h: int) -> Iterator[tuple[int, int]]:
    """Yield from when to when a connection took streams: from its SYN to the first FIN or reset."""
    connection = seen.drafts.mesh.hbone[h].connection
    views = seen.drafts.views
    opened = [views.at(f.point, f.syn_ns) for f in connection.forward.values() if f.syn_ns]
    ends = [
        views.at(half.point, moment)
        for half in connection.halves()
        for moment in (half.fin_ns, half.rst_ns)
        if moment is not None
    ]
    if opened:
        yield min(opened), min(ends, default=_NEVER_NS)
