# SPDX-License-Identifier: Apache-2.0
"""The one function that callers need: samples in, clocks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from .chain import Assumption, Bounds, Chain
from .geometry import Floats
from .model import ClockSegment, HostClock, PairSamples
from .pair import pair_band
from .segments import Stretch, segments_of
from .steps import Flags, Indexes

_ALIKE = 0.1
"""A step moves the middle of the range by more than this share of its width."""

_SAME = 0.01
_ROUNDING_NS = 1.0


def estimate(
    pairs: Sequence[PairSamples],
    *,
    reference: str | None = None,
    assumed: Mapping[str, int] | None = None,
) -> tuple[HostClock, ...]:
    """Return how the clock of every host differs from the reference's, as far as it is known.

    pairs: what hosts saw of the same packets; the same two hosts may come several times.
    reference: the host whose clock counts; the one with most packets where it is not given.
    assumed: HOST -> the ns to which its clock is right (see `parse_assumed`): relative to the
      reference, or where the reference has such a bound too, both to the same true time.

    The reference itself is not among the clocks, which are in order of names.  A host whose
    offset is not bounded on both sides has no segments.
    Raises UsageError where `assumed` contradicts the packets.
    """
    assumed = dict(assumed or {})
    named = {host for pair in pairs for host in (pair.first, pair.second)} | set(assumed)
    if reference is None:
        reference = _most_seen(named, pairs)
    hosts = sorted(named | {reference})
    chain = Chain(reference, [pair_band(own) for own in _oriented(reference, pairs)])
    assumptions = _assumptions(reference, assumed)
    chain, bounds = _agreeing(chain, hosts, assumptions)
    apart = {a.second: a.apart_ns for a in assumptions if a.first == reference}
    return tuple(
        HostClock(
            host=host,
            reference=reference,
            pairs=sum(band.samples for band in chain.of(host)),
            dropped=sum(band.dropped for band in chain.of(host)),
            segments=tuple(_segments(host, chain, bounds, apart.get(host))),
            assumed_ns=apart.get(host),
        )
        for host in hosts
        if host != reference
    )


def _most_seen(hosts: Iterable[str], pairs: Sequence[PairSamples]) -> str:
    seen = dict.fromkeys(sorted(hosts), 0)
    for pair in pairs:
        seen[pair.first] += len(pair)
        seen[pair.second] += len(pair)
    return max(seen, key=lambda host: seen[host], default="")


def _oriented(reference: str, pairs: Sequence[PairSamples]) -> list[list[PairSamples]]:
    """Return the samples by pair of hosts, each named from the reference outwards."""
    far = {reference: 0}
    for _ in pairs:
        for pair in pairs:
            for near, other in ((pair.first, pair.second), (pair.second, pair.first)):
                if near in far and far.get(other, len(pairs)) > far[near] + 1:
                    far[other] = far[near] + 1
    grouped: dict[tuple[str, str], list[PairSamples]] = {}
    for pair in pairs:
        ends = [(far.get(host, len(pairs)), host) for host in (pair.first, pair.second)]
        outwards = pair if ends[0] <= ends[1] else pair.turned()
        grouped.setdefault((outwards.first, outwards.second), []).append(outwards)
    return list(grouped.values())


def _assumptions(reference: str, assumed: Mapping[str, int]) -> list[Assumption]:
    """Return what the bounds say of each two hosts; a host has none but the reference has 0."""
    known = sorted(({reference: 0} | dict(assumed)).items())
    found = []
    for index, (first, first_ns) in enumerate(known):
        for second, second_ns in known[index + 1 :]:
            ends = (first, second) if second != reference else (second, first)
            found.append(Assumption(first=ends[0], second=ends[1], apart_ns=first_ns + second_ns))
    return found


def _agreeing(
    chain: Chain, hosts: Sequence[str], assumptions: Sequence[Assumption]
) -> tuple[Chain, Bounds]:
    """Return bounds that hold together; pairs of hosts that contradict the others are left out.

    The pair with fewest samples goes first, and counts as dropped.
    """
    while True:
        bounds = chain.bounds(hosts, [])
        if any(band.first != chain.reference for band in chain.bands):
            bounds = chain.bounds(hosts, [], bounds)
        if not bounds.contradicted or not chain.bands:
            break
        chain = chain.without_weakest()
    if not assumptions:
        return chain, bounds
    known = chain.bounds(hosts, assumptions, bounds)
    if known.contradicted:
        named = ", ".join(sorted({a.second for a in assumptions}))
        raise UsageError(
            f"--clock: the bound given for {named} contradicts the packets; "
            "give a wider one, or none where packets were seen in both directions"
        )
    return chain, known


def _segments(
    host: str, chain: Chain, bounds: Bounds, assumed_ns: int | None
) -> list[ClockSegment]:
    first, last = 0, len(bounds.in_gap)
    own = [chain.extent(band) for band in chain.of(host) if band.blocks]
    if own:
        # Other hosts may have been seen for longer; this one is known while it was seen itself.
        starts, ends = zip(*own, strict=True)
        first = max(int(np.searchsorted(bounds.edges_ns, min(starts), "right")) - 1, 0)
        last = min(max(int(np.searchsorted(bounds.edges_ns, max(ends))), first + 1), last)
    runs = list(_runs(bounds, host, first, last))
    if len(chain.bands) > 1:
        runs = _bridged(runs)
    found = []
    for run in runs:
        stretch = Stretch(
            times_ns=bounds.edges_ns[run.edges],
            low=run.low,
            high=run.high,
            base_offset_ns=bounds.base_ns[host],
            hops=chain.hops.get(host, len(bounds.ranges)),
            assumed_ns=assumed_ns,
        )
        found += segments_of(stretch)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Cells that continue each other: the range of an offset at their edges."""

    edges: Indexes
    times: Floats
    low: Floats
    high: Floats
    in_gap: bool
    """A clock was set meanwhile."""

    def then(self, other: _Run) -> _Run:
        return _Run(
            edges=np.concatenate((self.edges, other.edges)),
            times=np.concatenate((self.times, other.times)),
            low=np.concatenate((self.low, other.low)),
            high=np.concatenate((self.high, other.high)),
            in_gap=False,
        )

    def continues(self, earlier: _Run) -> bool:
        """Return whether the offset went on as before: another host's clock was set."""
        before, after = (earlier.low + earlier.high) / 2, (self.low + self.high) / 2
        slope = (before[-1] - before[-2]) / max(earlier.times[-1] - earlier.times[-2], 1)
        expected = before[-1] + slope * (self.times[0] - earlier.times[-1])
        width = min(earlier.high[-1] - earlier.low[-1], self.high[0] - self.low[0])
        return bool(abs(after[0] - expected) <= _ALIKE * width)


