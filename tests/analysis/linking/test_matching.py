# SPDX-License-Identifier: Apache-2.0
"""Matching of events and records with delays that nobody told it, in `linking.matching`."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.linking.matching import Pairs, balance, candidates, match


def test_candidates_are_in_order_and_near():
    rows, columns = candidates(
        np.array([100, 2_000_000_000]), np.array([50, 150, 2_000_000_100]), record_follows=True
    )
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(0, 1), (1, 2)}
    rows, columns = candidates(np.array([100]), np.array([50, 150]), record_follows=False)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_candidates_are_bounded_to_the_nearest():
    _, after = candidates(np.array([0]), np.arange(1, 1000), record_follows=True, most=10)
    _, before = candidates(np.array([1000]), np.arange(1, 1000), record_follows=False, most=10)
    assert after.tolist() == list(range(10))
    assert before.tolist() == list(range(989, 999))


def test_balancing_gives_each_column_away_once():
    # Row 0 could be either, row 1 only the first: together they can only be one thing.
    rows, columns = np.array([0, 0, 1]), np.array([0, 1, 0])
    scaled, _ = balance(rows, columns, np.ones(3), (2, 2))
    assert scaled == pytest.approx([0.1, 0.9, 0.95], abs=0.15)


def test_a_row_without_partner_stays_alone():
    scaled, _ = balance(np.array([0]), np.array([0]), np.array([1e-9]), (1, 1), alone=0.02)
    assert scaled[0] < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_delays_are_learnt(seed):
    """Events 0.5 ms apart, delays of 1.1 ms with little spread: the nearest record is wrong."""
    rng = np.random.default_rng(seed)
    count = 400
    events = np.cumsum(rng.exponential(500_000, count)).astype(np.int64)
    delay = (1_100_000 + rng.exponential(40_000, count)).astype(np.int64)
    order = np.argsort(events + delay)
    records = (events + delay)[order]
    truth = np.empty(count, np.int64)
    truth[order] = np.arange(count)
    rows, columns = candidates(events, records, record_follows=True)
    believed = match(
        Pairs(
            row=rows,
            column=columns,
            weight=np.ones(len(rows)),
            event_ns=events,
            record_ns=records,
            capacity=np.ones(count),
        )
    )
    total = np.bincount(rows, believed, count)
    assert total.max() <= 1 + 1e-9
    best = np.full(count, -1)
    for row in range(count):
        own = np.flatnonzero(rows == row)
        if len(own):
            best[row] = columns[own[np.argmax(believed[own])]]
    nearest = np.searchsorted(records, events)
    assert np.mean(nearest == truth) < 0.3
    assert np.mean(best == truth) > 0.6


def test_nothing_to_match_is_no_error():
    empty = np.zeros(0, np.int64)
    pairs = Pairs(
        row=empty, column=empty, weight=np.zeros(0), event_ns=empty, record_ns=empty,
        capacity=np.zeros(0),
    )  # fmt: skip
    assert len(match(pairs)) == 0
