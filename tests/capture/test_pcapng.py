# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import pytest

from genevecap.capture import blocks
from genevecap.columns import NO_TIME
from genevecap.errors import DamagedCapture, NotACapture
from tests.build.captures import BIG, LITTLE, SLL2, Pcapng

RECORD_LIMIT = 1 << 24


@pytest.fixture(params=["little", "big"])
def ng(request) -> Pcapng:
    return LITTLE if request.param == "little" else BIG


def start(ng: Pcapng, **interface) -> bytes:
    return ng.section() + ng.interface(**interface)


# --- packets -------------------------------------------------------------------------------------


def test_enhanced_packets(read_octets, ng):
    told = read_octets(
        start(ng)
        + ng.packet(b"abcde", units=1_700_000_000_000_001, original=60)
        + ng.packet(b"", units=0, original=7)
        + ng.packet(b"abcd", (1, b"one"), (2, b"\0\0\0\1"), (1, "zwei ☃".encode()), units=1)
    )
    assert told.error is None
    assert not told.cut_short
    assert told.frames == [1, 2, 3]
    assert told.data == [b"abcde", b"", b"abcd"]
    assert told.times == [1_700_000_000_000_001_000, 0, 1000]
    assert [row.wire_bytes for row in told.rows] == [60, 7, 4]
    assert [row.comments for row in told.rows] == [(), (), ("one", "zwei ☃")]
    assert told.names == ["x"] * 3
    assert told.capture.reader.format == "pcapng"


def test_a_packet_captured_longer_than_it_was(read_octets, ng):
    told = read_octets(start(ng) + ng.packet(b"abcdef", original=2))
    assert (told.data, told.rows[0].wire_bytes) == ([b"abcdef"], 2)


@pytest.mark.parametrize(
    ("snaplen", "original", "stored", "data"),
    [
        (0, 5, b"abcde", b"abcde"),
        (4, 9, b"abcd", b"abcd"),
        (3, 9, b"abc", b"abc"),
        (100, 5, b"abcde", b"abcde"),
        # What pads the block is not part of the packet.
        (5, 60, b"abcde", b"abcde"),
    ],
)
def test_simple_packets_hold_what_snaplen_allows(read_octets, ng, snaplen, original, stored, data):
    told = read_octets(start(ng, snaplen=snaplen) + ng.simple(stored, original=original))
    assert told.data == [data]
    assert told.rows[0].wire_bytes == original


def test_simple_packets_have_no_time_and_that_is_no_finding(read_octets, ng):
    told = read_octets(
        start(ng) + ng.packet(b"a", units=5) + ng.simple(b"bc") + ng.packet(b"d", units=2**63)
    )
    assert told.times == [5000, NO_TIME, NO_TIME]
    assert [row.timeless for row in told.rows] == [False, True, False]
    assert (told.capture.first_ns, told.capture.last_ns) == (5000, 5000)


def test_which_rows_are_timeless_is_known_for_each_batch(read_octets):
    told = read_octets(
        start(LITTLE) + LITTLE.simple(b"a") * 4097 + LITTLE.packet(b"b", units=2**64 - 1)
    )
    assert [row.timeless for row in told.rows] == [True] * 4097 + [False]
    assert set(told.times) == {NO_TIME}
    assert told.capture.first_ns is None


def test_simple_packets_belong_to_the_first_interface(read_octets, ng):
    told = read_octets(
        ng.section() + ng.interface(name="a") + ng.interface(name="b") + ng.simple(b"data")
    )
    assert told.names == ["x/a"]


def test_obsolete_packets(read_octets, ng):
    told = read_octets(
        start(ng)
        + ng.interface(name="second", resolution=9)
        + ng.obsolete(b"abc", (1, b"said"), interface=1, drops=3, units=2**32 + 5, original=60)
        + ng.obsolete(b"abcd", interface=0, units=7)
    )
    assert told.data == [b"abc", b"abcd"]
    assert told.times == [2**32 + 5, 7000]
    assert told.names == ["x/second", "x"]
    assert told.rows[0].wire_bytes == 60
    assert told.rows[0].comments == ("said",)


# --- times ---------------------------------------------------------------------------------------