def _runs(bounds: Bounds, host: str, first: int, last: int) -> Iterator[_Run]:
    """Return the stretches of cells from `first` up to `last` in which the offset is bounded."""
    cells = len(bounds.in_gap)
    low, high = (side.reshape(2, cells) for side in bounds.ranges[host])
    times = (bounds.edges_ns - bounds.edges_ns[0]).astype(np.float64)
    known: Flags = np.logical_and.reduce(np.isfinite(np.concatenate((low, high))))
    with np.errstate(invalid="ignore"):
        moved = np.maximum(abs(low[1, :-1] - low[0, 1:]), abs(high[1, :-1] - high[0, 1:]))
        goes_on = known[1:] & known[:-1] & (moved <= _SAME * (high - low)[0, 1:] + _ROUNDING_NS)
    start = first
    for cell in range(first, last):
        if cell + 1 < last and goes_on[cell]:
            continue
        if known[cell]:
            rows = slice(start, cell + 1)
            inner = slice(start + 1, cell + 1), slice(start, cell)
            run_low = np.maximum(low[0, inner[0]], low[1, inner[1]])
            run_high = np.minimum(high[0, inner[0]], high[1, inner[1]])
            yield _Run(
                edges=np.arange(start, cell + 2),
                times=times[start : cell + 2],
                low=np.concatenate((low[0, start, None], run_low, low[1, cell, None])),
                high=np.concatenate((high[0, start, None], run_high, high[1, cell, None])),
                in_gap=all(bounds.in_gap[rows]),
            )
        start = cell + 1


def _bridged(runs: list[_Run]) -> list[_Run]:
    """Return the runs, joined over gaps in which not this clock was set but another."""
    joined: list[_Run] = []
    index = 0
    while index < len(runs):
        run = runs[index]
        over = run.in_gap and joined and index + 1 < len(runs)
        if over and runs[index + 1].continues(joined[-1]):
            joined[-1] = joined[-1].then(runs[index + 1])
            index += 2
        else:
            joined.append(run)
            index += 1
    return joined
