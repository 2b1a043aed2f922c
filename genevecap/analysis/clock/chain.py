# SPDX-License-Identifier: Apache-2.0
"""Many hosts, one reference: difference constraints at each time.

At one time every pair of hosts that exchanged packets gives two constraints on the offsets,
`low <= offset[second] - offset[first] <= high`, and so does what was said with `--clock`.  The
tightest bounds of all offsets together are shortest paths from the reference, which Bellman and
Ford find by relaxing edge after edge; here an edge is relaxed for all times at once.

Time is cut in *cells*, at each knot of each pair, and a cell has bounds at its two ends: so a step
lies between cells, or in a cell of its own, whose bounds hold both sides of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .geometry import Floats
from .model import MOST_DRIFT, Times, whole_ns
from .pair import PairBand
from .steps import Flags

_Constraint: TypeAlias = tuple[str, str, Floats, Floats]
"""First, second, and the range of second minus first."""

Range: TypeAlias = tuple[Floats, Floats]
"""The lowest and highest values, at the starts of all cells and then at their ends."""

_ALWAYS_NS = np.array((0, 2**62), np.int64)
"""The one cell of clocks that only the user says something about."""

_ROUNDING_NS = 1.0
_INVERSIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """Two hosts were said to differ by no more than `apart_ns`."""

    first: str
    second: str
    apart_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds for all hosts at the ends of all cells."""

    edges_ns: Times
    """Where cells meet, by the reference's clock; one more than there are cells."""
    in_gap: tuple[bool, ...]
    """Whether some clock was set in the cell."""
    base_ns: dict[str, int]
    """An offset near those of the host, which its range is relative to."""
    ranges: dict[str, Range]
    contradicted: bool
    """No clocks agree with all constraints."""


@dataclass(frozen=True, slots=True)
class _Cells:
    """The times between edges: both ends of each (all starts, then all ends), and its middle."""

    edges_ns: Times

    @property
    def ends_ns(self) -> Times:
        return np.concatenate((self.edges_ns[:-1], self.edges_ns[1:]))

    @property
    def middles_ns(self) -> Times:
        middles: Times = self.edges_ns[:-1] + np.diff(self.edges_ns) // 2
        return middles


