# SPDX-License-Identifier: Apache-2.0
"""The record walk: from a run of file octets to rows of a `FrameBatch`.

Here in readable form; `_kernel_records` is the same, compiled, and tests hold the two together.
A walk fills rows from `frames.count` on and never judges more than a record's own lengths: it
returns where it stands and why it stopped, and the file format's module decides what that means.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from typing import Protocol

from ..columns import NO_TIME, FrameBatch
from ..kernels import load

MAX_RECORD_BYTES = 1 << 24
"""Longest record that is believed (16 MiB)."""

FULL = 0
"""The batch holds no more rows."""
OTHER = -1
"""At `position` stands something that the format's module must look at."""

EPB_TYPE = 6
_EPB_FIXED_BYTES = 32
_EPB_HEADER_BYTES = 28

_INT64_MAX = 2**63 - 1

PCAP_MAGICS = (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
"""Of a pcap file: microseconds, nanoseconds, Kuznetzov's."""

_SWAPPED_PCAP_MAGICS = frozenset(
    int.from_bytes(magic.to_bytes(4, "big"), "little") for magic in PCAP_MAGICS
)


@dataclass(slots=True, kw_only=True)
class PcapLayout:
    """How the records of one pcap file are laid out."""

    big_endian: bool
    header_bytes: int
    """16, or 24 in Kuznetzov's variant."""
    lengths_swapped: int
    """0 never, 1 where captured > original (version 2.3), 2 always (before 2.3)."""
    multiplier: int
    """Nanoseconds of one unit of the fraction: 1000 or 1."""


@dataclass(slots=True, kw_only=True)
class InterfaceTable:
    """What the walk needs of the interfaces of the current pcapng section, by interface id."""

    point: array[int] = field(default_factory=lambda: array("i"))
    multiplier: array[int] = field(default_factory=lambda: array("q"))
    """Nanoseconds of one time unit, or 0 where the format's module must convert."""
    divisor: array[int] = field(default_factory=lambda: array("q"))
    """Time units of one nanosecond, 1 where units are not finer."""
    offset_ns: array[int] = field(default_factory=lambda: array("q"))


class RecordWalk(Protocol):
    """What `records` and `_kernel_records` both offer."""

    def walk_pcap(
        self,
        frames: FrameBatch,
        layout: PcapLayout,
        position: int,
        end: int,
        point: int,
        frame: int,
    ) -> tuple[int, int]:
        """Walk pcap records from `position`; return (position, why).

        why: FULL, OTHER, or the octets that the record at `position` needs (more than there are).
        frame: number of the first frame.
        """

    def walk_pcapng(
        self,
        frames: FrameBatch,
        interfaces: InterfaceTable,
        big_endian: bool,
        position: int,
        end: int,
        frame: int,
    ) -> tuple[int, int]:
        """Walk enhanced packet blocks of known interfaces; everything else is OTHER."""

    def split_sll2(
        self, frames: FrameBatch, first: int, base: int, known: array[int], points: array[int]
    ) -> int:
        """Give rows of point `base` the point of their SLL2 interface index.

        known, points: interface indexes met so far, and their points, in parallel.
        Returns the first row whose index is not known, or `frames.count`.
        """

    def totals(self, frames: FrameBatch, counts: array[int]) -> tuple[int, int, int, int, int]:
        """Add the rows to the packet `counts` by point.

        Returns (captured_bytes, wire_bytes, first_ns, last_ns, rows without a time); both times
        are NO_TIME where no row has one.
        """


def record_walk() -> RecordWalk:
    """Return the compiled walk where it was built, else this module's."""
    kernel = load("genevecap.capture._kernel_records")
    return READABLE if kernel is None else kernel.KernelWalk()


class ReadableWalk:
    """The walk in plain Python."""

    def walk_pcap(
        self,
        frames: FrameBatch,
        layout: PcapLayout,
        position: int,
        end: int,
        point: int,
        frame: int,
    ) -> tuple[int, int]:
        """See `RecordWalk`."""
        read = struct.Struct(">IIII" if layout.big_endian else "<IIII").unpack_from
        buffer, header = frames.buffer, layout.header_bytes
        row = frames.count
        try:
            while row < frames.capacity:
                if position + header > end:
                    return position, header
                seconds, fraction, captured, original = read(buffer, position)
                if is_file_header(seconds, fraction):
                    return position, OTHER
                if layout.lengths_swapped == 2 or (layout.lengths_swapped and captured > original):
                    captured, original = original, captured
                if captured > MAX_RECORD_BYTES:
                    return position, OTHER
                if position + header + captured > end:
                    return position, header + captured
                frames.frame[row] = frame
                frames.time_ns[row] = seconds * 1_000_000_000 + fraction * layout.multiplier
                frames.offset[row] = position + header
                frames.captured_bytes[row] = captured
                frames.wire_bytes[row] = original
                frames.point[row] = point
                frames.options_offset[row] = -1
                frames.options_bytes[row] = 0
                position += header + captured
                frame += 1
                row += 1
            return position, FULL
        finally:
            frames.count = row

    def walk_pcapng(
        self,
        frames: FrameBatch,
        interfaces: InterfaceTable,
        big_endian: bool,
        position: int,
        end: int,
        frame: int,
    ) -> tuple[int, int]:
        """See `RecordWalk`."""
        order = ">" if big_endian else "<"
        read = struct.Struct(order + "IIIIIII").unpack_from
        read_word = struct.Struct(order + "I").unpack_from
        buffer, row = frames.buffer, frames.count
        try:
            while row < frames.capacity:
                if position + _EPB_FIXED_BYTES > end:
                    return position, OTHER
                kind, length, interface, high, low, captured, original = read(buffer, position)
                if (
                    kind != EPB_TYPE
                    or length < _EPB_FIXED_BYTES
                    or length & 3
                    or length > MAX_RECORD_BYTES
                    or interface >= len(interfaces.point)
                    or not interfaces.multiplier[interface]
                ):
                    return position, OTHER
                if position + length > end:
                    return position, length
                options = (captured + 3) & ~3
                if (
                    options > length - _EPB_FIXED_BYTES
                    or read_word(buffer, position + length - 4)[0] != length
                ):
                    return position, OTHER
                frames.frame[row] = frame
                frames.time_ns[row] = simple_time_ns(interfaces, interface, high << 32 | low)
                frames.offset[row] = position + _EPB_HEADER_BYTES
                frames.captured_bytes[row] = captured
                frames.wire_bytes[row] = original
                frames.point[row] = interfaces.point[interface]
                size = length - _EPB_FIXED_BYTES - options
                frames.options_offset[row] = position + _EPB_HEADER_BYTES + options if size else -1
                frames.options_bytes[row] = size
                position += length
                frame += 1
                row += 1
            return position, FULL
        finally:
            frames.count = row

    def split_sll2(
        self, frames: FrameBatch, first: int, base: int, known: array[int], points: array[int]
    ) -> int:
        """See `RecordWalk`."""
        place = dict(zip(known, points, strict=True))
        buffer = frames.buffer
        for row in range(first, frames.count):
            if frames.point[row] != base or frames.captured_bytes[row] < SLL2_INDEX_END:
                continue
            offset = frames.offset[row]
            index = int.from_bytes(
                buffer[offset + SLL2_INDEX_OFFSET : offset + SLL2_INDEX_END], "big"
            )
            if index not in place:
                return row
            frames.point[row] = place[index]
        return frames.count

    def totals(self, frames: FrameBatch, counts: array[int]) -> tuple[int, int, int, int, int]:
        """See `RecordWalk`."""
        rows = frames.count
        for point in frames.point[:rows]:
            counts[point] += 1
        times = frames.time_ns[:rows]
        untimed = times.count(NO_TIME)
        known = [time_ns for time_ns in times if time_ns != NO_TIME] if untimed else times
        return (
            sum(frames.captured_bytes[:rows]),
            sum(frames.wire_bytes[:rows]),
            min(known, default=NO_TIME),
            max(known, default=NO_TIME),
            untimed,
        )


def is_file_header(first: int, second: int) -> bool:
    """Tell whether two words begin a pcap file, of either byte order, rather than a record.

    As a time they would be one of ten fractions of six seconds, in 1998, 2011, 2055 and 2083.
    """
    if first in _SWAPPED_PCAP_MAGICS:
        second = int.from_bytes(second.to_bytes(4, "big"), "little")
    elif first not in PCAP_MAGICS:
        return False
    high, low = second >> 16, second & 0xFFFF
    return (low == 2 and high <= 4) or (high == 2 and low <= 4)


SLL2_INDEX_OFFSET = 4
SLL2_INDEX_END = 8
"""The interface index in a LINKTYPE_LINUX_SLL2 header (tcpdump.org, LINKTYPE_LINUX_SLL2)."""


def simple_time_ns(interfaces: InterfaceTable, interface: int, units: int) -> int:
    """Return the time of a packet of an interface with a decimal resolution, or NO_TIME."""
    time_ns = units * interfaces.multiplier[interface] // interfaces.divisor[interface]
    time_ns += interfaces.offset_ns[interface]
    return time_ns if -_INT64_MAX <= time_ns <= _INT64_MAX else NO_TIME


READABLE = ReadableWalk()
