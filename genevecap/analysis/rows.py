# SPDX-License-Identifier: Apache-2.0
"""Rows in NumPy columns: taken and joined, runs of equal ones, look-ups, single numbers."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(slots=True, kw_only=True)
class Rows:
    """Columns of one length: all fields of what is derived from this are arrays."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(getattr(self, fields(self)[0].name))

    def take(self, rows: Array) -> Self:
        """Return some rows, by mask or by index, copied."""
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)  # once for all columns
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return all rows of several pieces, in order; there must be one at least."""
        columns = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)
        }
        return replace(parts[0], **columns)


def starts(*columns: Array) -> Array:
    """Return where rows begin that differ from the one before in any column."""
    other = np.ones(len(columns[0]), bool)
    other[1:] = False
    for column in columns:
        other[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(other)


def sizes(start: Array, total: int) -> Array:
    """Return how many rows each run has, of `total` in all; start: where the runs begin."""
    return np.diff(np.append(start, total))


def spread(begin: Array, count: Array) -> Array:
    """Return begin, begin + 1, and so on of each run, run after run; count: how many of each."""
    before = np.cumsum(count) - count
    places: Array = np.arange(int(count.sum())) + np.repeat(begin - before, count)
    return places


def find(known: Array, values: Array) -> tuple[Array, Array]:
    """Return where each value is in sorted `known`, and whether it is there at all.

    A place is that of the first of equal ones, and of no meaning where the value is not there.
    """
    if not len(known):
        return np.zeros(len(values), np.intp), np.zeros(len(values), bool)
    at = np.searchsorted(known, values)
    at[at == len(known)] = 0
    return at, known[at] == values


def numbers(column: Array) -> memoryview[int]:
    """Return an int64 column to read single numbers from, which arrays make objects of first."""
    return memoryview(array("q", np.ascontiguousarray(column, np.int64).tobytes()))