UNITS = 1_700_000_000


@pytest.mark.parametrize(
    ("resolution", "units", "time_ns"),
    [
        (None, UNITS, UNITS * 1000),
        (0, UNITS, UNITS * 10**9),
        (3, UNITS, UNITS * 10**6),
        (6, UNITS, UNITS * 1000),
        (9, UNITS, UNITS),
        (10, 19, 1),
        (12, 1_999, 1),
        (12, 2**64 - 1, (2**64 - 1) // 1000),
        (18, 2 * 10**9, 2),
        (19, 2**64 - 1, 1_844_674_407),
        (30, 2**64 - 1, 0),
        (127, 2**64 - 1, 0),
        (0x80, UNITS, UNITS * 10**9),
        (0x80 | 1, 3, 1_500_000_000),
        (0x80 | 9, 1, 1_953_125),
        (0x80 | 10, 1, 976_562),
        (0x80 | 20, (1 << 20) + 1, 1_000_000_953),
        (0x80 | 32, (UNITS << 32) + 1, UNITS * 10**9),
        (0x80 | 63, 2**63, 10**9),
        (0x80 | 64, 2**63, 500_000_000),
        (0x80 | 127, 2**64 - 1, 0),
    ],
)
def test_time_stamp_resolutions(read_octets, ng, resolution, units, time_ns):
    told = read_octets(start(ng, resolution=resolution) + ng.packet(units=units))
    assert told.times == [time_ns]


@pytest.mark.parametrize("resolution", [0, 6, 9, 12, 0x80, 0x8A, 0xA0])
@pytest.mark.parametrize("offset_s", [0, 1, -1, 1_700_000_000, -3600, 2**62, -(2**62), -(2**63)])
@pytest.mark.parametrize("units", [0, 1, 10**9, 4 * 10**18, 2**63, 2**64 - 1])
def test_times_are_exact_or_none(read_octets, resolution, offset_s, units):
    base = 2 if resolution & 0x80 else 10
    exact = units * 10**9 // base ** (resolution & 0x7F) + offset_s * 10**9
    told = read_octets(
        start(LITTLE, resolution=resolution, offset_s=offset_s) + LITTLE.packet(b"z", units=units)
    )
    assert told.times == [exact if -(2**63) < exact < 2**63 else NO_TIME]
    assert not told.rows[0].timeless
    assert told.data == [b"z"]


def test_the_edges_of_int64(read_octets):
    told = read_octets(
        LITTLE.section()
        + LITTLE.interface(resolution=9)
        + LITTLE.interface(resolution=9, offset_s=-9_223_372_036)
        + LITTLE.interface(resolution=9, offset_s=-9_223_372_037)
        + LITTLE.packet(units=2**63 - 1)
        + LITTLE.packet(units=2**63)
        + LITTLE.packet(interface=1, units=2**64 - 1)
        + LITTLE.packet(interface=2, units=0)
    )
    assert told.times == [2**63 - 1, NO_TIME, NO_TIME, NO_TIME]
    told = read_octets(
        LITTLE.section()
        + LITTLE.interface(resolution=9, offset_s=-9_223_372_036)
        + LITTLE.packet(units=2**64 - 1 - 10**9)
        + LITTLE.packet(units=0)
    )
    assert told.times == [2**64 - 1 - 10**9 - 9_223_372_036 * 10**9, -9_223_372_036 * 10**9]


# --- sections and interfaces ---------------------------------------------------------------------


def test_sections_of_both_byte_orders(read_octets):
    told = read_octets(
        b"".join(
            ng.section((4, b"writer"))
            + ng.interface(name="eth0")
            + ng.packet(bytes([i]), (1, f"said {i}".encode()), units=i)
            + ng.interface(name=f"only{i}")
            + ng.obsolete(bytes([i]), (1, f"old {i}".encode()), interface=1, units=i)
            for i, ng in enumerate((BIG, LITTLE, LITTLE, BIG, LITTLE))
        )
    )
    assert told.error is None
    assert told.frames == list(range(1, 11))
    assert told.times == [i * 1000 for i in range(5) for _ in range(2)]
    # The comments of a row are read in the byte order of its own section, not of the last one.
    assert [row.comments for row in told.rows] == [
        (f"{word} {i}",) for i in range(5) for word in ("said", "old")
    ]
    assert told.names == [name for i in range(5) for name in ("x/eth0", f"x/only{i}")]
    assert told.capture.reader.application == "writer"
    assert next(point for point in told.points if point.name == "x/eth0").packets == 5


def test_interfaces_have_their_own_link_type_and_snaplen(read_octets, ng):
    links = [1, 113, 101, 228, 229, 0, 108, 147, 65535]
    told = read_octets(
        ng.section()
        + b"".join(ng.interface(link=link, name=f"if{link}") for link in links)
        + b"".join(ng.packet(b"p", interface=i) for i in reversed(range(len(links))))
    )
    assert [point.link_type for point in told.points] == links
    assert told.names == [f"x/if{link}" for link in reversed(links)]


def test_interfaces_may_come_between_packets(read_octets, ng):
    told = read_octets(
        start(ng, name="a") + ng.packet() + ng.interface(name="b") + ng.packet(interface=1)
    )
    assert told.names == ["x/a", "x/b"]


def test_names_of_interfaces(read_octets, ng):
    told = read_octets(
        ng.section()
        + ng.interface(name="eth0")
        + ng.interface()
        + ng.interface(name="eth0")
        + ng.interface()
        + ng.interface(name="")
        + ng.interface(name="nul\0")
        + ng.interface((2, b"\xff\xfe"))
        + ng.interface(name="eth0", link=101)
    )
    assert [point.name for point in told.points] == [
        "x/eth0", "x", "x/eth0~2", "x~2", "x~3", "x/nul", "x/\\xff\\xfe", "x/eth0~3",
    ]  # fmt: skip
    assert [point.interface for point in told.points][:3] == ["eth0", None, "eth0"]


def test_the_same_interface_in_a_later_section_is_the_same_point(read_octets, ng):
    section = (
        ng.section()
        + ng.interface(name="eth0")
        + ng.interface(name="eth0")
        + ng.interface()
        + ng.packet(interface=0)
        + ng.packet(interface=1)
        + ng.packet(interface=2)
    )
    told = read_octets(section * 3)
    assert [(point.name, point.packets) for point in told.points] == [
        ("x/eth0", 3), ("x/eth0~2", 3), ("x", 3),
    ]  # fmt: skip


def test_another_link_type_is_another_point(read_octets, ng):
    told = read_octets(start(ng, name="a") + start(ng, name="a", link=113))
    assert [(p.name, p.link_type) for p in told.points] == [("x/a", 1), ("x/a~2", 113)]


def test_a_packet_of_an_interface_of_the_section_before_is_damage(read_octets):
    good = start(LITTLE) + LITTLE.packet(b"abc") + LITTLE.section()
    told = read_octets(good + LITTLE.packet(b"def"))
    assert told.damage == (2, len(good), 36, 0)
    assert "names interface 0, the section describes 0" in str(told.error)
    assert told.data == [b"abc"]


def test_many_interfaces_of_one_name_take_no_time(read_octets):
    count = blocks.MAX_INTERFACES
    told = read_octets(LITTLE.section() + LITTLE.interface(name="eth0") * count)
    assert told.error is None
    assert told.points[-1].name == f"x/eth0~{count}"


def test_interfaces_without_end_are_damage(read_octets):
    good = LITTLE.section() + LITTLE.interface() * blocks.MAX_INTERFACES + LITTLE.packet(b"abc")
    told = read_octets(good + LITTLE.interface() + LITTLE.packet(b"d"))
    assert told.damage == (2, len(good), 20, 0)
    assert told.data == [b"abc"]


def test_long_interface_names_are_cut(read_octets):
    told = read_octets(LITTLE.section() + LITTLE.interface(name="n" * 60000))
    assert told.points[0].interface == "n" * blocks.MAX_NAME_BYTES


# --- what other blocks say -----------------------------------------------------------------------


def test_drops_of_kernel_and_interface_are_added(read_octets, ng):
    told = read_octets(
        ng.section()
        + ng.interface(name="a")
        + ng.interface(name="b")
        + ng.interface(name="c")
        + ng.interface(name="d")
        + ng.statistics(interface=0, ifdrop=1, osdrop=1)
        + ng.statistics(interface=0, ifdrop=3, osdrop=2**40)
        + ng.statistics(interface=1, osdrop=0)
        + ng.statistics(interface=2, comment="counted by dumpcap:17, truly")
        + ng.statistics(interface=9, ifdrop=1)
        + ng.statistics((5, b"short"), interface=3, comment="dumpcap:")
    )
    assert told.error is None
    assert [(p.dropped, p.dropped_by_dumpcap) for p in told.points] == [
        (2**40 + 3, None), (0, None), (None, 17), (None, None),
    ]  # fmt: skip


def test_drops_of_sections_add_up(read_octets, ng):
    section = (
        start(ng, name="a")
        + ng.statistics(ifdrop=1, comment="dumpcap:2")
        + ng.statistics(ifdrop=5, comment="dumpcap:3")
    )
    told = read_octets(section + start(ng, name="a") + section)
    assert [(p.dropped, p.dropped_by_dumpcap) for p in told.points] == [(10, 6)]


def test_names_and_secrets_and_comments_are_kept(read_octets, ng):
    keys = b"CLIENT_RANDOM 00 11\n"
    told = read_octets(
        ng.section((1, b"made by hand"), (4, b"hand"))
        + ng.interface((1, b"of an interface"))
        + ng.names((bytes([10, 0, 0, 1]), "one"), (bytes(15) + b"\1", "self"))
        + ng.secrets(keys)
        + ng.secrets(b"odd", kind=7)
        + ng.packet(b"p")
    )
    reader = told.capture.reader
    assert reader.names == {bytes([10, 0, 0, 1]): "one", bytes(15) + b"\1": "self"}
    assert reader.key_logs == [keys]
    assert reader.comments == ["made by hand", "of an interface"]
    assert reader.application == "hand"
    assert told.frames == [1]


def test_secrets_longer_than_their_block_are_left_out(read_octets, ng):
    told = read_octets(start(ng) + ng.block(10, ng.pack("II", 1, 100) + b"abc") + ng.packet())
    assert told.capture.key_logs == ()
    assert told.frames == [1]


def test_what_is_kept_has_a_limit(read_octets):
    ng = LITTLE
    told = read_octets(
        start(ng)
        + ng.secrets(bytes(3 << 20))
        + ng.secrets(bytes(2 << 20))
        + ng.interface((1, bytes(60000))) * 20
        + ng.names(*((bytes([10, 0, i, j]), "n" * 200) for i in range(100) for j in range(200)))
        + ng.packet(b"end")
    )
    reader = told.capture.reader
    kept = (
        sum(len(data) for data in reader.key_logs)
        + sum(map(len, reader.comments))
        + sum(len(name) for name in reader.names.values())
    )
    assert [len(data) for data in reader.key_logs] == [3 << 20]
    assert reader.names
    assert (3 << 20) < kept < blocks.MAX_KEPT_BYTES
    assert told.data == [b"end"]


@pytest.mark.parametrize(
    "numbered",
    [
        lambda ng: ng.custom(b"text"),
        lambda ng: ng.custom(b"text", copied=False),
        lambda ng: ng.custom(),
        lambda ng: ng.journal(),
        *(lambda ng, kind=kind: ng.block(kind, bytes(40)) for kind in blocks.SYSDIG_EVENTS),
    ],
)
def test_blocks_that_wireshark_numbers_use_up_a_number(read_octets, ng, numbered):
    told = read_octets(
        ng.section() + numbered(ng) + ng.interface() + ng.packet() + numbered(ng) * 2 + ng.packet()
    )
    assert told.frames == [2, 5]
    assert told.capture.packets == 2


@pytest.mark.parametrize("kind", [0, 7, 8, 0x208, 0x7777, 0x80000001, 0xFFFFFFFF])
def test_unknown_blocks_are_skipped(read_octets, ng, kind):
    unknown = ng.block(kind, b"whatever") + ng.block(kind, b"")
    told = read_octets(ng.section() + unknown + ng.interface() + ng.packet() + unknown)
    assert told.frames == [1]
    assert told.error is None
    assert not told.cut_short


def test_option_lists_that_do_not_end_well(read_octets, ng):
    told = read_octets(
        start(ng)
        # No end mark; a length beyond the block; an end mark before the rest; odd octets.
        + ng.block(6, ng.pack("IIIII", 0, 0, 0, 0, 0) + ng.option(1, b"no end"))
        + ng.block(6, ng.pack("IIIII", 0, 0, 0, 0, 0) + ng.pack("HH", 1, 400) + b"abcd")
        + ng.block(6, ng.pack("IIIII", 0, 0, 0, 0, 0) + bytes(4) + ng.option(1, b"late"))
        + ng.block(6, ng.pack("IIIII", 0, 0, 0, 0, 0) + ng.option(1, b"") + ng.option(1, b"\xff"))
    )
    assert told.error is None
    assert [row.comments for row in told.rows] == [("no end",), (), (), ("", "\\xff")]


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "needed", "had"),
    [
        (0, 32, 0),
        (8, 32, 8),
        (28, 32, 28),
        (33, 36, 33),
        (37, 40, 37),
        (RECORD_LIMIT + 4, RECORD_LIMIT + 4, None),
        (2**32 - 4, 2**32 - 4, None),
    ],
)
def test_a_length_that_cannot_be_is_damage(read_octets, ng, length, needed, had):
    good = start(ng) + ng.packet(b"abc")
    bad = ng.block(6, ng.pack("IIIII", 0, 0, 0, 4, 4) + b"abcd", length=length)
    rest = bad + ng.packet(b"later")
    told = read_octets(good + rest)
    assert told.damage == (2, len(good), needed, len(rest) if had is None else had)
    assert f"its length of {length} octets is not plausible" in str(told.error)
    assert told.data == [b"abc"]
    assert told.cut_short


