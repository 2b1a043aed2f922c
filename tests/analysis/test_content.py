# SPDX-License-Identifier: Apache-2.0
"""Digests of streams: equal for equal octets, whatever way they were cut and in whatever order."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis import content
from genevecap.analysis.content import MAX_STRETCHES, Stream, head

OCTETS = st.binary(min_size=1, max_size=200)


def digest(octets):
    return int.from_bytes(octets, "little") % content.PRIME


def added(stream, data, pieces):
    """Add the pieces [begin, end) of `data`; return for each whether any of it was new."""
    return [stream.add(begin, data[begin:end], end - begin) for begin, end in pieces]


@st.composite
def shuffled(draw, most=MAX_STRETCHES):
    """A stream, cut in pieces, and those in any order."""
    data = draw(OCTETS)
    inside = st.integers(1, max(len(data) - 1, 1))
    cuts = sorted({0, len(data), *draw(st.lists(inside, max_size=most - 1))})
    cuts = [cut for cut in cuts if cut <= len(data)]
    return data, draw(st.permutations(list(pairwise(cuts))))


@st.composite
def overlapping(draw):
    """A stream, and pieces of it that overlap and repeat as they like."""
    data = draw(OCTETS)
    ends = st.integers(0, len(data))
    pieces = draw(st.lists(st.tuples(ends, ends).map(sorted).map(tuple), max_size=40))
    return data, [piece for piece in pieces if piece[0] < piece[1]]


def test_the_prime_is_a_prime_of_62_bits():
    assert content.PRIME.bit_length() == 62
    assert pow(3, content.PRIME - 1, content.PRIME) == 1
    assert not content._is_prime(3_215_031_751)  # passes for the bases 2, 3, 5 and 7
    assert [n for n in range(40, 100) if content._is_prime(n)] == [
        41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    ]  # fmt: skip


@given(shuffled())
def test_neither_cut_nor_order_matters(drawn):
    data, pieces = drawn
    stream = Stream()
    assert all(added(stream, data, pieces))
    assert (stream.first.end, stream.highest) == (len(data), len(data))
    assert (stream.first.digested, stream.first.value) == (len(data), digest(data))
    assert not any(added(stream, data, pieces))


@given(overlapping())
def test_overlaps_never_make_a_wrong_digest(drawn):
    data, pieces = drawn
    stream, seen = Stream(), set()
    for piece, new in zip(pieces, added(stream, data, pieces), strict=True):
        covered = set(range(*piece))
        if len(stream._stretches) < MAX_STRETCHES:
            assert new == bool(covered - seen)
        seen |= covered
    first = stream.first
    assert first.value == digest(data[: first.digested])
    assert stream.highest == max(seen, default=-1) + 1
    stretches = stream._stretches
    assert all(a.end < b.begin for a, b in pairwise(stretches))
    if len(stretches) < MAX_STRETCHES:
        missing = next((i for i in range(len(data)) if i not in seen), len(data))
        assert first.end == first.digested == missing


def test_a_segment_captured_in_part_ends_the_digest():
    stream, data = Stream(), b"abcdefghij"
    stream.add(0, data[:3], 6)
    stream.add(6, data[6:], 4)
    assert (stream.first.end, stream.first.digested) == (10, 3)
    assert stream.first.value == digest(b"abc")


def test_a_segment_captured_in_part_ends_the_digest_of_what_came_early():
    stream, data = Stream(), b"abcdefghij"
    for begin, octets, length in ((4, data[4:5], 2), (6, data[6:], 4), (0, data[:4], 4)):
        assert stream.add(begin, octets, length)
    assert (stream.first.end, stream.first.digested) == (10, 5)
    assert stream.first.value == digest(b"abcde")


def test_too_many_holes_give_up_the_first():
    stream, data = Stream(), bytes(range(1, 201))
    for i in range(MAX_STRETCHES + 4):
        assert stream.add(10 * i + 5, data[10 * i + 5 : 10 * i + 10], 5)
        assert len(stream._stretches) <= MAX_STRETCHES
    assert stream.highest == 10 * (MAX_STRETCHES + 3) + 10
    # The first holes count as seen: what fills them later brings nothing new.
    assert stream.first.end == 10 * 5
    assert stream.first.digested == 0
    assert not stream.add(0, data[:5], 5)
    assert not stream.add(105, data[105:110], 5)
    assert stream.add(100, data[100:105], 5)


@pytest.mark.parametrize("seed", range(3))
def test_memory_is_bounded_whatever_comes(seed):
    rng, stream = random.Random(seed), Stream()
    for _ in range(5_000):
        begin, length = rng.randrange(1 << 40), rng.randrange(1, 1 << 20)
        stream.add(begin, b"x", length)
        assert len(stream._stretches) <= MAX_STRETCHES


@given(OCTETS, OCTETS)
def test_heads_are_equal_where_their_blocks_are(one, other):
    blocks = min(len(one), len(other)) // 8
    same = [one[8 * i : 8 * i + 8] == other[8 * i : 8 * i + 8] for i in range(min(blocks, 8))]
    assert [a == b for a, b in zip(head(one), head(other), strict=False)] == same
    assert len(head(one)) == min(len(one) // 8, 8)


def test_a_block_does_not_show_in_its_digest():
    assert head(b"\1" + bytes(7)) != (1,)
    assert head(b"01234567" * 2)[0] == head(b"01234567" * 2)[1]
