# SPDX-License-Identifier: Apache-2.0
"""Packets that are not simply the same everywhere: repeated ones, cut and merged ones.

See `identity` for the reasoning.  Both functions get rows of several packets, those of one packet
together and in the order of octets and time, and return ways through them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rows import Array, sizes, starts
from ..segments import mix
from .identity_order import CLOSE_NS
from .sightings import IS_IPV4, Sightings

_BLOCK_BITS = 34


@dataclass(slots=True, kw_only=True)
class Special:
    """Ways of packets, as `identity.Paths` has them, by row index."""

    rows: Array
    path: Array
    ended: Array
    matched: int
    unmatched: int
    ambiguous: int


# --- repeated --------------------------------------------------------------------------------


def repeated_paths(rows: Sightings, chosen: Array, packet: Array) -> Special:
    """Tell apart packets that are alike and were seen more than once at some point.

    chosen: row indices; packet: which of the groups of alike packets each belongs to.
    """
    by_number, valid = _by_identification(rows, chosen, packet)
    by_count, even = _by_occurrence(rows, chosen, packet)
    part = np.where(valid[packet], by_number, by_count)
    clear = (valid | even)[packet]
    at = np.flatnonzero(clear)
    tunnels = -rows.tunnels[chosen[at]].astype(np.int64)
    order = at[np.lexsort((tunnels, rows.time_ns[chosen[at]], part[at], packet[at]))]
    start = starts(packet[order], part[order])
    size = sizes(start, len(order))
    lost = _surplus(rows, chosen[~clear], packet[~clear])
    paths = len(start)
    return Special(
        rows=np.concatenate((chosen[order], lost)),
        path=np.concatenate((np.repeat(np.arange(paths), size), paths + np.arange(len(lost)))),
        ended=np.ones(paths + len(lost), bool),
        matched=int(size[size > 1].sum()),
        unmatched=int(np.count_nonzero(size == 1)),
        ambiguous=int(np.count_nonzero(~clear)),
    )


def _places(rows: Sightings, chosen: Array) -> Array:
    """Return where a sighting was made: point, tunnels around it, TTL."""
    place: Array = (
        (rows.point[chosen].astype(np.int64) << 16)
        | (rows.tunnels[chosen].astype(np.int64) << 8)
        | rows.ttl[chosen]
    )
    return place


def _by_occurrence(rows: Sightings, chosen: Array, packet: Array) -> tuple[Array, Array]:
    """Count the sightings of each place; also tell where all places saw equally many."""
    place = _places(rows, chosen)
    order = np.lexsort((rows.time_ns[chosen], place, packet))
    start = starts(packet[order], place[order])
    size = sizes(start, len(order))
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order)) - np.repeat(start, size)
    first = starts(packet[order][start])
    even = np.minimum.reduceat(size, first) == np.maximum.reduceat(size, first)
    return number, even


def _by_identification(rows: Sightings, chosen: Array, packet: Array) -> tuple[Array, Array]:
    """Return IPv4's identification, and where it tells all sightings apart."""
    place = _places(rows, chosen)
    number = rows.identification[chosen].astype(np.int64)
    useful = (number != 0) & ((rows.traits[chosen] & IS_IPV4) != 0)
    packets = int(packet[-1]) + 1
    valid = np.ones(packets, bool)
    valid[packet[~useful]] = False
    order = np.lexsort((place, number, packet))
    again = np.zeros(len(order), bool)
    again[1:] = (
        (packet[order][1:] == packet[order][:-1])
        & (number[order][1:] == number[order][:-1])
        & (place[order][1:] == place[order][:-1])
    )
    valid[packet[order][again]] = False
    start = starts(packet[order], number[order])
    numbers = np.bincount(packet[order][start], minlength=packets)
    by_place = np.lexsort((place, packet))
    start = starts(packet[by_place], place[by_place])
    most = np.zeros(packets, np.int64)
    np.maximum.at(most, packet[by_place][start], sizes(start, len(by_place)))
    return number, valid & (numbers == most)


def _surplus(rows: Sightings, chosen: Array, packet: Array) -> Array:
    """Return rows that stand for the losses: as many as a place saw more than the next one."""
    if not len(chosen):
        return chosen
    place = _places(rows, chosen)
    order = np.lexsort((rows.time_ns[chosen], place, packet))
    start = starts(packet[order], place[order])
    size = sizes(start, len(order))
    first_ns = rows.time_ns[chosen[order[start]]]
    travel = np.lexsort((first_ns, packet[order][start]))
    lost: list[Array] = []
    for here, there in zip(travel[:-1].tolist(), travel[1:].tolist(), strict=True):
        if packet[order[start[here]]] == packet[order[start[there]]]:
            surplus = max(int(size[here] - size[there]), 0)
            end = int(start[here] + size[here])
            lost.append(chosen[order[end - surplus : end]])
    return np.concatenate(lost) if lost else chosen[:0]


# --- cut and merged ----------------------------------------------------------------------------


