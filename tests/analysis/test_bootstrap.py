# SPDX-License-Identifier: Apache-2.0
"""bootstrap, session_times: differences of runs that are known, and how often intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.comparison.bootstrap import (
    MEDIAN,
    NEEDED_SESSIONS,
    P99,
    compare,
    quantile_of,
)
from genevecap.analysis.hops.session_times import KEPT_TIMES, SessionTimes, Times, pooled

US = 1_000


def times(values_by_session, clock_ns=0):
    session = [n for n, values in enumerate(values_by_session) for _ in values]
    return Times(
        session=np.array(session, np.uint64),
        ns=np.array([value for values in values_by_session for value in values], np.int64),
        packets=len(session),
        clock_ns=clock_ns,
    )


def drawn(seed, *, sessions=20, packets=8, shift_ns=0):
    """A run whose sessions differ more from each other than the packets of one do."""
    random = np.random.default_rng(seed)
    slow = random.lognormal(0, 0.5, sessions) * 1000 * US
    return times(
        [
            (own + random.exponential(100 * US, packets) + shift_ns).astype(np.int64).tolist()
            for own in slow
        ]
    )


def test_quantiles_are_values_that_were_met():
    values = np.array([5, 1, 4, 2, 3])
    assert [quantile_of(values, q) for q in (0.01, 0.5, 0.6, 0.61, 0.99)] == [1, 3, 3, 4, 5]


@pytest.mark.parametrize(("sessions", "packets"), [(6, 8), (20, 8), (60, 3)])
def test_the_interval_holds_the_shift_as_often_as_it_says(sessions, packets):
    shift, runs, held = 300 * US, 200, 0
    for seed in range(runs):
        a = drawn(seed, sessions=sessions, packets=packets)
        b = drawn(10_000 + seed, sessions=sessions, packets=packets, shift_ns=shift)
        (median,) = compare(a, b, (MEDIAN,))
        low, high = median.ci95_ns
        held += low <= shift <= high
    # 95 % of 200 are 190; three standard deviations of a binomial are 9.
    assert 179 <= held <= 199


def test_packets_of_one_session_do_not_make_it_surer():
    """The same times, once as 10 sessions of 100 equal packets, once as 1,000 sessions."""
    random = np.random.default_rng(1)
    own = (random.lognormal(0, 0.5, 10) * 1000 * US).astype(np.int64).repeat(100)
    few, many = np.arange(10, dtype=np.uint64).repeat(100), np.arange(1000, dtype=np.uint64)
    width = {}
    for name, session in (("few", few), ("many", many)):
        run = Times(session=session, ns=own, packets=1000)
        (median,) = compare(run, run, (MEDIAN,))
        width[name] = median.ci95_ns[1] - median.ci95_ns[0]
    assert width["few"] > 3 * width["many"] >= 0


def test_a_run_against_itself():
    a = drawn(1, sessions=400, packets=2)
    for quantile in compare(a, a, (MEDIAN, P99)):
        assert quantile.difference_ns == 0
        low, high = quantile.ci95_ns
        assert low < 0 < high
        assert quantile.p_value > 0.9


def test_a_clear_shift_is_seen_with_its_sign():
    a, b = drawn(1), drawn(2, shift_ns=10_000 * US)
    (longer,), (shorter,) = compare(a, b, (MEDIAN,)), compare(b, a, (MEDIAN,))
    assert longer.ci95_ns[0] > 0
    assert shorter.ci95_ns[1] < 0
    assert longer.difference_ns == -shorter.difference_ns
    assert longer.p_value == shorter.p_value == pytest.approx(2 / 2001)


@pytest.mark.parametrize("quantile", [MEDIAN, P99])
def test_below_so_many_sessions_nothing_is_said(quantile):
    needed = NEEDED_SESSIONS[quantile]
    outer = min(quantile, 1 - quantile) if quantile == MEDIAN else quantile
    assert outer**needed <= 0.025 < outer ** (needed - 1)
    enough = times([[n] for n in range(needed)])
    short = times([[n] for n in range(needed - 1)])
    assert compare(enough, enough, (quantile,))[0].ci95_ns is not None
    for pair in ((enough, short), (short, enough)):
        (found,) = compare(*pair, (quantile,))
        assert found.ci95_ns is None
        assert found.p_value is None
        assert found.difference_ns == found.b_ns - found.a_ns


def test_what_clocks_leave_open_widens_the_interval():
    def run(shift, clock_ns=0):
        return times([[1000 + shift]] * 10, clock_ns)

    (sure,) = compare(run(0), run(50), (MEDIAN,))
    assert sure.ci95_ns == (50, 50)
    assert sure.p_value < 0.05
    (open_,) = compare(run(0, 20), run(50, 40), (MEDIAN,))
    assert open_.ci95_ns == (-10, 110)
    assert open_.p_value == 1.0
    (still,) = compare(run(0, 20), run(50, 20), (MEDIAN,))
    assert still.ci95_ns == (10, 90)
    assert still.p_value < 0.05


def test_the_same_runs_always_give_the_same_answer():
    a, b = drawn(1), drawn(2)
    assert compare(a, b, (MEDIAN,)) == compare(a, b, (MEDIAN,))


def test_times_are_kept_by_hop():
    kept = SessionTimes()
    kept.add(np.array([1, 0, 1]), np.array([7, 7, 8], np.uint64), np.array([10, 20, 30]))
    kept.add(np.array([1]), np.array([7], np.uint64), np.array([40]))
    kept.add(np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64))
    one = kept.times(1, clock_ns=5)
    assert (one.session.tolist(), one.ns.tolist()) == ([7, 8, 7], [10, 30, 40])
    assert (one.sessions, one.packets, one.clock_ns) == (2, 3, 5)
    assert kept.times(0).ns.tolist() == [20]
    assert kept.times(2).packets == 0
    both = pooled([one, kept.times(0)])
    assert (both.sessions, both.packets, both.clock_ns) == (2, 4, 5)


def test_of_long_runs_a_fair_sample_is_kept():
    kept, packets = SessionTimes(), 300_000
    for start in range(0, packets, 30_000):
        ns = np.arange(start, start + 30_000)
        kept.add(np.zeros(30_000, np.int64), (ns % 50).astype(np.uint64), ns)
    found = kept.times(0)
    assert found.packets == packets
    assert KEPT_TIMES * 0.9 <= len(found.ns) <= 2 * KEPT_TIMES
    assert len(np.unique(found.ns)) == len(found.ns)
    assert found.sessions == 50
    # The median of n draws from a uniform distribution is off by half its width / sqrt(n), or so.
    assert abs(quantile_of(found.ns, 0.5) - packets / 2) < 4 * packets / 2 / len(found.ns) ** 0.5
