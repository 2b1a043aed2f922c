# SPDX-License-Identifier: Apache-2.0
"""The two record walks, call by call; whole files are held together in `tests/properties`."""

from __future__ import annotations

import types
from array import array

import pytest

from genevecap import kernels
from genevecap.capture.records import (
    FULL,
    OTHER,
    READABLE,
    InterfaceTable,
    PcapLayout,
    is_file_header,
    record_walk,
)
from genevecap.columns import NO_TIME, FrameBatch
from tests.build import captures as build

from .reading import KERNEL

NG = build.LITTLE
LAYOUT = PcapLayout(big_endian=False, header_bytes=16, lengths_swapped=0, multiplier=1000)


def batch(data: bytes, capacity: int = 8) -> FrameBatch:
    frames = FrameBatch(capacity)
    frames.buffer = bytearray(data)
    return frames


def table(*, multiplier: int = 1000, divisor: int = 1, offset_ns: int = 0) -> InterfaceTable:
    return InterfaceTable(
        point=array("i", [5]),
        multiplier=array("q", [multiplier]),
        divisor=array("q", [divisor]),
        offset_ns=array("q", [offset_ns]),
    )


def test_a_pcap_walk_says_where_it_stands_and_why(walk):
    data = build.pcap_record(b"abc", seconds=1) + build.pcap_record(b"de", seconds=2)
    frames = batch(data)
    assert walk.walk_pcap(frames, LAYOUT, 0, len(data), 3, 10) == (len(data), 16)
    assert frames.count == 2
    assert list(frames.frame[:2]) == [10, 11]
    assert list(frames.offset[:2]) == [16, 35]
    assert list(frames.point[:2]) == [3, 3]
    assert list(frames.options_offset[:2]) == [-1, -1]
    assert walk.walk_pcap(batch(data), LAYOUT, 0, len(data) - 1, 3, 1) == (19, 18)
    assert walk.walk_pcap(batch(data, 1), LAYOUT, 0, len(data), 3, 1) == (19, FULL)
    assert walk.walk_pcap(batch(data, 2), LAYOUT, 0, len(data), 3, 1) == (len(data), FULL)
    assert walk.walk_pcap(batch(data), LAYOUT, len(data), len(data), 3, 1) == (len(data), 16)
    long = build.pcap_record(captured=(1 << 24) + 1)
    assert walk.walk_pcap(batch(long), LAYOUT, 0, 16, 3, 1) == (0, OTHER)


def test_a_pcapng_walk_says_where_it_stands_and_why(walk):
    data = NG.packet(b"abcd", units=7) + NG.packet(b"e", (1, b"said"), units=8)
    end = len(data)
    frames = batch(data + NG.simple(b""))
    assert walk.walk_pcapng(frames, table(), False, 0, end + 16, 4) == (end, OTHER)
    assert list(frames.frame[:2]) == [4, 5]
    assert list(frames.time_ns[:2]) == [7000, 8000]
    assert list(frames.point[:2]) == [5, 5]
    assert list(frames.options_offset[:2]) == [-1, 36 + 28 + 4]
    assert list(frames.options_bytes[:2]) == [0, 12]
    assert walk.walk_pcapng(batch(data), table(), False, 0, end - 1, 4) == (36, 48)
    assert walk.walk_pcapng(batch(data, 1), table(), False, 0, end, 4) == (36, FULL)
    assert walk.walk_pcapng(batch(data), InterfaceTable(), False, 0, end, 4) == (0, OTHER)
    assert walk.walk_pcapng(batch(data), table(multiplier=0), False, 0, end, 4) == (0, OTHER)
    assert walk.walk_pcapng(batch(data), table(), True, 0, end, 4) == (0, OTHER)
    assert walk.walk_pcapng(batch(data), table(), False, 0, 31, 4) == (0, OTHER)


