# SPDX-License-Identifier: Apache-2.0
"""What became of sessions: findings A01, A04 to A07 and A12.

They went around the mesh or came into it in plain text, were refused or denied, or opened HBONE
although there was some; and callers on the node itself, which are none of the mesh's.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

from ...ambient import SNAT_ADDRESSES
from ..connections import Endpoint
from ..findings.noted import Noted
from ..linking.legs import endpoint_address
from ..sessions.draft import Draft, text
from ..sessions.outcomes import ending
from .seen import MeshSeen, connection_filter, field_of, first_frames, packets_of, pair_text

_SURE = 0.9
_NEEDLESS = 3
"""Connections opened although another was there, from which on nothing is reused."""
_NEVER_NS = 2**63 - 1
_IN_USE_NS = 100_000_000
"""How long a connection must have been open before another one was opened needlessly."""


def note_sessions(noted: Noted, seen: MeshSeen) -> None:
    """Note what sessions tell of a mesh."""
    _note_bypass(noted, seen)
    for draft in seen.drafts.all():
        _note_failure(noted, draft)
        _note_plain(noted, draft)
    _note_needless(noted, seen)


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


def _note_plain(noted: Noted, draft: Draft) -> None:
    client = endpoint_address(draft.connection.client)
    if draft.kind == "plaintext-inbound" and client not in SNAT_ADDRESSES:
        noted.note(
            "A12",
            packets=packets_of(draft.connection),
            frames=first_frames(draft.connection),
            detail=f"{client} > {text(draft.connection.server)}",
            display_filter=connection_filter(draft.connection),
        )


# --- refused and denied ----------------------------------------------------------------------


def _note_failure(noted: Noted, draft: Draft) -> None:
    if draft.outcome in {"refused", "denied"}:
        noted.note(
            "A04" if draft.outcome == "refused" else "A05",
            frames=first_frames(draft.connection),
            detail=f"{_session_text(draft)}: {_how_known(draft)}",
            display_filter=connection_filter(draft.connection),
            begins=True,
        )
    elif draft.outcome == "unknown" and draft.verdict:
        noted.note(
            "A06",
            frames=first_frames(draft.connection),
            detail=f"{_session_text(draft)}: {_how_known(draft)}",
            display_filter=connection_filter(draft.connection),
            begins=True,
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
        display_filter=" && ".join(
            (
                "tcp.flags.syn == 1",
                f"{field_of(client)}.src == {endpoint_address(client)}",
                f"{field_of(server)}.dst == {endpoint_address(server)}",
                f"tcp.dstport == {server.port}",
            )
        ),
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
