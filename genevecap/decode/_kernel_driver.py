# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
# mypy: ignore-errors
"""The compiled decoder: one pass per frame, outermost to innermost.

`HANDLERS` is the kernel's side of the registry: a layer that has a function there is decoded, any
other ends its frame as `unsupported`.  A tunnel has a line in `IS_TUNNEL` too: `run` sees to it
that there is room for its row.
"""

from __future__ import annotations

import cython
from cython.cimports.genevecap.decode._kernel_link import (
    arp,
    ethernet,
    llc,
    loop,
    mpls,
    null_family,
    raw,
    sll,
    sll2,
    vlan,
)
from cython.cimports.genevecap.decode._kernel_network import ipv4, ipv6
from cython.cimports.genevecap.decode._kernel_state import (
    ARP,
    ENCODED_LAYERS,
    ERSPAN,
    ETHERNET,
    GENEVE,
    GRE,
    GTPU,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    LINK_TYPE_SPACE,
    LLC,
    LOOP,
    MAX_LAYERS,
    MAX_TUNNELS,
    MPLS,
    NSH,
    NULL_FAMILY,
    NVGRE,
    RAW,
    SCTP,
    SLL,
    SLL2,
    TCP,
    TOO_DEEP,
    UDP,
    UNSUPPORTED,
    VLAN,
    VXLAN,
    VXLAN_GPE,
    Frame,
    Handler,
    Tunnel,
    begin,
    end_at,
)
from cython.cimports.genevecap.decode._kernel_transport import icmp, icmpv6, sctp, tcp, udp
from cython.cimports.genevecap.decode._kernel_tunnels import (
    erspan,
    geneve,
    gre,
    gtpu,
    nsh,
    vxlan,
    vxlan_gpe,
)
from cython.cimports.libc.string import memset

from .layers import ETHERTYPES, GPE_NEXT_PROTOCOLS, IP_PROTOCOLS, LINK_TYPES

HANDLERS = cython.declare(Handler[256])
memset(HANDLERS, 0, cython.sizeof(HANDLERS))
HANDLERS[ETHERNET] = ethernet
HANDLERS[VLAN] = vlan
HANDLERS[MPLS] = mpls
HANDLERS[LLC] = llc
HANDLERS[SLL] = sll
HANDLERS[SLL2] = sll2
HANDLERS[RAW] = raw
HANDLERS[NULL_FAMILY] = null_family
HANDLERS[LOOP] = loop
HANDLERS[ARP] = arp
HANDLERS[IPV4] = ipv4
HANDLERS[IPV6] = ipv6
HANDLERS[UDP] = udp
HANDLERS[TCP] = tcp
HANDLERS[SCTP] = sctp
HANDLERS[ICMP] = icmp
HANDLERS[ICMPV6] = icmpv6
HANDLERS[GENEVE] = geneve
HANDLERS[VXLAN] = vxlan
HANDLERS[VXLAN_GPE] = vxlan_gpe
HANDLERS[GRE] = gre
HANDLERS[NVGRE] = gre
HANDLERS[ERSPAN] = erspan
HANDLERS[NSH] = nsh
HANDLERS[GTPU] = gtpu

