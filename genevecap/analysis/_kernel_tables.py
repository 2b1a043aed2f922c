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
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memset

from ..columns import BATCH_ROWS
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
AHEAD = cython.declare(cython.Py_ssize_t, 8)
NEAR_OPTIONS = cython.declare(uint32_t, 16)
FLOW_WORDS = cython.declare(uint32_t, 8)
TCP = cython.declare(uint64_t, 6)
TUNNEL_WORDS = cython.declare(uint32_t, 16)

# The word `ports` of a flow holds both ports plus one and, above PORT_BITS, which are the key, the
# number of its last tunnel plus one.
FlowRow = cython.struct(
    source_hi=uint64_t,
    source_lo=uint64_t,
    destination_hi=uint64_t,
    destination_lo=uint64_t,
    ports=uint64_t,
    kind=uint64_t,
    packets=uint64_t,
    wire_bytes=uint64_t,
)
TunnelRow = cython.struct(
    source_hi=uint64_t,
    source_lo=uint64_t,
    destination_hi=uint64_t,
    destination_lo=uint64_t,
    vni_port=uint64_t,
    kind=uint64_t,
    packets=uint64_t,
    wire_bytes=uint64_t,
    overhead_bytes=uint64_t,
    inner_flows=uint64_t,
    option_packets=uint64_t,
    first_ns=int64_t,
    last_ns=int64_t,
)
OptionEntry = cython.struct(key=uint32_t, packets=uint64_t, occurrences=uint64_t, last=uint64_t)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def hash_of(
    version: uint8_t,
    source_hi: uint64_t,
    source_lo: uint64_t,
    destination_hi: uint64_t,
    destination_lo: uint64_t,
    first: uint64_t,
    second: uint64_t,
) -> uint32_t:
    """Hash the six words of a key."""
    h: uint64_t = mix(mix(SEED, source_lo), destination_lo)
    if version == 6:
        h = mix(mix(h, source_hi), destination_hi)
    return cython.cast(uint32_t, mix(mix(h, first), second))


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
    last_option: uint32_t
    option_slots: dict
    flow_hash_: object
    tunnel_hash_: object
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
        self.flow_hash_ = array("I")
        self.tunnel_hash_ = array("I")
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
    def flow(self, key: cython.pointer(FlowRow), hash_: uint32_t) -> int64_t:
        """Return the number of the flow with this key, making it if need be."""
        return find(cython.address(self.flows_), cython.cast(cython.pointer(uint64_t), key), hash_)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1)
    def tunnel(self, key: cython.pointer(TunnelRow), hash_: uint32_t) -> int64_t:
        """Return the number of the tunnel with this key, making it if need be."""
        before: uint32_t = self.tunnels_.used
        number: int64_t = find(
            cython.address(self.tunnels_), cython.cast(cython.pointer(uint64_t), key), hash_
        )
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
        hash_ = hash_of(
            (kind >> 8) & 0xFF,
            f.source_hi,
            f.source_lo,
            f.destination_hi,
            f.destination_lo,
            f.ports & PORT_BITS,
            kind,
        )
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
        i: uint32_t
        e: cython.pointer(OptionEntry)
        if self.last_option < self.option_used and self.option_entries[self.last_option].key == key:
            i = self.last_option
        else:
            # A real capture has a handful; the dictionary is for one that is made to be slow.
            i = 0
            while i < self.option_used and i < NEAR_OPTIONS and self.option_entries[i].key != key:
                i += 1
            if i == NEAR_OPTIONS:
                i = self.option_slots.get(key, self.option_used)
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
        self.last_option = i
        e.occurrences += occurrences
        if packets:
            e.packets += packets
        elif e.last != self.count_:
            e.packets += 1
            e.last = self.count_
        return 0

    @cython.cfunc
    def hashes(self, d):
        """Hash all rows first and ask for their slots, so that look-ups do not wait for memory."""
        version: cython.uchar[::1] = d.inner_version
        protocol: cython.uchar[::1] = d.inner_protocol
        source_hi: cython.ulonglong[::1] = d.inner_source_hi
        source_lo: cython.ulonglong[::1] = d.inner_source_lo
        destination_hi: cython.ulonglong[::1] = d.inner_destination_hi
        destination_lo: cython.ulonglong[::1] = d.inner_destination_lo
        source_port: cython.int[::1] = d.inner_source_port
        destination_port: cython.int[::1] = d.inner_destination_port
        inner_offset: cython.uint[::1] = d.inner_offset
        tunnel_start: cython.uint[::1] = d.tunnel_start
        tunnel_count: cython.uchar[::1] = d.tunnel_count
        table = d.tunnels
        t_depth: cython.uchar[::1] = table.depth
        t_kind: cython.uchar[::1] = table.kind
        t_vni: cython.int[::1] = table.vni
        t_header: cython.uint[::1] = table.header_offset
        t_version: cython.uchar[::1] = table.version
        t_source_hi: cython.ulonglong[::1] = table.source_hi
        t_source_lo: cython.ulonglong[::1] = table.source_lo
        t_destination_hi: cython.ulonglong[::1] = table.destination_hi
        t_destination_lo: cython.ulonglong[::1] = table.destination_lo
        t_port: cython.int[::1] = table.destination_port
        rows: cython.Py_ssize_t = d.count
        tunnels: cython.Py_ssize_t = table.count
        i: cython.Py_ssize_t
        t: cython.Py_ssize_t
        begin: cython.Py_ssize_t
        vni: int32_t
        if len(self.flow_hash_) < rows or len(self.tunnel_hash_) < tunnels:
            self.flow_hash_ = array("I", bytes(4 * max(rows, BATCH_ROWS)))
            self.tunnel_hash_ = array("I", bytes(4 * max(tunnels, 2 * BATCH_ROWS)))
        flow_hash: cython.uint[::1] = self.flow_hash_
        tunnel_hash: cython.uint[::1] = self.tunnel_hash_
        with cython.nogil:
            for i in range(tunnels):
                tunnel_hash[i] = hash_of(
                    t_version[i],
                    t_source_hi[i],
                    t_source_lo[i],
                    t_destination_hi[i],
                    t_destination_lo[i],
                    pack(t_vni[i], t_port[i]),
                    tunnel_kind(t_kind[i], t_version[i], t_depth[i]),
                )
            for i in range(rows):
                begin = tunnel_start[i]
                t = begin + tunnel_count[i]
                while t > begin and t_header[t - 1] > inner_offset[i]:
                    t -= 1
                vni = t_vni[t - 1] if t > begin else -1
                flow_hash[i] = hash_of(
                    version[i],
                    source_hi[i],
                    source_lo[i],
                    destination_hi[i],
                    destination_lo[i],
                    port_word(source_port[i], destination_port[i]),
                    flow_kind(vni, version[i], protocol[i]),
                )
        return self.flow_hash_, self.tunnel_hash_

    def update(self, frames, d, capture):
        """See `tables.SummaryTables`."""
        frame: cython.longlong[::1] = frames.frame
        time_column: cython.longlong[::1] = frames.time_ns
        wire_column: cython.uint[::1] = frames.wire_bytes
        keep: cython.uchar[::1] = d.keep
        stop: cython.uchar[::1] = d.stop
        stop_layer: cython.uint[::1] = d.stop_layer
        findings: cython.uint[::1] = d.findings
        inner_offset: cython.uint[::1] = d.inner_offset
        tunnel_start: cython.uint[::1] = d.tunnel_start
        tunnel_count: cython.uchar[::1] = d.tunnel_count
        version: cython.uchar[::1] = d.inner_version
        protocol: cython.uchar[::1] = d.inner_protocol
        source_hi: cython.ulonglong[::1] = d.inner_source_hi
        source_lo: cython.ulonglong[::1] = d.inner_source_lo
        destination_hi: cython.ulonglong[::1] = d.inner_destination_hi
        destination_lo: cython.ulonglong[::1] = d.inner_destination_lo
        source_port: cython.int[::1] = d.inner_source_port
        destination_port: cython.int[::1] = d.inner_destination_port
        tcp_flags: cython.ushort[::1] = d.tcp_flags
        table = d.tunnels
        t_depth: cython.uchar[::1] = table.depth
        t_kind: cython.uchar[::1] = table.kind
        t_vni: cython.int[::1] = table.vni
        t_header: cython.uint[::1] = table.header_offset
        t_version: cython.uchar[::1] = table.version
        t_source_hi: cython.ulonglong[::1] = table.source_hi
        t_source_lo: cython.ulonglong[::1] = table.source_lo
        t_destination_hi: cython.ulonglong[::1] = table.destination_hi
        t_destination_lo: cython.ulonglong[::1] = table.destination_lo
        t_port: cython.int[::1] = table.destination_port
        t_overhead: cython.uint[::1] = table.overhead_bytes
        t_option_start: cython.uint[::1] = table.option_start
        t_option_count: cython.uchar[::1] = table.option_count
        option_class: cython.ushort[::1] = d.options.option_class
        option_type: cython.uchar[::1] = d.options.option_type
        option_bytes: cython.uchar[::1] = d.options.data_bytes

        first: cython.Py_ssize_t = d.first
        rows: cython.Py_ssize_t = d.count
        i: cython.Py_ssize_t
        t: cython.Py_ssize_t
        o: cython.Py_ssize_t
        begin: cython.Py_ssize_t
        end: cython.Py_ssize_t
        flow: int64_t
        tunnel: int64_t
        vni: int32_t
        wire: uint64_t
        time_ns: int64_t
        flow_key: FlowRow
        tunnel_key: TunnelRow
        f: cython.pointer(FlowRow) = cython.NULL
        e: cython.pointer(TunnelRow)
        row: cython.pointer(uint64_t)
        slots: cython.pointer(uint64_t)
        syns = array("q")
        hashes = self.hashes(d)
        flow_hash: cython.uint[::1] = hashes[0]
        tunnel_hash: cython.uint[::1] = hashes[1]
        tunnels: cython.Py_ssize_t = table.count
        for i in range(rows):
            if i + 2 * AHEAD < rows:
                slots = self.flows_.slots
                genevecap_prefetch(slots + (flow_hash[i + 2 * AHEAD] & self.flows_.mask))
            if i + AHEAD < rows:
                genevecap_prefetch(likely_row(cython.address(self.flows_), flow_hash[i + AHEAD]))
            if not keep[i]:
                continue
            self.count_ += 1
            wire = wire_column[first + i]
            time_ns = time_column[first + i]
            if stop[i] == 0 and stop_layer[i] == 0:
                self.plain_ += 1
            else:
                place = (stop[i], stop_layer[i])
                self.stops_[place] = self.stops_.get(place, 0) + 1
            if findings[i]:
                self.count_findings(findings[i], capture, frame[first + i])
            begin = tunnel_start[i]
            end = begin + tunnel_count[i]
            flow = -1
            if version[i]:
                t = end
                while t > begin and t_header[t - 1] > inner_offset[i]:
                    t -= 1
                vni = t_vni[t - 1] if t > begin else -1
                flow_key.source_hi = source_hi[i]
                flow_key.source_lo = source_lo[i]
                flow_key.destination_hi = destination_hi[i]
                flow_key.destination_lo = destination_lo[i]
                flow_key.ports = port_word(source_port[i], destination_port[i])
                flow_key.kind = flow_kind(vni, version[i], protocol[i])
                flow = self.flow(cython.address(flow_key), flow_hash[i])
                f = self.flow_row(flow)
                f.packets += 1
                f.wire_bytes += wire
            for t in range(begin, end):
                if t + 2 * AHEAD < tunnels:
                    slots = self.tunnels_.slots
                    genevecap_prefetch(slots + (tunnel_hash[t + 2 * AHEAD] & self.tunnels_.mask))
                if t + AHEAD < tunnels:
                    row = likely_row(cython.address(self.tunnels_), tunnel_hash[t + AHEAD])
                    genevecap_prefetch(row)
                    genevecap_prefetch(row + LINE_WORDS)
                tunnel_key.source_hi = t_source_hi[t]
                tunnel_key.source_lo = t_source_lo[t]
                tunnel_key.destination_hi = t_destination_hi[t]
                tunnel_key.destination_lo = t_destination_lo[t]
                tunnel_key.vni_port = pack(t_vni[t], t_port[t])
                tunnel_key.kind = tunnel_kind(t_kind[t], t_version[t], t_depth[t])
                tunnel = self.tunnel(cython.address(tunnel_key), tunnel_hash[t])
                e = self.tunnel_row(tunnel)
                e.packets += 1
                e.wire_bytes += wire
                e.overhead_bytes += t_overhead[t]
                note_time(e, time_ns)
                if flow >= 0 and f.ports >> PORT_SHIFT != cython.cast(uint64_t, tunnel + 1):
                    f.ports = (f.ports & PORT_BITS) | (
                        cython.cast(uint64_t, tunnel + 1) << PORT_SHIFT
                    )
                    e.inner_flows += self.pair(tunnel, flow)
                if t_option_count[t]:
                    e.option_packets += 1
                    for o in range(t_option_start[t], t_option_start[t] + t_option_count[t]):
                        self.option(
                            (cython.cast(uint32_t, option_class[o]) << 16)
                            | (cython.cast(uint32_t, option_type[o]) << 8)
                            | option_bytes[o],
                            0,
                            1,
                        )
            if tcp_flags[i] & 0x12 == 0x02:
                syns.append(i)
        return syns

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
        flow_key: FlowRow
        f: cython.pointer(FlowRow)
        e: cython.pointer(TunnelRow)
        mine: cython.pointer(TunnelRow)
        flows = array("q")
        tunnels = array("q")
        self.count_ += other.count_
        self.plain_ += other.plain_
        for i in range(other.flows_.used):
            flow_key = other.flow_row(i)[0]
            flow_key.ports &= PORT_BITS
            f = cython.address(flow_key)
            number = self.flow(
                f,
                hash_of(
                    (f.kind >> 8) & 0xFF,
                    f.source_hi,
                    f.source_lo,
                    f.destination_hi,
                    f.destination_lo,
                    f.ports & PORT_BITS,
                    f.kind,
                ),
            )
            flows.append(number)
            self.flow_row(number).packets += f.packets
            self.flow_row(number).wire_bytes += f.wire_bytes
        for i in range(other.tunnels_.used):
            e = other.tunnel_row(i)
            number = self.tunnel(
                e,
                hash_of(
                    (e.kind >> 8) & 0xFF,
                    e.source_hi,
                    e.source_lo,
                    e.destination_hi,
                    e.destination_lo,
                    e.vni_port,
                    e.kind,
                ),
            )
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
        e: cython.pointer(TunnelRow)
        rows = []
        for i in range(self.tunnels_.used):
            e = self.tunnel_row(i)
            rows.append(
                TunnelCount(
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
                )
            )
        return rows

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
