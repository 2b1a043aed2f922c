# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import pytest

from genevecap.errors import NotACapture
from tests.build import captures as build

MIB = 1 << 20
RECORD_LIMIT = 16 * MIB


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "unit_ns"),
    [(build.MICROSECONDS, 1000), (build.NANOSECONDS, 1), (build.KUZNETZOV, 1000)],
)
def test_every_magic_in_both_byte_orders(read_octets, order, magic, unit_ns):
    kuznetzov = magic == build.KUZNETZOV
    told = read_octets(
        build.pcap_header(order=order, magic=magic)
        + build.pcap_record(
            b"first", order=order, seconds=1_700_000_000, fraction=7, kuznetzov=kuznetzov
        )
        + build.pcap_record(b"", order=order, seconds=1, original=60, kuznetzov=kuznetzov)
        + build.pcap_record(
            b"third", order=order, seconds=2, fraction=999_999, original=1500, kuznetzov=kuznetzov
        )
    )
    assert told.error is None
    assert not told.cut_short
    assert told.data == [b"first", b"", b"third"]
    assert told.frames == [1, 2, 3]
    assert told.times == [
        1_700_000_000 * 10**9 + 7 * unit_ns,
        10**9,
        2 * 10**9 + 999_999 * unit_ns,
    ]
    assert [row.wire_bytes for row in told.rows] == [5, 60, 1500]
    assert told.names == ["x"] * 3
    assert not any(row.timeless for row in told.rows)
    assert (told.capture.packets, told.capture.captured_bytes) == (3, 10)
    assert told.capture.wire_bytes == 1565
    assert (told.capture.first_ns, told.capture.last_ns) == (10**9, told.times[0])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("minor", [0, 1, 2])
def test_before_version_2_3_lengths_are_always_swapped(read_octets, order, minor):
    told = read_octets(
        build.pcap_header(order=order, version=(2, minor))
        + build.pcap_record(b"abc", order=order, original=60, swapped=True)
        + build.pcap_record(b"abcd", order=order, original=4, swapped=True)
        # Captured more than the wire had: no reason to take the lengths for right.
        + build.pcap_record(b"abcde", order=order, original=2, swapped=True)
    )
    assert told.data == [b"abc", b"abcd", b"abcde"]
    assert [row.wire_bytes for row in told.rows] == [60, 4, 2]


@pytest.mark.parametrize("order", ["<", ">"])
def test_in_version_2_3_lengths_are_swapped_where_captured_is_more(read_octets, order):
    told = read_octets(
        build.pcap_header(order=order, version=(2, 3))
        + build.pcap_record(b"abc", order=order, original=60, swapped=True)
        + build.pcap_record(b"abcd", order=order, original=60)
    )
    assert told.data == [b"abc", b"abcd"]
    assert [row.wire_bytes for row in told.rows] == [60, 60]


@pytest.mark.parametrize("version", [(2, 4), (2, 5)])
def test_from_version_2_4_captured_may_exceed_original(read_octets, version):
    told = read_octets(
        build.pcap_header(version=version) + build.pcap_record(b"abcdef", original=2)
    )
    assert told.data == [b"abcdef"]
    assert told.rows[0].wire_bytes == 2


@pytest.mark.parametrize("version", [(1, 2), (3, 0), (0, 0), (543, 0)])
def test_another_major_version_is_not_read(read_octets, version):
    told = read_octets(build.pcap_header(version=version) + build.pcap_record(b"abc"))
    assert isinstance(told.error, NotACapture)
    assert f"pcap version {version[0]}.{version[1]} is not known" in str(told.error)


@pytest.mark.parametrize("snaplen", [0, 1, 65535, 0xFFFFFFFF])
def test_snaplen_is_not_believed(read_octets, snaplen):
    told = read_octets(build.pcap_header(snaplen=snaplen) + build.pcap_record(bytes(100)))
    assert told.data == [bytes(100)]


def test_zone_and_accuracy_are_ignored(read_octets):
    told = read_octets(build.pcap_header(zone=-3600, accuracy=7) + build.pcap_record(seconds=5))
    assert told.times == [5 * 10**9]


