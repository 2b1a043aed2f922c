# SPDX-License-Identifier: Apache-2.0
"""Events of one kind on one side, and the records they may belong to, as `matching` believes."""

from __future__ import annotations

import numpy as np

from .events import Array, EventTable
from .frames import READ_BYTES


class Matched:
    """Events of one kind on one side, and the records they may belong to."""

    __slots__ = ("belief", "column", "row", "table")

    def __init__(self, table: EventTable, row: Array, column: Array, belief: Array) -> None:
        self.table = table
        self.row = row
        self.column = column
        self.belief = belief

    def by_turn(self, leg: int) -> dict[int, dict[int, float]]:
        """Return the records that each message of a leg may begin with, by message."""
        own = np.flatnonzero(self.table.leg[self.row] == leg)
        result: dict[int, dict[int, float]] = {}
        turns, columns = self.table.turn[self.row[own]], self.column[own]
        rows = zip(turns.tolist(), columns.tolist(), self.belief[own].tolist(), strict=True)
        for turn, record, p in rows:
            result.setdefault(turn, {})[record] = p
        return result

    def is_long(self, leg: int, turn: int) -> bool:
        """Tell whether a message is longer than what a proxy reads at once."""
        own = (self.table.leg == leg) & (self.table.turn == turn)
        return bool((self.table.sizes[own, 1] > READ_BYTES).any())

    def records_of(self, leg: int) -> dict[int, float]:
        """Return the records that a leg's first event of this kind may belong to."""
        own = (self.table.leg[self.row] == leg) & (self.table.turn[self.row] == 0)
        return dict(zip(self.column[own].tolist(), self.belief[own].tolist(), strict=True))