@pytest.mark.parametrize(
    ("kind", "body"), [(1, 4), (2, 16), (3, 0), (5, 8), (6, 16), (10, 4), (0xBAD, 0)]
)
def test_a_block_too_short_for_its_kind_is_damage(read_octets, ng, kind, body):
    good = start(ng) + ng.packet(b"abc")
    told = read_octets(good + ng.block(kind, bytes(body)) + bytes(20))
    assert told.damage == (2, len(good), 12 + blocks.MIN_BODY_BYTES[kind], 12 + body)
    assert told.data == [b"abc"]


@pytest.mark.parametrize("kind", [6, 1, 0x7777])
def test_two_lengths_that_differ_are_damage(read_octets, ng, kind):
    good = start(ng) + ng.packet(b"abc")
    body = ng.pack("IIIII", 0, 0, 0, 4, 4) + b"abcd"
    told = read_octets(good + ng.block(kind, body, trailer=40))
    assert told.damage == (2, len(good), 36, 40)
    assert "its two lengths differ" in str(told.error)
    assert told.data == [b"abc"]


def test_a_packet_longer_than_its_block_is_damage(read_octets, ng):
    good = start(ng) + ng.packet(b"abc")
    for captured in (5, 9, 2**32 - 1):
        told = read_octets(good + ng.packet(b"abcd", captured=captured))
        assert told.damage == (2, len(good), 32 + (captured + 3 & ~3), 36)
        assert told.data == [b"abc"]


