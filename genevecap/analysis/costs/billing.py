# SPDX-License-Identifier: Apache-2.0
"""Which of several sightings of a packet is the one that counts.

A packet that passes three capture points was sent once, so it is billed once.  Packets are not
matched one by one for that: a leg, and each tunnel around it, is counted at **one** point, where
the whole of it is seen best.  That is the point where most of its segments were seen; of those
that saw (nearly) as many the one with fewest super-packets, which are estimates, and of those the
one nearest the wire, where most traffic is inside tunnels.  A capture of all interfaces at once
comes after those of one, because it shows a packet several times; loopbacks come last: what is
seen elsewhere too was not host-only.

A leg whose packets take two ways at once (two network cards of one host, say) is counted at one
of them only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from ..super_packets import SegmentCounts
from .shapes import Leg, Level, Sighting

_NEARLY = 0.98
"""Of the most segments: a point that saw this share of them saw as much as any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegBill:
    """Where one leg is counted: its own headers, and each tunnel around it."""

    leg: Leg
    host_only: bool
    """Whether it was seen on loopbacks only."""
    own: tuple[Sighting, ...]
    """What the point saw that the leg itself is counted at."""
    levels: Mapping[Level, tuple[Sighting, ...]]
    """For each tunnel level, what the point saw inside it that it is counted at."""


@dataclass(slots=True)
class _Seen:
    """What one point saw."""

    segments: int = 0
    super_packets: int = 0
    sightings: list[Sighting] = field(default_factory=list)


def bills(
    sightings: Sequence[Sighting],
    segments: SegmentCounts,
    loopback: AbstractSet[int],
    level_of: Callable[[Sighting], Iterable[Level]] = lambda sighting: sighting.stack,
    ranks: Mapping[int, int] | None = None,
    cooked: AbstractSet[int] = frozenset(),
) -> list[LegBill]:
    """Return one bill per leg, in the order of legs.

    loopback: points that are a host's `lo`.
    level_of: the tunnel levels of a sighting that are asked about.
    ranks: by point, how far from the wire it is, where that is known: 0 is the wire.
    cooked: points that are all interfaces of a host at once.
    """
    nearness = _nearness(sightings, ranks or {})
    last = dict.fromkeys(cooked, 1) | dict.fromkeys(loopback, 2)
    by_leg: dict[Leg, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_leg[sighting.leg].append(sighting)
    result = []
    for leg, seen in sorted(by_leg.items()):
        points: dict[int, _Seen] = defaultdict(_Seen)
        levels: dict[Level, dict[int, _Seen]] = {}
        for sighting in seen:
            number = segments.of(leg, sighting.shape)
            _note(points[sighting.point], sighting, number)
            for level in level_of(sighting):
                at = levels.setdefault(level, defaultdict(_Seen))
                _note(at[sighting.point], sighting, number)
        point = _best(points, nearness, last)
        result.append(
            LegBill(
                leg=leg,
                host_only=point in loopback,
                own=_own(points[point].sightings, segments, point in cooked),
                levels={
                    level: tuple(at[_best(at, nearness, last)].sightings)
                    for level, at in sorted(levels.items())
                },
            )
        )
    return result


def _own(
    sightings: Sequence[Sighting], segments: SegmentCounts, cooked: bool
) -> tuple[Sighting, ...]:
    """Return what a leg itself is counted by: all of it, since a packet passes a point once.

    Where a point is several interfaces a packet may have passed it bare and in tunnels: then the
    stack counts that was seen most.
    """
    if not cooked:
        return tuple(sightings)
    by_stack: dict[tuple[Level, ...], int] = defaultdict(int)
    for sighting in sightings:
        by_stack[sighting.stack] += sighting.frames * segments.of(sighting.leg, sighting.shape)
    most = max(by_stack, key=lambda stack: (by_stack[stack], stack))
    return tuple(sighting for sighting in sightings if sighting.stack == most)


def _note(seen: _Seen, sighting: Sighting, segments: int) -> None:
    seen.segments += sighting.frames * segments
    seen.super_packets += sighting.frames * (segments > 1)
    seen.sightings.append(sighting)


_Nearness = tuple[int, float, int, int]

_UNRANKED = 5


def _nearness(sightings: Iterable[Sighting], ranks: Mapping[int, int]) -> dict[int, _Nearness]:
    """Return how near the wire points are, the nearest least.

    By what they are known to be, then by the share of their traffic that is in tunnels, its
    amount, and their order.
    """
    tunnelled: dict[int, int] = defaultdict(int)
    total: dict[int, int] = defaultdict(int)
    for sighting in sightings:
        total[sighting.point] += sighting.frames
        tunnelled[sighting.point] += sighting.frames * bool(sighting.stack)
    return {
        point: (
            ranks.get(point, _UNRANKED),
            -tunnelled[point] / total[point],
            -total[point],
            point,
        )
        for point in total
    }


def _best(
    seen: Mapping[int, _Seen], nearness: Mapping[int, _Nearness], last: Mapping[int, int]
) -> int:
    """Return the point at which something is counted; see the essay above.

    last: points that are taken only where there is no better one, the worst highest.
    """
    best = min(last.get(point, 0) for point in seen)
    points = [point for point in seen if last.get(point, 0) == best]
    most = max(seen[point].segments for point in points)
    return min(
        (point for point in points if seen[point].segments >= most * _NEARLY),
        key=lambda point: (seen[point].super_packets, nearness[point]),
    )
