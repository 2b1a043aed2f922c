# SPDX-License-Identifier: Apache-2.0
"""How HBONE connections are protected, and what holds them up: findings H01 to H08."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ...capture.roles import Role
from ...decode.tls_hellos import POST_QUANTUM_GROUPS, TLS_1_2, TLS_1_3, X25519MLKEM768
from ..findings.noted import Noted
from ..grouping import Connection
from ..sessions.draft import Draft
from .hellos import Handshake, handshake_of
from .retransmissions import Retransmissions, retransmissions
from .seen import MeshSeen, Span, connection_filter, pair_text, payload_frames, span_of

_SEVERAL_PLACES = frozenset({Role.ANY, Role.BRIDGE, Role.WIRE})
"""Points that may show one packet more than once."""
_SHARE = 1_000
"""One retransmission in so many packets is not worth a word."""
_SYN_TIMEOUT_NS = 500_000_000
"""Less than the first time-out of a SYN (1 s, RFC 6298 section 2.1), more than a round trip."""
_ALPN = b"h2"
_AGAIN = "(tcp.analysis.retransmission || tcp.analysis.out_of_order) && tcp.len > 0"
"""tshark calls what was sent again soon after it was missed out of order."""

_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", TLS_1_2: "TLS 1.2"}
_GROUPS = {
    0x0017: "secp256r1",
    0x0018: "secp384r1",
    0x0019: "secp521r1",
    0x001D: "x25519",
    0x001E: "x448",
    0x11EB: "SecP256r1MLKEM768",
    X25519MLKEM768: "X25519MLKEM768",
    0x11ED: "SecP384r1MLKEM1024",
}
"""IANA's TLS supported groups."""


def note_hbone(noted: Noted, seen: MeshSeen) -> None:
    """Note what HBONE's handshakes show, and its retransmissions."""
    several = {role.index for role in seen.roles if role.role in _SEVERAL_PLACES}
    certificates = _certificates(seen)
    again: list[tuple[int, Retransmissions, bool]] = []
    for h, leg in enumerate(seen.drafts.mesh.hbone):
        read = next((certificates[n] for n in _isns(leg.connection) if n in certificates), None)
        _note_protection(noted, leg.connection, handshake_of(leg.connection), read)
        _note_syns(noted, leg.connection, several)
        for forward in (True, False):
            found = retransmissions(leg.connection, forward=forward, without=several)
            if found is not None and found.packets * _SHARE >= found.half.packets:
                again.append((h, found, forward))
    if again:
        _note_retransmissions(noted, seen, again)


# --- protection ------------------------------------------------------------------------------


def _certificates(seen: MeshSeen) -> dict[int, bool]:
    """Return whether clients sent a certificate, as keys tell it, by the client's first number."""
    opened = () if seen.opened is None else seen.opened.opened
    return {
        one.id.client_isn: one.client_certificate
        for one in opened
        if one.id.client_isn is not None and one.client_certificate is not None
    }


def _isns(connection: Connection) -> Iterator[int]:
    return (half.isn for half in connection.forward.values() if half.isn is not None)


def _note_protection(
    noted: Noted, connection: Connection, handshake: Handshake, certificate: bool | None
) -> None:
    """Note how a connection is protected; certificate: whether keys show the client's."""
    client, server = handshake.client, handshake.server

    def note(code: str, words: str = "", *, forward: bool = True) -> None:
        noted.note(
            code,
            frames=payload_frames(connection, forward=forward),
            detail=pair_text(connection) + (words and f": {words}"),
            display_filter=connection_filter(connection),
        )

    if handshake.is_tls is False:
        note("H08")
    if server is not None and server.version is not None and server.version != TLS_1_3:
        note("H01", _VERSIONS.get(server.version, f"version 0x{server.version:04x}"), forward=False)
    if client is not None and (unlike := list(_unlike_istio(handshake))):
        note("H02", ", ".join(unlike))
    if certificate is None and handshake.client_certificate is False:
        note("H03", "inferred from the size of the client's second flight")
    if certificate is False and server is not None and not server.resumed:
        note("H03", "read with keys")
    if server is not None and server.group is not None:
        offered = client is not None and not POST_QUANTUM_GROUPS.isdisjoint(client.groups)
        words = _GROUPS.get(server.group, f"group 0x{server.group:04x}")
        chosen = server.group in POST_QUANTUM_GROUPS
        if offered and not chosen:
            words += ", although the client offers a post-quantum one"
        note("H05" if chosen else "H04", words, forward=False)


