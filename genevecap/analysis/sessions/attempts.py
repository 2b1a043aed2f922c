# SPDX-License-Identifier: Apache-2.0
"""HBONE connections that were tried for a client and never answered."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..linking.events import LegEvents
from .mesh import Address, LinkInputs, Mesh
from .outcomes import ending

_SETUP_NS = 30_000_000_000
"""How long before a client's SYN the attempt that it waits for may have been made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An HBONE connection that was tried for a client."""

    hbone: int
    """Its index."""
    alone: bool
    """Whether no other one fits."""


class Attempts:
    """Unanswered connections to port 15008, found by source and server."""

    def __init__(self, mesh: Mesh, inputs: LinkInputs) -> None:
        self._mesh = mesh
        self._inputs = inputs
        self.unanswered = frozenset(
            h for h, leg in enumerate(mesh.hbone) if ending(leg.connection).unreachable
        )
        self._pods = {
            end[:3] for leg in mesh.hbone for end in (leg.connection.client, leg.connection.server)
        }
        self._by_way: dict[tuple[int, Address | None], list[tuple[int, int]]] = defaultdict(list)
        """(SYN, index) by source, and by source and server."""
        for h in self.unanswered:
            records = inputs.hbone[h]
            row = (records.open_ns or 0, h)
            self._by_way[records.source, None].append(row)
            self._by_way[records.source, mesh.hbone[h].connection.server[:3]].append(row)
        for rows in self._by_way.values():
            rows.sort()
        self._taken: set[int] = set()
        self._next: dict[tuple[int, Address | None, int], int] = {}
        """By list and place: the next place that may be free."""

    def by_outbound(self, waiting: Iterable[int]) -> dict[int, Attempt]:
        """Return the attempts of these outbound legs, which got no answer.

        Attempts for one destination wait for each other, so the leg that was given up first
        belongs to the attempt that was made first.  One attempt may serve several legs.
        """
        result: dict[int, Attempt] = {}
        if not self.unanswered:
            return result
        for i in sorted(waiting, key=lambda i: (self._inputs.outbound[i].last_ns, i)):
            tried = self._of(self._inputs.outbound[i], self._mesh.outbound[i].connection.server[:3])
            if tried is not None:
                self._taken.add(tried.hbone)
                result[i] = tried
        return result

    def _of(self, events: LegEvents, called: Address) -> Attempt | None:
        """Return the first attempt that fits and is free, else the first that fits."""
        server = called if called in self._pods else None  # a service may be any server
        begin_ns = (events.open_ns or 0) - _SETUP_NS
        free: list[tuple[int, int]] = []
        taken: list[tuple[int, int]] = []
        fitting = 0
        for source in events.pools:
            way = (source, server)
            rows = self._by_way.get(way, [])
            place = bisect_left(rows, (begin_ns, -1))
            fitting += max(bisect_left(rows, (events.last_ns + 1, -1)) - place, 0)
            if place < len(rows) and rows[place][0] <= events.last_ns:
                taken.append(rows[place])
                place = self._free_from(way, rows, place)
                if place < len(rows) and rows[place][0] <= events.last_ns:
                    free.append(rows[place])
        if not taken:
            return None
        return Attempt(hbone=min(free or taken)[1], alone=fitting == 1)

    def _free_from(
        self, way: tuple[int, Address | None], rows: list[tuple[int, int]], place: int
    ) -> int:
        """Return the first place from this one on whose attempt is not taken."""
        passed = []
        while place < len(rows) and rows[place][1] in self._taken:
            passed.append(place)
            place = self._next.get((*way, place), place + 1)
        for each in passed:
            self._next[*way, each] = place
        return place