def test_an_interface_that_is_not_described_is_damage(read_octets, ng):
    good = start(ng) + ng.packet(b"abc")
    for index in (1, 2**31, 2**32 - 1):
        told = read_octets(good + ng.packet(b"abcd", interface=index))
        assert told.damage == (2, len(good), 36, 0)
        assert f"it names interface {index}, the section describes 1" in str(told.error)


def test_simple_packets_without_an_interface_are_damage(read_octets, ng):
    told = read_octets(ng.section() + ng.simple(b"abc"))
    assert told.damage == (1, 28, 20, 0)


@pytest.mark.parametrize("version", [(0, 0), (2, 0)])
def test_another_major_version_is_damage(read_octets, ng, version):
    told = read_octets(ng.section(version=version) + ng.interface())
    assert isinstance(told.error, DamagedCapture)
    assert f"pcapng version {version[0]}.{version[1]} is not known" in str(told.error)
    good = start(ng) + ng.packet(b"abc")
    told = read_octets(good + ng.section(version=version))
    assert told.damage == (2, len(good), 28, 0)
    assert told.data == [b"abc"]


def test_a_section_without_its_magic_is_damage(read_octets, ng):
    assert read_octets(ng.section(magic=0x1A2B3C4E)).damage == (1, 0, 12, 0)
    good = start(ng) + ng.packet(b"abc")
    told = read_octets(good + ng.section(magic=0))
    assert told.damage == (2, len(good), 12, 0)
    assert "without the byte-order magic" in str(told.error)


