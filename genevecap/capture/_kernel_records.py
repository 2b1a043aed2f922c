# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True
# mypy: ignore-errors
"""The record walk, compiled: see `records`, which says the same in readable form."""

from __future__ import annotations

import cython
from cython.cimports.genevecap._kernel_columns import FrameColumns, bind_frames

MAX_RECORD_BYTES = cython.declare(cython.longlong, 1 << 24)
INT64_MAX = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFFFF)
NO_TIME = cython.declare(cython.longlong, -0x7FFFFFFFFFFFFFFF - 1)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def word(b: cython.p_uchar, big_endian: cython.bint) -> cython.uint:
    """Read 4 octets; the caller has checked that they are there."""
    if big_endian:
        return (
            (cython.cast(cython.uint, b[0]) << 24)
            | (cython.cast(cython.uint, b[1]) << 16)
            | (cython.cast(cython.uint, b[2]) << 8)
            | b[3]
        )
    return (
        (cython.cast(cython.uint, b[3]) << 24)
        | (cython.cast(cython.uint, b[2]) << 16)
        | (cython.cast(cython.uint, b[1]) << 8)
        | b[0]
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def is_file_header(first: cython.uint, second: cython.uint) -> cython.int:
    """See `records.is_file_header`."""
    half: cython.uint
    if (first >> 16) == 0xA1B2:
        half = first & 0xFFFF
        if half != 0xC3D4 and half != 0x3C4D and half != 0xCD34:
            return 0
    elif (first & 0xFFFF) == 0xB2A1:
        half = first >> 16
        if half != 0xD4C3 and half != 0x4D3C and half != 0x34CD:
            return 0
        second = (
            (second >> 24) | ((second >> 8) & 0xFF00) | ((second << 8) & 0xFF0000) | (second << 24)
        )
    else:
        return 0
    if (second & 0xFFFF) == 2 and (second >> 16) <= 4:
        return 1
    if (second >> 16) == 2 and (second & 0xFFFF) <= 4:
        return 1
    return 0


@cython.cclass
class KernelWalk:
    """The compiled twin of `records.ReadableWalk`."""

    columns: FrameColumns
    bound: object

    @cython.cfunc
    def bind(self, frames):
        """Point at the columns of a batch, all of which are as long as its capacity."""
        self.bound = bind_frames(frames, cython.address(self.columns), self.bound)
        if not 0 <= frames.count <= frames.capacity:
            raise ValueError("rows that the batch does not have")

    def walk_pcap(
        self,
        frames,
        layout,
        position_: cython.longlong,
        end: cython.longlong,
        point_: cython.int,
        frame_: cython.longlong,
    ):
        """See `records.RecordWalk`."""
        buffer: cython.uchar[::1] = frames.buffer
        self.bind(frames)
        c: cython.pointer(FrameColumns) = cython.address(self.columns)
        big_endian: cython.bint = layout.big_endian
        header: cython.longlong = layout.header_bytes
        swapped: cython.int = layout.lengths_swapped
        multiplier: cython.longlong = layout.multiplier
        row: cython.Py_ssize_t = frames.count
        rows: cython.Py_ssize_t = frames.capacity
        position: cython.longlong = position_
        frame: cython.longlong = frame_
        point: cython.int = point_
        why: cython.longlong = 0
        seconds: cython.uint
        fraction: cython.uint
        captured: cython.uint
        original: cython.uint
        b: cython.p_uchar
        if end > buffer.shape[0]:
            end = buffer.shape[0]
        with cython.nogil:
            while row < rows:
                if position + header > end:
                    why = header
                    break
                b = cython.address(buffer[position])
                seconds = word(b, big_endian)
                fraction = word(b + 4, big_endian)
                captured = word(b + 8, big_endian)
                original = word(b + 12, big_endian)
                if is_file_header(seconds, fraction):
                    why = -1
                    break
                if swapped == 2 or (swapped and captured > original):
                    captured, original = original, captured
                if captured > MAX_RECORD_BYTES:
                    why = -1
                    break
                if position + header + captured > end:
                    why = header + captured
                    break
                c.frame[row] = frame
                c.time_ns[row] = (
                    cython.cast(cython.longlong, seconds) * 1000000000 + fraction * multiplier
                )
                c.offset[row] = position + header
                c.captured_bytes[row] = captured
                c.wire_bytes[row] = original
                c.point[row] = point
                c.options_offset[row] = -1
                c.options_bytes[row] = 0
                position += header + captured
                frame += 1
                row += 1
        frames.count = row
        return position, why

    def walk_pcapng(
        self,
        frames,
        interfaces,
        big_endian: cython.bint,
        position_: cython.longlong,
        end: cython.longlong,
        frame_: cython.longlong,
    ):
        """See `records.RecordWalk`."""
        if not len(interfaces.point):
            return position_, -1
        buffer: cython.uchar[::1] = frames.buffer
        self.bind(frames)
        c: cython.pointer(FrameColumns) = cython.address(self.columns)
        points: cython.int[::1] = interfaces.point
        multipliers: cython.longlong[::1] = interfaces.multiplier
        divisors: cython.longlong[::1] = interfaces.divisor
        offsets_ns: cython.longlong[::1] = interfaces.offset_ns
        row: cython.Py_ssize_t = frames.count
        rows: cython.Py_ssize_t = frames.capacity
        position: cython.longlong = position_
        frame: cython.longlong = frame_
        why: cython.longlong = 0
        length: cython.uint
        interface: cython.uint
        captured: cython.uint
        padded: cython.longlong
        size: cython.uint
        units: cython.ulonglong
        time_ns: cython.longlong
        b: cython.p_uchar
        if end > buffer.shape[0]:
            end = buffer.shape[0]
        with cython.nogil:
            while row < rows:
                if position + 32 > end:
                    why = -1
                    break
                b = cython.address(buffer[position])
                length = word(b + 4, big_endian)
                interface = word(b + 8, big_endian)
                if (
                    word(b, big_endian) != 6
                    or length < 32
                    or length & 3
                    or length > MAX_RECORD_BYTES
                    or interface >= points.shape[0]
                ):
                    why = -1
                    break
                if multipliers[interface] == 0:
                    why = -1
                    break
                if position + length > end:
                    why = length
                    break
                captured = word(b + 20, big_endian)
                padded = (cython.cast(cython.longlong, captured) + 3) & -4
                if padded > length - 32 or word(b + length - 4, big_endian) != length:
                    why = -1
                    break
                units = (cython.cast(cython.ulonglong, word(b + 12, big_endian)) << 32) | word(
                    b + 16, big_endian
                )
                units = units // cython.cast(cython.ulonglong, divisors[interface])
                if units > cython.cast(cython.ulonglong, INT64_MAX // multipliers[interface]):
                    time_ns = NO_TIME
                    if offsets_ns[interface] < 0:
                        # The sum may yet fit: leave it to arithmetic without bounds.
                        why = -1
                        break
                else:
                    time_ns = cython.cast(cython.longlong, units) * multipliers[interface]
                    if offsets_ns[interface] > 0 and time_ns > INT64_MAX - offsets_ns[interface]:
                        time_ns = NO_TIME
                    else:
                        time_ns += offsets_ns[interface]
                c.frame[row] = frame
                c.time_ns[row] = time_ns
                c.offset[row] = position + 28
                c.captured_bytes[row] = captured
                c.wire_bytes[row] = word(b + 24, big_endian)
                c.point[row] = points[interface]
                size = cython.cast(cython.uint, length - 32 - padded)
                c.options_bytes[row] = size
                c.options_offset[row] = position + 28 + padded if size else -1
                position += length
                frame += 1
                row += 1
        frames.count = row
        return position, why

    def split_sll2(self, frames, first: cython.Py_ssize_t, base: cython.int, known, points):
        """See `records.RecordWalk`."""
        buffer: cython.uchar[::1] = frames.buffer
        self.bind(frames)
        c: cython.pointer(FrameColumns) = cython.address(self.columns)
        if first < 0:
            raise ValueError("rows are counted from 0")
        count: cython.Py_ssize_t = frames.count
        size: cython.Py_ssize_t = len(known)
        if not size:
            known_column: cython.longlong[::1] = None
            place_column: cython.int[::1] = None
        else:
            known_column = known
            place_column = points
        row: cython.Py_ssize_t = first
        i: cython.Py_ssize_t
        index: cython.longlong
        offset: cython.longlong
        while row < count:
            if c.point[row] == base and c.captured_bytes[row] >= 8:
                offset = c.offset[row]
                if offset < 0 or offset + 8 > buffer.shape[0]:
                    raise IndexError("a frame lies outside its buffer")
                index = word(cython.address(buffer[offset + 4]), True)
                for i in range(size):
                    if known_column[i] == index:
                        c.point[row] = place_column[i]
                        break
                else:
                    return row
            row += 1
        return row

    def totals(self, frames, counts):
        """See `records.RecordWalk`."""
        count_column: cython.longlong[::1] = counts
        self.bind(frames)
        c: cython.pointer(FrameColumns) = cython.address(self.columns)
        rows: cython.Py_ssize_t = frames.count
        row: cython.Py_ssize_t
        captured: cython.longlong = 0
        original: cython.longlong = 0
        untimed: cython.longlong = 0
        first: cython.longlong = NO_TIME
        last: cython.longlong = NO_TIME
        time_ns: cython.longlong
        for row in range(rows):
            count_column[c.point[row]] += 1
            captured += c.captured_bytes[row]
            original += c.wire_bytes[row]
            time_ns = c.time_ns[row]
            if time_ns == NO_TIME:
                untimed += 1
                continue
            if first == NO_TIME or time_ns < first:
                first = time_ns
            if time_ns > last:
                last = time_ns
        return captured, original, first, last, untimed
