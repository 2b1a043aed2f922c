# SPDX-License-Identifier: Apache-2.0
"""Quantiles of stays some of which are known with probabilities only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..hops.session_times import Times
from ..rows import sizes, starts

_THOUGHT_OF = 0.05
"""Probability from which on a time is one that the stay may well have taken."""


class Stay(NamedTuple):
    """How long one stay took, or may have taken."""

    session: int
    stay: int
    """Equal for what may be the same stay."""
    ns: int
    share: float
    """How likely it is that it took so long."""


class Stays:
    """The stays of one hop, at least one."""

    def __init__(self, stays: Sequence[Stay]) -> None:
        columns = zip(*stays, strict=True)
        session, stay, ns = (np.array(next(columns), t) for t in (np.uint64, np.int64, np.int64))
        share = np.array(next(columns), np.float64)
        order = np.lexsort((-share, stay))
        stay, ns, share = stay[order], ns[order], share[order]
        first = starts(stay)
        count = sizes(first, len(stay))
        share = share / np.repeat(np.add.reduceat(share, first), count)
        self._sessions = session[order][first]
        self._likeliest = ns[first]
        thought_of = share >= np.minimum(_THOUGHT_OF, np.repeat(share[first], count))
        self._least = np.minimum.reduceat(np.where(thought_of, ns, np.iinfo(np.int64).max), first)
        self._most = np.maximum.reduceat(np.where(thought_of, ns, np.iinfo(np.int64).min), first)
        order = np.argsort(ns, kind="stable")
        self._ns, self._reached = ns[order], np.cumsum(share[order])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._likeliest)

    def times(self, clock_ns: int = 0) -> Times:
        """Return the likeliest time of each; clock_ns: by how much clocks may falsify all."""
        return Times(
            session=self._sessions, ns=self._likeliest, packets=len(self), clock_ns=clock_ns
        )

    @property
    def least_ns(self) -> int:
        """Return the shortest, each taken at its likeliest."""
        return int(self._likeliest.min())

    @property
    def most_ns(self) -> int:
        """Return the longest, each taken at its likeliest."""
        return int(self._likeliest.max())

    def quantile(self, share: float) -> int:
        """Return a quantile, each stay counted at all times it may have taken."""
        place = int(np.searchsorted(self._reached, share * len(self) + 1e-9, "right"))
        found = int(self._ns[min(place, len(self._ns) - 1)])
        return min(max(found, self.least_ns), self.most_ns)

    def uncertainty_ns(self, missing: int = 0) -> int | None:
        """Return by how much the median may be wrong, None where nobody can tell.

        That is half the width of its 95 % interval, from order statistics; and as much as it would
        move if all that is not clear took as short, or as long, as it may have, and the `missing`
        ones were all shorter or all longer than what is known.  Where more are missing than known,
        it may be anything.
        """
        count = len(self)
        if missing > count:
            return None
        reach = int(np.ceil(0.98 * np.sqrt(count)))
        ordered = np.sort(self._likeliest)
        width = ordered[min(count // 2 + reach, count - 1)] - ordered[max(count // 2 - reach, 0)]
        median = self.quantile(0.5)
        least = np.sort(self._least)[max((count - missing) // 2, 0)]
        most = np.sort(self._most)[min((count + missing) // 2, count - 1)]
        return int(width) // 2 + max(median - int(least), int(most) - median, 0)
