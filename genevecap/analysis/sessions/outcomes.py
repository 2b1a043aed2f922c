# SPDX-License-Identifier: Apache-2.0
"""How sessions ended, as their connections show it.

What ztunnel does when HBONE fails is described in its sources (istio/ztunnel src/proxy/outbound.rs
and inbound.rs) and was recorded: a server that refuses gives `503` on the stream, a policy that
denies `401`, and either way the client's connection is reset; where 15008 does not answer, SYNs are
repeated and the client's connection is reset after ten seconds.  None of this resets HBONE itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..grouping import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one connection ended, as all its points saw it."""

    answered: bool
    """Whether a SYN-ACK was seen, or anything else from the server."""
    client_fin: bool
    server_fin: bool
    client_reset_ns: int | None
    server_reset_ns: int | None
    syns: int
    """SYNs at the point that saw most."""
    payload: bool
    """Whether the server sent payload."""
    went_on: bool = False
    """Whether the client sent more than SYNs, so that there was an answer, seen or not."""

    @property
    def unreachable(self) -> bool:
        """Whether the server did not answer: SYNs were repeated, or reset, and nothing came.

        One SYN alone may be all that a point sees: only it travels in Istio's tunnel, and a
        capture may end there.
        """
        repeated = self.syns > 1 or self.server_reset_ns is not None
        return repeated and not self.answered and not self.went_on


def ending(connection: Connection) -> Ending:
    """Return how a connection ended."""
    forward, reverse = connection.forward.values(), connection.reverse.values()
    return Ending(
        answered=any(h.isn is not None or h.highest or h.fin_ns for h in reverse),
        client_fin=any(h.fin_ns is not None for h in forward),
        server_fin=any(h.fin_ns is not None for h in reverse),
        client_reset_ns=_first(h.rst_ns for h in forward),
        server_reset_ns=_first(h.rst_ns for h in reverse),
        syns=max((h.syn_count for h in forward), default=0),
        payload=any(h.highest for h in reverse),
        went_on=any(h.highest or h.fin_ns is not None for h in forward),
    )


def _first(moments: Iterable[int | None]) -> int | None:
    return min((m for m in moments if m is not None), default=None)


def outcome_of(client: Ending) -> str:
    """Return the outcome that a client's own connection shows, in CONTRACT's words."""
    if client.server_reset_ns is not None and not client.payload:
        return "unknown"  # refused, denied or unreachable: other legs tell
    resets = [m for m in (client.client_reset_ns, client.server_reset_ns) if m is not None]
    if resets:
        if client.client_fin and client.server_fin:
            return "completed"
        first = min(resets)
        return "aborted" if first == client.client_reset_ns else "unknown"
    if client.client_fin and client.server_fin:
        return "completed"
    return "open"