def resegmented_paths(rows: Sightings, chosen: Array, packet: Array) -> Special:
    """Find ways through packets whose octets are divided differently at different points.

    chosen: row indices; packet: which connected range of octets each belongs to.
    """
    table = _Ranges(rows, chosen, packet)
    following = table.links()
    covered = table.covered()
    heads = np.ones(len(chosen), bool)
    heads[following[following >= 0]] = False
    path = np.full(len(chosen), -1, np.int64)
    depth = np.zeros(len(chosen), np.int64)
    at = np.flatnonzero(heads)
    path[at] = np.arange(len(at))
    tail = at.copy()
    level = 0
    while len(at):
        following_at = following[at]
        going = following_at >= 0
        at = at[going]
        path[following_at[going]] = path[at]
        level += 1
        depth[following_at[going]] = level
        tail[path[at]] = following_at[going]
        at = following_at[going]
    order = np.lexsort((depth, path))
    # A path ends where its octets were not seen again; a cut one goes on, and may lose a piece.
    ended = ~covered[tail] | table.is_last[tail]
    partly = np.flatnonzero((following >= 0) & ~covered)
    size = np.bincount(path, minlength=int(heads.sum()))
    alone = (size == 1) & table.is_last[tail] & table.is_first[tail]
    return Special(
        rows=np.concatenate((table.row[order], table.row[partly])),
        path=np.concatenate((path[order], len(ended) + np.arange(len(partly)))),
        ended=np.concatenate((ended, np.ones(len(partly), bool))),
        matched=len(chosen) - int(alone.sum()),
        unmatched=int(alone.sum()),
        ambiguous=0,
    )


class _Ranges:
    """Octet ranges by block: what one place saw of one packet, blocks in the order of travel."""

    def __init__(self, rows: Sightings, chosen: Array, packet: Array) -> None:
        place = _places(rows, chosen)
        begin = (rows.sequence[chosen] - rows.content[chosen].astype(np.uint32)).astype(np.int64)
        length = np.maximum(rows.length[chosen], 1).astype(np.int64)
        time_ns = rows.time_ns[chosen]
        order = np.lexsort((time_ns, place, packet))
        start = starts(packet[order], place[order])
        size = sizes(start, len(order))
        first_ns = time_ns[order[start]]
        travel = _travel(first_ns, rows.tunnels[chosen[order[start]]], packet[order[start]])
        rank = np.empty(len(start), np.int64)
        rank[travel] = np.arange(len(start))
        block = np.empty(len(order), np.int64)
        block[order] = np.repeat(rank, size)
        sort = np.lexsort((time_ns, length, begin, block))
        self.row = chosen[sort]
        self.block = block[sort]
        self.begin = begin[sort]
        self.length = length[sort]
        self.end = self.begin + self.length
        owner = packet[order[start]][travel]
        last = np.append(owner[1:] != owner[:-1], True)
        first = np.append(True, owner[1:] != owner[:-1])
        self.is_last = last[self.block]
        self.is_first = first[self.block]

    def links(self) -> Array:
        """Return for each range the one that follows it in the next block, -1 without one.

        The same range, else (cut) the one with its first octet, else (merged) the one with its
        last.  A range that could follow two, or be followed by two, is left alone.
        """
        length = self.length.astype(np.uint64)
        following = np.full(len(self.row), -1, np.int64)
        taken = np.zeros(len(self.row), bool)
        here = mix(self._key(self.block, self.begin).astype(np.uint64)) ^ length
        there = mix(self._key(self.block + 1, self.begin).astype(np.uint64)) ^ length
        self._join(following, taken, here, there)
        for mine, sign in ((self.begin, -1), (self.end, 1)):
            here, there = self._key(self.block, mine), self._key(self.block + 1, mine)
            self._join(following, taken, here, there, sign)
        return following

    def _join(
        self, following: Array, taken: Array, here: Array, there: Array, sign: int | None = None
    ) -> None:
        """Link rows whose `there` is the `here` of exactly one row, and that are the only ones.

        sign: only to longer (1) or to shorter ranges (-1).
        """
        free = np.flatnonzero(~taken)
        order = free[np.argsort(here[free], kind="stable")]
        values = here[order]
        rows = np.flatnonzero((following < 0) & ~self.is_last)
        left = np.searchsorted(values, there[rows], side="left")
        right = np.searchsorted(values, there[rows], side="right")
        single = right - left == 1
        rows, target = rows[single], order[left[single]]
        if sign is not None:
            fits = np.sign(self.length[target] - self.length[rows]) == sign
            rows, target = rows[fits], target[fits]
        _, where, count = np.unique(target, return_index=True, return_counts=True)
        where = where[count == 1]
        following[rows[where]] = target[where]
        taken[target[where]] = True

    def covered(self) -> Array:
        """Tell for each range whether all its octets are in the next block."""
        key = self._key(self.block, self.begin)
        before = np.concatenate(([0], np.cumsum(self.length)))
        block_start = np.searchsorted(self.block, self.block + 1, side="left")

        def octets(position: Array) -> Array:
            """Return the octets of the next block that lie before a position."""
            at = np.searchsorted(key, self._key(self.block + 1, position), side="right") - 1
            inside = at >= block_start
            at = np.maximum(at, 0)
            partial = np.minimum(position - self.begin[at], self.length[at])
            counted: Array = np.where(inside, before[at] + partial - before[block_start], 0)
            return counted

        whole: Array = ~self.is_last & (octets(self.end) - octets(self.begin) >= self.length)
        return whole

    @staticmethod
    def _key(block: Array, position: Array) -> Array:
        key: Array = (block << _BLOCK_BITS) + position
        return key


def _travel(first_ns: Array, tunnels: Array, packet: Array) -> Array:
    """Return blocks in the order of travel: that of time, but for a kept time stamp.

    No kernel puts a packet into a tunnel within `CLOSE_NS`, but one that takes it out keeps the
    time, more or less: so near each other, the outer packet was first.
    """
    order = np.lexsort((-tunnels.astype(np.int64), first_ns, packet))
    near = np.flatnonzero(
        (packet[order][1:] == packet[order][:-1])
        & (first_ns[order][1:] - first_ns[order][:-1] <= CLOSE_NS)
        & (tunnels[order][1:] > tunnels[order][:-1])
    )
    order[near], order[near + 1] = order[near + 1], order[near]
    return order
