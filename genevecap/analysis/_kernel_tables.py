# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Counters of the summary, compiled: see `tables`, which says the same in readable form.

Flows and tunnels live in open-addressing tables of power-of-two size, at most half full, with
linear probing.  A slot of an index holds the number of an entry plus one; entries stand in arrays
that only grow, so an entry's number is stable.  The hash is seeded by the process's own hash
secret, so that a capture cannot be made to collide.
"""

from __future__ import annotations

from array import array

import cython
from cython.cimports.libc.stdint import (
    int32_t,
    int64_t,
    uint8_t,
    uint32_t,
    uint64_t,
)
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
AHEAD = cython.declare(cython.Py_ssize_t, 8)
NEAR_OPTIONS = cython.declare(uint32_t, 16)
MULTIPLIER = cython.declare(uint64_t, 0x9E3779B97F4A7C15)

FlowEntry = cython.struct(
    source_hi=uint64_t,
    source_lo=uint64_t,
    destination_hi=uint64_t,
    destination_lo=uint64_t,
    vni=int32_t,
    source_port=int32_t,
    destination_port=int32_t,
    version=uint8_t,
    protocol=uint8_t,
    hash=uint32_t,
    last_tunnel=int32_t,
    packets=uint64_t,
    wire_bytes=uint64_t,
)
TunnelEntry = cython.struct(
    source_hi=uint64_t,
    source_lo=uint64_t,
    destination_hi=uint64_t,
    destination_lo=uint64_t,
    vni=int32_t,
    port=int32_t,
    kind=uint8_t,
    version=uint8_t,
    depth=uint8_t,
    hash=uint32_t,
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
def mix(h: uint64_t, x: uint64_t) -> uint64_t:
    h ^= x
    h *= MULTIPLIER
    return h ^ (h >> 32)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def pack(high: int32_t, low: uint32_t) -> uint64_t:
    return (cython.cast(uint64_t, cython.cast(uint32_t, high)) << 32) | low


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
    """Hash two addresses and two packed words."""
    h: uint64_t = mix(mix(SEED, source_lo), destination_lo)
    if version == 6:
        h = mix(mix(h, source_hi), destination_hi)
    return cython.cast(uint32_t, mix(mix(h, first), second))


@cython.cclass
class KernelTables:
    """The compiled twin of `tables.ReadableTables`."""

    flow_entries: cython.pointer(FlowEntry)
    flow_used: uint32_t
    flow_room: uint32_t
    flow_index: cython.pointer(uint32_t)
    flow_mask: uint32_t
    tunnel_entries: cython.pointer(TunnelEntry)
    tunnel_used: uint32_t
    tunnel_room: uint32_t
    tunnel_index: cython.pointer(uint32_t)
    tunnel_mask: uint32_t
    # pairs of tunnel and flow: (tunnel + 1) << 32 | flow; 0 is free
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
        self.flow_room = 1024
        self.flow_mask = 4095
        self.tunnel_room = 256
        self.tunnel_mask = 1023
        self.pair_mask = 4095
        self.option_room = 64
        self.flow_entries = cython.cast(
            cython.pointer(FlowEntry), calloc(self.flow_room, cython.sizeof(FlowEntry))
        )
        self.flow_index = cython.cast(
            cython.pointer(uint32_t), calloc(self.flow_mask + 1, cython.sizeof(uint32_t))
        )
        self.tunnel_entries = cython.cast(
            cython.pointer(TunnelEntry), calloc(self.tunnel_room, cython.sizeof(TunnelEntry))
        )
        self.tunnel_index = cython.cast(
            cython.pointer(uint32_t), calloc(self.tunnel_mask + 1, cython.sizeof(uint32_t))
        )
        self.pairs = cython.cast(
            cython.pointer(uint64_t), calloc(self.pair_mask + 1, cython.sizeof(uint64_t))
        )
        self.option_entries = cython.cast(
            cython.pointer(OptionEntry), calloc(self.option_room, cython.sizeof(OptionEntry))
        )
        if (
            self.flow_entries == cython.NULL
            or self.flow_index == cython.NULL
            or self.tunnel_entries == cython.NULL
            or self.tunnel_index == cython.NULL
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
        free(self.flow_entries)
        free(self.flow_index)
        free(self.tunnel_entries)
        free(self.tunnel_index)
        free(self.pairs)
        free(self.option_entries)

    @cython.cfunc
    @cython.exceptval(-1)
    def flow(self, key: cython.pointer(FlowEntry)) -> int64_t:
        """Return the number of the entry with this key (hash included), making it if need be."""
        slot: uint32_t = key.hash & self.flow_mask
        e: cython.pointer(FlowEntry)
        while self.flow_index[slot]:
            e = cython.address(self.flow_entries[self.flow_index[slot] - 1])
            if (
                e.hash == key.hash
                and e.source_lo == key.source_lo
                and e.destination_lo == key.destination_lo
                and e.source_port == key.source_port
                and e.destination_port == key.destination_port
                and e.vni == key.vni
                and e.protocol == key.protocol
                and e.version == key.version
                and e.source_hi == key.source_hi
                and e.destination_hi == key.destination_hi
            ):
                return self.flow_index[slot] - 1
            slot = (slot + 1) & self.flow_mask
        if self.flow_used == self.flow_room:
            self.grow_flows()
            slot = key.hash & self.flow_mask
            while self.flow_index[slot]:
                slot = (slot + 1) & self.flow_mask
        e = cython.address(self.flow_entries[self.flow_used])
        e[0] = key[0]
        e.last_tunnel = -1
        e.packets = 0
        e.wire_bytes = 0
        self.flow_used += 1
        self.flow_index[slot] = self.flow_used
        return self.flow_used - 1

    @cython.cfunc
    @cython.exceptval(-1)
    def grow_flows(self) -> cython.int:
        room: uint32_t = self.flow_room * 2
        if room > 0x20000000:
            raise MemoryError("more than 500 million flows")
        entries = cython.cast(
            cython.pointer(FlowEntry),
            realloc(self.flow_entries, cython.cast(cython.size_t, room) * cython.sizeof(FlowEntry)),
        )
        if entries == cython.NULL:
            raise MemoryError
        self.flow_entries = entries
        self.flow_room = room
        if self.flow_mask + 1 < room * 2:
            free(self.flow_index)
            self.flow_mask = room * 2 - 1
            self.flow_index = cython.cast(
                cython.pointer(uint32_t),
                calloc(cython.cast(cython.size_t, self.flow_mask) + 1, cython.sizeof(uint32_t)),
            )
            if self.flow_index == cython.NULL:
                raise MemoryError
            i: uint32_t
            slot: uint32_t
            for i in range(self.flow_used):
                slot = self.flow_entries[i].hash & self.flow_mask
                while self.flow_index[slot]:
                    slot = (slot + 1) & self.flow_mask
                self.flow_index[slot] = i + 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def tunnel(self, key: cython.pointer(TunnelEntry)) -> int64_t:
        """Return the number of the entry with this key (hash included), making it if need be."""
        slot: uint32_t = key.hash & self.tunnel_mask
        e: cython.pointer(TunnelEntry)
        while self.tunnel_index[slot]:
            e = cython.address(self.tunnel_entries[self.tunnel_index[slot] - 1])
            if (
                e.hash == key.hash
                and e.source_lo == key.source_lo
                and e.destination_lo == key.destination_lo
                and e.vni == key.vni
                and e.port == key.port
                and e.kind == key.kind
                and e.depth == key.depth
                and e.version == key.version
                and e.source_hi == key.source_hi
                and e.destination_hi == key.destination_hi
            ):
                return self.tunnel_index[slot] - 1
            slot = (slot + 1) & self.tunnel_mask
        if self.tunnel_used == self.tunnel_room:
            self.grow_tunnels()
            slot = key.hash & self.tunnel_mask
            while self.tunnel_index[slot]:
                slot = (slot + 1) & self.tunnel_mask
        e = cython.address(self.tunnel_entries[self.tunnel_used])
        e[0] = key[0]
        e.packets = 0
        e.wire_bytes = 0
        e.overhead_bytes = 0
        e.inner_flows = 0
        e.option_packets = 0
        e.first_ns = NO_TIME
        e.last_ns = NO_TIME
        self.tunnel_used += 1
        self.tunnel_index[slot] = self.tunnel_used
        return self.tunnel_used - 1

    @cython.cfunc
    @cython.exceptval(-1)
    def grow_tunnels(self) -> cython.int:
        room: uint32_t = self.tunnel_room * 2
        if room > 0x20000000:
            raise MemoryError("more than 500 million tunnels")
        entries = cython.cast(
            cython.pointer(TunnelEntry),
            realloc(
                self.tunnel_entries, cython.cast(cython.size_t, room) * cython.sizeof(TunnelEntry)
            ),
        )
        if entries == cython.NULL:
            raise MemoryError
        self.tunnel_entries = entries
        self.tunnel_room = room
        if self.tunnel_mask + 1 < room * 2:
            free(self.tunnel_index)
            self.tunnel_mask = room * 2 - 1
            self.tunnel_index = cython.cast(
                cython.pointer(uint32_t),
                calloc(cython.cast(cython.size_t, self.tunnel_mask) + 1, cython.sizeof(uint32_t)),
            )
            if self.tunnel_index == cython.NULL:
                raise MemoryError
            i: uint32_t
            slot: uint32_t
            for i in range(self.tunnel_used):
                slot = self.tunnel_entries[i].hash & self.tunnel_mask
                while self.tunnel_index[slot]:
                    slot = (slot + 1) & self.tunnel_mask
                self.tunnel_index[slot] = i + 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def pair(self, tunnel: uint64_t, flow: uint64_t) -> cython.int:
        """Note that this flow was seen in this tunnel; return 1 where that is new."""
        key: uint64_t = ((tunnel + 1) << 32) | flow
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
        if (
            self.last_option < self.option_used
            and self.option_entries[self.last_option].key == key
        ):
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
        tunnel_start: cython.uint[::1] = d.tunnel_start
        tunnel_count: cython.uchar[::1] = d.tunnel_count
        table = d.tunnels
        t_depth: cython.uchar[::1] = table.depth
        t_kind: cython.uchar[::1] = table.kind
        t_vni: cython.int[::1] = table.vni
        t_version: cython.uchar[::1] = table.version
        t_source_hi: cython.ulonglong[::1] = table.source_hi
        t_source_lo: cython.ulonglong[::1] = table.source_lo
        t_destination_hi: cython.ulonglong[::1] = table.destination_hi
        t_destination_lo: cython.ulonglong[::1] = table.destination_lo
        t_port: cython.int[::1] = table.destination_port
        rows: cython.Py_ssize_t = d.count
        tunnels: cython.Py_ssize_t = table.count
        i: cython.Py_ssize_t
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
                    pack(t_kind[i], t_depth[i]),
                )
                genevecap_prefetch(
                    cython.address(self.tunnel_index[tunnel_hash[i] & self.tunnel_mask])
                )
            for i in range(rows):
                vni = -1
                if tunnel_count[i]:
                    vni = t_vni[tunnel_start[i] + tunnel_count[i] - 1]
                flow_hash[i] = hash_of(
                    version[i],
                    source_hi[i],
                    source_lo[i],
                    destination_hi[i],
                    destination_lo[i],
                    pack(source_port[i], destination_port[i]),
                    pack(vni, protocol[i]),
                )
                genevecap_prefetch(cython.address(self.flow_index[flow_hash[i] & self.flow_mask]))
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
        entry: uint32_t
        wire: uint64_t
        time_ns: int64_t
        flow_key: FlowEntry
        tunnel_key: TunnelEntry
        f: cython.pointer(FlowEntry)
        e: cython.pointer(TunnelEntry)
        memset(cython.address(flow_key), 0, cython.sizeof(flow_key))
        memset(cython.address(tunnel_key), 0, cython.sizeof(tunnel_key))
        syns = array("q")
        hashes = self.hashes(d)
        flow_hash: cython.uint[::1] = hashes[0]
        tunnel_hash: cython.uint[::1] = hashes[1]
        tunnels: cython.Py_ssize_t = table.count
        for i in range(rows):
            if i + AHEAD < rows:
                entry = self.flow_index[flow_hash[i + AHEAD] & self.flow_mask]
                if entry:
                    genevecap_prefetch(cython.address(self.flow_entries[entry - 1]))
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
                flow_key.vni = t_vni[end - 1] if end > begin else -1
                flow_key.version = version[i]
                flow_key.protocol = protocol[i]
                flow_key.source_hi = source_hi[i]
                flow_key.source_lo = source_lo[i]
                flow_key.destination_hi = destination_hi[i]
                flow_key.destination_lo = destination_lo[i]
                flow_key.source_port = source_port[i]
                flow_key.destination_port = destination_port[i]
                flow_key.hash = flow_hash[i]
                flow = self.flow(cython.address(flow_key))
                f = cython.address(self.flow_entries[flow])
                f.packets += 1
                f.wire_bytes += wire
            for t in range(begin, end):
                tunnel_key.kind = t_kind[t]
                tunnel_key.vni = t_vni[t]
                tunnel_key.version = t_version[t]
                tunnel_key.source_hi = t_source_hi[t]
                tunnel_key.source_lo = t_source_lo[t]
                tunnel_key.destination_hi = t_destination_hi[t]
                tunnel_key.destination_lo = t_destination_lo[t]
                tunnel_key.port = t_port[t]
                tunnel_key.depth = t_depth[t]
                tunnel_key.hash = tunnel_hash[t]
                if t + AHEAD < tunnels:
                    entry = self.tunnel_index[tunnel_hash[t + AHEAD] & self.tunnel_mask]
                    if entry:
                        genevecap_prefetch(cython.address(self.tunnel_entries[entry - 1]))
                tunnel = self.tunnel(cython.address(tunnel_key))
                e = cython.address(self.tunnel_entries[tunnel])
                e.packets += 1
                e.wire_bytes += wire
                e.overhead_bytes += t_overhead[t]
                if time_ns != NO_TIME:
                    if e.first_ns == NO_TIME or time_ns < e.first_ns:
                        e.first_ns = time_ns
                    if time_ns > e.last_ns:
                        e.last_ns = time_ns
                if flow >= 0:
                    f = cython.address(self.flow_entries[flow])
                    if f.last_tunnel != tunnel:
                        f.last_tunnel = cython.cast(int32_t, tunnel)
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
        flow_key: FlowEntry
        tunnel_key: TunnelEntry
        e: cython.pointer(TunnelEntry)
        theirs: cython.pointer(TunnelEntry)
        flows = array("q")
        tunnels = array("q")
        self.count_ += other.count_
        self.plain_ += other.plain_
        for i in range(other.flow_used):
            flow_key = other.flow_entries[i]
            number = self.flow(cython.address(flow_key))
            flows.append(number)
            self.flow_entries[number].packets += other.flow_entries[i].packets
            self.flow_entries[number].wire_bytes += other.flow_entries[i].wire_bytes
        for i in range(other.tunnel_used):
            theirs = cython.address(other.tunnel_entries[i])
            tunnel_key = theirs[0]
            number = self.tunnel(cython.address(tunnel_key))
            tunnels.append(number)
            e = cython.address(self.tunnel_entries[number])
            e.packets += theirs.packets
            e.wire_bytes += theirs.wire_bytes
            e.overhead_bytes += theirs.overhead_bytes
            e.option_packets += theirs.option_packets
            if theirs.first_ns != NO_TIME:
                if e.first_ns == NO_TIME or theirs.first_ns < e.first_ns:
                    e.first_ns = theirs.first_ns
                if theirs.last_ns > e.last_ns:
                    e.last_ns = theirs.last_ns
        slot: uint64_t
        for slot in range(other.pair_mask + 1):
            if other.pairs[slot]:
                number = tunnels[(other.pairs[slot] >> 32) - 1]
                self.tunnel_entries[number].inner_flows += self.pair(
                    number, flows[other.pairs[slot] & 0xFFFFFFFF]
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
        return self.flow_used

    def tunnels(self):
        """See `tables.SummaryTables`."""
        i: uint32_t
        e: cython.pointer(TunnelEntry)
        rows = []
        for i in range(self.tunnel_used):
            e = cython.address(self.tunnel_entries[i])
            rows.append(
                TunnelCount(
                    e.kind,
                    e.vni,
                    e.version,
                    e.source_hi,
                    e.source_lo,
                    e.destination_hi,
                    e.destination_lo,
                    e.port,
                    e.depth,
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

    def flow_row(self, i: uint32_t):
        """Return entry i as a `FlowCount`."""
        e: cython.pointer(FlowEntry) = cython.address(self.flow_entries[i])
        return FlowCount(
            e.vni,
            e.version,
            e.source_hi,
            e.source_lo,
            e.destination_hi,
            e.destination_lo,
            e.protocol,
            e.source_port,
            e.destination_port,
            e.packets,
            e.wire_bytes,
        )

    def top_flows(self, most):
        """See `tables.SummaryTables`."""
        return self.largest(-1, 0, 0, 0, most)

    def flows_with_port(self, port, most):
        """See `tables.SummaryTables`."""
        return self.largest(port, 0, 0, 0, most)

    def flows_with_address(self, address, most):
        """See `tables.SummaryTables`."""
        return self.largest(-1, address[0], address[1], address[2], most)

    def largest(
        self,
        port: int32_t,
        version: uint32_t,
        hi: uint64_t,
        lo: uint64_t,
        most: cython.Py_ssize_t,
    ):
        """Return the flows with most packets; port -1 and version 0 mean any.

        A flow with fewer packets than the `most`-th so far is passed over without making a row.
        """
        i: uint32_t
        least: uint64_t = 0
        e: cython.pointer(FlowEntry)
        rows = []
        for i in range(self.flow_used):
            e = cython.address(self.flow_entries[i])
            if e.packets < least:
                continue
            if port >= 0 and e.source_port != port and e.destination_port != port:
                continue
            if version and (
                e.version != version
                or not (
                    (e.source_hi == hi and e.source_lo == lo)
                    or (e.destination_hi == hi and e.destination_lo == lo)
                )
            ):
                continue
            rows.append(self.flow_row(i))
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
