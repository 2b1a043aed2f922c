# SPDX-License-Identifier: Apache-2.0
"""Events of one kind on one side, and the records they may belong to, as `matching` believes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..rows import Array, numbers, spread
from .events import EventTable

_BLOCK_ROWS = 1 << 17
"""Rows of a block of a join, but at least one event's."""

Joined = tuple[Array, Array, Array, Array, Array]
"""(outbound leg, inbound leg, record, turn, belief), columns of one length."""


class Matched:
    """Events of one kind on one side, and the records they may belong to."""

    __slots__ = ("_begin", "_order", "_turn", "belief", "column", "row", "table")

    def __init__(self, table: EventTable, row: Array, column: Array, belief: Array) -> None:
        self.table = table
        self.row = row
        self.column = column
        self.belief = belief
        legs = table.leg[row]
        self._turn = table.turn[row]
        self._order = np.argsort(legs, kind="stable")
        most = int(legs.max(initial=-1)) + 2
        self._begin = numbers(np.searchsorted(legs[self._order], np.arange(most)))
        """Where a leg's rows begin in `_order`."""

    def _rows_of(self, leg: int) -> Array | slice:
        """Return the rows of a leg's events, in order."""
        if leg + 1 >= len(self._begin):
            return slice(0)
        rows: Array = self._order[self._begin[leg] : self._begin[leg + 1]]
        return rows

    def _records_of(self, leg: int) -> Iterator[tuple[int, int, float]]:
        """Return (message, record, belief) of a leg's events."""
        own = self._rows_of(leg)
        columns = (self._turn[own].tolist(), self.column[own].tolist(), self.belief[own].tolist())
        return zip(*columns, strict=True)

    def by_turn(self, leg: int) -> dict[int, dict[int, float]]:
        """Return the records that each message of a leg may begin with, by message."""
        result: dict[int, dict[int, float]] = {}
        for turn, record, p in self._records_of(leg):
            result.setdefault(turn, {})[record] = p
        return result

    def records_of(self, leg: int) -> dict[int, float]:
        """Return the records that a leg's first event of this kind may belong to."""
        return {record: p for turn, record, p in self._records_of(leg) if turn == 0}


def join_at_records(one: Matched, other: Matched) -> Iterator[Joined]:
    """Yield pairs of legs wherever events of both may belong to one record.

    In a crowd these are many times what comes of them, so they are made in blocks.
    """
    turn, turn_2 = one.table.turn[one.row], other.table.turn[other.row]
    most = int(max(turn.max(initial=0), turn_2.max(initial=0))) + 1
    key, key_2 = one.column * most + turn, other.column * most + turn_2
    order = np.argsort(key_2, kind="stable")
    begin = np.searchsorted(key_2[order], key, "left")
    count = np.searchsorted(key_2[order], key, "right") - begin
    last = 0
    while last < len(key):
        first = last
        room = np.cumsum(count[first : first + _BLOCK_ROWS])
        last = first + max(int(np.searchsorted(room, _BLOCK_ROWS, "right")), 1)
        here = slice(first, last)
        left = np.repeat(np.arange(first, last), count[here])
        right = order[spread(begin[here], count[here])]
        yield (
            one.table.leg[one.row[left]],
            other.table.leg[other.row[right]],
            one.column[left],
            turn[left],
            one.belief[left] * other.belief[right],
        )