def _unlike_istio(handshake: Handshake) -> Iterator[str]:
    client = handshake.client
    if client is None:
        return
    if client.server_names is not None:
        yield "it names a server (SNI)"
    if client.alpn is None:
        if client.whole:
            yield "no ALPN"
    elif _ALPN not in client.alpn:
        yield "ALPN without h2"


# --- what holds it up ------------------------------------------------------------------------


def _note_syns(noted: Noted, connection: Connection, several: set[int]) -> None:
    """Note SYNs that were repeated, where a point shows that the answer came a time-out later."""
    for point, half in connection.forward.items():
        answer = connection.reverse.get(point)
        if half.syn_count < 2 or point in several or half.syn_ns is None:
            continue
        if answer is None or answer.syn_ns is None:
            continue
        waited_ns = answer.syn_ns - half.syn_ns
        if waited_ns >= _SYN_TIMEOUT_NS:
            noted.note(
                "H07",
                packets=half.syn_count - 1,
                frames=[(half.capture, half.first_frame)],
                detail=f"{pair_text(connection)}: answered after {waited_ns / 1e9:.1f} s",
                display_filter=f"tcp.flags.syn == 1 && {connection_filter(connection)}",
                begins=True,
            )
            return


def _note_retransmissions(
    noted: Noted, seen: MeshSeen, again: Sequence[tuple[int, Retransmissions, bool]]
) -> None:
    """Note what was sent again: (HBONE connection, what, whether from the client)."""
    names = {role.index: role.name for role in seen.roles}
    sessions = _sessions(seen)
    views = seen.drafts.views
    for h, found, forward in again:
        half = found.half
        connection = seen.drafts.mesh.hbone[h].connection
        waits = [(views.at(half.point, a), views.at(half.point, b)) for a, b in found.waits]
        words = f"{found.packets} of {half.packets} packets {'up' if forward else 'down'}"
        words += f" at {names[half.point]}"
        if waits:
            longest_ns = max(end - begin for begin, end in waits)
            words += f", up to {longest_ns / 1e6:.1f} ms"
            if sessions[h]:
                held = sum(_meets(session, waits) for session in sessions[h])
                words += f", {held} session{'s' if held != 1 else ''} on it meanwhile"
        noted.note(
            "H06",
            packets=found.packets,
            frames=[(half.capture, frame) for frame in found.frames],
            detail=f"{pair_text(connection)}: {words}",
            display_filter=f"{_AGAIN} && {connection_filter(connection)}",
        )


def _meets(session: Span, waits: Sequence[Span]) -> bool:
    """Tell whether a session was under way while something was missing."""
    return any(begin <= session[1] and session[0] <= end for begin, end in waits)


def _sessions(seen: MeshSeen) -> dict[int, list[Span]]:
    """Return, by HBONE connection, from when to when the sessions that are known used it.

    Where neither keys nor the legs of sessions show them, there are none.
    """
    result: dict[int, list[Span]] = defaultdict(list)
    for draft in seen.drafts.all():
        span = _span(seen, draft)
        if span is not None:
            for h in {draft.hbone, draft.onward}:
                if h is not None:
                    result[h].append(span)
    return result


def _span(seen: MeshSeen, draft: Draft) -> Span | None:
    if draft.outbound is not None:
        connection = draft.connection
    elif draft.inbound is not None:
        connection = seen.drafts.mesh.inbound[draft.inbound].connection
    elif draft.stream is not None:
        return draft.stream.connect_ns, draft.stream.end_ns
    else:
        return None
    return span_of(seen, connection)