@pytest.mark.parametrize("length", range(4, 28))
def test_a_file_that_ends_in_its_first_section_header_is_no_capture(read_octets, ng, length):
    told = read_octets(ng.section()[:length])
    assert isinstance(told.error, NotACapture)
    assert f"ends inside its pcapng section header ({length} octets)" in str(told.error)


def test_a_file_that_ends_inside_a_block_is_cut_short(read_octets, ng):
    good = start(ng) + ng.packet(b"abc")
    for last in (ng.packet(b"abcd"), ng.simple(b"abc"), ng.section(), ng.block(0x7777, bytes(8))):
        for left in range(1, len(last)):
            told = read_octets(good + last[:left])
            assert told.error is None, left
            assert told.cut_short
            assert told.data == [b"abc"]
            assert told.capture.stream.needed == (12 if left < 12 else len(last))


def test_a_block_of_16_mib_may_yet_come_and_no_longer_one(read_octets):
    good = start(LITTLE) + LITTLE.packet(b"abc")
    head = struct.pack("<II", 0x7777, RECORD_LIMIT) + bytes(8)
    told = read_octets(good + head)
    assert (told.error, told.cut_short) == (None, True)
    head = struct.pack("<II", 0x7777, RECORD_LIMIT + 4) + bytes(8)
    assert read_octets(good + head).damage == (2, len(good), RECORD_LIMIT + 4, len(head))


