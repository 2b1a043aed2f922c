# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
# mypy: ignore-errors
"""The compiled decoder: batches of frames in, rows out; `_kernel_walk` decodes a frame."""

from __future__ import annotations

from array import array

import cython
from cython.cimports.genevecap._kernel_columns import (
    BatchColumns,
    FrameColumns,
    bind_decoded,
    bind_frames,
    genevecap_prefetch,
)
from cython.cimports.genevecap.decode._kernel_state import (
    LINK_TYPE_SPACE,
    MAX_LAYERS,
    MAX_TUNNELS,
    Frame,
    Tunnel,
)
from cython.cimports.genevecap.decode._kernel_walk import is_handled, run
from cython.cimports.libc.string import memset

from ..columns import MAX_OPTIONS
from .layers import ETHERTYPES, GPE_NEXT_PROTOCOLS, IP_PROTOCOLS, LINK_TYPES
from .option_kinds import KNOWN_CRITICAL

AHEAD = cython.declare(cython.Py_ssize_t, 4)

# What is the same for all frames of one call, and how far the side tables are filled.
Run = cython.struct(
    frame=Frame,
    buffer=cython.p_uchar,
    octets=cython.longlong,
    link_layer=cython.pointer(cython.uint),
    points=cython.Py_ssize_t,
    layers=cython.uint,
    layer_room=cython.Py_ssize_t,
    tunnels=cython.uint,
    tunnel_room=cython.Py_ssize_t,
    option_room=cython.Py_ssize_t,
)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def has_room(run_: cython.pointer(Run)) -> cython.bint:
    """Tell whether one more frame fits the side tables, whatever is in it."""
    return (
        run_.layers <= run_.layer_room
        and run_.tunnels <= run_.tunnel_room
        and run_.frame.option_count <= run_.option_room
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def ask_for(run_: cython.pointer(Run), begins: cython.longlong) -> cython.void:
    """Have the first headers of a frame brought near before it is its turn."""
    octets: cython.p_uchar
    if 0 <= begins and begins + 192 <= run_.octets:
        octets = run_.buffer + begins
        genevecap_prefetch(octets)
        genevecap_prefetch(octets + 64)
        genevecap_prefetch(octets + 128)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def begin_frame(
    run_: cython.pointer(Run),
    frames: cython.pointer(FrameColumns),
    row: cython.Py_ssize_t,
    c: cython.pointer(BatchColumns),
) -> cython.void:
    """Set `run_.frame` to the frame of this row, with nothing found yet."""
    f: cython.pointer(Frame) = cython.address(run_.frame)
    begins: cython.longlong = frames.offset[row]
    captured: cython.longlong = frames.captured_bytes[row]
    wire: cython.longlong = frames.wire_bytes[row]
    point: cython.int = frames.point[row]
    f.frame_end = captured if captured > wire else wire
    if begins < 0 or begins + captured > run_.octets:
        begins = captured = 0
    f.captured = captured
    f.data = run_.buffer + begins
    f.end = f.frame_end
    f.fragment_bound = 0
    f.ran_past = 0
    f.position = 0
    f.next = LINK_TYPE_SPACE
    if 0 <= point < run_.points:
        f.next = run_.link_layer[point]
    f.stop = 0
    f.stop_layer = 0
    f.stop_offset = 0
    f.findings = 0
    f.link_source = 0
    f.link_destination = 0
    f.link_seen = 0
    f.layer_count = 0
    f.layer_code = c.layers.code + run_.layers
    f.layer_offset = c.layers.offset + run_.layers
    f.tunnel_count = 0
    f.tunnel_open = 0
    f.ip_count = 0
    if f.tcp_seen:
        f.tcp_seen = 0
        memset(cython.address(f.tcp), 0, cython.sizeof(f.tcp))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def without_ip(f: cython.pointer(Frame)) -> cython.void:
    """Say that there is neither an outermost nor an innermost IP header."""
    memset(cython.address(f.inner), 0, cython.sizeof(f.inner))
    f.inner.source_port = -1
    f.inner.destination_port = -1
    f.outer = f.inner


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def write_row(
    run_: cython.pointer(Run), c: cython.pointer(BatchColumns), row: cython.Py_ssize_t
) -> cython.void:
    """Write what was found in a frame to its row, and its tunnels to their table."""
    f: cython.pointer(Frame) = cython.address(run_.frame)
    t: cython.pointer(Tunnel)
    depth: cython.uint
    at: cython.uint = run_.tunnels
    c.rows.stop[row] = f.stop
    c.rows.stop_layer[row] = f.stop_layer
    c.rows.stop_offset[row] = cython.cast(cython.uint, f.stop_offset)
    c.rows.findings[row] = f.findings
    c.rows.keep[row] = 1
    c.rows.layer_start[row] = run_.layers
    c.rows.layer_count[row] = cython.cast(cython.uchar, f.layer_count)
    c.rows.tunnel_start[row] = at
    c.rows.tunnel_count[row] = cython.cast(cython.uchar, f.tunnel_count)
    c.rows.link_source[row] = f.link_source
    c.rows.link_destination[row] = f.link_destination
    c.rows.outer_version[row] = f.outer.version
    c.rows.outer_protocol[row] = f.outer.protocol
    c.rows.outer_source_hi[row] = f.outer.source_hi
    c.rows.outer_source_lo[row] = f.outer.source_lo
    c.rows.outer_destination_hi[row] = f.outer.destination_hi
    c.rows.outer_destination_lo[row] = f.outer.destination_lo
    c.rows.outer_source_port[row] = f.outer.source_port
    c.rows.outer_destination_port[row] = f.outer.destination_port
    c.rows.inner_version[row] = f.inner.version
    c.rows.inner_protocol[row] = f.inner.protocol
    c.rows.inner_source_hi[row] = f.inner.source_hi
    c.rows.inner_source_lo[row] = f.inner.source_lo
    c.rows.inner_destination_hi[row] = f.inner.destination_hi
    c.rows.inner_destination_lo[row] = f.inner.destination_lo
    c.rows.inner_source_port[row] = f.inner.source_port
    c.rows.inner_destination_port[row] = f.inner.destination_port
    c.rows.inner_offset[row] = cython.cast(cython.uint, f.inner.offset)
    c.rows.inner_bytes[row] = cython.cast(cython.uint, f.inner.end - f.inner.offset)
    c.rows.inner_ttl[row] = f.inner.ttl
    c.rows.inner_tos[row] = f.inner.tos
    c.rows.inner_id[row] = f.inner.identification
    c.rows.inner_fragment[row] = f.inner.fragment
    c.rows.payload_offset[row] = cython.cast(cython.uint, f.inner.payload_offset)
    c.rows.payload_bytes[row] = cython.cast(cython.uint, f.inner.payload_bytes)
    c.rows.tcp_flags[row] = f.tcp.flags
    c.rows.tcp_sequence[row] = f.tcp.sequence
    c.rows.tcp_acknowledgment[row] = f.tcp.acknowledgment
    c.rows.tcp_window[row] = f.tcp.window
    c.rows.tcp_options[row] = f.tcp.options
    c.rows.tcp_mss[row] = f.tcp.mss
    c.rows.tcp_window_scale[row] = f.tcp.window_scale
    c.rows.tcp_timestamp[row] = f.tcp.timestamp
    c.rows.tcp_timestamp_echo[row] = f.tcp.timestamp_echo
    for depth in range(f.tunnel_count):
        t = cython.address(f.tunnels[depth])
        c.tunnels.row[at] = cython.cast(cython.uint, row)
        c.tunnels.depth[at] = cython.cast(cython.uchar, depth)
        c.tunnels.kind[at] = t.kind
        c.tunnels.vni[at] = t.vni
        c.tunnels.version[at] = t.version
        c.tunnels.source_hi[at] = t.source_hi
        c.tunnels.source_lo[at] = t.source_lo
        c.tunnels.destination_hi[at] = t.destination_hi
        c.tunnels.destination_lo[at] = t.destination_lo
        c.tunnels.source_port[at] = t.source_port
        c.tunnels.destination_port[at] = t.destination_port
        c.tunnels.overhead_bytes[at] = cython.cast(cython.uint, t.overhead_end - t.ip_offset)
        c.tunnels.ip_offset[at] = cython.cast(cython.uint, t.ip_offset)
        c.tunnels.header_offset[at] = cython.cast(cython.uint, t.header_offset)
        c.tunnels.flags[at] = t.flags
        c.tunnels.identifier[at] = t.identifier
        c.tunnels.option_start[at] = t.option_start
        c.tunnels.option_count[at] = t.option_count
        at += 1
    run_.tunnels = at
    run_.layers += f.layer_count


def look_up(mapping, size):
    """Return a registry dictionary as a table of `size` octets."""
    table = bytearray(size)
    for number, layer in mapping.items():
        table[number] = layer
    return table


@cython.cclass
class KernelDecoder:
    """The compiled twin of `readable.ReadableDecoder`."""

    ethertypes: cython.uchar[::1]
    ip_protocols: cython.uchar[::1]
    udp_ports: cython.uchar[::1]
    gpe_protocols: cython.uchar[::1]
    critical_options: cython.uint[::1]
    esp_icv_bytes: cython.int
    overruns_: cython.ulonglong
    # Columns are written at rows below the capacity that all columns of a batch are checked to have
    # when they are bound, so writing them needs no second check.
    frames: FrameColumns
    columns: BatchColumns
    bound_frames: object
    bound_decoded: object

    def __init__(self, udp_table, esp_icv_bytes=None):
        """udp_table, esp_icv_bytes: as `DecodeSettings` has them; ValueError for another length."""
        if len(udp_table) != 65536:
            raise ValueError("the UDP port table has 65,536 entries")
        self.ethertypes = look_up(ETHERTYPES, 65536)
        self.ip_protocols = look_up(IP_PROTOCOLS, 256)
        self.udp_ports = bytearray(udp_table)
        self.gpe_protocols = look_up(GPE_NEXT_PROTOCOLS, 256)
        self.critical_options = array("I", KNOWN_CRITICAL)
        self.esp_icv_bytes = -1 if esp_icv_bytes is None else esp_icv_bytes

    @property
    def overruns(self):
        """Reads that a protocol function attempted past the capture: a defect where not 0."""
        return self.overruns_

    def handled_layers(self):
        """Return the numbers of the layers that have a function here."""
        return [number for number in range(256) if is_handled(number)]

    def decode(self, frames, first: cython.Py_ssize_t, decoded):
        """See `decode.Decoder`."""
        if first < 0:
            raise ValueError("rows are counted from 0")
        self.bound_frames = bind_frames(frames, cython.address(self.frames), self.bound_frames)
        self.bound_decoded = bind_decoded(decoded, cython.address(self.columns), self.bound_decoded)
        buffer: cython.uchar[::1] = frames.buffer
        codes: cython.uint[::1] = link_layers_of(frames.link_types)
        c: cython.pointer(BatchColumns) = cython.address(self.columns)
        run_: Run
        f: cython.pointer(Frame) = cython.address(run_.frame)
        memset(cython.address(run_), 0, cython.sizeof(run_))
        run_.octets = buffer.shape[0]
        run_.buffer = cython.address(buffer[0]) if run_.octets else cython.NULL
        run_.link_layer = cython.address(codes[0])
        run_.points = codes.shape[0]
        run_.layer_room = decoded.layers.capacity - MAX_LAYERS
        run_.tunnel_room = decoded.tunnels.capacity - MAX_TUNNELS
        run_.option_room = decoded.options.capacity - MAX_TUNNELS * MAX_OPTIONS
        f.registry.ethertype = cython.address(self.ethertypes[0])
        f.registry.ip_protocol = cython.address(self.ip_protocols[0])
        f.registry.udp_port = cython.address(self.udp_ports[0])
        f.registry.gpe_protocol = cython.address(self.gpe_protocols[0])
        f.registry.critical_option = cython.address(self.critical_options[0])
        f.registry.critical_options = self.critical_options.shape[0]
        f.registry.esp_icv_bytes = self.esp_icv_bytes
        f.options.option_class = c.options.option_class
        f.options.option_type = c.options.option_type
        f.options.data_offset = c.options.data_offset
        f.options.data_bytes = c.options.data_bytes
        row: cython.Py_ssize_t = first
        rows: cython.Py_ssize_t = min(frames.count, frames.capacity, first + decoded.capacity)
        with cython.nogil:
            while row < rows and has_room(cython.address(run_)):
                if row + AHEAD < rows:
                    ask_for(cython.address(run_), self.frames.offset[row + AHEAD])
                begin_frame(cython.address(run_), cython.address(self.frames), row, c)
                run(f)
                if f.ip_count == 0:
                    without_ip(f)
                write_row(cython.address(run_), c, row - first)
                row += 1
        self.overruns_ += f.overruns
        decoded.first = first
        decoded.count = row - first if row > first else 0
        decoded.layers.count = run_.layers
        decoded.tunnels.count = run_.tunnels
        decoded.options.count = f.option_count
        return row


def link_layers_of(link_types):
    """Return the first layer's code by point index."""
    codes = [LINK_TYPES.get(link, LINK_TYPE_SPACE | link & 0xFFFF) for link in link_types]
    return array("I", codes or [0])
