# SPDX-License-Identifier: Apache-2.0
"""analysis/quantiles: bins, their error, and the interval of the median."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.quantiles import BINS, ZERO, Quantiles, bin_edges, bin_of

INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**7), 10**7) | st.integers(-300, 300)


def quantiles(values):
    """Quantiles of a list."""
    array = np.array(values, np.int64)
    counts = np.bincount(bin_of(array), minlength=BINS)
    return Quantiles(counts, int(array.min()), int(array.max()))


@given(st.lists(INT64, min_size=2, max_size=50))
def test_bins_are_in_order_and_narrow(values):
    array = np.array(sorted(values), np.int64)
    bins = bin_of(array)
    assert np.all(np.diff(bins) >= 0)
    assert bins.min() >= 0
    assert bins.max() < BINS
    for value, place in zip(array.tolist(), bins.tolist(), strict=True):
        low, high = bin_edges(place)
        assert low <= value <= high or abs(value) >= 2**63 - 1
        assert high - low <= abs(value) / 64


@pytest.mark.parametrize(("value", "place"), [(0, ZERO), (1, ZERO + 1), (-1, ZERO - 1)])
def test_small_values_have_bins_of_their_own(value, place):
    assert bin_of(np.array([value]))[0] == place
    assert bin_edges(place) == (value, value)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=300))
def test_quantiles_are_within_one_per_cent(values):
    found, ordered = quantiles(values), sorted(values)
    assert (found.smallest, found.largest) == (ordered[0], ordered[-1])
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        exact = ordered[max(-int(-share * len(values) // 1) - 1, 0)]
        assert abs(found.at(share) - exact) <= abs(exact) * 0.016


def test_counts_add_up():
    rng = random.Random(3)
    values = [rng.randrange(10**6) for _ in range(1000)]
    whole = np.bincount(bin_of(np.array(values)), minlength=BINS)
    parts = sum(np.bincount(bin_of(np.array(values[i::3])), minlength=BINS) for i in range(3))
    assert np.array_equal(whole, parts)


def test_the_interval_of_the_median_holds():
    rng = random.Random(7)
    inside = 0
    for _ in range(400):
        found = quantiles([int(rng.lognormvariate(12, 0.7)) for _ in range(101)])
        half, middle = found.median_uncertainty(), found.at(0.5)
        inside += abs(middle - 162_754) <= half * 1.5  # e**12; the interval is not symmetric
    assert inside >= 380


def test_one_value():
    found = quantiles([-5])
    assert (found.at(0.5), found.at(0.99), found.median_uncertainty()) == (-5, -5, 0)
