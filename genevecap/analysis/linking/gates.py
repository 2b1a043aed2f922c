# SPDX-License-Identifier: Apache-2.0
"""Which pairs of legs are possible at all: what must hold, whatever else speaks for a pair.

Only server legs that were opened while the client's leg lasted are looked at, so the work grows
with the number of legs that are open at a time, not with that of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..rows import Array, find, sizes, spread, starts
from .events import UNKNOWN, LegEvents, LegTable

_MOST_CANDIDATES = 400
"""Inbound legs that are considered for one outbound leg."""
_BLOCK_ROWS = 1 << 18
"""Pairs that are looked at together, but at least those of one leg."""


def possible(
    outbound: Sequence[LegEvents], one: LegTable, other: LegTable, slack_ns: int
) -> tuple[Array, Array]:
    """Return the pairs that order in time, addresses and totals allow, in order.

    one: the outbound legs as a table; other: the inbound ones.
    slack_ns: how far the clocks of both sides may be apart.
    """
    partners = _Partners(outbound)
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for rows, columns in _near(one, other, slack_ns):
        allowed = _allowed(one.take(rows), other.take(columns), slack_ns)
        allowed &= partners.may_be(rows, other.source[columns])
        parts.append((rows[allowed], columns[allowed]))
    rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    begin = starts(rows)
    place = np.arange(len(rows)) - np.repeat(begin, sizes(begin, len(rows)))
    first = place < _MOST_CANDIDATES
    return rows[first], columns[first]


def _near(one: LegTable, other: LegTable, slack_ns: int) -> Iterator[tuple[Array, Array]]:
    """Yield pairs of one address that overlap, in blocks."""
    # A time of 0 says no more than one that is missing: such legs may be anywhere.
    anywhere = other.open_ns <= 0
    for address in np.intersect1d(one.address, other.address):
        rows = np.flatnonzero(one.address == address)
        own = other.address == address
        columns = np.flatnonzero(own & ~anywhere)
        columns = columns[np.argsort(other.open_ns[columns], kind="stable")]
        opened = other.open_ns[columns]
        begin = np.searchsorted(opened, one.open_ns[rows] - slack_ns)
        begin[one.open_ns[rows] == UNKNOWN] = 0
        end = np.searchsorted(opened, one.last_ns[rows] + slack_ns, "right")
        yield from _ranges(rows, columns, begin, end)
        loose = np.flatnonzero(own & anywhere)
        if len(loose):
            none = np.zeros(len(rows), np.int64)
            yield from _ranges(rows, loose, none, none + len(loose))


def _ranges(rows: Array, columns: Array, begin: Array, end: Array) -> Iterator[tuple[Array, Array]]:
    """Yield each row with its range of columns, in blocks."""
    count = np.maximum(end - begin, 0)
    room = np.cumsum(count)
    last = 0
    while last < len(rows):
        first = last
        before = room[first - 1] if first else 0
        last = max(int(np.searchsorted(room, before + _BLOCK_ROWS, "right")), first + 1)
        some = count[first:last]
        yield np.repeat(rows[first:last], some), columns[spread(begin[first:last], some)]


def _allowed(one: LegTable, other: LegTable, slack_ns: int) -> Array:
    """Tell of pairs whether they were opened, answered and closed in order, with equal totals."""
    allowed: Array = (one.open_ns == UNKNOWN) | (other.open_ns == UNKNOWN)
    allowed |= other.open_ns >= one.open_ns - slack_ns
    allowed &= (other.first_ns == UNKNOWN) | (other.first_ns <= one.last_ns + slack_ns)
    unknown = one.response_ns == UNKNOWN
    allowed &= unknown | (other.response_ns <= one.response_ns + slack_ns)
    late = other.close_up_ns >= one.close_up_ns - slack_ns
    allowed &= late | (one.close_up_ns == UNKNOWN) | (other.close_up_ns == UNKNOWN)
    unknown = one.close_down_ns == UNKNOWN
    allowed &= unknown | (other.close_down_ns <= one.close_down_ns + slack_ns)
    for mine, theirs in ((one.up_bytes, other.up_bytes), (one.down_bytes, other.down_bytes)):
        allowed &= (mine == UNKNOWN) | (theirs == UNKNOWN) | (mine == theirs)
    return allowed


class _Partners:
    """Which sources the inbound leg of each outbound leg may have."""

    def __init__(self, outbound: Sequence[LegEvents]) -> None:
        numbers: dict[frozenset[int], int] = {}
        found = [numbers.setdefault(leg.partners, len(numbers)) for leg in outbound]
        self._set = np.array(found, np.int64)
        most = max((source for sources in numbers for source in sources), default=0)
        self._size = most + 1
        keys = [n * self._size + source for sources, n in numbers.items() for source in sources]
        self._keys = np.array(sorted(keys), np.int64)

    def may_be(self, rows: Array, sources: Array) -> Array:
        """Tell of legs and sources whether they go together."""
        _, known = find(self._keys, self._set[rows] * self._size + sources)
        allowed: Array = known & (sources < self._size)
        return allowed
