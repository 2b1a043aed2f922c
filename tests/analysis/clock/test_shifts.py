# SPDX-License-Identifier: Apache-2.0
"""Steps that are smaller than the round trip: found where packets are many, never made up."""

from __future__ import annotations

import itertools

import pytest

from genevecap.analysis.clock import estimate

from .simulation import EPOCH_NS, MS, US, Clock, Network, Path, S, worst_excess


def network_of(clock, seed, **path):
    return Network(
        clocks={"a": Clock(), "b": clock},
        links={
            ("a", "b"): (
                Path(count=3000, least_ns=9 * MS, **path),
                Path(count=3000, least_ns=0, **path),
            )
        },
        seed=seed,
    )


@pytest.mark.parametrize("step_ns", [1 * MS, -2 * MS, 3 * MS, -5 * MS, 8 * MS])
def test_a_step_smaller_than_the_round_trip_is_seen_when_packets_are_fast_and_many(step_ns):
    for seed in range(12):
        host = Clock(offset_ns=S, drift_ppm=150.0, steps=[(12 * S, step_ns)])
        network = network_of(host, seed)
        (clock,) = estimate(network.samples(), reference="a")
        assert len(clock.segments) >= 3
        assert worst_excess(network, clock) <= 1
        lengths = [segment.to_ns - segment.from_ns for segment in clock.segments]
        assert max(lengths) > 15 * S
        jump = clock.segments[-1].offset_at(EPOCH_NS + 12 * S)
        jump -= clock.segments[0].offset_at(EPOCH_NS + 12 * S)
        assert jump == pytest.approx(step_ns, abs=200 * US)


@pytest.mark.parametrize("jitter_ns", [50 * US, 2 * MS, 20 * MS])
def test_no_step_is_found_where_there_is_none(jitter_ns):
    for seed in range(30):
        network = network_of(Clock(offset_ns=S, drift_ppm=150.0), seed, jitter_ns=jitter_ns)
        (clock,) = estimate(network.samples(), reference="a")
        assert worst_excess(network, clock) <= 1
        for earlier, later in itertools.pairwise(clock.segments):
            joint = earlier.offset_at(earlier.to_ns), later.offset_at(later.from_ns)
            assert joint[0] == pytest.approx(joint[1], abs=2)
