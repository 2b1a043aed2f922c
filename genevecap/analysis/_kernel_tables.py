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
from cython.cimports.genevecap.analysis._kernel_answers import (
    all_tunnels,
    largest,
    scattered_flows,
    tcp_directions,
)
from cython.cimports.genevecap.analysis._kernel_findings import (
    PacketFindings,
    add_changed,
    add_findings,
    add_repeats,
    count_findings,
    disorder,
    findings_of,
    moves_of,
    note_change,
    note_move,
    note_repeat,
    repeats_of,
)
from cython.cimports.genevecap.analysis._kernel_inner_flows import InnerFlows
from cython.cimports.genevecap.analysis._kernel_merge import add_flows, add_tunnels
from cython.cimports.genevecap.analysis._kernel_options import (
    OptionCounts,
    add_options,
    count_known_option,
    enter_option,
    options_of,
)
from cython.cimports.genevecap.analysis._kernel_repeats import (
    AGAIN,
    INNERMOST_BYTES,
    LONGEST_NS,
    OUTER_BEGIN,
    OUTER_BYTES,
    RECENT,
    Octets,
    Recent,
    look,
    make_recent,
)
from cython.cimports.genevecap.analysis._kernel_services import service_of
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free

from ..capture.linktypes import LINUX_SLL
from ..columns import MAX_TUNNELS as MOST_TUNNELS
from ..columns import Finding, Stop, TunnelKind
from . import repeats, tables
from .tables import StopCount

NO_TIME = cython.declare(int64_t, -0x7FFFFFFFFFFFFFFF - 1)
SEED = cython.declare(uint64_t, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)
PORT_BITS = cython.declare(uint64_t, 0x3FFFFFFFF)
PORT_SHIFT = cython.declare(uint32_t, 34)
ONE_PORT = cython.declare(uint64_t, 0x1FFFF)
ALL_BITS = cython.declare(uint64_t, 0xFFFFFFFFFFFFFFFF)
MAX_TUNNELS = cython.declare(cython.Py_ssize_t, MOST_TUNNELS)
AHEAD = cython.declare(cython.Py_ssize_t, 8)
BLOCK = cython.declare(cython.Py_ssize_t, 128)
FLOW_WORDS = cython.declare(uint32_t, 8)
TCP = cython.declare(uint64_t, 6)
TUNNEL_WORDS = cython.declare(uint32_t, 16)

SLL = cython.declare(cython.int, LINUX_SLL)
LARGEST_FRAME_BYTES = cython.declare(uint64_t, tables.LARGEST_FRAME_BYTES)
DYNAMIC_PORTS = cython.declare(int32_t, tables.DYNAMIC_PORTS)
VXLAN_PORT = cython.declare(int32_t, tables.VXLAN_PORT)
COMPLETE = cython.declare(uint8_t, int(Stop.COMPLETE))
TRUNCATED = cython.declare(uint8_t, int(Stop.TRUNCATED))
VXLAN = cython.declare(uint8_t, int(TunnelKind.VXLAN))
V03 = cython.declare(uint32_t, int(Finding.V03))
V04 = cython.declare(uint32_t, int(Finding.V04))
C03 = cython.declare(uint32_t, int(Finding.C03))
C07 = cython.declare(uint32_t, int(Finding.C07))

if (
    (1 << CHANGES_WIDTH) - 1 != tables.MOST_CHANGES
    or (RECENT, LONGEST_NS) != (repeats.RECENT, repeats.LONGEST_NS)
    or (OUTER_BEGIN, OUTER_BYTES) != (repeats.OUTER_BEGIN, repeats.OUTER_BYTES)
    or repeats.INNERMOST_BYTES != INNERMOST_BYTES
):
    raise TypeError("kernels were built for other limits: build them anew")

# The keys of `BLOCK` frames and of their tunnels: made before any of them is looked up, so that
# the memory of the tables can be asked for in time.
Block = cython.struct(flows=Key[128], tunnels=Key[1024], tunnel_count=cython.Py_ssize_t)


