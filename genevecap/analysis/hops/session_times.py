# SPDX-License-Identifier: Apache-2.0
"""Times of hops with the session that each belongs to, in bounded memory.

A hop's histogram does not say which packets belong together, and packets of one connection are not
independent of each other: they share its path, its buffers and its moment.  What compares two runs
therefore resamples connections, and needs the times by connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..rows import Array, starts

KEPT_TIMES = 8192
"""Of each hop at least so many times are kept, where there are so many, at most twice as many."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Times:
    """Times, and which session each belongs to."""

    session: Array
    """uint64: equal for times of one session."""
    ns: Array
    """int64."""
    packets: int
    """How many there were before a sample was taken."""
    clock_ns: int = 0
    """By how much all of them together may be wrong because hosts' clocks differ."""

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return len(np.unique(self.session))


def pooled(parts: Sequence[Times]) -> Times:
    """Return the times of several hops as one; a session that takes several stays one."""
    if len(parts) == 1:
        return parts[0]
    return Times(
        session=np.concatenate([part.session for part in parts]),
        ns=np.concatenate([part.ns for part in parts]),
        packets=sum(part.packets for part in parts),
        clock_ns=max(part.clock_ns for part in parts),
    )


class SessionTimes:
    """Gathers the times of hops by connection: of long runs a random sample of packets.

    Each hop has its own sample: when it holds more than twice `KEPT_TIMES`, every time is kept with
    a chance of one half, and from then on of those that come as well.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._parts: dict[int, list[tuple[Array, Array]]] = {}
        self._held: dict[int, int] = {}
        self._packets: dict[int, int] = {}
        self._halvings: dict[int, int] = {}

    def add(self, hop: Array, session: Array, ns: Array) -> None:
        """Take times: of each the number of its hop, and the key of its connection."""
        if not len(hop):
            return
        order = np.argsort(hop, kind="stable")
        hop, session, ns = hop[order], session[order], ns[order]
        begins = starts(hop)
        ends = np.append(begins[1:], len(hop))
        for start, end in zip(begins.tolist(), ends.tolist(), strict=True):
            self._add(int(hop[start]), session[start:end], ns[start:end])

    def times(self, hop: int, clock_ns: int = 0) -> Times:
        """Return what is kept of one hop."""
        parts = self._parts.get(hop) or [(np.zeros(0, np.uint64), np.zeros(0, np.int64))]
        return Times(
            session=np.concatenate([session for session, _ in parts]),
            ns=np.concatenate([ns for _, ns in parts]),
            packets=self._packets.get(hop, 0),
            clock_ns=clock_ns,
        )

    def _add(self, hop: int, session: Array, ns: Array) -> None:
        self._packets[hop] = self._packets.get(hop, 0) + len(ns)
        halvings = self._halvings.setdefault(hop, 0)
        if halvings:
            kept = self._random.random(len(ns)) < 0.5**halvings
            session, ns = session[kept], ns[kept]
        self._parts.setdefault(hop, []).append((session.copy(), ns.copy()))
        self._held[hop] = self._held.get(hop, 0) + len(ns)
        while self._held[hop] > 2 * KEPT_TIMES:
            self._halve(hop)

    def _halve(self, hop: int) -> None:
        held = self.times(hop)
        kept = self._random.random(len(held.ns)) < 0.5
        self._parts[hop] = [(held.session[kept], held.ns[kept])]
        self._held[hop] = int(kept.sum())
        self._halvings[hop] += 1
