# SPDX-License-Identifier: Apache-2.0
"""The interval holds the truth, for clocks and networks of every kind, and is narrow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from genevecap.analysis.clock import UNKNOWN_NS, PairSamples, estimate
from genevecap.errors import NotEnoughData, UsageError

from .simulation import (
    EPOCH_NS,
    MS,
    US,
    Clock,
    Network,
    Path,
    S,
    worst_excess,
    wrong_to_reference,
)

SEEDS = range(12)
OFFSETS_NS = (10 * US, -1 * MS, 1 * S, -3600 * S)
DRIFTS_PPM = (0.0, -20.0, 200.0)


def link(clock, forward, reverse, *, reference=None, seed=0, length_ns=30 * S):
    return Network(
        clocks={"a": reference or Clock(), "b": clock},
        links={("a", "b"): (forward, reverse)},
        length_ns=length_ns,
        seed=seed,
    )


def only(network, **options):
    (clock,) = estimate(network.samples(), reference="a", **options)
    return clock


def width_of_round_trip(network, clock):
    (round_trip,) = network.round_trips.values()
    return max(2 * segment.uncertainty_ns for segment in clock.segments) / round_trip


@pytest.mark.parametrize("share", [0.0, 0.3, 5 / 9, 1.0])
@pytest.mark.parametrize(
    ("offset_ns", "drift_ppm"), list(itertools.product(OFFSETS_NS, DRIFTS_PPM))
)
def test_truth_is_inside_and_the_interval_as_narrow_as_it_can_be(offset_ns, drift_ppm, share):
    for seed in SEEDS:
        network = link(
            Clock(offset_ns=offset_ns, drift_ppm=drift_ppm),
            Path(least_ns=round(share * 9 * MS)),
            Path(least_ns=round((1 - share) * 9 * MS)),
            reference=Clock(offset_ns=seed * 100 * S),
            seed=seed,
        )
        clock = only(network)
        assert clock.pairs == 2000
        assert clock.dropped == 0
        assert len(clock.segments) == 1
        assert abs(clock.segments[0].drift_ppm - drift_ppm) < 30
        assert worst_excess(network, clock) <= 1
        assert wrong_to_reference(network, clock) <= 1
        assert width_of_round_trip(network, clock) <= 1.1


def test_samples_that_are_missing_leave_the_clock_unknown():
    none = np.array((), np.int64)
    sent = EPOCH_NS + np.arange(10) * S
    pair = PairSamples(
        first="a",
        second="b",
        forward_sent_ns=sent,
        forward_received_ns=sent + 5 * MS,
        reverse_sent_ns=none,
        reverse_received_ns=none,
    )
    (clock,) = estimate([pair], reference="a")
    assert clock.segments == ()
    assert clock.pairs == 10
    assert clock.uncertainty_at(sent).tolist() == [UNKNOWN_NS] * 10
    with pytest.raises(NotEnoughData, match="--clock b=±TIME"):
        clock.to_reference(sent)
    assert estimate([]) == ()


def test_what_the_user_knows_closes_the_interval_and_must_not_contradict():
    network = link(Clock(offset_ns=MS), Path(), Path(count=0))
    clock = only(network, assumed={"b": 2 * MS})
    assert worst_excess(network, clock) <= 1
    assert all(segment.uncertainty_ns <= 2.1 * MS for segment in clock.segments)
    with pytest.raises(UsageError, match="--clock"):
        only(link(Clock(offset_ns=S), Path(), Path()), assumed={"b": 2 * MS})


def test_what_the_user_knows_is_enough_without_any_packet():
    clocks = estimate([], reference="a", assumed={"b": MS, "c": 2 * MS})
    assert [clock.host for clock in clocks] == ["b", "c"]
    times = EPOCH_NS + np.arange(5) * S
    for clock, bound_ns in zip(clocks, (MS, 2 * MS), strict=True):
        assert clock.to_reference(times).tolist() == times.tolist()
        assert (clock.uncertainty_at(times) <= 1.01 * bound_ns).all()


def test_two_bounds_add_up_when_the_reference_has_one_too():
    (clock,) = estimate([], reference="a", assumed={"a": MS, "b": MS})
    assert clock.segments[0].uncertainty_ns == pytest.approx(2 * MS, abs=10)
