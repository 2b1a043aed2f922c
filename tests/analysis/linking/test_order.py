# SPDX-License-Identifier: Apache-2.0
"""What the order in which legs of a connection are opened says."""

from __future__ import annotations

import numpy as np

from genevecap.analysis.linking.events import LegEvents, LegTable
from genevecap.analysis.linking.order import Order


def legs(*opened_ns):
    return LegTable.of([LegEvents(address=0, source=0, open_ns=ns) for ns in opened_ns])


def log_ratios(outbound, inbound, owners, believed, guess):
    """Matrix of what order says of each pair: those of one owner may be partners."""
    n = len(outbound)
    ways = [(i, j) for i in range(n) for j in range(n) if owners[i] == owners[j]]
    rows, columns = np.array(ways).T
    order = Order(legs(*outbound), legs(*inbound), rows, columns)
    part = np.where(rows == columns, believed, guess)
    owner = np.array(owners)[rows]
    found = order.log_ratios(np.arange(len(rows)), owner, part)
    result = np.full((n, n), np.nan)
    result[rows, columns] = found
    return result


def test_partners_are_near_in_order_whatever_the_delay():
    n = 60
    wait_ns = np.random.default_rng(1).integers(0, 10**9, n)
    inbound = np.sort(np.arange(n) * 10**6 + wait_ns)  # it says nothing, but nobody overtakes
    found = log_ratios(range(n), inbound.tolist(), [0] * n, 0.5, 0.5 / (n - 1))
    own = np.diag(found)
    far = [found[i, j] for i in range(n) for j in range(n) if abs(i - j) > 5]
    assert own.min() > 1
    assert max(far) < 0


def test_places_are_counted_within_a_connection():
    """Of two connections the one takes long; all together are in no order."""
    n = 80
    owners = [i % 2 for i in range(n)]
    inbound = [i * 10**6 + owners[i] * 10**9 for i in range(n)]
    found = log_ratios(range(n), inbound, owners, 0.6, 0.4 / (n / 2 - 1))
    assert np.diag(found).min() > 1


def test_of_few_legs_little_is_learnt():
    few = log_ratios(range(3), range(3), [0] * 3, 0.9, 0.05)
    many = log_ratios(range(60), range(60), [0] * 60, 0.9, 0.1 / 59)
    assert 0 < np.diag(few).mean() < np.diag(many).mean() / 2


def test_what_a_pair_is_believed_to_be_does_not_speak_for_it():
    """One pair far out of order is sure by other evidence; its own places stay unlikely."""
    n = 40
    inbound = list(range(n))
    inbound[0] = 10**6  # the first on one side is the last on the other
    found = log_ratios(range(n), inbound, [0] * n, 0.99, 0.01 / (n - 1))
    assert found[0, 0] < 0 < np.diag(found)[1:].min()


def test_legs_whose_beginning_was_not_captured_have_no_place():
    found = log_ratios([None, 1, 2, 3], [1, 2, 3, 4], [0] * 4, 0.9, 0.03)
    assert (found[0] == 0).all()
    assert (found[1:, 1:] != 0).any()
    nobody = Order(legs(), legs(), np.zeros(0, np.int64), np.zeros(0, np.int64))
    empty = np.zeros(0, np.int64)
    assert len(nobody.log_ratios(empty, empty, np.zeros(0))) == 0
