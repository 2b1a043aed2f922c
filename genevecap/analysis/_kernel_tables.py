# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Counters of the summary, compiled: see `tables`, which says the same in readable form.

Flows and tunnels live in hash tables (the `.pxd` beside this file).  What a frame costs is mostly
the cache lines that it touches: one row is one line or two, and rows are asked for a few frames
ahead.  The hash is seeded by the process's own hash secret, so that a capture cannot be made to
collide.
"""

from __future__ import annotations

from array import array

import cython
from cython.cimports.genevecap._kernel_columns import (
    BatchColumns,
    DecodedColumns,
    FrameColumns,
    OptionColumns,
    TunnelColumns,
    bind_decoded,
    bind_frames,
    check_rows,
)
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, malloc, qsort, realloc
from cython.cimports.libc.string import memset

from ..columns import MAX_TUNNELS as MOST_TUNNELS
from .tables import (
    FIRST_FRAMES,
    FindingCount,
    FlowCount,
    OptionCount,
    StopCount,
    TunnelCount,
    flow_order,
)

NO_TIME = cython.declare(int64_t, -0x7FFFFFFFFFFFFFFF - 1)
SEED = cython.declare(uint64_t, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)
LOW_HALF = cython.declare(uint64_t, 0xFFFFFFFF)
PORT_BITS = cython.declare(uint64_t, 0x3FFFFFFFF)
PORT_SHIFT = cython.declare(uint32_t, 34)
ONE_PORT = cython.declare(uint64_t, 0x1FFFF)
ALL_BITS = cython.declare(uint64_t, 0xFFFFFFFFFFFFFFFF)
MAX_TUNNELS = cython.declare(cython.Py_ssize_t, MOST_TUNNELS)
AHEAD = cython.declare(cython.Py_ssize_t, 8)
BLOCK = cython.declare(cython.Py_ssize_t, 128)
OPTION_HASH = cython.declare(uint32_t, 0x9E3779B1)
FLOW_WORDS = cython.declare(uint32_t, 8)
TCP = cython.declare(uint64_t, 6)
TUNNEL_WORDS = cython.declare(uint32_t, 16)

OptionEntry = cython.struct(key=uint32_t, packets=uint64_t, occurrences=uint64_t, last=uint64_t)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def port_word(source: int32_t, destination: int32_t) -> uint64_t:
    return ((cython.cast(uint64_t, source + 1) & ONE_PORT) << 17) | (
        cython.cast(uint64_t, destination + 1) & ONE_PORT
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def flow_kind(vni: int32_t, version: uint8_t, protocol: uint8_t) -> uint64_t:
    return pack(vni, (cython.cast(uint32_t, version) << 8) | protocol)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def tunnel_kind(kind: uint8_t, version: uint8_t, depth: uint8_t) -> uint64_t:
    return (
        (cython.cast(uint64_t, kind) << 16)
        | (cython.cast(uint64_t, version) << 8)
        | cython.cast(uint64_t, depth)
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def note_time(e: cython.pointer(TunnelRow), time_ns: int64_t) -> cython.void:
    if time_ns != NO_TIME:
        if e.first_ns == NO_TIME or time_ns < e.first_ns:
            e.first_ns = time_ns
        if time_ns > e.last_ns:
            e.last_ns = time_ns


new_tuple = tuple.__new__

# The keys of `BLOCK` frames and of their tunnels: made before any of them is looked up, so that
# the memory of the tables can be asked for in time.
Block = cython.struct(flows=Key[128], tunnels=Key[1024], tunnel_count=cython.Py_ssize_t)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def outer_tunnels(c: cython.pointer(BatchColumns), row: cython.Py_ssize_t) -> cython.uint:
    """Return how many tunnels of a frame are around its innermost IP header."""
    count: cython.uint = c.rows.tunnel_count[row]
    start: cython.uint = c.rows.tunnel_start[row]
    while count and c.tunnels.header_offset[start + count - 1] > c.rows.inner_offset[row]:
        count -= 1
    return count


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def flow_key(
    k: cython.pointer(Key), c: cython.pointer(BatchColumns), row: cython.Py_ssize_t
) -> cython.void:
    """Make the key of the innermost flow of a frame."""
    r: cython.pointer(DecodedColumns) = cython.address(c.rows)
    around: cython.uint = outer_tunnels(c, row)
    vni: int32_t = c.tunnels.vni[r.tunnel_start[row] + around - 1] if around else -1
    k.source_hi = r.inner_source_hi[row]
    k.source_lo = r.inner_source_lo[row]
    k.destination_hi = r.inner_destination_hi[row]
    k.destination_lo = r.inner_destination_lo[row]
    k.words = port_word(r.inner_source_port[row], r.inner_destination_port[row])
    k.kind = flow_kind(vni, r.inner_version[row], r.inner_protocol[row])
    k.hash = hash_of(SEED, k)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def tunnel_key(
    k: cython.pointer(Key), c: cython.pointer(TunnelColumns), t: cython.Py_ssize_t
) -> cython.void:
    """Make the key of a row of the tunnel table."""
    k.source_hi = c.source_hi[t]
    k.source_lo = c.source_lo[t]
    k.destination_hi = c.destination_hi[t]
    k.destination_lo = c.destination_lo[t]
    k.words = pack(c.vni[t], c.destination_port[t])
    k.kind = tunnel_kind(c.kind[t], c.version[t], c.depth[t])
    k.hash = hash_of(SEED, k)


@cython.cfunc
def tunnel_count_of(e: TunnelRef):
    """Return a row as a `TunnelCount`."""
    # There may be tens of thousands, and the class's own constructor takes twice as long.
    return new_tuple(
        TunnelCount,
        (
            e.kind >> 16,
            cython.cast(int32_t, e.vni_port >> 32),
            (e.kind >> 8) & 0xFF,
            e.source_hi,
            e.source_lo,
            e.destination_hi,
            e.destination_lo,
            cython.cast(int32_t, e.vni_port & LOW_HALF),
            e.kind & 0xFF,
            e.packets,
            e.wire_bytes,
            e.overhead_bytes,
            e.inner_flows,
            e.option_packets,
            e.first_ns,
            e.last_ns,
        ),
    )


@cython.cclass
class KernelTables:
    """The compiled twin of `tables.ReadableTables`."""

    flows_: Table
    tunnels_: Table
    # slots alone: the first flow of each 5-tuple
    tuples_: Table
    # by flow: its first flow plus one, 0 while that is not known
    same: cython.pointer(uint32_t)
    same_room: uint32_t
    # pairs of tunnel and 5-tuple: (tunnel + 1) << 32 | first flow; 0 is free
    pairs: cython.pointer(uint64_t)
    pair_used: uint64_t
    pair_mask: uint64_t
    option_entries: cython.pointer(OptionEntry)
    option_used: uint32_t
    option_room: uint32_t
    # by a hash of the option: the number of the entry that was met there last
    near_options: uint32_t[64]
    option_slots: dict
    frames: FrameColumns
    columns: BatchColumns
    bound_frames: object
    bound_decoded: object
    tunnel_rows: cython.Py_ssize_t
    option_rows: cython.Py_ssize_t
    count_: uint64_t
    plain_: uint64_t
    stops_: dict
    findings_: dict

    def __cinit__(self):
        make_table(cython.address(self.flows_), FLOW_WORDS, 1024, PORT_BITS)
        make_table(cython.address(self.tunnels_), TUNNEL_WORDS, 256, ALL_BITS)
        make_table(cython.address(self.tuples_), 0, 1024, 0)
        self.same_room = 1024
        self.pair_mask = 4095
        self.option_room = 64
        self.same = cython.cast(
            cython.pointer(uint32_t), calloc(self.same_room, cython.sizeof(uint32_t))
        )
        self.pairs = cython.cast(
            cython.pointer(uint64_t), calloc(self.pair_mask + 1, cython.sizeof(uint64_t))
        )
        self.option_entries = cython.cast(
            cython.pointer(OptionEntry), calloc(self.option_room, cython.sizeof(OptionEntry))
        )
        if (
            self.same == cython.NULL
            or self.pairs == cython.NULL
            or self.option_entries == cython.NULL
        ):
            raise MemoryError
        self.option_slots = {}
        self.stops_ = {}
        self.findings_ = {}

    def __dealloc__(self):
        free_table(cython.address(self.flows_))
        free_table(cython.address(self.tunnels_))
        free_table(cython.address(self.tuples_))
        free(self.same)
        free(self.pairs)
        free(self.option_entries)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1)
    def flow(self, key: cython.pointer(Key)) -> int64_t:
        """Return the number of the flow with this key, making it if need be."""
        return find(cython.address(self.flows_), key)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1)
    def tunnel(self, key: cython.pointer(Key)) -> int64_t:
        """Return the number of the tunnel with this key, making it if need be."""
        before: uint32_t = self.tunnels_.used
        number: int64_t = find(cython.address(self.tunnels_), key)
        if self.tunnels_.used != before:
            self.tunnel_row(number).first_ns = NO_TIME
            self.tunnel_row(number).last_ns = NO_TIME
        return number

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def flow_row(self, number: uint64_t) -> cython.pointer(FlowRow):
        return cython.cast(cython.pointer(FlowRow), self.flows_.rows + number * FLOW_WORDS)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def tunnel_row(self, number: uint64_t) -> cython.pointer(TunnelRow):
        return cython.cast(cython.pointer(TunnelRow), self.tunnels_.rows + number * TUNNEL_WORDS)

    @cython.cfunc
    @cython.exceptval(-1)
    def grow_same(self) -> cython.int:
        room: uint32_t = self.flows_.room
        same = cython.cast(
            cython.pointer(uint32_t),
            realloc(self.same, cython.cast(cython.size_t, room) * cython.sizeof(uint32_t)),
        )
        if same == cython.NULL:
            raise MemoryError
        memset(same + self.same_room, 0, (room - self.same_room) * cython.sizeof(uint32_t))
        self.same = same
        self.same_room = room
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def same_tuple(self, flow: uint64_t) -> int64_t:
        """Return the first flow with this one's 5-tuple: the same flow in any VNI."""
        f: cython.pointer(FlowRow) = self.flow_row(flow)
        g: cython.pointer(FlowRow)
        kind: uint64_t = f.kind & LOW_HALF
        hash_: uint32_t
        slot: uint64_t
        if flow >= self.same_room:
            self.grow_same()
        if self.same[flow]:
            return self.same[flow] - 1
        key: Key = key_of(SEED, cython.cast(cython.pointer(uint64_t), f), PORT_BITS)
        key.kind = kind  # without the VNI
        hash_ = hash_of(SEED, cython.address(key))
        slot = hash_ & self.tuples_.mask
        while self.tuples_.slots[slot]:
            if self.tuples_.slots[slot] >> 32 == hash_:
                g = self.flow_row(number_in(self.tuples_.slots[slot]))
                if (
                    g.source_lo == f.source_lo
                    and g.destination_lo == f.destination_lo
                    and (g.ports ^ f.ports) & PORT_BITS == 0
                    and g.kind & LOW_HALF == kind
                    and g.source_hi == f.source_hi
                    and g.destination_hi == f.destination_hi
                ):
                    self.same[flow] = self.tuples_.slots[slot] & LOW_HALF
                    return self.same[flow] - 1
            slot = (slot + 1) & self.tuples_.mask
        new_slot(cython.address(self.tuples_), hash_, flow)
        self.same[flow] = flow + 1
        return flow

    @cython.cfunc
    @cython.exceptval(-1)
    def pair(self, tunnel: uint64_t, flow: uint64_t) -> cython.int:
        """Note that this flow was seen in this tunnel; return 1 where its 5-tuple is new there."""
        key: uint64_t = ((tunnel + 1) << 32) | cython.cast(uint64_t, self.same_tuple(flow))
        slot: uint64_t = mix(SEED, key) & self.pair_mask
        while self.pairs[slot]:
            if self.pairs[slot] == key:
                return 0
            slot = (slot + 1) & self.pair_mask
        if self.pair_used * 2 > self.pair_mask:
            self.grow_pairs()
            slot = mix(SEED, key) & self.pair_mask
            while self.pairs[slot]:
                slot = (slot + 1) & self.pair_mask
        self.pairs[slot] = key
        self.pair_used += 1
        return 1

    @cython.cfunc
    @cython.exceptval(-1)
    def grow_pairs(self) -> cython.int:
        old: cython.pointer(uint64_t) = self.pairs
        old_mask: uint64_t = self.pair_mask
        new = cython.cast(
            cython.pointer(uint64_t), calloc((old_mask + 1) * 2, cython.sizeof(uint64_t))
        )
        if new == cython.NULL:
            raise MemoryError
        self.pairs = new
        self.pair_mask = old_mask * 2 + 1
        i: uint64_t
        slot: uint64_t
        for i in range(old_mask + 1):
            if old[i]:
                slot = mix(SEED, old[i]) & self.pair_mask
                while new[slot]:
                    slot = (slot + 1) & self.pair_mask
                new[slot] = old[i]
        free(old)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def option(self, key: uint32_t, packets: uint64_t, occurrences: uint64_t) -> cython.int:
        """Count an option; packets 0 means: one, if this frame has not shown it yet."""
        # A real capture has a handful; the dictionary is for one that is made to be slow.
        near: uint32_t = (key * OPTION_HASH) >> 26
        i: uint32_t = self.near_options[near]
        e: cython.pointer(OptionEntry)
        if i >= self.option_used or self.option_entries[i].key != key:
            i = self.option_slots.get(key, self.option_used)
            self.near_options[near] = i
        if i == self.option_used:
            if self.option_used == self.option_room:
                room: uint32_t = self.option_room * 2
                entries = cython.cast(
                    cython.pointer(OptionEntry),
                    realloc(
                        self.option_entries,
                        cython.cast(cython.size_t, room) * cython.sizeof(OptionEntry),
                    ),
                )
                if entries == cython.NULL:
                    raise MemoryError
                self.option_entries = entries
                self.option_room = room
            e = cython.address(self.option_entries[i])
            memset(e, 0, cython.sizeof(OptionEntry))
            e.key = key
            self.option_slots[key] = i
            self.option_used += 1
        e = cython.address(self.option_entries[i])
        e.occurrences += occurrences
        if packets:
            e.packets += packets
        elif e.last != self.count_:
            e.packets += 1
            e.last = self.count_
        return 0

    def update(self, frames, d, capture):
        """See `tables.SummaryTables`."""
        self.bound_frames = bind_frames(frames, cython.address(self.frames), self.bound_frames)
        self.bound_decoded = bind_decoded(d, cython.address(self.columns), self.bound_decoded)
        check_rows(frames, d)
        first: cython.Py_ssize_t = d.first
        rows: cython.Py_ssize_t = d.count
        self.tunnel_rows = d.tunnels.capacity
        self.option_rows = d.options.capacity
        block: Block
        begin: cython.Py_ssize_t
        syns = array("q")
        for begin in range(0, rows, BLOCK):
            self.make_keys(cython.address(block), begin, min(begin + BLOCK, rows))
            self.count_rows(
                cython.address(block), begin, min(begin + BLOCK, rows), first, capture, syns
            )
        return syns

    @cython.cfunc
    @cython.exceptval(-1)
    def make_keys(
        self, b: cython.pointer(Block), begin: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.int:
        """Make the keys of these rows and ask for the slots that they are looked up in."""
        c: cython.pointer(BatchColumns) = cython.address(self.columns)
        flow: cython.pointer(Key) = cython.address(b.flows[0])
        tunnel: cython.pointer(Key) = cython.address(b.tunnels[0])
        row: cython.Py_ssize_t
        t: cython.Py_ssize_t
        start: cython.Py_ssize_t
        count: cython.Py_ssize_t
        slots: cython.pointer(uint64_t)
        for row in range(begin, end):
            start = c.rows.tunnel_start[row]
            count = c.rows.tunnel_count[row]
            if count > MAX_TUNNELS or start + count > self.tunnel_rows:
                raise ValueError("a frame with tunnels that the batch does not have")
            flow_key(flow, c, row)
            slots = self.flows_.slots
            genevecap_prefetch(slots + (flow.hash & self.flows_.mask))
            flow += 1
            for t in range(start, start + count):
                tunnel_key(tunnel, cython.address(c.tunnels), t)
                slots = self.tunnels_.slots
                genevecap_prefetch(slots + (tunnel.hash & self.tunnels_.mask))
                tunnel += 1
        b.tunnel_count = tunnel - cython.address(b.tunnels[0])
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def count_rows(
        self,
        b: cython.pointer(Block),
        begin: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        first: cython.Py_ssize_t,
        capture,
        syns,
    ) -> cython.int:
        """Count these rows, whose keys are in the block; list those that are SYNs."""
        r: cython.pointer(DecodedColumns) = cython.address(self.columns.rows)
        f: cython.pointer(FlowRow)
        row: cython.Py_ssize_t
        wire_bytes: uint64_t
        time_ns: int64_t
        flow: int64_t
        t: cython.Py_ssize_t
        next_tunnel: cython.Py_ssize_t = 0
        depth: cython.Py_ssize_t
        for row in range(begin, end):
            if row + AHEAD < end:
                genevecap_prefetch(
                    likely_row(cython.address(self.flows_), b.flows[row + AHEAD - begin].hash)
                )
            t = next_tunnel
            next_tunnel += r.tunnel_count[row]
            if not r.keep[row]:
                continue
            self.count_ += 1
            wire_bytes = self.frames.wire_bytes[first + row]
            time_ns = self.frames.time_ns[first + row]
            if r.stop[row] == 0 and r.stop_layer[row] == 0:
                self.plain_ += 1
            else:
                place = (r.stop[row], r.stop_layer[row])
                self.stops_[place] = self.stops_.get(place, 0) + 1
            if r.findings[row]:
                self.count_findings(r.findings[row], capture, self.frames.frame[first + row])
            flow = -1
            if r.inner_version[row]:
                flow = self.flow(cython.address(b.flows[row - begin]))
                f = self.flow_row(flow)
                f.packets += 1
                f.wire_bytes += wire_bytes
            for depth in range(r.tunnel_count[row]):
                self.count_tunnel(
                    b, t + depth, r.tunnel_start[row] + depth, flow, wire_bytes, time_ns
                )
            if r.tcp_flags[row] & 0x12 == 0x02:
                syns.append(row)
        return 0

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1)
    def count_tunnel(
        self,
        b: cython.pointer(Block),
        number: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        flow: int64_t,
        wire_bytes: uint64_t,
        time_ns: int64_t,
    ) -> cython.int:
        """Count one tunnel of a frame.

        number: of its key in the block; row: in the tunnel table; flow: inside it, -1 for none.
        """
        c: cython.pointer(TunnelColumns) = cython.address(self.columns.tunnels)
        o: cython.pointer(OptionColumns) = cython.address(self.columns.options)
        option: cython.Py_ssize_t = c.option_start[row]
        options: cython.Py_ssize_t = option + c.option_count[row]
        ahead: cython.pointer(uint64_t)
        f: cython.pointer(FlowRow)
        if number + AHEAD < b.tunnel_count:
            ahead = likely_row(cython.address(self.tunnels_), b.tunnels[number + AHEAD].hash)
            genevecap_prefetch(ahead)
            genevecap_prefetch(ahead + LINE_WORDS)
        tunnel: int64_t = self.tunnel(cython.address(b.tunnels[number]))
        e: cython.pointer(TunnelRow) = self.tunnel_row(tunnel)
        e.packets += 1
        e.wire_bytes += wire_bytes
        e.overhead_bytes += c.overhead_bytes[row]
        note_time(e, time_ns)
        if flow >= 0:
            f = self.flow_row(flow)
            if f.ports >> PORT_SHIFT != cython.cast(uint64_t, tunnel + 1):
                f.ports = (f.ports & PORT_BITS) | (cython.cast(uint64_t, tunnel + 1) << PORT_SHIFT)
                e.inner_flows += self.pair(tunnel, flow)
        if option == options:
            return 0
        if options > self.option_rows:
            raise ValueError("a tunnel with options that the batch does not have")
        e.option_packets += 1
        while option < options:
            self.option(
                (cython.cast(uint32_t, o.option_class[option]) << 16)
                | (cython.cast(uint32_t, o.option_type[option]) << 8)
                | o.data_bytes[option],
                0,
                1,
            )
            option += 1
        return 0

    def count_findings(self, bits, capture, frame):
        """Count every finding bit of one frame."""
        while bits:
            bit = bits & -bits
            bits ^= bit
            count, first = self.findings_.setdefault(bit, ([0], []))
            count[0] += 1
            if len(first) < FIRST_FRAMES:
                first.append((capture, frame))

    def merge(self, other: KernelTables):
        """See `tables.SummaryTables`."""
        i: uint32_t
        number: int64_t
        slot: uint64_t
        key: Key
        f: cython.pointer(FlowRow)
        e: cython.pointer(TunnelRow)
        mine: cython.pointer(TunnelRow)
        flows = array("q")
        tunnels = array("q")
        self.count_ += other.count_
        self.plain_ += other.plain_
        for i in range(other.flows_.used):
            f = other.flow_row(i)
            key = key_of(SEED, cython.cast(cython.pointer(uint64_t), f), PORT_BITS)
            number = self.flow(cython.address(key))
            flows.append(number)
            f = other.flow_row(i)  # `other` may be this one, whose rows have moved
            self.flow_row(number).packets += f.packets
            self.flow_row(number).wire_bytes += f.wire_bytes
        for i in range(other.tunnels_.used):
            e = other.tunnel_row(i)
            key = key_of(SEED, cython.cast(cython.pointer(uint64_t), e), ALL_BITS)
            number = self.tunnel(cython.address(key))
            tunnels.append(number)
            e = other.tunnel_row(i)
            mine = self.tunnel_row(number)
            mine.packets += e.packets
            mine.wire_bytes += e.wire_bytes
            mine.overhead_bytes += e.overhead_bytes
            mine.option_packets += e.option_packets
            note_time(mine, e.first_ns)
            note_time(mine, e.last_ns)
        for slot in range(other.pair_mask + 1):
            if other.pairs[slot]:
                number = tunnels[(other.pairs[slot] >> 32) - 1]
                self.tunnel_row(number).inner_flows += self.pair(
                    number, flows[other.pairs[slot] & LOW_HALF]
                )
        for i in range(other.option_used):
            self.option(
                other.option_entries[i].key,
                other.option_entries[i].packets,
                other.option_entries[i].occurrences,
            )
        for place, packets in other.stops_.items():
            self.stops_[place] = self.stops_.get(place, 0) + packets
        for bit, (count, first) in other.findings_.items():
            total, frames = self.findings_.setdefault(bit, ([0], []))
            total[0] += count[0]
            frames[:] = sorted(set(frames) | set(first))[:FIRST_FRAMES]

    def selected(self):
        """See `tables.SummaryTables`."""
        return self.count_

    def flow_count(self):
        """See `tables.SummaryTables`."""
        return self.flows_.used

    def tunnels(self):
        """See `tables.SummaryTables`."""
        i: uint32_t
        count: uint32_t = self.tunnels_.used
        order = cython.cast(
            cython.pointer(TunnelRef), malloc((count + 1) * cython.sizeof(TunnelRef))
        )
        if order == cython.NULL:
            raise MemoryError
        for i in range(count):
            order[i] = self.tunnel_row(i)
        qsort(order, count, cython.sizeof(TunnelRef), largest_tunnel_first)
        try:
            return [tunnel_count_of(order[i]) for i in range(count)]
        finally:
            free(order)

    @cython.cfunc
    def flow_count_of(self, e: cython.pointer(FlowRow)):
        """Return a row as a `FlowCount`."""
        return FlowCount(
            cython.cast(int32_t, e.kind >> 32),
            (e.kind >> 8) & 0xFF,
            e.source_hi,
            e.source_lo,
            e.destination_hi,
            e.destination_lo,
            e.kind & 0xFF,
            cython.cast(int32_t, (e.ports >> 17) & ONE_PORT) - 1,
            cython.cast(int32_t, e.ports & ONE_PORT) - 1,
            e.packets,
            e.wire_bytes,
        )

    def top_flows(self, most):
        """See `tables.SummaryTables`."""
        return self.largest(0, 0, 0, 0, most)

    def flows_with_port(self, port, most):
        """See `tables.SummaryTables`."""
        return self.largest(port + 1, 0, 0, 0, most)

    def flows_with_address(self, address, most):
        """See `tables.SummaryTables`."""
        return self.largest(0, address[0], address[1], address[2], most)

    def largest(
        self,
        port: uint64_t,
        version: uint32_t,
        hi: uint64_t,
        lo: uint64_t,
        most: cython.Py_ssize_t,
    ):
        """Return the flows with most packets; version 0 means any.

        port: plus one; 0 means any.

        A flow with fewer packets than the `most`-th so far is passed over without making a row.
        """
        i: uint32_t
        least: uint64_t = 0
        e: cython.pointer(FlowRow)
        rows = []
        for i in range(self.flows_.used):
            e = self.flow_row(i)
            if e.packets < least:
                continue
            if port and (
                e.kind & 0xFF != TCP
                or ((e.ports >> 17) & ONE_PORT != port and e.ports & ONE_PORT != port)
            ):
                continue
            if version and (
                (e.kind >> 8) & 0xFF != version
                or not (
                    (e.source_hi == hi and e.source_lo == lo)
                    or (e.destination_hi == hi and e.destination_lo == lo)
                )
            ):
                continue
            rows.append(self.flow_count_of(e))
            if len(rows) >= 4 * most + 64:
                rows.sort(key=flow_order)
                del rows[most:]
                if rows:
                    least = rows[len(rows) - 1].packets
        rows.sort(key=flow_order)
        return rows[:most]

    def options(self):
        """See `tables.SummaryTables`."""
        i: uint32_t
        e: cython.pointer(OptionEntry)
        rows = []
        for i in range(self.option_used):
            e = cython.address(self.option_entries[i])
            rows.append(
                OptionCount(
                    e.key >> 16, (e.key >> 8) & 0xFF, e.key & 0xFF, e.packets, e.occurrences
                )
            )
        return rows

    def stops(self):
        """See `tables.SummaryTables`."""
        rows = [StopCount(*place, packets) for place, packets in self.stops_.items()]
        if self.plain_:
            rows.append(StopCount(0, 0, self.plain_))
        return rows

    def findings(self):
        """See `tables.SummaryTables`."""
        return [
            FindingCount(bit, count[0], tuple(first))
            for bit, (count, first) in sorted(self.findings_.items())
        ]