def test_a_block_of_16_mib_is_read(read_octets):
    data = bytes(RECORD_LIMIT - 32 - 1) + b"z"
    told = read_octets(start(LITTLE) + LITTLE.packet(data) + LITTLE.packet(b"after"))
    assert told.error is None
    assert [len(row.data) for row in told.rows] == [len(data), 5]
    assert told.rows[0].data[-1:] == b"z"


def test_rows_before_damage_are_given_across_batches(read_octets):
    good = start(LITTLE) + LITTLE.packet(b"abc") * 5000
    told = read_octets(good + LITTLE.packet(b"x", interface=4))
    assert len(told.rows) == 5000
    assert told.damage == (5001, len(good), 36, 0)


# --- SLL2 ----------------------------------------------------------------------------------------


def sll2(index: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HHIHBB8s", 0x0800, 0, index, 1, 0, 6, b"\2\0\0\0\0\1") + payload


def test_sll2_interfaces_are_split_and_keep_a_point_for_their_drops(read_octets, ng):
    told = read_octets(
        start(ng, link=SLL2, name="any")
        + ng.packet(sll2(3))
        + ng.packet(sll2(7))
        + ng.packet(b"short")
        + ng.packet(sll2(3))
        + ng.statistics(ifdrop=4)
    )
    assert told.names == ["x/ifindex-3", "x/ifindex-7", "x/any", "x/ifindex-3"]
    drops = {point.name: (point.packets, point.dropped) for point in told.points}
    assert drops == {
        "x/ifindex-3": (2, None), "x/ifindex-7": (1, None), "x/any": (1, 4),
    }  # fmt: skip


def test_sll2_interfaces_beside_others_and_in_later_sections(read_octets, ng):
    section = (
        ng.section()
        + ng.interface(name="eth0")
        + ng.interface(link=SLL2, name="any")
        + ng.packet(sll2(2), interface=1)
        + ng.packet(sll2(9), interface=0)
    )
    told = read_octets(section * 2)
    assert told.names == ["x/ifindex-2", "x/eth0"] * 2
