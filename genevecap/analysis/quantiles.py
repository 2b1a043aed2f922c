# SPDX-License-Identifier: Apache-2.0
"""Quantiles of integers from counts in log-spaced bins.

Counts add up in any order, bit for bit, which a randomised sketch does not.  A bin's width is 1/64
of its value, so its middle is off by less than 0.8 %; values below 128 have bins of their own.
Negative values have the same bins on the other side of 0.  Smallest and largest are kept exactly.
"""

from __future__ import annotations

from math import ceil, floor, sqrt

import numpy as np

from .rows import Array

_STEPS = 64
"""Bins an octave."""
_EXACT = 2 * _STEPS
_SIDE = _EXACT + _STEPS * 56
"""Bins on one side of 0: those of one value each, and 56 octaves up to 2**63."""
BINS = 2 * _SIDE
ZERO = _SIDE
"""The bin of 0."""

_LARGEST = 2**63 - 1


def bin_of(values: Array) -> Array:
    """Return the bin of each int64, bins in the order of their values."""
    size = np.minimum(np.abs(values), _LARGEST - 1)
    size[size < 0] = _LARGEST - 1  # -2**63 has no opposite
    place = size.copy()
    large = np.flatnonzero(size >= _EXACT)
    if len(large):
        some = size[large]
        # float64 may round up to the next power of two: the shift then shows it.
        shift = np.frexp(some.astype(np.float64))[1].astype(np.int64) - 7
        shift -= (some >> shift) < _STEPS
        place[large] = _STEPS * shift + (some >> shift)
    bins: Array = np.where(values < 0, _SIDE - place, _SIDE + place)
    return bins


def bin_edges(place: int) -> tuple[int, int]:
    """Return the smallest and the largest value of a bin."""
    side = place - _SIDE if place >= _SIDE else _SIDE - place
    low = high = side
    if side >= _EXACT:
        shift = side // _STEPS - 1
        low = (side - _STEPS * shift) << shift
        high = low + (1 << shift) - 1
    return (low, high) if place >= _SIDE else (-high, -low)


class Quantiles:
    """Quantiles of one distribution, given as counts by bin with exact ends."""

    def __init__(self, counts: Array, smallest: int, largest: int) -> None:
        self._sums = np.cumsum(counts)
        self.count = int(self._sums[-1]) if len(counts) else 0
        self.smallest = smallest
        self.largest = largest

    def at(self, share: float) -> int:
        """Return the smallest value below or at which so many of all are (0 < share <= 1)."""
        return self._ranked(ceil(share * self.count))

    def _ranked(self, rank: int) -> int:
        """Return the value of a rank, counted from 1; values of a bin count as evenly spread."""
        if rank <= 1:
            return self.smallest
        if rank >= self.count:
            return self.largest
        low, high, before, inside = self._bin(rank)
        return low + ((high - low) * (2 * (rank - before) - 1)) // (2 * inside)

    def _bin(self, rank: int) -> tuple[int, int, int, int]:
        """Return the ends of the bin of a rank, how many are before it, and how many in it."""
        place = int(np.searchsorted(self._sums, rank))
        before = int(self._sums[place - 1]) if place else 0
        low, high = bin_edges(place)
        low, high = max(low, self.smallest), min(high, self.largest)
        return low, high, before, int(self._sums[place]) - before

    def median_uncertainty(self) -> int:
        """Return half the width of the 95 % interval of the median.

        The interval lies between order statistics (binomial, normal approximation), and does not
        assume a distribution; with fewer than six values it is all there is.  It ends at the ends
        of bins, so what the bins blur is part of it.
        """
        if not self.count:
            return 0
        half = 1.96 * sqrt(self.count) / 2
        low = max(floor(self.count / 2 - half), 1)
        high = min(ceil(self.count / 2 + half) + 1, self.count)
        return (self._bin(high)[1] - self._bin(low)[0] + 1) // 2


class QuantileTable:
    """Many distributions by number; values are added in any order."""

    def __init__(self) -> None:
        self._counts = np.zeros((0, BINS), np.int64)
        self._least = np.zeros(0, np.int64)
        self._most = np.zeros(0, np.int64)

    def add(self, number: Array, values: Array, numbers: int) -> None:
        """Count int64 values, each in the distribution of its number, which is below `numbers`."""
        missing = numbers - len(self._counts)
        if missing > 0:
            more = np.zeros((missing, BINS), np.int64)
            self._counts = np.concatenate((self._counts, more))
            limits = np.iinfo(np.int64)
            self._least = np.append(self._least, np.full(missing, limits.max))
            self._most = np.append(self._most, np.full(missing, limits.min))
        place = bin_of(values)
        found = np.bincount(number * BINS + place, minlength=self._counts.size)
        self._counts += found.reshape(self._counts.shape)
        # Only values in the outermost bins can be the smallest or the largest.
        hit = found.reshape(self._counts.shape) != 0
        first, last = np.argmax(hit, axis=1), BINS - 1 - np.argmax(hit[:, ::-1], axis=1)
        ends = np.flatnonzero((place == first[number]) | (place == last[number]))
        np.minimum.at(self._least, number[ends], values[ends])
        np.maximum.at(self._most, number[ends], values[ends])

    def of(self, number: int) -> Quantiles:
        """Return the distribution of a number that was added to."""
        return Quantiles(self._counts[number], self.least(number), self.most(number))

    def least(self, number: int) -> int:
        """Return its smallest value."""
        return int(self._least[number])

    def most(self, number: int) -> int:
        """Return its largest value."""
        return int(self._most[number])

    def count_of(self, number: int, value: int) -> int:
        """Return how many values fell into the bin of a value."""
        return int(self._counts[number, bin_of(np.array([value]))[0]])
