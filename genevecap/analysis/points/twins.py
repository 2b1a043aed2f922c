# SPDX-License-Identifier: Apache-2.0
"""The same interface captured twice: by two programs, or by one and by an `any` capture.

Such points show the same packets at practically equal times.  Two ends of a link show the same
packets too, with the same addresses and TTLs, a microsecond or two apart; but there the one is
earlier in one direction and the other in the other, while between twins the difference does not
depend on the direction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from typing import NamedTuple

from .signs import PointSample

TOLERANCE_NS = 2_000
"""Two programs do not stamp one packet at the same moment where the kernel has not."""
MICROSECOND_NS = 1_000
_FEWEST = 4
_MOST_SIGHTINGS = 64
_SHARE = 0.5


class Likeness(NamedTuple):
    """How alike two points are."""

    common: int
    """Sampled packets that both show."""
    spread_ns: int
    """Between the tenth and the ninetieth of a hundred differences."""
    both_ways: bool
    """Whether packets of both directions were compared."""


def resolution_ns(sample: PointSample) -> int:
    """Return 1000 where all times of a sample are whole microseconds, else 1."""
    coarse = all(time_ns % MICROSECOND_NS == 0 for time_ns in sample.packets().values())
    return MICROSECOND_NS if coarse else 1


def alike(samples: dict[int, PointSample]) -> dict[tuple[int, int], Likeness]:
    """Return the pairs of points that show the same packets at practically equal times."""
    packets = {index: sample.packets() for index, sample in samples.items()}
    seen_at: dict[int, list[int]] = defaultdict(list)
    for index, times in packets.items():
        for packet in times:
            seen_at[packet].append(index)
    pairs: Counter[tuple[int, int]] = Counter()
    for points in seen_at.values():
        if 1 < len(points) <= _MOST_SIGHTINGS:
            pairs.update(combinations(points, 2))
    coarse = {index: resolution_ns(samples[index]) for index in {p for pair in pairs for p in pair}}
    found = {}
    for (a, b), common in pairs.items():
        slack = TOLERANCE_NS + max(coarse[a], coarse[b])
        likeness = _compare(packets[a], packets[b], common, slack)
        if likeness is not None:
            found[a, b] = likeness
    return found


def _compare(a: dict[int, int], b: dict[int, int], common: int, slack_ns: int) -> Likeness | None:
    if common < min(_FEWEST, len(a), len(b)) or common < _SHARE * _overlap(a, b):
        return None
    both = [packet for packet in a if packet in b]
    differences = sorted(b[packet] - a[packet] for packet in both)
    forward = sorted(b[packet] - a[packet] for packet in both if packet & 1)
    reverse = sorted(b[packet] - a[packet] for packet in both if not packet & 1)
    if abs(_middle(differences)) > slack_ns:
        return None
    both_ways = min(len(forward), len(reverse)) > 1
    if both_ways and abs(_middle(forward) - _middle(reverse)) > slack_ns:
        return None
    tenth = len(differences) // 10
    return Likeness(
        common=common,
        spread_ns=differences[-1 - tenth] - differences[tenth],
        both_ways=both_ways,
    )


def _middle(in_order: list[int]) -> int:
    return in_order[len(in_order) // 2]


def _overlap(a: dict[int, int], b: dict[int, int]) -> int:
    """Return how many packets of the smaller sample fall into the time of both."""
    begin = max(min(a.values()), min(b.values()))
    end = min(max(a.values()), max(b.values()))
    return min(sum(begin <= t <= end for t in times.values()) for times in (a, b))
