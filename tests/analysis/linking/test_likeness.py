# SPDX-License-Identifier: Apache-2.0
"""Comparing digests of what legs carried, in `linking.likeness`."""

from __future__ import annotations

import numpy as np

from genevecap.analysis.linking.likeness import (
    DIFFERENT,
    EQUAL,
    EQUAL_HEADS,
    UNKNOWN,
    LegContent,
    StreamContent,
    compare,
    log_weights,
)


def stream(prefixes=None, heads=None):
    return StreamContent(prefixes=prefixes or {}, heads=heads or {})


def test_equal_prefixes_of_one_length_decide():
    assert compare(stream({10: 7}), stream({10: 7, 20: 8})) == EQUAL
    assert compare(stream({10: 7}), stream({10: 6})) == DIFFERENT
    assert compare(stream({10: 7}), stream({11: 7})) == UNKNOWN


def test_nothing_is_no_evidence():
    assert compare(stream({0: 0}), stream({0: 0})) == UNKNOWN
    assert compare(stream(), stream()) == UNKNOWN


def test_heads_are_compared_as_far_as_both_go():
    assert compare(stream(heads={0: (1, 2, 3)}), stream(heads={0: (1, 2)})) == EQUAL_HEADS
    assert compare(stream(heads={0: (1, 2, 3)}), stream(heads={0: (1, 9)})) == DIFFERENT
    assert compare(stream(heads={0: (1,)}), stream(heads={8: (1,)})) == UNKNOWN
    assert compare(stream({5: 5}, {0: (1,)}), stream({5: 5}, {0: (2,)})) == DIFFERENT


def weights(contents, others):
    legs = [LegContent(up=c, down=stream()) for c in contents]
    partners = [LegContent(up=c, down=stream()) for c in others]
    grid = np.indices((len(legs), len(partners))).reshape(2, -1)
    log, outcome = log_weights(legs, partners, grid[0], grid[1])
    shape = len(legs), len(partners)
    return log.reshape(shape), outcome.reshape(shape)


def test_unique_content_decides():
    log, outcome = weights([stream({9: i}) for i in range(20)], [stream({9: i}) for i in range(20)])
    assert (np.diag(outcome) == EQUAL).all()
    assert (np.diag(log) > 3).all()
    assert log[0, 1] < -10


def test_content_that_is_the_same_everywhere_says_nothing():
    log, outcome = weights([stream({9: 1})] * 20, [stream({9: 1})] * 20)
    assert (outcome == EQUAL).all()
    assert np.abs(log).max() < 0.1
