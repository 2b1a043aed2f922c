# SPDX-License-Identifier: Apache-2.0
"""How each session ended, from all its legs: what its client's connection alone leaves open.

A client that ztunnel resets without an answer was refused by the server (`503` on the stream) or
denied by a policy (`401`).  Without keys the lengths of those answers tell them apart: HEADERS with
the status and RST_STREAM are 44 and 43 octets as a TLS record, because `503` takes one octet more
than `401` in HPACK's Huffman code (RFC 7541 appendix B).  The second time on a connection the
status comes out of HPACK's table, and either is 40 octets: then it is the one that came before, if
only one did.  Lengths as recorded of ztunnel 1.24 and 1.31; which status means what is said in
istio/ztunnel src/proxy/inbound.rs `serve_connect`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ..connections import Endpoint
from .draft import Draft
from .keys import outcome_of_status
from .mesh import LinkInputs, Mesh
from .outcomes import Ending, ending, outcome_of

_UNAUTHORIZED, _UNAVAILABLE = 401, 503
_STATUS_OF_LENGTH = {44: _UNAVAILABLE, 43: _UNAUTHORIZED}
_AGAIN_BYTES = 40
_REFUSALS = (_AGAIN_BYTES, *_STATUS_OF_LENGTH)
_SOON_NS = 2_000_000_000
"""How long before a client's connection is reset what made ztunnel reset it is looked for."""
_AT_ONCE_NS = 20_000_000
"""ztunnel resets a client within this time of the answer; what is nearer says more."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A record that may have been a refusal."""

    length: int
    statuses: frozenset[int]
    """What it may have said."""


class Verdicts:
    """Fills in outcomes; sessions have to come in the order in which their clients were reset."""

    def __init__(self, mesh: Mesh, inputs: LinkInputs, used_inbound: set[int]) -> None:
        """used_inbound: inbound legs of sessions; those that explain a refusal are added."""
        self._mesh = mesh
        self._inputs = inputs
        self._used = used_inbound
        self._captured = {leg.connection.server[:3] for leg in mesh.inbound}
        self._said: dict[int, set[int]] = defaultdict(set)
        """Statuses that HBONE connections brought, by index."""
        self._heard: set[tuple[int, int]] = set()
        """Answers that explain a reset: (HBONE connection, record), for each explains one."""
        self._reset_legs: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """(SYN, index) of inbound legs that the server reset at once, by its port."""
        for j, leg in enumerate(mesh.inbound):
            opened, end = inputs.inbound[j].open_ns, ending(leg.connection)
            if opened is not None and end.server_reset_ns is not None and not end.payload:
                self._reset_legs[leg.connection.server.port].append((opened, j))
        for legs in self._reset_legs.values():
            legs.sort()

    def settle(self, draft: Draft, client: Ending) -> None:
        """Fill in how a session ended; client: how its own connection did."""
        if draft.outcome == "unreachable":
            return
        draft.outcome = outcome_of(client)
        status = draft.stream.status if draft.stream is not None else None
        told = outcome_of_status(status)
        if told is not None:
            draft.outcome = told
            draft.verdict.append(f"keys: the answer on its stream is {status}")
            return
        if draft.outcome != "unknown" or client.server_reset_ns is None:
            return
        if draft.inbound is not None:
            server = ending(self._mesh.inbound[draft.inbound].connection)
            if server.server_reset_ns is not None and not server.payload:
                draft.outcome = "refused"
                draft.verdict.append("causality: the server reset its ztunnel's connection")
        elif draft.hbone is not None:
            self._ask_hbone(draft, draft.hbone, client.server_reset_ns)

    def _ask_hbone(self, draft: Draft, h: int, reset_ns: int) -> None:
        # An Envoy's answers have other lengths, and a gateway's are not the server's.
        answer = self._answer(h, reset_ns) if draft.kind == "hbone" else None
        refused = self._refused_by_server(draft.connection.server, reset_ns)
        if refused is not None:
            draft.outcome = "refused"
            draft.verdict.append("causality: a SYN to the server's port was reset just before")
            self._used.add(refused)
            if answer is not None and _UNAVAILABLE in answer.statuses:
                self._say(draft, answer, {_UNAVAILABLE})
        elif answer is not None:
            statuses = set(answer.statuses)
            if self._mesh.hbone[h].connection.server[:3] in self._captured and len(statuses) > 1:
                statuses = {_UNAUTHORIZED}  # a refusal would have shown
                draft.verdict.append("causality: no connection to the server was opened for it")
            if len(statuses) == 1:
                draft.outcome = outcome_of_status(*statuses) or "unknown"
                self._said[h] |= statuses if answer.length != _AGAIN_BYTES else set()
            self._say(draft, answer, statuses)

    @staticmethod
    def _say(draft: Draft, answer: _Answer, statuses: set[int]) -> None:
        names = " or a ".join(str(status) for status in sorted(statuses, reverse=True))
        line = (
            f"markers: HBONE brought a record of {answer.length} octets, as a {names} has, and the "
            "client was reset"
        )
        if len(statuses) > 1:
            line += ": refused or denied, which of them the server's side would show"
        draft.verdict.append(line)

    def _answer(self, h: int, reset_ns: int) -> _Answer | None:
        """Return the `503` or `401` that HBONE brought shortly before a reset."""
        down = self._inputs.hbone[h].down
        soon = (down.client_last_ns <= reset_ns) & (down.client_last_ns >= reset_ns - _SOON_NS)
        soon &= np.isin(down.length, _REFUSALS)
        found = [
            (int(down.client_last_ns[record]), record)
            for record in np.flatnonzero(soon).tolist()
            if (h, record) not in self._heard
        ]
        if not found:
            return None
        last_ns, _ = max(found)
        near = sorted(row for row in found if row[0] >= min(last_ns, reset_ns - _AT_ONCE_NS))
        lengths = [int(down.length[record]) for _, record in near]
        self._heard.add((h, near[0][1]))
        return _Answer(lengths[0], frozenset().union(*(self._statuses(h, n) for n in lengths)))

    def _statuses(self, h: int, length: int) -> frozenset[int]:
        status = _STATUS_OF_LENGTH.get(length)
        if status is not None:
            return frozenset({status})
        return frozenset(self._said[h] or {_UNAUTHORIZED, _UNAVAILABLE})

    def _refused_by_server(self, called: Endpoint, reset_ns: int) -> int | None:
        """Return an inbound leg whose SYN was answered by a reset shortly before."""
        legs = self._reset_legs.get(called.port, [])
        for place in range(bisect_left(legs, (reset_ns - _SOON_NS, -1)), len(legs)):
            opened, j = legs[place]
            if opened > reset_ns:
                return None
            if j not in self._used:
                del legs[place]
                return j
        return None
