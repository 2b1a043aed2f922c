# SPDX-License-Identifier: Apache-2.0
"""TLS records read from segments: cut anywhere, in any order, captured in part, or hostile."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis import records
from genevecap.analysis.records import MAX_PENDING, Held, Record, RecordReader


def record(length, content_type=23, minor=3):
    """A record with a body that cannot be taken for a header."""
    return bytes([content_type, 3, minor, length >> 8, length & 0xFF]) + b"\xee" * length


def read(data, pieces, captured=None):
    """Read the pieces [begin, end) of `data`, one a nanosecond, of each `captured` octets."""
    reader = RecordReader()
    for time_ns, (begin, end) in enumerate(pieces):
        reader.add(begin, data[begin:end][:captured], end - begin, time_ns)
    return reader


def pieces(cuts, size):
    ends = [0, *cuts, size]
    return [(a, b) for a, b in pairwise(ends) if a < b]


def read_as(reader):
    return [(r.content_type, r.length, r.begin_offset) for r in reader.records()]


THREE = record(1, 22, 1) + record(300) + record(17)
AS_THREE = [(22, 1, 0), (23, 300, 6), (23, 17, 311)]


def test_a_cut_anywhere_does_not_matter():
    for cut in range(1, len(THREE)):
        reader = read(THREE, [(0, cut), (cut, len(THREE))])
        assert read_as(reader) == AS_THREE
        assert reader.lost == 0


def test_two_segments_may_come_in_the_other_order():
    for cut in range(1, len(THREE)):
        reader = read(THREE, [(cut, len(THREE)), (0, cut)])
        assert read_as(reader) == AS_THREE
        assert {r.end_ns for r in reader.records()} == {1}


def test_times_are_those_of_the_first_and_of_the_last_octet():
    reader = read(THREE, pieces((3, 6, 8, 200, 311, 320), len(THREE)))
    assert reader.records() == [
        Record(22, 1, 0, 0, 1),
        Record(23, 300, 6, 2, 4),
        Record(23, 17, 311, 5, 6),
    ]


@given(st.data(), st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_any_cut_order_and_repetition_reads_the_same(data, lengths):
    octets = b"".join(record(length, 20 + length % 4) for length in lengths)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=30)))
    parts = pieces(cuts, len(octets))
    again = data.draw(st.lists(st.sampled_from(parts), max_size=10))
    order = data.draw(st.permutations(parts + again))
    reader = read(octets, order)
    assert read_as(reader) == read_as(read(octets, [(0, len(octets))]))
    assert (reader.lost, reader.dropped, len(reader._pending)) == (0, 0, 0)


@given(st.data(), st.lists(st.integers(1, 200), min_size=1, max_size=8))
def test_overlaps_read_the_same_in_order(data, lengths):
    octets = b"".join(map(record, lengths))
    ends = sorted(data.draw(st.sets(st.integers(1, len(octets)), max_size=20)) | {len(octets)})
    back = st.integers(0, 50)
    begins = [max(end - data.draw(back), 0) for end in [0, *ends[:-1]]]
    reader = read(octets, list(zip(begins, ends, strict=True)))
    assert read_as(reader) == read_as(read(octets, [(0, len(octets))]))
    assert reader.lost == 0


# --- what was not captured ------------------------------------------------------------------------


@pytest.mark.parametrize("captured", [5, 6, 40])
def test_bodies_need_not_be_captured(captured):
    octets = record(1000) + record(17) + record(900)
    starts = [(0, 1005), (1005, 1027), (1027, len(octets))]
    assert read_as(read(octets, starts, captured)) == [
        (23, 1000, 0),
        (23, 17, 1005),
        (23, 900, 1027),
    ]


@pytest.mark.parametrize("captured", range(5))
def test_a_header_that_was_not_captured_is_waited_for(captured):
    reader = RecordReader()
    octets = record(50)
    reader.add(0, octets[:captured], 55, 1)
    reader.add(55, b"\xee" * 20, 20, 2)  # still inside something
    reader.add(75, record(9), 14, 3)
    assert read_as(reader) == [(23, 9, 75)]
    assert reader.lost == 1


def test_a_second_header_in_the_part_that_was_not_captured_is_lost():
    octets = record(100) + record(30)
    reader = RecordReader()
    reader.add(0, octets[:60], len(octets), 1)
    assert read_as(reader) == [(23, 100, 0)]
    reader.add(len(octets), record(8), 13, 2)
    assert read_as(reader) == [(23, 100, 0), (23, 8, len(octets))]
    assert reader.lost == 1


def test_a_hole_that_does_not_close_is_given_up():
    reader = RecordReader()
    reader.add(0, record(95), 100, 0)
    for i in range(MAX_PENDING + 1):
        assert len(reader.records()) == 1
        reader.add(200 + 100 * i, record(95), 100, 2 + i)
    assert read_as(reader)[:2] == [(23, 95, 0), (23, 95, 200)]
    assert len(reader.records()) == 1 + MAX_PENDING + 1
    assert reader.lost == 1
    assert [r.end_ns for r in reader.records()] == [0, *range(2, MAX_PENDING + 3)]
    assert not reader._pending


def test_a_segment_far_ahead_does_not_take_the_rest_along():
    reader = RecordReader()
    reader.add(1 << 40, b"\xee" * 9, 9, 0)
    for i in range(3 * MAX_PENDING):
        reader.add(100 + 100 * i, record(95), 100, i)
    assert len(reader.records()) == 3 * MAX_PENDING
    assert list(reader._pending) == [1 << 40]


def test_the_end_gives_up_all_holes():
    reader = RecordReader()
    for offset in (0, 100, 300, 500):
        reader.add(offset, record(95), 100, offset)
    assert len(reader.records()) == 2
    reader.finish()
    assert [begin for _, _, begin in read_as(reader)] == [0, 100, 300, 500]
    assert (reader.lost, reader._held.octets) == (2, 0)
    reader.finish()
    reader.add(600, record(95), 100, 9)
    assert len(reader.records()) == 5


def test_the_longer_of_two_early_segments_is_kept():
    octets = record(95) * 4
    reader = RecordReader()
    for begin, end in ((200, 250), (200, 400), (200, 300)):
        reader.add(begin, octets[begin:end], end - begin, 1)
    reader.add(0, octets[:200], 200, 2)
    assert len(reader.records()) == 4
    assert (reader._pending_bytes, reader._held.octets) == (0, 0)


def test_a_capture_that_begins_inside_a_record():
    reader = RecordReader()
    reader.add(0, b"\xee" * 40, 40, 0)
    reader.add(40, b"\xee" * 40, 40, 1)
    reader.add(80, record(20) + record(30), 60, 2)
    assert read_as(reader) == [(23, 20, 80), (23, 30, 105)]
    assert reader.lost == 1


# --- what is no record ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        bytes((19, 3, 3, 0, 5)),
        bytes((24, 3, 3, 0, 5)),
        bytes((23, 2, 3, 0, 5)),
        bytes((23, 3, 2, 0, 5)),
        bytes((23, 3, 4, 0, 5)),
        bytes((23, 3, 3, 0, 0)),
        bytes((23, 3, 3, 0x48, 1)),
        b"GET /",
    ],
)
def test_no_header(header):
    reader = RecordReader()
    reader.add(0, header + bytes(30), 35, 0)
    assert (read_as(reader), reader.lost) == ([], 1)
    reader.add(35, record(5), 10, 1)
    assert read_as(reader) == [(23, 5, 35)]


@pytest.mark.parametrize("length", [1, 0x4800])
def test_the_shortest_and_the_longest_record(length):
    assert read_as(read(record(length), [(0, length + 5)])) == [(23, length, 0)]


# --- bounds ---------------------------------------------------------------------------------------


def test_records_beyond_the_table_are_counted(monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORDS", 3)
    octets = record(1) * 5
    reader = read(octets, [(0, len(octets))])
    assert (len(reader.records()), reader.dropped) == (3, 2)


def test_early_octets_are_bounded_in_each_direction(monkeypatch):
    monkeypatch.setattr(records, "MAX_PENDING_BYTES", 300)
    reader = RecordReader()
    for i in range(4):
        reader.add(100 + 100 * i, record(95), 100, i)
        assert reader._pending_bytes <= 300
    assert len(reader.records()) == 4


def test_early_octets_are_bounded_over_all_directions(monkeypatch):
    monkeypatch.setattr(records, "MAX_HELD_BYTES", 250)
    held = Held()
    readers = [RecordReader(held) for _ in range(4)]
    for reader in readers:
        reader.add(100, record(95), 100, 0)
    assert [len(reader._pending) for reader in readers] == [1, 1, 0, 0]
    assert [len(reader.records()) for reader in readers] == [0, 0, 1, 1]
    assert held.octets == 200


@pytest.mark.parametrize("seed", range(20))
def test_any_octets_at_all(seed):
    """Nothing is raised, and what is kept stays below what the limits and the octets allow."""
    rng = random.Random(seed)
    reader, octets_seen = RecordReader(), 0
    place = 0
    for time_ns in range(400):
        length = rng.choice((1, 4, 5, 6, 100, 3000))
        octets = rng.randbytes(length) if rng.random() < 0.5 else record(1) * (length // 6 + 1)
        offset = rng.choice((place, place, place, rng.randrange(1 << 20), max(place - 7, 0)))
        captured = rng.choice((length, length, length // 2, 0))
        reader.add(offset, octets[:captured], length, time_ns)
        place = max(place, offset + length)
        octets_seen += length
        assert len(reader._pending) <= MAX_PENDING
    reader.finish()
    rows = reader.records()
    assert len(rows) <= octets_seen // 6 + 1
    begins = [row.begin_offset for row in rows]
    assert begins == sorted(set(begins))
    assert all(row.begin_ns <= row.end_ns for row in rows)
