# SPDX-License-Identifier: Apache-2.0
"""Clocks as they are used: from a host's time to the reference's."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.clock import ClockSegment, HostClock, PairSamples

from .simulation import EPOCH_NS, MS, S


def segment(start_s, end_s, offset_ns, drift_ppm=0.0, uncertainty_ns=MS):
    return ClockSegment(
        from_ns=EPOCH_NS + start_s * S,
        to_ns=EPOCH_NS + end_s * S,
        at_ns=EPOCH_NS + start_s * S,
        offset_ns=offset_ns,
        drift_ppm=drift_ppm,
        uncertainty_ns=uncertainty_ns,
    )


def clock(*segments, assumed_ns=None):
    return HostClock(
        host="b", reference="a", pairs=9, dropped=0, segments=segments, assumed_ns=assumed_ns
    )


def times(*seconds):
    return EPOCH_NS + np.array([round(second * S) for second in seconds], np.int64)


@pytest.mark.parametrize("offset_ns", [0, 1, -3600 * S, 50 * 365 * 86400 * S])
@pytest.mark.parametrize("drift_ppm", [0.0, 200.0, -500.0])
def test_time_of_the_reference_is_exact_to_a_nanosecond(offset_ns, drift_ppm):
    true = times(*np.linspace(0, 86400, 1000))
    one = segment(0, 86400, offset_ns, drift_ppm)
    shown = true + np.array([one.offset_at(int(time)) for time in true], np.int64)
    assert np.abs(clock(one).to_reference(shown) - true).max() <= 1


def test_uncertainty_grows_outside_of_what_was_seen():
    known = clock(segment(0, 100, 5 * MS))
    grown = known.uncertainty_at(times(-1000, -10, -0.1, 0.1, 50, 99.9, 101, 200, 5000))
    assert grown[3] == grown[4] == grown[5] == pytest.approx(MS, rel=0.01)
    assert (np.diff(grown[:4]) < 0).all()
    assert (np.diff(grown[5:]) > 0).all()


def test_what_the_user_knows_limits_the_growth():
    known = clock(segment(0, 100, 5 * MS), assumed_ns=10 * MS)
    assert known.uncertainty_at(times(10**6))[0] == pytest.approx(15 * MS, rel=0.01)


def test_times_shown_twice_are_as_uncertain_as_the_step():
    back = clock(segment(0, 10, 0), segment(10, 20, -2 * S))
    assert back.uncertainty_at(times(9))[0] >= 2 * S
    assert back.uncertainty_at(times(7))[0] == pytest.approx(MS, rel=0.01)
    assert back.uncertainty_at(times(11))[0] == pytest.approx(MS, rel=0.01)
    assert back.to_reference(times(7, 11)).tolist() == times(7, 13).tolist()


def test_times_never_shown_belong_to_the_segment_before():
    forward = clock(segment(0, 10, 0), segment(10, 20, 2 * S))
    assert forward.to_reference(times(9, 13)).tolist() == times(9, 11).tolist()


def test_samples_of_one_packet_come_in_twos_and_from_two_hosts():
    one, two = np.array((1,), np.int64), np.array((1, 2), np.int64)
    with pytest.raises(ValueError, match="lengths differ"):
        PairSamples(
            first="a",
            second="b",
            forward_sent_ns=one,
            forward_received_ns=two,
            reverse_sent_ns=one,
            reverse_received_ns=one,
        )
    with pytest.raises(ValueError, match="two hosts"):
        PairSamples(
            first="a",
            second="a",
            forward_sent_ns=one,
            forward_received_ns=one,
            reverse_sent_ns=one,
            reverse_received_ns=one,
        )
