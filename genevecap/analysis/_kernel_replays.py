# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""U06, compiled: see `replays`, which says the same in readable form."""

from __future__ import annotations

import cython
from cython.cimports.genevecap._kernel_columns import (
    BatchColumns,
    FrameColumns,
    bind_decoded,
    bind_frames,
    check_rows,
)
from cython.cimports.genevecap.analysis._kernel_tables import (
    Key,
    Table,
    find,
    free_table,
    hash_of,
    make_table,
)
from cython.cimports.genevecap.decode._kernel_state import be32, be64, le32, le64
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memset

from ..capture.linktypes import LINUX_SLL
from ..decode.layers import Layer
from . import replays, tables
from .replays import Repeated

SEED = cython.declare(uint64_t, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)
ALL_BITS = cython.declare(uint64_t, 0xFFFFFFFFFFFFFFFF)
WINDOW = cython.declare(uint64_t, replays.WINDOW)
MOST_STREAMS = cython.declare(uint32_t, replays.MOST_STREAMS)
FIRST_FRAMES = cython.declare(uint64_t, tables.FIRST_FRAMES)
SLL = cython.declare(cython.int, LINUX_SLL)
ESP = cython.declare(uint32_t, int(Layer.ESP))
WIREGUARD = cython.declare(uint32_t, int(Layer.WIREGUARD))
MACSEC = cython.declare(uint32_t, int(Layer.MACSEC))
# Whole lines: the key, the highest number, whether there is one, and a bit for each number of the
# window, by its remainder.
ROW_WORDS = cython.declare(uint32_t, 8 + replays.WINDOW // 64)
HIGHEST = cython.declare(uint32_t, 6)
BEGUN = cython.declare(uint32_t, 7)
BITS = cython.declare(uint32_t, 8)

# What a packet is numbered by.
Sequence = cython.struct(identifier=uint32_t, channel=uint64_t, number=uint64_t)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def sequence_of(
    layer: uint32_t, h: cython.pointer(uint8_t), size: int64_t, s: cython.pointer(Sequence)
) -> cython.bint:
    """See `sequence_numbers.sequence_of`; tell whether there is one."""
    s.channel = 0
    if layer == ESP and size >= 8:
        s.identifier = be32(h)
        s.number = be32(h + 4)
        return True
    if layer == WIREGUARD and size >= 16 and h[0] == 4:
        s.identifier = le32(h + 4)
        s.number = le64(h + 8)
        return True
    if layer == MACSEC and size >= 6:
        s.identifier = h[0] & 0x03
        s.number = be32(h + 2)
        if h[0] & 0x20:
            if size < 14:
                return False
            s.channel = be64(h + 6)
        return True
    return False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def see(
    highest: cython.pointer(uint64_t),
    begun: cython.pointer(uint64_t),
    bits: cython.pointer(uint64_t),
    number: uint64_t,
) -> cython.bint:
    """Enter a number in a window; tell whether it was in it."""
    place: uint64_t = number % WINDOW
    bit: uint64_t = cython.cast(uint64_t, 1) << (place & 63)
    gone: uint64_t
    if begun[0] == 0 or (number <= highest[0] and highest[0] - number >= WINDOW):
        # The first one, or counting began anew, or went round.
        memset(bits, 0, WINDOW // 8)
        begun[0] = 1
        highest[0] = number
    elif number > highest[0]:
        if number - highest[0] >= WINDOW:
            memset(bits, 0, WINDOW // 8)
        else:
            for gone in range(highest[0] + 1, number + 1):
                bits[(gone % WINDOW) >> 6] &= ~(cython.cast(uint64_t, 1) << (gone & 63))
        highest[0] = number
    elif bits[place >> 6] & bit:
        return True
    bits[place >> 6] |= bit
    return False


@cython.cclass
class KernelReplays:
    """The compiled twin of `replays.ReadableReplays`."""

    streams: Table
    frames: FrameColumns
    columns: BatchColumns
    bound_frames: object
    bound_decoded: object
    packets_: dict
    frames_: dict

    def __cinit__(self):
        make_table(cython.address(self.streams), ROW_WORDS, 256, ALL_BITS)
        self.packets_ = {}
        self.frames_ = {}

    def __dealloc__(self):
        free_table(cython.address(self.streams))

    def update(self, frames, d, rows, capture):
        """See `replays.Replays`."""
        self.bound_frames = bind_frames(frames, cython.address(self.frames), self.bound_frames)
        self.bound_decoded = bind_decoded(d, cython.address(self.columns), self.bound_decoded)
        check_rows(frames, d)
        if not rows:
            return
        buffer: cython.uchar[::1] = frames.buffer
        links: cython.int[::1] = frames.link_types
        numbers: cython.longlong[::1] = rows
        first: cython.Py_ssize_t = d.first
        octets: int64_t = buffer.shape[0]
        i: cython.Py_ssize_t
        row: cython.Py_ssize_t
        begin: int64_t
        size: int64_t
        sequence: Sequence
        layer: uint32_t
        for i in range(numbers.shape[0]):
            row = numbers[i]
            if row < 0 or row >= d.count:
                raise ValueError("a row that the batch does not have")
            if links[self.frames.point[first + row]] == SLL:
                continue  # an interface called `any`, which shows one packet many times
            begin = self.frames.offset[first + row]
            size = self.frames.captured_bytes[first + row]
            if begin < 0 or begin + size > octets:
                continue
            size -= self.columns.rows.stop_offset[row]
            if size <= 0:
                continue
            begin += self.columns.rows.stop_offset[row]
            layer = self.columns.rows.stop_layer[row]
            if sequence_of(
                layer, cython.address(buffer[begin]), size, cython.address(sequence)
            ) and self.was_there(cython.address(sequence), row, self.frames.point[first + row]):
                self.packets_[layer] = self.packets_.get(layer, 0) + 1
                known = self.frames_.setdefault(layer, [])
                if len(known) < FIRST_FRAMES:
                    known.append((capture, self.frames.frame[first + row]))

    @cython.cfunc
    @cython.exceptval(-1)
    def was_there(
        self, s: cython.pointer(Sequence), row: cython.Py_ssize_t, point: int32_t
    ) -> cython.int:
        """Enter a number in the window of its stream; return 1 where it was in it."""
        key: Key
        words: cython.pointer(uint64_t)
        used: uint32_t = self.streams.used
        number: int64_t
        c: cython.pointer(BatchColumns) = cython.address(self.columns)
        layer: uint32_t = c.rows.stop_layer[row]
        memset(cython.address(key), 0, cython.sizeof(key))
        if layer == MACSEC:
            key.source_lo = s.channel
        else:
            key.source_hi = c.rows.inner_source_hi[row]
            key.source_lo = c.rows.inner_source_lo[row]
            key.destination_hi = c.rows.inner_destination_hi[row]
            key.destination_lo = c.rows.inner_destination_lo[row]
        key.words = cython.cast(uint64_t, s.identifier) << 32 | cython.cast(uint32_t, point)
        # The second octet would be the IP version; 6 has all words of the addresses hashed.
        key.kind = c.rows.link_source[row] << 16 | 6 << 8 | layer
        key.hash = hash_of(SEED, cython.address(key))
        number = find(cython.address(self.streams), cython.address(key))
        if used == MOST_STREAMS and self.streams.used != used:
            free_table(cython.address(self.streams))
            make_table(cython.address(self.streams), ROW_WORDS, 256, ALL_BITS)
            number = find(cython.address(self.streams), cython.address(key))
        words = self.streams.rows + number * ROW_WORDS
        return see(words + HIGHEST, words + BEGUN, words + BITS, s.number)

    def repeated(self):
        """See `replays.Replays`."""
        return [
            Repeated(layer, packets, tuple(self.frames_[layer]))
            for layer, packets in sorted(self.packets_.items())
        ]
