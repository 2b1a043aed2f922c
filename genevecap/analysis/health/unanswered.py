# SPDX-License-Identifier: Apache-2.0
"""SYNs that lead nowhere: into ztunnel (A02), to port 15008 (A03), past ztunnel (A11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from ...ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI
from ...capture.roles import Role
from ..connections import Half
from ..findings.noted import Noted
from ..grouping import Connection
from ..linking.legs import Leg, endpoint_address
from ..sessions.draft import text
from ..sessions.outcomes import Ending, ending
from .seen import MeshSeen, Spans, connection_filter, field_of, first_frames, pair_text, span_of

_ISTIO_VNIS = frozenset({INBOUND_VNI, OUTBOUND_VNI})
_WAITED_NS = 1_000_000_000
"""So long, or until ztunnel resets it, a client must have waited for what ztunnel does not do."""
_PASSING_NS = 10_000_000
"""What a node's other points see of a connection, ztunnel's link sees within this time."""
_AT_ZTUNNEL = frozenset({Role.ZTUNNEL, Role.ZTUNNEL_VETH})
_ISTIO_DEVICES = frozenset({Role.ISTIOIN, Role.ISTIOOUT, Role.PISTIOIN, Role.PISTIOOUT})


def note_unanswered(noted: Noted, seen: MeshSeen) -> None:
    """Note SYNs that lead nowhere."""
    _note_lost_in_ztunnel(noted, seen)
    _note_unreachable(noted, seen)


# --- into ztunnel ----------------------------------------------------------------------------


def _note_lost_in_ztunnel(noted: Noted, seen: MeshSeen) -> None:
    """Note SYNs that went into istioout, and nothing came back or went on from ztunnel.

    Only where the capture of ztunnel's link on that node went on long enough to have seen it.
    """
    roles = {role.index: role for role in seen.roles}
    recorded = _recorded(seen)
    unlinked = {
        id(draft.connection)
        for draft in seen.drafts.all()
        if draft.kind == "unlinked" and draft.outbound is not None and draft.inbound is None
    }
    onward: _Onward | None = None
    for connection in seen.connections:
        entered = [
            half
            for half in connection.forward.values()
            if half.syn_ns is not None and roles[half.point].role is Role.ISTIOOUT
        ]
        if not entered:
            continue
        if recorded.get(roles[entered[0].point].node, 0) + _PASSING_NS < connection.last_ns:
            continue
        if not connection.reverse:
            if entered[0].syn_count > 1 and not ending(connection).went_on:
                arrived = any(
                    OUTBOUND_VNI in half.vnis and roles[half.point].role in _AT_ZTUNNEL
                    for half in connection.forward.values()
                )
                where = "arrives" if arrived else "does not arrive"
                _note_lost(noted, connection, entered[0], f"{where} at ztunnel's link")
        elif id(connection) in unlinked:
            onward = onward or _Onward(seen)
            if onward.nothing_for(connection):
                words = "ztunnel takes it, and opens nothing for it"
                _note_lost(noted, connection, entered[0], words)


def _note_lost(noted: Noted, connection: Connection, half: Half, words: str) -> None:
    noted.note(
        "A02",
        packets=half.syn_count,
        frames=[(half.capture, half.first_frame)],
        detail=f"{text(connection.client)} > {text(connection.server)}: {words}",
        display_filter=f"tcp.flags.syn == 1 && {connection_filter(connection)}",
    )


class _Onward:
    """When ztunnel had connections on which a client's could have gone on.

    HBONE of any client may, for up to 1.21 pods share it; and any other connection of the client's.
    """

    def __init__(self, seen: MeshSeen) -> None:
        self._seen = seen
        mesh = seen.drafts.mesh
        self._hbone = Spans(span_of(seen, leg.connection) for leg in mesh.hbone)
        by_client = defaultdict(list)
        for leg in (*mesh.inbound, *mesh.direct):
            by_client[leg.connection.client[:3]].append(span_of(seen, leg.connection))
        self._by_client = {client: Spans(spans) for client, spans in by_client.items()}

    def nothing_for(self, connection: Connection) -> bool:
        """Tell whether a client asked for something, got no answer, and there was no way on."""
        end, span = ending(connection), span_of(self._seen, connection)
        waited = span[1] - span[0] >= _WAITED_NS or end.server_reset_ns is not None
        if not end.went_on or end.payload or not waited or self._hbone.meet(span):
            return False
        own = self._by_client.get(connection.client[:3])
        return own is None or not own.meet(span)


def _recorded(seen: MeshSeen) -> dict[str | None, int]:
    """Return, by node, until when the capture of ztunnel's link went on, where it dropped nothing.

    A node that is not there has none.
    """
    answering = {point for connection in seen.connections for point in connection.reverse}
    links = {
        role.index: role.node
        for role in seen.roles
        if role.role in _AT_ZTUNNEL and role.index not in seen.dropping and role.index in answering
    }
    result: dict[str | None, int] = {}
    for connection in seen.connections:
        for half in connection.halves():
            if half.point in links:
                node = links[half.point]
                result[node] = max(half.last_ns, result.get(node, half.last_ns))
    return result


# --- to port 15008 ----------------------------------------------------------------------------


def _note_unreachable(noted: Noted, seen: MeshSeen) -> None:
    by_geneve = any(role.role in _ISTIO_DEVICES for role in seen.roles) or any(
        half.vnis & _ISTIO_VNIS for connection in seen.connections for half in connection.halves()
    )
    waited = _waits(seen)
    devices = {role.index for role in seen.roles if role.role in _ISTIO_DEVICES}
    blind = devices | _one_sided(seen)
    for h, leg in enumerate(seen.drafts.mesh.hbone):
        end = ending(leg.connection)
        if not end.unreachable:
            continue
        if by_geneve and _inherits_marks(leg, end, devices):
            _note_marks(noted, leg)
            continue
        if end.server_reset_ns is None and h not in waited and not _would_show(leg, blind):
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
            display_filter=f"tcp.flags.syn == 1 && {field_of(server)}.dst == "
            f"{endpoint_address(server)} && tcp.dstport == {server.port}",
        )


def _one_sided(seen: MeshSeen) -> set[int]:
    """Return points that show what clients send and never what they get."""
    asking: set[int] = set()
    answering: set[int] = set()
    for connection in seen.connections:
        answering |= connection.reverse.keys()
        asking |= {
            point
            for point, half in connection.forward.items()
            if half.highest or half.handshake is not None
        }
    return asking - answering


def _would_show(leg: Leg, blind: Collection[int]) -> bool:
    """Tell whether some point saw the repeated SYN that would have seen the answer too.

    In Istio's tunnel there are no answers.
    """
    return any(
        half.syn_count > 1 and half.point not in blind and not half.vnis & _ISTIO_VNIS
        for half in leg.connection.forward.values()
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