class Chain:
    """The tree of pairs from the reference outwards, which says about when something was."""

    def __init__(self, reference: str, bands: Sequence[PairBand]) -> None:
        """Take bands whose first host is no farther from the reference than the second."""
        self.reference = reference
        self._all = tuple(bands)
        self.bands = [band for band in bands if band.blocks]
        self._parent: dict[str, PairBand] = {}
        self.hops = {reference: 0}
        for band in sorted(self.bands, key=lambda band: -band.samples):
            self._offer(band)
        # A band joins only once its first host has joined: at most as many rounds as hosts.
        for _ in self.bands:
            for band in sorted(self.bands, key=lambda band: -band.samples):
                self._offer(band)

    def _offer(self, band: PairBand) -> None:
        hops = self.hops.get(band.first)
        if hops is not None and band.second not in self.hops:
            self.hops[band.second] = hops + 1
            self._parent[band.second] = band

    def about(self, host: str, times_ns: Times) -> Times:
        """Return about how much a host's clock is ahead at times of the reference."""
        band = self._parent.get(host)
        if band is None:
            return np.zeros(len(times_ns), np.int64)
        ahead = self.about(band.first, times_ns)
        here = times_ns + ahead
        low, high = band.range_at(here, here)
        low, high = np.where(np.isfinite(low), low, high), np.where(np.isfinite(high), high, low)
        low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
        middle = (low + high) / 2
        result: Times = ahead + band.base_offset_ns + whole_ns(np.rint(middle))
        return result

    def by_reference(self, host: str, times_ns: Times) -> Times:
        """Return about what the reference's clock showed at times of a host's clock."""
        found = times_ns
        for _ in range(_INVERSIONS if host != self.reference else 0):
            found = times_ns - self.about(host, found)
        return found

    def of(self, host: str) -> list[PairBand]:
        """Return the pairs of a host."""
        return [band for band in self._all if host in (band.first, band.second)]

    def without_weakest(self) -> Chain:
        """Return the chain without what the pair of hosts with fewest samples says."""
        weakest = min(self.bands, key=lambda band: band.samples)
        return Chain(
            self.reference, [band.emptied() if band is weakest else band for band in self._all]
        )

    def extent(self, band: PairBand) -> tuple[int, int]:
        """Return from when to when, by the reference's clock, there are samples."""
        ends = np.array((band.blocks[0].knots_ns[0], band.blocks[-1].knots_ns[-1]))
        first, last = self.by_reference(band.first, ends).tolist()
        return int(first), int(last)

    def bounds(
        self, hosts: Sequence[str], assumptions: Sequence[Assumption], near: Bounds | None = None
    ) -> Bounds:
        """Return the range of every host's offset.

        near: an earlier answer.  It tells how far wrong the times of pairs away from the
        reference may be, which only then is taken into account.
        """
        edges = self._edges(near)
        cells = _Cells(edges)
        base = {host: int(self.about(host, edges[:1])[0]) for host in hosts}
        constraints = []
        in_gap = np.zeros(len(edges) - 1, bool)
        for band in self.bands:
            if band.first not in self.hops:
                continue
            low, high, gap = self._constraint(band, cells, near)
            shift = float(band.base_offset_ns - (base[band.second] - base[band.first]))
            constraints.append((band.first, band.second, low + shift, high + shift))
            in_gap |= gap
        for known in assumptions:
            shift = float(base[known.first] - base[known.second])
            apart = np.full(2 * len(in_gap), float(known.apart_ns))
            constraints.append((known.first, known.second, shift - apart, shift + apart))
        ranges, contradicted = _shortest_paths(self.reference, hosts, constraints, 2 * len(in_gap))
        return Bounds(
            edges_ns=edges,
            in_gap=tuple(in_gap.tolist()),
            base_ns=base,
            ranges=ranges,
            contradicted=contradicted,
        )

    def _edges(self, near: Bounds | None) -> Times:
        times = []
        for band in self.bands:
            if band.first not in self.hops:
                continue
            for block in band.blocks:
                knots = self.by_reference(band.first, block.knots_ns)
                times.append(knots)
                if near is not None and len(band.blocks) > 1 and band.first != self.reference:
                    ends = knots[[0, -1]]
                    wrong = _doubt(near, band.first, ends)
                    times += [ends - wrong, ends + wrong]
        if not times:
            return _ALWAYS_NS
        edges: Times = np.unique(np.concatenate(times))
        return edges if len(edges) > 1 else np.append(edges, edges + 1)

    def _constraint(
        self, band: PairBand, cells: _Cells, near: Bounds | None
    ) -> tuple[Floats, Floats, Flags]:
        """Return the band's range in each cell, and whether the cell is between its blocks."""
        here = cells.ends_ns + self.about(band.first, cells.ends_ns)
        middles = cells.middles_ns + self.about(band.first, cells.middles_ns)
        wrong = np.zeros(len(middles), np.int64)
        if near is not None and band.first != self.reference:
            wrong = _doubt(near, band.first, cells.middles_ns)
        low, high = band.range_at(here, np.tile(middles, 2), np.tile(wrong, 2))
        # What holds at one time holds a little earlier or later with the drift in between.
        spare = 2 * MOST_DRIFT * np.tile(wrong, 2) + _ROUNDING_NS
        return low - spare, high + spare, band.between_blocks(middles, wrong)


def _doubt(near: Bounds, host: str, times_ns: Times) -> Times:
    """Return how far a host's offset may be from the middle of its range at any time."""
    low, high = near.ranges[host]
    cells = len(near.in_gap)
    width = (high - low).reshape(2, cells).max(axis=0)
    cell = np.clip(np.searchsorted(near.edges_ns, times_ns, "right") - 1, 0, cells - 1)
    return whole_ns(np.ceil(np.where(np.isfinite(width), width, 0.0)))[cell]


def _shortest_paths(
    reference: str, hosts: Sequence[str], constraints: list[_Constraint], count: int
) -> tuple[dict[str, Range], bool]:
    low = {host: np.full(count, -np.inf) for host in hosts}
    high = {host: np.full(count, np.inf) for host in hosts}
    low[reference] = high[reference] = np.zeros(count)
    for _ in range(len(hosts) + 1):
        changed = False
        for first, second, least, most in constraints:
            for host, tighter_low, tighter_high in (
                (second, low[first] + least, high[first] + most),
                (first, low[second] - most, high[second] - least),
            ):
                if (tighter_low > low[host]).any() or (tighter_high < high[host]).any():
                    low[host] = np.maximum(low[host], tighter_low)
                    high[host] = np.minimum(high[host], tighter_high)
                    changed = True
        if not changed:
            break
    contradicted = changed or any(bool((low[host] > high[host]).any()) for host in hosts)
    return {host: (low[host], high[host]) for host in hosts}, contradicted