@cython.cclass
class KernelTables:
    """The compiled twin of `tables.ReadableTables`."""

    flows_: Table
    tunnels_: Table
    inner_flows: InnerFlows
    options_: OptionCounts
    # by option, the number of its entry
    option_slots: dict
    frames: FrameColumns
    columns: BatchColumns
    bound_frames: object
    bound_decoded: object
    tunnel_rows: cython.Py_ssize_t
    option_rows: cython.Py_ssize_t
    count_: uint64_t
    plain_: uint64_t
    # the frame that is being counted
    capture: int32_t
    frame: int64_t
    stops_: dict
    noted: PacketFindings
    moves_: dict
    # by the number of a flow, where its source port changed first
    changed_: dict
    hidden_: object
    # the octets of the batch that is being counted
    octets: Octets
    link_types: object
    recent: cython.pointer(Recent)
    # by the number of a tunnel and what numbered the packets
    repeats_: dict

    def __cinit__(self):
        make_table(cython.address(self.flows_), FLOW_WORDS, 1024, PORT_BITS)
        make_table(cython.address(self.tunnels_), TUNNEL_WORDS, 256, ALL_BITS)
        self.inner_flows = InnerFlows()
        self.option_slots = {}
        self.stops_ = {}
        self.moves_ = {}
        self.changed_ = {}
        self.hidden_ = array("q")
        self.repeats_ = {}
        self.recent = make_recent(SEED)

    def __dealloc__(self):
        free(self.recent)
        free_table(cython.address(self.flows_))
        free_table(cython.address(self.tunnels_))
        free(self.options_.entries)
        free(self.noted.latest)

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
        return find_tunnel(cython.address(self.tunnels_), key, self.capture, self.frame)

    def update(self, frames, d, capture):
        """See `tables.SummaryTables`."""
        self.bound_frames = bind_frames(frames, cython.address(self.frames), self.bound_frames)
        self.bound_decoded = bind_decoded(d, cython.address(self.columns), self.bound_decoded)
        check_rows(frames, d)
        first: cython.Py_ssize_t = d.first
        rows: cython.Py_ssize_t = d.count
        self.tunnel_rows = d.tunnels.capacity
        self.option_rows = d.options.capacity
        self.capture = capture
        self.hidden_ = array("q")
        self.link_types = frames.link_types
        buffer: cython.uchar[::1] = frames.buffer
        self.octets.count = buffer.shape[0]
        if self.octets.count:
            self.octets.first = cython.address(buffer[0])
        block: Block
        begin: cython.Py_ssize_t
        syns = array("q")
        for begin in range(0, rows, BLOCK):
            self.make_keys(cython.address(block), begin, min(begin + BLOCK, rows))
            self.count_rows(cython.address(block), begin, min(begin + BLOCK, rows), first, syns)
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
            flow_key(SEED, flow, c, row)
            slots = self.flows_.slots
            genevecap_prefetch(slots + (flow.hash & self.flows_.mask))
            flow += 1
            for t in range(start, start + count):
                tunnel_key(SEED, tunnel, cython.address(c.tunnels), t)
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
        syns,
    ) -> cython.int:
        """Count these rows, whose keys are in the block; list those that are SYNs."""
        r: cython.pointer(DecodedColumns) = cython.address(self.columns.rows)
        f: cython.pointer(FlowRow)
        row: cython.Py_ssize_t
        wire_bytes: uint64_t
        time_ns: int64_t
        found: uint32_t
        ids: uint64_t
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
            self.frame = self.frames.frame[first + row]
            found = r.findings[row]
            if time_ns != NO_TIME:
                found |= disorder(
                    cython.address(self.noted), self.frames.point[first + row], time_ns
                )
            if wire_bytes > LARGEST_FRAME_BYTES and r.inner_protocol[row] == TCP:
                found |= C07
            ids = 0
            if r.stop[row] == 0 and r.stop_layer[row] == 0:
                self.plain_ += 1
                if r.tunnel_count[row]:
                    ids = look(
                        self.recent,
                        cython.address(self.octets),
                        cython.address(self.frames),
                        cython.address(self.columns),
                        row,
                        first + row,
                        cython.cast(uint64_t, b.flows[row - begin].hash) << 32 | b.tunnels[t].hash,
                        time_ns,
                    )
            else:
                place = (r.stop[row], r.stop_layer[row])
                self.stops_[place] = self.stops_.get(place, 0) + 1
                if r.stop[row] == TRUNCATED:
                    found |= C03
                elif r.stop[row] == COMPLETE:
                    self.hidden_.append(row)
            flow = -1
            if r.inner_version[row]:
                flow = self.flow(cython.address(b.flows[row - begin]))
                f = flow_row(cython.address(self.flows_), flow)
                count_packet(f, wire_bytes)
            for depth in range(r.tunnel_count[row]):
                found |= self.count_tunnel(
                    b, t + depth, r.tunnel_start[row] + depth, flow, wire_bytes, time_ns, ids
                )
            if ids & AGAIN:
                self.note_repeat(b, t, ids, self.frames.point[first + row])
            if found:
                count_findings(cython.address(self.noted), found, self.capture, self.frame)
            if r.tcp_flags[row] & 0x12 == 0x02:
                syns.append(row)
        return 0

    @cython.cfunc
    @cython.inline
    @cython.exceptval(0xFFFFFFFF, check=True)
    def count_tunnel(
        self,
        b: cython.pointer(Block),
        number: cython.Py_ssize_t,
        row: cython.Py_ssize_t,
        flow: int64_t,
        wire_bytes: uint64_t,
        time_ns: int64_t,
        ids: uint32_t,
    ) -> uint32_t:
        """Count one tunnel of a frame, and return the findings about it.

        number: of its key in the block; row: in the tunnel table; flow: inside it, -1 for none.
        ids: see `look`.
        """
        c: cython.pointer(TunnelColumns) = cython.address(self.columns.tunnels)
        o: cython.pointer(OptionColumns) = cython.address(self.columns.options)
        option: cython.Py_ssize_t = c.option_start[row]
        options: cython.Py_ssize_t = option + c.option_count[row]
        ahead: cython.pointer(uint64_t)
        f: cython.pointer(FlowRow)
        key: uint32_t
        port: int32_t = c.source_port[row]
        found: uint32_t = 0
        if number + AHEAD < b.tunnel_count:
            ahead = likely_row(cython.address(self.tunnels_), b.tunnels[number + AHEAD].hash)
            genevecap_prefetch(ahead)
            genevecap_prefetch(ahead + LINE_WORDS)
        tunnel: int64_t = self.tunnel(cython.address(b.tunnels[number]))
        e: cython.pointer(TunnelRow) = tunnel_row(cython.address(self.tunnels_), tunnel)
        e.packets += 1
        e.wire_bytes += wire_bytes
        e.overhead_bytes += c.overhead_bytes[row]
        note_time(e, time_ns)
        if ids:
            note_ids(e, ids)
        if port >= 0:
            if port < e.least_port:
                e.least_port = port
            if port > e.most_port:
                e.most_port = port
        if c.kind[row] == VXLAN:
            if port < DYNAMIC_PORTS:
                found = V04
            if c.destination_port[row] != VXLAN_PORT:
                found |= V03
        if flow >= 0:
            f = flow_row(cython.address(self.flows_), flow)
            if f.ports >> PORT_SHIFT != cython.cast(uint64_t, tunnel + 1):
                self.follow(f, flow, tunnel, row)
            elif last_port_of(f) != cython.cast(uint16_t, port):
                if not changes_of(f):
                    note_change(self.changed_, flow, self.capture, self.frame)
                add_changes(f, 1)
                set_last_port(f, cython.cast(uint16_t, port))
        if option == options:
            return found
        if options > self.option_rows:
            raise ValueError("a tunnel with options that the batch does not have")
        e.option_packets += 1
        while option < options:
            key = (
                (cython.cast(uint32_t, o.option_class[option]) << 16)
                | (cython.cast(uint32_t, o.option_type[option]) << 8)
                | o.data_bytes[option]
            )
            if not count_known_option(cython.address(self.options_), key, self.count_):
                enter_option(cython.address(self.options_), self.option_slots, key)
                count_known_option(cython.address(self.options_), key, self.count_)
            option += 1
        return found

    @cython.cfunc
    @cython.exceptval(-1)
    def follow(
        self,
        f: cython.pointer(FlowRow),
        flow: uint64_t,
        tunnel: uint64_t,
        row: cython.Py_ssize_t,
    ) -> cython.int:
        """Note that a packet of this flow is in another tunnel than the one before.

        row: in the tunnel table.  Which tunnel a flow is in, and from which port that comes, is
        said of the outermost: the others are there besides.
        """
        c: cython.pointer(TunnelColumns) = cython.address(self.columns.tunnels)
        e: cython.pointer(TunnelRow) = tunnel_row(cython.address(self.tunnels_), tunnel)
        before: uint64_t = f.ports >> PORT_SHIFT
        is_new: cython.int = self.inner_flows.is_new(cython.address(self.flows_), tunnel, flow)
        e.inner_flows += is_new
        if before and c.depth[row] == 0:
            note_move(
                self.moves_,
                cython.address(self.tunnels_),
                before - 1,
                tunnel,
                not is_new,
                self.capture,
                self.frame,
            )
        if c.depth[row] == 0:
            f.ports = (f.ports & PORT_BITS) | ((tunnel + 1) << PORT_SHIFT)
            set_last_port(f, cython.cast(uint16_t, c.source_port[row]))
        # Else the flow is that of the header that carries the tunnel.
        if c.header_offset[row] <= self.columns.rows.inner_offset[c.row[row]]:
            e.services |= service_of(f.kind & 0xFF, f.ports >> 17 & ONE_PORT, f.ports & ONE_PORT)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def note_repeat(
        self, b: cython.pointer(Block), number: cython.Py_ssize_t, ids: uint32_t, point: int32_t
    ) -> cython.int:
        """Remember that a packet came again; number: of its outermost tunnel in the block."""
        if self.link_types[point] != SLL:
            tunnel: int64_t = self.tunnel(cython.address(b.tunnels[number]))
            note_repeat(self.repeats_, tunnel, ids, self.capture, self.frame)
        return 0

    def hidden(self):
        """See `tables.SummaryTables`."""
        return self.hidden_

    def merge(self, other: KernelTables):
        """See `tables.SummaryTables`."""
        self.count_ += other.count_
        self.plain_ += other.plain_
        flows = add_flows(cython.address(self.flows_), cython.address(other.flows_))
        tunnels = add_tunnels(cython.address(self.tunnels_), cython.address(other.tunnels_))
        self.inner_flows.add(
            other.inner_flows,
            cython.address(self.flows_),
            cython.address(self.tunnels_),
            flows,
            tunnels,
        )
        add_options(
            cython.address(self.options_), self.option_slots, cython.address(other.options_)
        )
        for stop, packets in other.stops_.items():
            self.stops_[stop] = self.stops_.get(stop, 0) + packets
        add_findings(cython.address(self.noted), cython.address(other.noted))
        add_repeats(self.repeats_, other.repeats_, tunnels)
        add_changed(self.changed_, other.changed_, flows)

    def selected(self):
        """See `tables.SummaryTables`."""
        return self.count_

    def flow_count(self):
        """See `tables.SummaryTables`."""
        return self.flows_.used

    def top_flows(self, most):
        """See `tables.SummaryTables`."""
        return largest(cython.address(self.flows_), 0, 0, 0, 0, 0, most)

    def flows_with_port(self, port, most):
        """See `tables.SummaryTables`."""
        return largest(cython.address(self.flows_), TCP + 1, port + 1, 0, 0, 0, most)

    def flows_of(self, protocol, most):
        """See `tables.SummaryTables`."""
        return largest(cython.address(self.flows_), protocol + 1, 0, 0, 0, 0, most)

    def flows_with_address(self, address, most):
        """See `tables.SummaryTables`."""
        return largest(cython.address(self.flows_), 0, 0, address[0], address[1], address[2], most)

    def options(self):
        """See `tables.SummaryTables`."""
        return options_of(cython.address(self.options_))

    def stops(self):
        """See `tables.SummaryTables`."""
        rows = [StopCount(*place, packets) for place, packets in self.stops_.items()]
        if self.plain_:
            rows.append(StopCount(0, 0, self.plain_))
        return rows

    def findings(self):
        """See `tables.SummaryTables`."""
        return findings_of(cython.address(self.noted))

    def tunnels(self):
        """See `tables.SummaryTables`."""
        return all_tunnels(cython.address(self.tunnels_))

    def scattered(self, most):
        """See `tables.SummaryTables`."""
        return scattered_flows(cython.address(self.flows_), self.changed_, most)

    def directions(self):
        """See `tables.SummaryTables`."""
        return tcp_directions(cython.address(self.flows_))

    def moves(self):
        """See `tables.SummaryTables`."""
        return moves_of(self.moves_, cython.address(self.tunnels_))

    def repeats(self):
        """See `tables.SummaryTables`."""
        return repeats_of(self.repeats_, cython.address(self.tunnels_))
