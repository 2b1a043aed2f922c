# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""The tracker of connections, compiled: see `connections`, which says the same in readable form.

Halves lie in chunks that never move and are found through the slots of a `_kernel_tables.Table`;
what grows of them is in lists of blocks, taken from slabs.  As there, cache lines are what a
segment costs, so those of the next segments are asked for ahead, and the hash is seeded by the
process's own.
"""

from __future__ import annotations

import gc

import cython
from cython.cimports.genevecap._kernel_columns import (
    bind_decoded,
    bind_frames,
    check_rows,
    genevecap_prefetch,
)
from cython.cimports.genevecap.analysis._kernel_content import (
    append,
    give_back,
    insert,
    stretch_at,
    take,
)
from cython.cimports.genevecap.analysis._kernel_halves import (
    HAS_BASE,
    HAS_FIN,
    HAS_HANDSHAKE,
    HAS_ISN,
    HAS_PAYLOAD,
    HAS_PEER,
    HAS_RST,
    HAS_TOTAL,
    VNIS,
    HalfRow,
    add_event,
    add_turn,
    note_vni,
    object_of,
    offset_of,
    take_syn,
)
from cython.cimports.genevecap.analysis._kernel_tables import (
    entry_of,
    free_table,
    make_table,
    new_slot,
    number_in,
)
from cython.cimports.genevecap.analysis._kernel_tls_records import (
    Reader,
    add_repeat,
    finish_reader,
    read_segment,
    release,
)
from cython.cimports.libc.stdlib import free, malloc, realloc
from cython.cimports.libc.string import memset

from ..ambient import HBONE_PORT
from . import connections, records
from .records import Held

NO_TIME = cython.declare(cython.longlong, -0x7FFFFFFFFFFFFFFF - 1)
SEED = cython.declare(cython.ulonglong, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)
GOLDEN = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
MIX_1 = cython.declare(cython.ulonglong, 0xBF58476D1CE4E5B9)
MIX_2 = cython.declare(cython.ulonglong, 0x94D049BB133111EB)
HBONE = cython.declare(cython.int, HBONE_PORT)
AHEAD = cython.declare(cython.size_t, 8)
NEAR = cython.declare(cython.size_t, 4)
FIN = cython.declare(cython.uint, 0x01)
SYN = cython.declare(cython.uint, 0x02)
RST = cython.declare(cython.uint, 0x04)
ACK = cython.declare(cython.uint, 0x10)
TCP = cython.declare(cython.uint, 6)

if connections.MAX_VNIS != VNIS:
    raise TypeError("kernels were built for other limits: build them anew")


def mix(value):
    """As `segments.mix`."""
    value = (value ^ (value >> 30)) * MIX_1
    value = (value ^ (value >> 27)) * MIX_2
    return value ^ (value >> 31)


def mix_endpoint(hi, lo, port):
    """As `segments.mix_endpoint`."""
    return mix(mix(hi + GOLDEN) ^ lo ^ (cython.cast(cython.ulonglong, port) << 40))


def hash_of(key, point, upward):
    wide = point
    return mix((key ^ SEED) + ((wide << 1) | upward) * GOLDEN)


@cython.final
@cython.cclass
class KernelTracker:
    """The compiled twin of `connections.ReadableTracker`."""

    def __cinit__(self, most=connections.MAX_HALVES):
        make_table(cython.address(self.table), 0, 2048, 0)
        self.most = min(most, 1 << 31)
        self.most_events = connections.MAX_EVENTS
        self.most_turns = connections.MAX_TURNS
        self.shared.most_held = records.MAX_HELD_BYTES
        self.shared.most_pending = records.MAX_PENDING
        self.shared.most_pending_bytes = records.MAX_PENDING_BYTES
        self.shared.most_records = records.MAX_RECORDS
        self.shared.most_repeats = records.MAX_REPEATS
        self.shared.most_opening = records.MAX_OPENING_BYTES
        self.shared.most_openings = records.MAX_OPENINGS_BYTES

    def __dealloc__(self):
        i: cython.uint
        h: cython.pointer(HalfRow)
        for i in range(self.used):
            h = self.half_at(i)
            while h.reader != cython.NULL and h.reader.pending != cython.NULL:
                release(cython.address(self.shared), h.reader, cython.address(h.reader.pending))
        for i in range(self.chunk_count):
            free(self.chunks[i])
        free(self.chunks)
        free_table(cython.address(self.table))
        give_back(cython.address(self.shared.arena))

    @property
    def passed_over(self):
        """See `connections.ConnectionTracker`."""
        return self.passed_over_

    # --- finding halves ---------------------------------------------------------------------------

    def half_at(self, number):
        return self.chunks[number // HALVES_OF_CHUNK] + number % HALVES_OF_CHUNK

    def likely_half(self, tag):
        """Return the half that this hash most likely means, NULL where there is none."""
        entry = self.table.slots[tag & self.table.mask]
        return self.half_at(number_in(entry)) if entry else cython.NULL

    def slot_of(self, p, point):
        """Return where a half is entered, or where it would be."""
        slot = p.hash & self.table.mask
        while self.table.slots[slot]:
            if self.table.slots[slot] >> 32 == p.hash:
                h = self.half_at(number_in(self.table.slots[slot]))
                if h.key == p.key and h.point == point and h.upward == p.upward:
                    return slot
            slot = (slot + 1) & self.table.mask
        return slot

    def new_chunk(self):
        """Make room for more halves."""
        chunks = cython.cast(
            cython.pointer(cython.pointer(HalfRow)),
            realloc(self.chunks, (self.chunk_count + 1) * cython.sizeof(cython.p_void)),
        )
        if chunks == cython.NULL:
            raise MemoryError
        self.chunks = chunks
        chunks[self.chunk_count] = cython.cast(
            cython.pointer(HalfRow), malloc(HALVES_OF_CHUNK * cython.sizeof(HalfRow))
        )
        if chunks[self.chunk_count] == cython.NULL:
            raise MemoryError
        self.chunk_count += 1
        return 0

    def new_half(self, p, slot, row, i):
        """Make a half of a decoded row and frame i; it takes the slot over."""
        r = cython.address(self.columns.rows)
        if self.used % HALVES_OF_CHUNK == 0:
            self.new_chunk()
        h = self.half_at(self.used)
        memset(h, 0, cython.sizeof(HalfRow))
        h.key = p.key
        h.upward = p.upward
        h.point = self.frames.point[i]
        h.version = r.inner_version[row]
        h.source_hi = r.inner_source_hi[row]
        h.source_lo = r.inner_source_lo[row]
        h.destination_hi = r.inner_destination_hi[row]
        h.destination_lo = r.inner_destination_lo[row]
        h.source_port = r.inner_source_port[row]
        h.destination_port = r.inner_destination_port[row]
        h.ttl = r.inner_ttl[row]
        h.first_frame = self.frames.frame[i]
        h.first_ns = self.frames.time_ns[i]
        h.last_ns = h.first_ns
        h.stream.first.power = 1
        h.acknowledged = -1
        if h.source_port == HBONE or h.destination_port == HBONE:
            h.reader = cython.cast(
                cython.pointer(Reader),
                take(cython.address(self.shared.arena), cython.sizeof(Reader)),
            )
            h.reader.synchronised = 1
        if self.table.slots[slot]:
            self.table.slots[slot] = entry_of(p.hash, self.used)
        else:
            new_slot(cython.address(self.table), p.hash, self.used)
        self.used += 1
        return h

    # --- segments ---------------------------------------------------------------------------------

    def update(self, frames, decoded, capture, *, kept):
        """See `connections.ConnectionTracker`."""
        self.bound_frames = bind_frames(frames, cython.address(self.frames), self.bound_frames)
        self.bound_decoded = bind_decoded(decoded, cython.address(self.columns), self.bound_decoded)
        check_rows(frames, decoded)
        first: cython.Py_ssize_t = decoded.first
        rows: cython.Py_ssize_t = decoded.count
        self.tunnel_rows = decoded.tunnels.capacity
        number: cython.int = capture
        selecting: cython.bint = kept
        buffer: cython.uchar[::1] = frames.buffer
        self.octet_count = buffer.shape[0]
        self.octets = cython.address(buffer[0]) if self.octet_count else cython.NULL
        places: Place[128]
        p: cython.pointer(Place)
        ahead: cython.p_uchar
        near: cython.pointer(HalfRow)
        begin: cython.size_t
        end: cython.size_t
        row: cython.size_t
        for begin in range(0, rows, ROWS):
            end = begin + ROWS if begin + ROWS < cython.cast(cython.size_t, rows) else rows
            self.make_places(places, begin, end, first, selecting)
            for row in range(begin, end):
                p = places + (row - begin)
                # One row's memory, and a nearer one's list, which that memory leads to.
                if row + AHEAD < end and p[AHEAD].wanted:
                    ahead = cython.cast(cython.p_uchar, self.likely_half(p[AHEAD].hash))
                    if ahead != cython.NULL:
                        genevecap_prefetch(ahead)
                        genevecap_prefetch(ahead + 64)
                        genevecap_prefetch(ahead + 128)
                        genevecap_prefetch(ahead + 192)
                if row + NEAR < end and p[NEAR].wanted:
                    near = self.likely_half(p[NEAR].hash)
                    if near != cython.NULL and near.last_events != cython.NULL:
                        genevecap_prefetch(near.last_events)
                        genevecap_prefetch(cython.address(near.last_events.values[8]))
                if p.wanted:
                    self.add(p, row, first + row, number)

    def make_places(self, places, begin, end, first, kept):
        """Say by what rows are found, and ask for the slots."""
        r = cython.address(self.columns.rows)
        slots = self.table.slots
        for row in range(begin, end):
            p = places + (row - begin)
            p.wanted = (
                r.inner_protocol[row] == TCP
                and r.tcp_flags[row] != 0
                and self.frames.time_ns[first + row] != NO_TIME
                and (not kept or r.keep[row] != 0)
            )
            if not p.wanted:
                continue
            p.key = mix_endpoint(
                r.inner_source_hi[row], r.inner_source_lo[row], r.inner_source_port[row]
            )
            other = mix_endpoint(
                r.inner_destination_hi[row],
                r.inner_destination_lo[row],
                r.inner_destination_port[row],
            )
            p.upward = p.key < other
            p.key = mix(p.key + other)
            p.hash = hash_of(p.key, self.frames.point[first + row], p.upward)
            genevecap_prefetch(slots + (p.hash & self.table.mask))
        return 0

    def add(self, p, row, i, capture):
        """Take one segment: a decoded row, and frame i."""
        r = cython.address(self.columns.rows)
        flags = r.tcp_flags[row]
        start = r.tcp_sequence[row]
        acknowledgment = r.tcp_acknowledgment[row]
        time_ns = self.frames.time_ns[i]
        length = r.payload_bytes[row]
        slot = self.slot_of(p, self.frames.point[i])
        h = cython.NULL
        if self.table.slots[slot]:
            h = self.half_at(number_in(self.table.slots[slot]))
            if flags & SYN and h.base != cython.cast(cython.uint, start + 1):
                h = cython.NULL
        if h == cython.NULL:
            if self.used >= self.most:
                self.passed_over_ += 1
                return 0
            h = self.new_half(p, slot, row, i)
            h.capture = capture
        h.packets += 1
        h.wire_bytes += self.frames.wire_bytes[i]
        if time_ns > h.last_ns:
            h.last_ns = time_ns
        if r.tunnel_count[row]:
            if r.tunnel_start[row] + r.tunnel_count[row] > self.tunnel_rows:
                raise ValueError("a frame with tunnels that the batch does not have")
            note_vni(h, self.columns.tunnels.vni[r.tunnel_start[row] + r.tunnel_count[row] - 1])
        if flags & SYN:
            take_syn(h, start, acknowledgment, flags, time_ns)
            h.mss = r.tcp_mss[row]
            start += 1  # of data beside it (RFC 7413)
        elif not h.known & HAS_BASE:
            h.known |= HAS_BASE
            h.base = start
        elif h.known & (HAS_ISN | HAS_PEER) == HAS_ISN and flags & ACK:
            h.known |= HAS_PEER | HAS_HANDSHAKE
            h.peer_isn = acknowledgment - 1
            h.handshake_ns = time_ns
        if length:
            segment.begin = offset_of(h, start)
            segment.length = length
            segment.time_ns = time_ns
            segment.frame = self.frames.frame[i]
            self.find_octets(cython.address(segment), i, r.payload_offset[row])
            self.add_payload(h, cython.address(segment), acknowledgment)
        if flags & FIN and not h.known & HAS_FIN:
            h.known |= HAS_FIN
            h.fin_ns = time_ns
            h.fin_frame = self.frames.frame[i]
            if h.known & HAS_ISN:
                h.known |= HAS_TOTAL
                h.total = offset_of(h, start) + length
                if h.total < 0:
                    h.total = 0
        if flags & RST and not h.known & HAS_RST:
            h.known |= HAS_RST
            h.rst_ns = time_ns
        return 0

    def find_octets(self, g, i, payload_offset):
        """Point a segment at what was captured of its payload."""
        begin = self.frames.offset[i]
        end = begin + self.frames.captured_bytes[i]
        begin += payload_offset
        if end > begin + g.length:
            end = begin + g.length
        if end > self.octet_count:
            end = self.octet_count
        g.captured = 0
        g.octets = cython.NULL
        if begin >= 0 and begin < end:
            g.captured = end - begin
            g.octets = self.octets + begin

    def add_payload(self, h, g, acknowledgment):
        """Take a segment's payload."""
        captured = g.captured
        if g.begin < 0:
            h.duplicates += 1
            return 0
        if h.reader != cython.NULL:
            read_segment(cython.address(self.shared), h.reader, g)
        if h.reader != cython.NULL or not h.known & HAS_ISN:
            g.captured = 0  # not to be digested
        # What begins a message is beyond all that was seen, so it is never a duplicate.
        if g.begin >= h.highest and acknowledgment != h.acknowledged:
            h.acknowledged = acknowledgment
            if h.turn_count < self.most_turns:
                add_turn(cython.address(self.shared.arena), h, g, captured)
        if h.stream.other_count == 0 and g.begin == h.stream.first.end:
            append(cython.address(h.stream.first), g.octets, g.captured, g.length)
            h.highest = h.stream.first.end
        else:
            new = insert(cython.address(self.shared.arena), cython.address(h.stream), g)
            if h.reader != cython.NULL and g.begin < h.highest:
                add_repeat(cython.address(self.shared), h.reader, g, h.highest, new)
            if not new:
                h.duplicates += 1
                return 0
            h.highest = stretch_at(cython.address(h.stream), h.stream.other_count).end
        h.known |= HAS_PAYLOAD
        h.last_payload_ns = g.time_ns
        return add_event(cython.address(self.shared.arena), h, g, self.most_events)

    # --- what halves say --------------------------------------------------------------------------

    def halves(self):
        """See `connections.ConnectionTracker`."""
        # All that is made here is kept: looking for garbage in it meanwhile takes thrice the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self.objects()
        finally:
            if collecting:
                gc.enable()

    def objects(self):
        i: cython.uint
        h: cython.pointer(HalfRow)
        held = Held()
        ends = {}
        found = []
        for i in range(self.used):
            h = self.half_at(i)
            if h.reader != cython.NULL:
                finish_reader(cython.address(self.shared), h.reader)
            found.append(object_of(h, held, ends))
        return found