@pytest.mark.parametrize(
    ("units", "interface", "time_ns"),
    [
        (7, table(), 7000),
        (7999, table(multiplier=1, divisor=1000), 7),
        (7, table(offset_ns=-8000), -1000),
        (2**63 - 1, table(multiplier=1), 2**63 - 1),
        (2**63, table(multiplier=1), NO_TIME),
        (2**63 - 1, table(multiplier=1, offset_ns=1), NO_TIME),
        (2**64 - 1, table(multiplier=10**9), NO_TIME),
    ],
)
def test_times(walk, units, interface, time_ns):
    data = NG.packet(units=units)
    frames = batch(data)
    walk.walk_pcapng(frames, interface, False, 0, len(data), 1)
    assert (frames.count, frames.time_ns[0]) == (1, time_ns)


def test_splitting_stops_at_an_index_that_is_not_known(walk):
    row = bytes(4) + (9).to_bytes(4, "big")
    frames = batch(row)
    frames.count = 3
    frames.captured_bytes[0], frames.captured_bytes[1], frames.captured_bytes[2] = 8, 7, 8
    for i in range(3):
        frames.point[i] = -2
    known, points = array("q"), array("i")
    assert walk.split_sll2(frames, 0, -2, known, points) == 0
    assert walk.split_sll2(frames, 0, -3, known, points) == 3
    known.append(9)
    points.append(4)
    assert walk.split_sll2(frames, 0, -2, known, points) == 3
    assert list(frames.point[:3]) == [4, -2, 4]


def test_totals(walk):
    frames = batch(b"")
    counts = array("q", [0, 100])
    assert walk.totals(frames, counts) == (0, 0, NO_TIME, NO_TIME, 0)
    frames.count = 3
    for i, (time_ns, size, point) in enumerate([(-5, 2**32 - 1, 1), (NO_TIME, 1, 0), (3, 1, 1)]):
        frames.time_ns[i], frames.point[i] = time_ns, point
        frames.captured_bytes[i], frames.wire_bytes[i] = i, size
    assert walk.totals(frames, counts) == (3, 2**32 + 1, -5, 3, 1)
    assert list(counts) == [1, 102]


@pytest.mark.parametrize(
    ("first", "second", "header"),
    [
        (0xA1B2C3D4, 0x00020004, True),
        (0xA1B2C3D4, 0x00040002, True),
        (0xA1B23C4D, 0x00020000, True),
        (0xA1B2CD34, 0x00030002, True),
        (0xD4C3B2A1, 0x02000400, True),
        (0xD4C3B2A1, 0x04000200, True),
        (0xD4C3B2A1, 0x00020004, False),
        (0xA1B2C3D4, 0x02000400, False),
        (0xA1B2C3D4, 0x00050002, False),
        (0xA1B2C3D5, 0x00020004, False),
        (0x0A0D0D0A, 0x00020004, False),
    ],
)
def test_a_pcap_header_is_told_from_a_record(first, second, header, walk):
    assert is_file_header(first, second) is header
    data = first.to_bytes(4, "little") + second.to_bytes(4, "little") + bytes(8)
    assert walk.walk_pcap(batch(data), LAYOUT, 0, 16, 0, 1)[1] == (OTHER if header else 16)


def test_the_compiled_walk_is_used_where_it_was_built(monkeypatch):
    assert (record_walk() is READABLE) == (KERNEL is None)
    monkeypatch.setenv("GENEVECAP_DISABLE_KERNELS", "1")
    assert kernels.disabled()
    assert record_walk() is READABLE


def test_a_kernel_that_does_not_exist_is_not_loaded():
    assert kernels.load("genevecap.capture._kernel_nothing") is None


def test_a_kernels_source_is_never_run(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "EXTENSION_SUFFIXES", [".no-such-suffix"])
    monkeypatch.delitem(kernels.sys.modules, "genevecap.capture._kernel_records", raising=False)
    assert kernels.load("genevecap.capture._kernel_records") is None
    assert "genevecap.capture._kernel_records" not in kernels.sys.modules


def test_a_source_that_somebody_imported_is_not_taken_for_a_kernel(monkeypatch):
    name = "genevecap.capture._kernel_nothing"
    imported = types.ModuleType(name)
    imported.__file__ = "_kernel_nothing.py"
    monkeypatch.setitem(kernels.sys.modules, name, imported)
    assert kernels.load(name) is None
