# SPDX-License-Identifier: Apache-2.0
"""Hops as ways: which comes before which, and the chains that a person would draw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .results import Hop

LEGS = ("outbound", "hbone", "waypoint", "inbound")
"""In the order in which a request passes them."""
DIRECTIONS = ("forward", "reverse")


def in_travel_order(hops: Iterable[Hop]) -> tuple[Hop, ...]:
    """Return hops by leg and direction, those of one in the order in which packets pass them."""
    groups: dict[tuple[int, int], list[Hop]] = defaultdict(list)
    for hop in hops:
        groups[DIRECTIONS.index(hop.direction), LEGS.index(hop.leg)].append(hop)
    ordered: list[Hop] = []
    for key in sorted(groups, key=lambda key: (key[0], key[1] if key[0] == 0 else -key[1])):
        ranks = _ranks(groups[key])
        ordered += sorted(
            groups[key],
            key=lambda hop: (ranks[hop.origin], ranks[hop.to], -hop.packets, hop.origin, hop.kind),
        )
    return tuple(ordered)


def chains(hops: Sequence[Hop]) -> tuple[tuple[int, ...], ...]:
    """Return chains of hops by index, as few as show every hop once.

    Each begins where most packets come from, follows the most packets, and ends where it meets a
    chain that goes on from there.  hops: in travel order.
    """
    found: list[tuple[int, ...]] = []
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, hop in enumerate(hops):
        groups[hop.leg, hop.direction].append(index)
    for members in groups.values():
        left = set(members)
        while left:
            targets = {hops[i].to for i in left if hops[i].to != hops[i].origin}
            heads = [i for i in left if hops[i].origin not in targets] or sorted(left)
            chain = [max(heads, key=lambda i: (hops[i].packets, -i))]
            left.discard(chain[0])
            while going_on := [
                i for i in left if i > chain[-1] and hops[i].origin == hops[chain[-1]].to
            ]:
                chain.append(max(going_on, key=lambda i: (hops[i].packets, -i)))
                left.discard(chain[-1])
            found.append(tuple(chain))
    return tuple(found)


def _ranks(hops: Sequence[Hop]) -> dict[str, int]:
    """Return how many hops, at most, lie before each point.

    The most travelled hops count first; one that would close a circle is passed over.
    """
    after: dict[str, set[str]] = defaultdict(set)
    for hop in sorted(hops, key=lambda hop: -hop.packets):
        if hop.origin != hop.to and not _reaches(after, hop.to, hop.origin):
            after[hop.origin].add(hop.to)
    ranks = dict.fromkeys((point for hop in hops for point in (hop.origin, hop.to)), 0)
    changed = True
    while changed:
        changed = False
        for origin, targets in after.items():
            for to in targets:
                if ranks[to] <= ranks[origin]:
                    ranks[to] = ranks[origin] + 1
                    changed = True
    return ranks


def _reaches(after: dict[str, set[str]], start: str, goal: str) -> bool:
    seen, stack = {start}, [start]
    while stack:
        point = stack.pop()
        if point == goal:
            return True
        for following in after.get(point, ()):
            if following not in seen:
                seen.add(following)
                stack.append(following)
    return False
