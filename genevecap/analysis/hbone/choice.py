# SPDX-License-Identifier: Apache-2.0
"""Which point each HBONE connection is read from, and why some are read from none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from .keys import KeyLog
from .results import RefusedConnection
from .sightings import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A point that a connection could be read from."""

    point: int
    """Index of the capture point, as `Inputs` numbers them."""
    client: str
    server: str
    client_isn: int
    syn_ns: int
    """Time of the SYN at this point."""


Rank = Callable[[Candidate], Any]
"""What orders the points of one connection: the least that can be read is taken, None is out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A connection and the point that it is read from."""

    sighting: Sighting
    client_random: bytes
    seen_as: tuple[tuple[str, str], ...]
    """Its other (client, server) addresses."""


def earliest(candidate: Candidate) -> tuple[int, int]:
    """Rank the point that saw the connection first before the others."""
    return candidate.syn_ns, candidate.point


def choose(
    sightings: Sequence[Sighting], keys: KeyLog, rank: Rank
) -> tuple[list[Chosen], tuple[RefusedConnection, ...]]:
    """Return which point each connection is read from, and the connections that have none.

    A point that has everything goes before one with holes, then `rank` decides.
    """
    chosen, refused = [], []
    for group in _connections(sightings):
        usable = [one for one in _ranked(group, rank) if one.refusal(keys) is None]
        if not usable:
            refused.append(_refused(group, keys))
            continue
        best = min(usable, key=lambda one: one.holes() != (None, None))
        ends = dict.fromkeys((one.client, one.server) for one in group)
        del ends[best.client, best.server]
        chosen.append(
            Chosen(sighting=best, client_random=best.client_random or b"", seen_as=tuple(ends))
        )
    return chosen, tuple(refused)


def _connections(sightings: Sequence[Sighting]) -> list[list[Sighting]]:
    """Return the sightings of each connection together.

    They are of one connection where their client random is the same, or their addresses and the
    SYN's sequence number are.
    """
    randoms = {
        sighting.identity[1:]: random
        for sighting in sightings
        if (random := sighting.client_random) is not None
    }
    groups: dict[Hashable, list[Sighting]] = {}
    for sighting in sightings:
        ends = sighting.identity[1:]
        groups.setdefault(randoms.get(ends, ends), []).append(sighting)
    return list(groups.values())


def _ranked(group: Sequence[Sighting], rank: Rank) -> list[Sighting]:
    """Return the sightings that may be read from, the preferred first."""
    orders = [
        (rank(_candidate(sighting, isn)), number)
        for number, sighting in enumerate(group)
        if (isn := sighting.client_isn) is not None
    ]
    return [group[number] for _, number in sorted(one for one in orders if one[0] is not None)]


def _candidate(sighting: Sighting, isn: int) -> Candidate:
    return Candidate(
        point=sighting.point,
        client=sighting.client,
        server=sighting.server,
        client_isn=isn,
        syn_ns=sighting.first_ns,
    )


def _refused(group: Sequence[Sighting], keys: KeyLog) -> RefusedConnection:
    """Say why a connection stays closed, by the point that came furthest."""
    left_out = (1 << 16, "the points that could be read are left out")
    reasons = [(sighting.refusal(keys) or left_out, sighting) for sighting in group]
    (_, reason), sighting = max(reasons, key=lambda one: one[0][0])
    return RefusedConnection(
        client=sighting.client,
        server=sighting.server,
        client_isn=sighting.client_isn,
        first_ns=sighting.first_ns,
        point=sighting.point,
        reason=reason,
    )
