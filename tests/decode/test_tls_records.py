# SPDX-License-Identifier: Apache-2.0
"""TLS records by their headers: segments in order, again, missing, or cut short."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.decode.tls_records import TlsRecords


def record(length, kind=23, version=b"\x03\x03"):
    """A record whose contents look like no header."""
    return bytes((kind,)) + version + length.to_bytes(2, "big") + b"\xee" * length


STREAM = record(200, 22, b"\x03\x01") + record(1, 20) + record(770) + record(26) + record(16401)
RECORDS = [(22, 200), (20, 1), (23, 770), (23, 26), (23, 16401)]


def feed(records, stream, sizes, start=100):
    found, at = [], 0
    while at < len(stream):
        size = next(sizes)
        found += records.feed(
            (start + at) % 2**32, stream[at : at + size], len(stream[at : at + size])
        )
        at += size
    return found


@pytest.mark.parametrize("start", [100, 2**32 - 300])
@given(st.integers(0, 2**32))
def test_however_it_is_cut_into_segments(start, seed):
    sizes = random.Random(seed)
    records = TlsRecords()
    records.begin(start - 1)
    found = feed(records, STREAM, iter(lambda: sizes.choice((1, 2, 4, 5, 6, 300, 1448)), 0), start)
    assert found == RECORDS
    assert records.missed_bytes == 0


def test_what_was_seen_before_counts_once():
    records = TlsRecords()
    records.begin(99)
    assert records.feed(100, STREAM[:300], 300) == RECORDS[:3]
    assert records.feed(100, STREAM[:300], 300) == []
    assert records.feed(200, STREAM[100:1010], 910) == RECORDS[3:4]


def test_a_missing_segment_inside_a_record_is_jumped_over():
    records = TlsRecords()
    records.begin(99)
    records.feed(100, STREAM[:300], 300)
    assert records.feed(900, STREAM[800:1100], 300) == RECORDS[3:]
    assert records.missed_bytes == 0
    assert records.feed(400, STREAM[300:800], 500) == []  # it was only late


def test_a_missing_header_is_missed_and_the_next_is_found():
    records = TlsRecords()
    records.begin(99)
    records.feed(100, STREAM[:205], 205)
    assert records.feed(100 + 986, STREAM[986:], len(STREAM) - 986) == RECORDS[3:]
    assert records.missed_bytes == 986 - 205


def test_a_capture_that_begins_later():
    records = TlsRecords()
    assert records.feed(5, b"\xee" * 50, 50) == []
    assert records.feed(55, record(26), 31) == [(23, 26)]
    assert records.missed_bytes == 50


def test_short_captures():
    """Of 96 octets of payload a header further on is not seen, but one at a segment's start is."""
    records = TlsRecords()
    records.begin(0)
    two = record(60) + record(60)
    assert records.feed(1, two[:96], len(two)) == [(23, 60), (23, 60)]
    assert records.feed(131, record(500)[:96], 505) == [(23, 500)]
    behind = record(100) + record(60)
    assert records.feed(636, behind[:96], len(behind)) == [(23, 100)]
    assert records.missed_bytes == 65
    assert records.feed(636 + len(behind), record(7), 12) == [(23, 7)]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=40), st.integers(0, 90))))
def test_whatever_the_octets_are(segments):
    records = TlsRecords()
    for sequence, data, more in segments:
        for kind, length in records.feed(sequence, data, len(data) + more):
            assert 20 <= kind <= 23
            assert 0 <= length <= 2**14 + 256
    assert records.missed_bytes >= 0
