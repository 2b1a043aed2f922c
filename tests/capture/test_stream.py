# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import random
import struct

import pytest

from genevecap.capture import stream as stream_module
from genevecap.capture.stream import BUFFER_BYTES
from tests.build import captures as build

from .reading import WALKS, read

RECORD_LIMIT = 1 << 24
LITTLE, BIG = build.LITTLE, build.BIG


def pcapng() -> bytes:
    """Sections of both byte orders, with every kind of packet block."""
    out = b""
    for i, ng in enumerate((LITTLE, BIG, LITTLE)):
        out += ng.section((1, b"section")) + ng.interface(name="eth0") + ng.interface(resolution=9)
        for j in range(40):
            data = bytes([i, j]) * (j * 5 % 37)
            out += ng.packet(data, (1, b"said"), interface=j % 2, units=j)
            out += ng.simple(data) + ng.custom(data) + ng.obsolete(data, interface=1, units=j)
        out += ng.statistics(ifdrop=i)
    return out


SMALL = {
    "pcap": build.pcap(*(bytes([i]) * (i * 11 % 90) for i in range(150))),
    "pcapng": pcapng(),
    "cut": pcapng()[:-5],
    "damaged": pcapng() + LITTLE.packet(interface=7),
}


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("live", [False, True])
def test_pieces_of_any_size_give_the_same(walk, name, live):
    data = SMALL[name]
    whole = read(data, WALKS["readable"]).told()
    chance = random.Random(name)
    pieces = {
        "one by one": [1] * len(data),
        "small": [chance.randint(1, 40) for _ in data],
        "any": [chance.choice((1, 3, 12, 500, 4000)) for _ in data],
    }
    for sizes in pieces.values():
        assert read(data, walk, sizes, live=live).told() == whole
        assert read(gzip.compress(data), walk, sizes, live=live).told() == whole


@pytest.mark.parametrize("live", [False, True])
def test_records_around_the_end_of_the_buffer(walk, live):
    for shift in range(-40, 41):
        filler = bytes(BUFFER_BYTES + shift - 24 - 16)
        data = build.pcap(filler, b"abc", b"", b"defg")
        told = read(data, walk, live=live)
        assert told.error is None
        assert told.data == [filler, b"abc", b"", b"defg"]
        assert not told.cut_short


def test_a_long_record_grows_the_buffer_once_and_reading_goes_on(walk):
    noise = random.Random(1).randbytes(RECORD_LIMIT)
    told = read(build.pcap(b"a", noise, b"b", noise, b"c"), walk)
    assert told.error is None
    assert told.data == [b"a", noise, b"b", noise, b"c"]
    assert RECORD_LIMIT < len(told.capture.stream.buffer) <= RECORD_LIMIT + BUFFER_BYTES


def test_records_of_no_more_than_the_buffer_leave_it_as_it_is(walk):
    told = read(build.pcap(*[bytes(BUFFER_BYTES - 16)] * 5), walk)
    assert len(told.rows) == 5
    assert len(told.capture.stream.buffer) == BUFFER_BYTES


def test_a_long_record_from_a_pipe_in_small_pieces(walk):
    noise = random.Random(1).randbytes(2_500_000)
    told = read(build.pcap(b"a", noise, b"b"), walk, [4096] * 1000, live=True)
    assert told.data == [b"a", noise, b"b"]


# --- SLL2 ----------------------------------------------------------------------------------------


def sll2(index: int) -> bytes:
    return struct.pack(">HHIHBB8s", 0x0800, 0, index, 1, 0, 6, b"\2\0\0\0\0\1")


def test_an_any_capture_is_split_by_interface_index(read_octets):
    indexes = [3, 1, 3, 0xFFFFFFFF, 1, 0]
    told = read_octets(build.pcap(*map(sll2, indexes), link=build.SLL2))
    assert told.names == [f"x/ifindex-{index}" for index in indexes]
    assert [(point.name, point.packets) for point in told.points] == [
        ("x/ifindex-3", 2), ("x/ifindex-1", 2), ("x/ifindex-4294967295", 1), ("x/ifindex-0", 1),
    ]  # fmt: skip
    assert {point.link_type for point in told.points} == {build.SLL2}


def test_rows_too_short_to_say_their_index_have_the_captures_own_point(read_octets):
    told = read_octets(build.pcap(sll2(3), b"", sll2(3)[:7], sll2(4)[:8], sll2(3), link=build.SLL2))
    assert told.names == ["x/ifindex-3", "x", "x", "x/ifindex-4", "x/ifindex-3"]


def test_the_index_is_big_endian_in_files_of_either_order(read_octets):
    told = read_octets(build.pcap(sll2(0x01020304), order=">", link=build.SLL2))
    assert told.names == [f"x/ifindex-{0x01020304}"]


def test_more_indexes_than_any_machine_has_share_one_point(read_octets, monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_SLL2_POINTS", 5)
    indexes = [*range(8), 6, 2]
    told = read_octets(build.pcap(*map(sll2, indexes), link=build.SLL2))
    assert told.names == [f"x/ifindex-{i}" if i < 5 else "x" for i in indexes]


def test_an_endless_choice_of_indexes_takes_neither_time_nor_memory(read_octets):
    told = read_octets(build.pcap(*map(sll2, range(20_000)), link=build.SLL2))
    assert len(told.points) == stream_module.MAX_SLL2_POINTS + 1
    assert told.points[-1].packets == 20_000 - stream_module.MAX_SLL2_POINTS