# Layers that add a row to the tunnel table: begun only while there is room for one.
IS_TUNNEL = cython.declare(cython.bint[256])
memset(IS_TUNNEL, 0, cython.sizeof(IS_TUNNEL))
IS_TUNNEL[GENEVE] = True
IS_TUNNEL[VXLAN] = True
IS_TUNNEL[VXLAN_GPE] = True
IS_TUNNEL[GRE] = True
IS_TUNNEL[NVGRE] = True
IS_TUNNEL[GTPU] = True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def run(f: cython.pointer(Frame)) -> cython.void:
    """Decode one frame, from `f.next` at its first octet to where it stops."""
    code: cython.uint
    while True:
        code = f.next
        if f.layer_count == MAX_LAYERS:
            end_at(f, TOO_DEEP, code, f.position)
            break
        if code < ENCODED_LAYERS and IS_TUNNEL[code] and f.tunnel_count == MAX_TUNNELS:
            end_at(f, TOO_DEEP, code, f.position)
            break
        if code >= ENCODED_LAYERS or HANDLERS[code] == cython.NULL:
            begin(f, code, f.position)
            end_at(f, UNSUPPORTED, code, f.position)
            break
        if not HANDLERS[code](f):
            break
    if f.ran_past:
        back_to_fragment(f)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def back_to_fragment(f: cython.pointer(Frame)) -> cython.void:
    """Describe the frame as the first fragment past whose end a header ran."""
    f.inner = f.fragment
    if f.fragment_ip_count == 1:
        f.outer = f.fragment
    f.tunnel_count = f.fragment_tunnels
    f.option_count = f.fragment_options
    memset(cython.address(f.tcp), 0, cython.sizeof(f.tcp))


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
    overruns_: cython.ulonglong
    sound_frames: object
    sound_decoded: object

    def __init__(self, udp_table):
        """udp_table: as `DecodeSettings.udp_table` gives it; ValueError for any other length."""
        if len(udp_table) != 65536:
            raise ValueError("the UDP port table has 65,536 entries")
        self.ethertypes = look_up(ETHERTYPES, 65536)
        self.ip_protocols = look_up(IP_PROTOCOLS, 256)
        self.udp_ports = bytearray(udp_table)
        self.gpe_protocols = look_up(GPE_NEXT_PROTOCOLS, 256)

    @property
    def overruns(self):
        """Reads that a protocol function attempted past the capture: a defect where not 0."""
        return self.overruns_

    def handled_layers(self):
        """Return the numbers of the layers that have a function here."""
        return [number for number in range(256) if HANDLERS[number] != cython.NULL]

    # Octets of a frame are read through checked access (`_kernel_state`).  Columns are written at
    # rows below the capacity that `Columns` made all of them with, so they need no second check.
    @cython.boundscheck(False)
    def decode(self, frames, first: cython.Py_ssize_t, decoded):
        """See `decode.Decoder`."""
        buffer: cython.uchar[::1] = frames.buffer
        offset: cython.longlong[::1] = frames.offset
        captured: cython.uint[::1] = frames.captured_bytes
        original: cython.uint[::1] = frames.wire_bytes
        point: cython.int[::1] = frames.point
        link_layers: cython.uint[::1] = link_layers_of(frames.link_types)
        stop: cython.uchar[::1] = decoded.stop
        stop_layer: cython.uint[::1] = decoded.stop_layer
        stop_offset: cython.uint[::1] = decoded.stop_offset
        findings: cython.uint[::1] = decoded.findings
        keep: cython.uchar[::1] = decoded.keep
        layer_start: cython.uint[::1] = decoded.layer_start
        layer_count: cython.uchar[::1] = decoded.layer_count
        tunnel_start: cython.uint[::1] = decoded.tunnel_start
        tunnel_count: cython.uchar[::1] = decoded.tunnel_count
        link_source: cython.ulonglong[::1] = decoded.link_source
        link_destination: cython.ulonglong[::1] = decoded.link_destination
        outer_version: cython.uchar[::1] = decoded.outer_version
        outer_protocol: cython.uchar[::1] = decoded.outer_protocol
        outer_source_hi: cython.ulonglong[::1] = decoded.outer_source_hi
        outer_source_lo: cython.ulonglong[::1] = decoded.outer_source_lo
        outer_destination_hi: cython.ulonglong[::1] = decoded.outer_destination_hi
        outer_destination_lo: cython.ulonglong[::1] = decoded.outer_destination_lo
        outer_source_port: cython.int[::1] = decoded.outer_source_port
        outer_destination_port: cython.int[::1] = decoded.outer_destination_port
        inner_version: cython.uchar[::1] = decoded.inner_version
        inner_protocol: cython.uchar[::1] = decoded.inner_protocol
        inner_source_hi: cython.ulonglong[::1] = decoded.inner_source_hi
        inner_source_lo: cython.ulonglong[::1] = decoded.inner_source_lo
        inner_destination_hi: cython.ulonglong[::1] = decoded.inner_destination_hi
        inner_destination_lo: cython.ulonglong[::1] = decoded.inner_destination_lo
        inner_source_port: cython.int[::1] = decoded.inner_source_port
        inner_destination_port: cython.int[::1] = decoded.inner_destination_port
        inner_offset: cython.uint[::1] = decoded.inner_offset
        inner_bytes: cython.uint[::1] = decoded.inner_bytes
        inner_ttl: cython.uchar[::1] = decoded.inner_ttl
        inner_tos: cython.uchar[::1] = decoded.inner_tos
        inner_id: cython.uint[::1] = decoded.inner_id
        inner_fragment: cython.ushort[::1] = decoded.inner_fragment
        payload_offset: cython.uint[::1] = decoded.payload_offset
        payload_bytes: cython.uint[::1] = decoded.payload_bytes
        tcp_flags: cython.ushort[::1] = decoded.tcp_flags
        tcp_sequence: cython.uint[::1] = decoded.tcp_sequence
        tcp_acknowledgment: cython.uint[::1] = decoded.tcp_acknowledgment
        tcp_window: cython.ushort[::1] = decoded.tcp_window
        tcp_options: cython.uchar[::1] = decoded.tcp_options
        tcp_mss: cython.ushort[::1] = decoded.tcp_mss
        tcp_window_scale: cython.uchar[::1] = decoded.tcp_window_scale
        tcp_timestamp: cython.uint[::1] = decoded.tcp_timestamp
        tcp_timestamp_echo: cython.uint[::1] = decoded.tcp_timestamp_echo
        layer_code: cython.uint[::1] = decoded.layers.code
        layer_offset: cython.uint[::1] = decoded.layers.offset
        option_class: cython.ushort[::1] = decoded.options.option_class
        option_type: cython.uchar[::1] = decoded.options.option_type
        option_offset: cython.uint[::1] = decoded.options.data_offset
        option_bytes: cython.uchar[::1] = decoded.options.data_bytes
        t_row: cython.uint[::1] = decoded.tunnels.row
        t_depth: cython.uchar[::1] = decoded.tunnels.depth
        t_kind: cython.uchar[::1] = decoded.tunnels.kind
        t_vni: cython.int[::1] = decoded.tunnels.vni
        t_version: cython.uchar[::1] = decoded.tunnels.version
        t_source_hi: cython.ulonglong[::1] = decoded.tunnels.source_hi
        t_source_lo: cython.ulonglong[::1] = decoded.tunnels.source_lo
        t_destination_hi: cython.ulonglong[::1] = decoded.tunnels.destination_hi
        t_destination_lo: cython.ulonglong[::1] = decoded.tunnels.destination_lo
        t_source_port: cython.int[::1] = decoded.tunnels.source_port
        t_destination_port: cython.int[::1] = decoded.tunnels.destination_port
        t_overhead: cython.uint[::1] = decoded.tunnels.overhead_bytes
        t_ip_offset: cython.uint[::1] = decoded.tunnels.ip_offset
        t_header_offset: cython.uint[::1] = decoded.tunnels.header_offset
        t_flags: cython.uint[::1] = decoded.tunnels.flags
        t_identifier: cython.uint[::1] = decoded.tunnels.identifier
        t_option_start: cython.uint[::1] = decoded.tunnels.option_start
        t_option_count: cython.uchar[::1] = decoded.tunnels.option_count

        if first < 0:
            raise ValueError("rows are counted from 0")
        if self.sound_frames is not frames or self.sound_decoded is not decoded:
            if not decoded.is_sound() or not frames.is_sound():
                raise ValueError("a batch whose columns are not all as long as its capacity")
            self.sound_frames = frames
            self.sound_decoded = decoded
        f: Frame
        t: cython.pointer(Tunnel)
        row: cython.Py_ssize_t = first
        rows: cython.Py_ssize_t = min(frames.count, frames.capacity, first + decoded.capacity)
        out: cython.Py_ssize_t = 0
        layers: cython.uint = 0
        tunnels: cython.uint = 0
        layer_room: cython.Py_ssize_t = layer_code.shape[0] - MAX_LAYERS
        tunnel_room: cython.Py_ssize_t = t_kind.shape[0] - MAX_TUNNELS
        option_room: cython.Py_ssize_t = option_class.shape[0] - MAX_TUNNELS * 63
        depth: cython.uint
        begins: cython.longlong
        size: cython.longlong

        memset(cython.address(f), 0, cython.sizeof(f))
        f.registry.ethertype = cython.address(self.ethertypes[0])
        f.registry.ip_protocol = cython.address(self.ip_protocols[0])
        f.registry.udp_port = cython.address(self.udp_ports[0])
        f.registry.gpe_protocol = cython.address(self.gpe_protocols[0])
        f.options.option_class = cython.address(option_class[0])
        f.options.option_type = cython.address(option_type[0])
        f.options.data_offset = cython.address(option_offset[0])
        f.options.data_bytes = cython.address(option_bytes[0])
        with cython.nogil:
            while row < rows:
                if layers > layer_room or tunnels > tunnel_room or f.option_count > option_room:
                    break
                begins = offset[row]
                size = captured[row]
                if begins < 0 or begins + size > buffer.shape[0]:
                    size = 0
                f.captured = size
                f.data = cython.address(buffer[begins]) if size else cython.address(buffer[0])
                f.frame_end = captured[row] if captured[row] > original[row] else original[row]
                f.end = f.frame_end
                f.fragment_bound = 0
                f.ran_past = 0
                f.position = 0
                if point[row] < 0 or point[row] >= link_layers.shape[0]:
                    f.next = LINK_TYPE_SPACE
                else:
                    f.next = link_layers[point[row]]
                f.stop = 0
                f.stop_layer = 0
                f.stop_offset = 0
                f.findings = 0
                f.link_source = 0
                f.link_destination = 0
                f.link_seen = 0
                f.layer_count = 0
                f.layer_code = cython.address(layer_code[layers])
                f.layer_offset = cython.address(layer_offset[layers])
                f.tunnel_count = 0
                f.tunnel_open = 0
                f.ip_count = 0
                if f.tcp_seen:
                    f.tcp_seen = 0
                    memset(cython.address(f.tcp), 0, cython.sizeof(f.tcp))

                run(cython.address(f))
                if f.ip_count == 0:
                    memset(cython.address(f.inner), 0, cython.sizeof(f.inner))
                    f.inner.source_port = -1
                    f.inner.destination_port = -1
                    f.outer = f.inner

                stop[out] = f.stop
                stop_layer[out] = f.stop_layer
                stop_offset[out] = cython.cast(cython.uint, f.stop_offset)
                findings[out] = f.findings
                keep[out] = 1
                layer_start[out] = layers
                layer_count[out] = cython.cast(cython.uchar, f.layer_count)
                tunnel_start[out] = tunnels
                tunnel_count[out] = cython.cast(cython.uchar, f.tunnel_count)
                link_source[out] = f.link_source
                link_destination[out] = f.link_destination
                outer_version[out] = f.outer.version
                outer_protocol[out] = f.outer.protocol
                outer_source_hi[out] = f.outer.source_hi
                outer_source_lo[out] = f.outer.source_lo
                outer_destination_hi[out] = f.outer.destination_hi
                outer_destination_lo[out] = f.outer.destination_lo
                outer_source_port[out] = f.outer.source_port
                outer_destination_port[out] = f.outer.destination_port
                inner_version[out] = f.inner.version
                inner_protocol[out] = f.inner.protocol
                inner_source_hi[out] = f.inner.source_hi
                inner_source_lo[out] = f.inner.source_lo
                inner_destination_hi[out] = f.inner.destination_hi
                inner_destination_lo[out] = f.inner.destination_lo
                inner_source_port[out] = f.inner.source_port
                inner_destination_port[out] = f.inner.destination_port
                inner_offset[out] = cython.cast(cython.uint, f.inner.offset)
                inner_bytes[out] = cython.cast(cython.uint, f.inner.end - f.inner.offset)
                inner_ttl[out] = f.inner.ttl
                inner_tos[out] = f.inner.tos
                inner_id[out] = f.inner.identification
                inner_fragment[out] = f.inner.fragment
                payload_offset[out] = cython.cast(cython.uint, f.inner.payload_offset)
                payload_bytes[out] = cython.cast(cython.uint, f.inner.payload_bytes)
                tcp_flags[out] = f.tcp.flags
                tcp_sequence[out] = f.tcp.sequence
                tcp_acknowledgment[out] = f.tcp.acknowledgment
                tcp_window[out] = f.tcp.window
                tcp_options[out] = f.tcp.options
                tcp_mss[out] = f.tcp.mss
                tcp_window_scale[out] = f.tcp.window_scale
                tcp_timestamp[out] = f.tcp.timestamp
                tcp_timestamp_echo[out] = f.tcp.timestamp_echo
                for depth in range(f.tunnel_count):
                    t = cython.address(f.tunnels[depth])
                    t_row[tunnels] = cython.cast(cython.uint, out)
                    t_depth[tunnels] = cython.cast(cython.uchar, depth)
                    t_kind[tunnels] = t.kind
                    t_vni[tunnels] = t.vni
                    t_version[tunnels] = t.version
                    t_source_hi[tunnels] = t.source_hi
                    t_source_lo[tunnels] = t.source_lo
                    t_destination_hi[tunnels] = t.destination_hi
                    t_destination_lo[tunnels] = t.destination_lo
                    t_source_port[tunnels] = t.source_port
                    t_destination_port[tunnels] = t.destination_port
                    t_overhead[tunnels] = cython.cast(cython.uint, t.overhead_end - t.ip_offset)
                    t_ip_offset[tunnels] = cython.cast(cython.uint, t.ip_offset)
                    t_header_offset[tunnels] = cython.cast(cython.uint, t.header_offset)
                    t_flags[tunnels] = t.flags
                    t_identifier[tunnels] = t.identifier
                    t_option_start[tunnels] = t.option_start
                    t_option_count[tunnels] = t.option_count
                    tunnels += 1
                layers += f.layer_count
                out += 1
                row += 1
        self.overruns_ += f.overruns
        decoded.first = first
        decoded.count = out
        decoded.layers.count = layers
        decoded.tunnels.count = tunnels
        decoded.options.count = f.option_count
        return row


def link_layers_of(link_types):
    """Return the first layer's code by point index."""
    from array import array

    codes = [LINK_TYPES.get(link, LINK_TYPE_SPACE | link & 0xFFFF) for link in link_types]
    return array("I", codes or [0])
