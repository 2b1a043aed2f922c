# SPDX-License-Identifier: Apache-2.0
"""What a TLS record of a given length may hold, in `linking.frames`."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.linking.frames import Frames, length_sorts


def one(values):
    assert len(values) == 1
    return float(values[0])


def at(length):
    return np.array([length], np.int64)


@pytest.fixture(scope="module")
def down():
    return Frames([183, 164], upward=False)


def test_a_record_of_one_frame_is_that_frame(down):
    # 17 octets of TLS, 9 of the frame header.
    assert one(down.data_of(at(183), at(183 + 26))) == pytest.approx(1, abs=0.02)
    assert one(down.ends(at(26))) == pytest.approx(1, abs=0.02)
    assert one(down.oks(at(28))) == pytest.approx(1, abs=0.05)


def test_gathered_frames_are_counted(down):
    # DATA of 183 octets and an empty one with END_STREAM.
    length = at(17 + 9 + 183 + 9)
    assert one(down.data_of(at(183), length)) == pytest.approx(1, abs=0.05)
    assert one(down.ends(length)) == pytest.approx(1, abs=0.05)
    # Two responses at once.
    assert one(down.data_of(at(183), at(17 + 2 * 192))) == pytest.approx(2, abs=0.1)


def test_a_frame_that_does_not_fit_is_not_expected(down):
    assert one(down.data_of(at(183), at(183 + 25))) < 0.01
    assert one(down.ends(at(25))) == 0


def test_a_size_that_is_not_common_counts_where_it_fits_exactly(down):
    assert one(down.data_of(at(777), at(777 + 26))) == 1
    assert one(down.data_of(at(777), at(777 + 27))) == 0


def test_connects_are_expected_upward_only_where_their_lengths_may_be():
    up = Frames([117], upward=True)
    assert one(up.opens(at(91))) > 0.9
    assert one(up.opens(at(255))) >= 0.3
    assert one(up.opens(at(26))) == 0
    assert one(up.opens(at(17 + 75 + 75))) > 1


def test_lengths_out_of_range_give_nothing(down):
    for length in (0, 5, 16, 10**6):
        assert one(down.ends(at(length))) == 0
        assert np.isfinite(one(down.data_of(at(183), at(length))))


def test_common_lengths_have_a_sort_of_their_own():
    lengths = np.array([26] * 5 + [91] * 3 + list(range(1000, 1200)), np.int64)
    sorts = length_sorts(lengths)
    assert len(set(sorts[:5])) == 1
    assert sorts[0] != sorts[5]
    assert sorts.max() < 64