@pytest.mark.parametrize("seconds", [2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("fraction", [0, 10**6, 10**9, 2**32 - 1])
@pytest.mark.parametrize(("magic", "unit_ns"), [(build.MICROSECONDS, 1000), (build.NANOSECONDS, 1)])
def test_seconds_are_unsigned_and_fractions_whatever_they_are(
    read_octets, seconds, fraction, magic, unit_ns
):
    told = read_octets(
        build.pcap_header(magic=magic) + build.pcap_record(seconds=seconds, fraction=fraction)
    )
    assert told.times == [seconds * 10**9 + fraction * unit_ns]
    assert told.capture.last_ns == told.times[0]


@pytest.mark.parametrize(
    ("field", "link_type"),
    [(1, 1), (0x44000001, 1), (0xF4000114, 276), (0x03FFFFFF, 0x03FFFFFF), (0xFC000000, 0)],
)
def test_what_stands_above_the_link_type_is_not_part_of_it(read_octets, field, link_type):
    told = read_octets(build.pcap_header(link=field))
    if link_type != build.SLL2:
        assert [point.link_type for point in told.points] == [link_type]
    assert told.error is None
    assert told.rows == []
    assert told.capture.stream.frames.link_types.tolist() == [p.link_type for p in told.points]


def test_a_capture_without_packets_is_a_capture(read_octets):
    told = read_octets(build.pcap_header())
    assert told.error is None
    assert told.rows == []
    assert not told.cut_short
    assert told.capture.first_ns is None
    assert [point.name for point in told.points] == ["x"]


@pytest.mark.parametrize("length", range(1, 24))
def test_a_file_that_ends_in_its_header_is_no_capture(read_octets, length):
    told = read_octets(build.pcap_header()[:length])
    assert isinstance(told.error, NotACapture)
    if length >= 4:
        assert f"a pcap header has 24 octets, this file has {length}" in str(told.error)
    else:
        assert "not a capture: it begins with d4" in str(told.error)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("left", [1, 15, 16, 17, 115])
def test_a_file_that_ends_inside_a_record_is_cut_short(read_octets, order, left):
    good = build.pcap(b"abc", order=order)
    last = build.pcap_record(bytes(100), order=order)
    told = read_octets(good + last[:left])
    assert told.error is None
    assert told.cut_short
    assert told.data == [b"abc"]
    assert told.capture.stream.needed == (16 if left < 16 else 116)
    assert told.capture.stream.file_offset() == len(good)


def test_a_record_of_16_mib_may_yet_come(read_octets):
    told = read_octets(build.pcap(b"abc") + build.pcap_record(b"", captured=RECORD_LIMIT))
    assert told.error is None
    assert told.cut_short
    assert told.data == [b"abc"]


@pytest.mark.parametrize("captured", [RECORD_LIMIT + 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_longer_record_is_damage(read_octets, order, captured):
    good = build.pcap(b"abc", b"defg", order=order)
    told = read_octets(good + build.pcap_record(bytes(50), order=order, captured=captured))
    assert told.damage == (3, len(good), 16 + captured, 16 + 50), "had: what remains"
    assert f"its length of {captured} octets is not plausible" in str(told.error)
    assert told.data == [b"abc", b"defg"]
    assert told.cut_short


@pytest.mark.parametrize(
    ("version", "captured", "original", "asked"),
    [
        ((2, 2), 60, 2**25, 2**25),
        ((2, 3), 2**31, 2**25, 2**25),
        ((2, 3), 2**25, 2**31, 2**25),
        ((2, 4), 2**25, 60, 2**25),
    ],
)
def test_the_damage_names_the_length_that_counts(read_octets, version, captured, original, asked):
    good = build.pcap_header(version=version)
    told = read_octets(good + build.pcap_record(captured=captured, original=original))
    assert told.damage == (1, 24, 16 + asked, 16)


def test_a_long_original_length_is_not_damage(read_octets):
    told = read_octets(build.pcap_header() + build.pcap_record(b"abc", original=2**32 - 1))
    assert told.rows[0].wire_bytes == 2**32 - 1


HEADERS = [
    (order, magic, version)
    for order in "<>"
    for magic in (build.MICROSECONDS, build.NANOSECONDS, build.KUZNETZOV)
    for version in ((2, 0), (2, 4))
]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("second", HEADERS)
def test_a_second_header_is_damage_whatever_its_kind(read_octets, order, second):
    second_order, magic, version = second
    good = build.pcap(b"abc", order=order)
    joined = build.pcap(b"def", order=second_order, magic=magic, version=version)
    told = read_octets(good + joined)
    assert told.damage == (2, len(good), 16, 0)
    assert "a second pcap header stands where a record was expected" in str(told.error)
    assert told.data == [b"abc"]
    assert told.cut_short


@pytest.mark.parametrize("first", [build.MICROSECONDS, 0xD4C3B2A1, 0xA1B2C3D5])
@pytest.mark.parametrize("second", [0, 3, 262145, 0x00050002, 0x02050000, 0xFFFFFFFF])
def test_a_time_that_only_resembles_a_header_is_a_time(read_octets, first, second):
    told = read_octets(build.pcap_header() + build.pcap_record(seconds=first, fraction=second))
    assert told.times == [first * 10**9 + second * 1000]


def test_pcapng_after_pcap_is_damage(read_octets):
    good = build.pcap(b"abc")
    told = read_octets(good + build.LITTLE.section())
    assert told.damage == (2, len(good), 16 + 0x1A2B3C4D, len(build.LITTLE.section()))
    assert told.data == [b"abc"]


def test_damage_in_kuznetzovs_variant_counts_its_header(read_octets):
    good = build.pcap(b"abc", magic=build.KUZNETZOV)
    told = read_octets(good + build.pcap_record(captured=2**25, kuznetzov=True))
    assert told.damage == (2, len(good), 24 + 2**25, 24)


def test_a_record_at_the_very_end_of_the_buffer(read_octets):
    first = build.pcap_header() + build.pcap_record(bytes(MIB - 24 - 16 - 16))
    told = read_octets(first + build.pcap_record(b"", original=9) + build.pcap_record(b"z"))
    assert [len(data) for data in told.data] == [MIB - 56, 0, 1]
    assert told.rows[1].wire_bytes == 9


def test_batches_hold_4096_rows_and_no_row_is_lost_between(read_octets):
    count = 3 * 4096 + 1
    records = b"".join(build.pcap_record(struct.pack(">I", i), seconds=i) for i in range(count))
    told = read_octets(build.pcap_header() + records)
    assert [int.from_bytes(data, "big") for data in told.data] == list(range(count))
    assert told.frames == list(range(1, count + 1))
