# SPDX-License-Identifier: Apache-2.0
"""Packets between hosts whose clocks are known: what two hosts see, and the truth beside it.

True time is the time of a clock that nobody has.  A host's clock is a function of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from genevecap.analysis.clock import ClockSegment, HostClock, PairSamples

Times = npt.NDArray[np.int64]
Draw = Callable[[np.random.Generator, Times], Times]

EPOCH_NS = 1_790_000_000_123_456_789
S, MS, US = 1_000_000_000, 1_000_000, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What a clock shows beyond true time; times since EPOCH_NS."""

    offset_ns: int = 0
    drift_ppm: float = 0.0
    swing_ppm: float = 0.0
    """The drift also follows a sine of this amplitude…"""
    swing_s: float = 600.0
    """…and period."""
    steps: Sequence[tuple[int, int]] = ()
    """(when, by how much) the clock is set, in ns."""
    slews: Sequence[tuple[int, int, float]] = ()
    """(from, to, by how many ppm more) the clock runs meanwhile."""

    def ahead(self, true_ns: Times) -> Times:
        ahead = self.offset_ns + np.rint(true_ns * (self.drift_ppm * 1e-6)).astype(np.int64)
        if self.swing_ppm:
            turn = 2 * np.pi / (self.swing_s * 1e9)
            swing = self.swing_ppm * 1e-6 / turn * (1 - np.cos(turn * true_ns))
            ahead += np.rint(swing).astype(np.int64)
        for when, by in self.steps:
            ahead += np.where(true_ns >= when, by, 0)
        for start, end, ppm in self.slews:
            ahead += np.rint(np.clip(true_ns - start, 0, end - start) * ppm * 1e-6).astype(np.int64)
        return ahead

    def shows(self, true_ns: Times) -> Times:
        return EPOCH_NS + true_ns + self.ahead(true_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """How packets of one direction travel."""

    count: int = 1000
    every_ns: int = 0
    """Regular packets (PINGs) where it is not 0, else at random times."""
    least_ns: int = 5 * MS
    jitter_ns: float = 50 * US
    tail: float = 0.05
    """Share of packets with a delay of a heavy-tailed distribution."""
    bursts: bool = False
    """Packets come in bunches."""
    queue_ns: float = 0.0
    """A queue that fills and drains, on top."""
    wrong: int = 0
    """So many packets matched with others."""

    def times(self, random: np.random.Generator, length_ns: int) -> Times:
        if self.every_ns:
            return np.arange(int(random.integers(self.every_ns)), length_ns, self.every_ns)
        if self.bursts:
            starts = random.random(self.count // 20 + 1) * length_ns
            times = np.repeat(starts, 20)[: self.count] + random.random(self.count) * 5 * MS
        else:
            times = random.random(self.count) * length_ns
        return np.sort(times.astype(np.int64))

    def delays(self, random: np.random.Generator, sent_ns: Times) -> Times:
        count = len(sent_ns)
        delay = self.least_ns + random.exponential(max(self.jitter_ns, 1e-9), count)
        heavy = random.random(count) < self.tail
        delay += np.where(
            heavy, np.minimum(random.pareto(1.2, count), 1e4) * 10 * self.jitter_ns, 0
        )
        if self.queue_ns and count:
            phase = sent_ns / max(float(sent_ns.max()), 1.0) * 2 * np.pi * random.integers(1, 9)
            delay += self.queue_ns * np.maximum(np.sin(phase), 0)
        wrong = random.integers(0, count, min(self.wrong, count // 10))
        delay[wrong] += random.choice([-1, 1], len(wrong)) * 10 ** random.uniform(8, 10, len(wrong))
        return np.rint(delay).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Hosts with clocks, and paths between pairs of them."""

    clocks: dict[str, Clock]
    links: dict[tuple[str, str], tuple[Path, Path]]
    length_ns: int = 30 * S
    seed: int = 0
    round_trips: dict[tuple[str, str], int] = field(default_factory=dict)
    """Filled by `samples`: the smallest forward and reverse delays, added."""

    def samples(self) -> list[PairSamples]:
        random = np.random.default_rng(self.seed)
        return [self._pair(random, link, paths) for link, paths in self.links.items()]

    def _pair(
        self, random: np.random.Generator, link: tuple[str, str], paths: tuple[Path, Path]
    ) -> PairSamples:
        first, second = link
        seen = []
        least = 0
        for path, source, target in ((paths[0], first, second), (paths[1], second, first)):
            sent = path.times(random, self.length_ns)
            delays = path.delays(random, sent)
            right = delays >= path.least_ns
            least += int(delays[right].min()) if right.any() else 10**15
            order = random.permutation(len(sent))
            sent, arrived = sent[order], (sent + delays)[order]
            seen += [self.clocks[source].shows(sent), self.clocks[target].shows(arrived)]
        self.round_trips[link] = least
        return PairSamples(
            first=first,
            second=second,
            forward_sent_ns=seen[0],
            forward_received_ns=seen[1],
            reverse_sent_ns=seen[2],
            reverse_received_ns=seen[3],
        )

    def truth(self, host: str, reference: str, true_ns: Times) -> tuple[Times, Times]:
        """Return times of the reference's clock, and by how much the host's is ahead of it."""
        shown = self.clocks[reference].shows(true_ns)
        return shown, self.clocks[host].shows(true_ns) - shown


def worst_excess(
    network: Network, clock: HostClock, *, leave_out: tuple[int, int] = (0, 0)
) -> float:
    """Return the largest share of the uncertainty that the truth is away: over 1 it is outside.

    leave_out: true times that are not looked at.
    """
    true_ns = np.unique(
        np.concatenate(
            (
                np.linspace(0, network.length_ns, 2000).astype(np.int64),
                *[
                    np.array([when - 1, when])
                    for which in network.clocks.values()
                    for when, _ in which.steps
                ],
            )
        )
    )
    true_ns = true_ns[(true_ns < leave_out[0]) | (true_ns >= leave_out[1])]
    times, ahead = network.truth(clock.host, clock.reference, true_ns)
    worst = 0.0
    for segment in clock.segments:
        inside = (times >= segment.from_ns) & (times <= segment.to_ns)
        worst = max(worst, _share(segment, times[inside], ahead[inside]))
    return worst


def _share(segment: ClockSegment, times: Times, ahead: Times) -> float:
    if not len(times):
        return 0.0
    elapsed = (times - segment.at_ns) * (segment.drift_ppm * 1e-6)
    line = segment.offset_ns + np.rint(elapsed).astype(np.int64)
    return float(np.abs(ahead - line).max()) / segment.uncertainty_ns


def wrong_to_reference(network: Network, clock: HostClock, count: int = 500) -> float:
    """Return how far `to_reference` is wrong, in parts of `uncertainty_at`, also outside."""
    margin = network.length_ns // 5
    true_ns = np.linspace(-margin, network.length_ns + margin, count).astype(np.int64)
    times, ahead = network.truth(clock.host, clock.reference, true_ns)
    shown = times + ahead
    wrong = np.abs(clock.to_reference(shown) - times)
    return float((wrong / clock.uncertainty_at(shown)).max())
