# SPDX-License-Identifier: Apache-2.0
"""Every schema and batch container; no logic.

Frames travel as columns, never as objects: a `FrameBatch` holds bytes and one row per frame, a
`DecodedBatch` holds what the decoder found in a run of those rows.  All columns are `array.array`,
so that compiled kernels, plain Python and (without copying) NumPy read the same memory.  Batches
are reused: a row is valid until the next batch is asked for.

Times are int64 nanoseconds; `NO_TIME` stands for a frame without one.  Addresses are two unsigned
64-bit halves (`*_hi`, `*_lo`); an IPv4 address is the low 32 bits of `lo`.  A port or number that
is not there is -1.
"""

from __future__ import annotations

from array import array
from enum import IntEnum, IntFlag

NO_TIME = -(2**63)
"""`time_ns` of a frame that has no time, or one outside int64."""

BATCH_ROWS = 4096
"""Frames that a batch holds at most."""

MAX_TUNNELS = 8
"""Tunnels decoded in one frame; one more is `Stop.TOO_DEEP`."""

MAX_LAYERS = 32
"""Headers decoded in one frame; one more is `Stop.TOO_DEEP`."""

MAX_OPTIONS = 63
"""Geneve options that one header can hold: 252 octets of 4 (RFC 8926 section 3.4)."""


class Stop(IntEnum):
    """Why decoding of a frame ended; the words of CONTRACT in lower case."""

    COMPLETE = 0
    TRUNCATED = 1
    MALFORMED = 2
    UNSUPPORTED = 3
    TOO_DEEP = 4
    FRAGMENT = 5


class TunnelKind(IntEnum):
    """Kinds of tunnel; `TUNNEL_NAMES` has the words that people and programs see."""

    GENEVE = 1
    VXLAN = 2
    VXLAN_GPE = 3
    GRE = 4
    NVGRE = 5
    ERSPAN = 6
    GTPU = 7
    IPIP = 8


TUNNEL_NAMES: dict[int, str] = {kind: kind.name.lower().replace("_", "-") for kind in TunnelKind}


class Finding(IntFlag):
    """Rules about single packets: bits of `DecodedBatch.findings`.

    Decoders set most of them, the reading of the capture C01.  What needs other packets, or what
    many packets are sure to have, is added where packets are counted (`analysis.tables`).
    Name and text of each are in `genevecap.analysis.findings`.
    """

    G01 = 1 << 0
    G02 = 1 << 1
    G03 = 1 << 2
    G05 = 1 << 3
    G06 = 1 << 4
    G07 = 1 << 5
    G08 = 1 << 6
    G09 = 1 << 7
    G10 = 1 << 8
    G13 = 1 << 9
    G14 = 1 << 10
    G15 = 1 << 11
    G17 = 1 << 12
    G18 = 1 << 13
    G19 = 1 << 14
    V01 = 1 << 15
    V02 = 1 << 16
    V03 = 1 << 17
    V04 = 1 << 18
    V06 = 1 << 19
    V07 = 1 << 20
    V08 = 1 << 21
    V09 = 1 << 22
    V10 = 1 << 23
    V11 = 1 << 24
    C01 = 1 << 25
    C03 = 1 << 26
    C04 = 1 << 27
    C05 = 1 << 28
    C07 = 1 << 29


class TcpOption(IntFlag):
    """Which TCP options a segment carried: bits of `DecodedBatch.tcp_options`."""

    MSS = 1
    WINDOW_SCALE = 2
    SACK_PERMITTED = 4
    TIMESTAMPS = 8


class Columns:
    """Named arrays of one length each, as the class's `SCHEMA` says.

    Kernels look at the same memory, so a column is never exchanged for another or resized; its
    declaration for them is in `_kernel_columns.pxd`.

    SCHEMA: (name, array typecode, meaning) per column.
    """

    SCHEMA: tuple[tuple[str, str, str], ...] = ()

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        for name, typecode, _ in self.SCHEMA:
            item = array(typecode, bytes(array(typecode).itemsize))
            setattr(self, name, item * capacity)


class FrameBatch(Columns):
    """Frames as a capture holds them: bytes and one row per frame.

    buffer holds the octets; row i is `buffer[offset[i] : offset[i] + captured_bytes[i]]`.
    """

    SCHEMA = (
        ("frame", "q", "Wireshark's frame number in its file, from 1"),
        ("time_ns", "q", "nanoseconds since the epoch, or NO_TIME"),
        ("offset", "q", "first octet of the frame in `buffer`"),
        ("captured_bytes", "I", "octets of the frame in `buffer`"),
        ("wire_bytes", "I", "original length, as the record says"),
        ("point", "i", "index of the capture point"),
        ("options_offset", "q", "first octet of the record's pcapng options in `buffer`, or -1"),
        ("options_bytes", "I", "octets of the record's pcapng options"),
    )

    frame: array[int]
    time_ns: array[int]
    offset: array[int]
    captured_bytes: array[int]
    wire_bytes: array[int]
    point: array[int]
    options_offset: array[int]
    options_bytes: array[int]

    def __init__(self, capacity: int = BATCH_ROWS) -> None:
        super().__init__(capacity)
        self.buffer = bytearray()
        self.count = 0
        """Rows in use."""
        self.link_types = array("i")
        """Link type of each capture point, by point index."""
        self.untimed = 0
        """Rows whose time is NO_TIME."""
        self.timeless: set[int] = set()
        """Rows of records that have no time by their format; others without one are findings."""


class DecodedBatch(Columns):
    """What the decoder found in rows `first` to `first + count` of a `FrameBatch`.

    Row i of every column here belongs to row `first + i` of the frames.  Layers, tunnels and
    options are side tables: frame i has layers `layer_start[i]` to `layer_start[i] +
    layer_count[i]`, a tunnel has its options the same way.
    """

    SCHEMA = (
        ("stop", "B", "Stop"),
        ("stop_layer", "I", "layer code where decoding stopped, or that hides the rest, else 0"),
        ("stop_offset", "I", "offset in the frame where decoding stopped"),
        ("findings", "I", "Finding bits"),
        ("keep", "B", "1 where the row passes the selectors"),
        ("layer_start", "I", "first row in the layer table"),
        ("layer_count", "B", "headers decoded"),
        ("tunnel_start", "I", "first row in the tunnel table"),
        ("tunnel_count", "B", "tunnels decoded"),
        ("link_source", "Q", "source MAC of the outermost Ethernet header, else 0"),
        ("link_destination", "Q", "destination MAC of the outermost Ethernet header, else 0"),
        ("outer_version", "B", "IP version of the outermost IP header, 0 without one"),
        ("outer_protocol", "B", "its IP protocol, after IPv6 extension headers"),
        ("outer_source_hi", "Q", ""),
        ("outer_source_lo", "Q", ""),
        ("outer_destination_hi", "Q", ""),
        ("outer_destination_lo", "Q", ""),
        ("outer_source_port", "i", "of its transport header, or -1"),
        ("outer_destination_port", "i", "of its transport header, or -1"),
        ("inner_version", "B", "IP version of the innermost IP header, 0 without one"),
        ("inner_protocol", "B", "its IP protocol, after IPv6 extension headers"),
        ("inner_source_hi", "Q", ""),
        ("inner_source_lo", "Q", ""),
        ("inner_destination_hi", "Q", ""),
        ("inner_destination_lo", "Q", ""),
        ("inner_source_port", "i", "of its transport header, or -1"),
        ("inner_destination_port", "i", "of its transport header, or -1"),
        ("inner_offset", "I", "offset of the innermost IP header in the frame"),
        (
            "inner_bytes",
            "I",
            "octets of the innermost IP packet, header included, cut to the frame",
        ),
        ("inner_ttl", "B", "TTL or hop limit"),
        ("inner_tos", "B", "TOS octet or traffic class"),
        ("inner_id", "I", "IPv4 identification, or that of the IPv6 fragment header, else 0"),
        ("inner_fragment", "H", "flags (DF 0x4000, MF 0x2000) and fragment offset / 8"),
        ("payload_offset", "I", "offset of the transport payload, 0 where none was reached"),
        ("payload_bytes", "I", "octets of transport payload on the wire"),
        ("tcp_flags", "H", "9 flag bits, NS first; 0 where there is no TCP header"),
        ("tcp_sequence", "I", ""),
        ("tcp_acknowledgment", "I", ""),
        ("tcp_window", "H", "unscaled"),
        ("tcp_options", "B", "TcpOption bits: which of the next columns hold something"),
        ("tcp_mss", "H", ""),
        ("tcp_window_scale", "B", ""),
        ("tcp_timestamp", "I", "TSval"),
        ("tcp_timestamp_echo", "I", "TSecr"),
    )

    stop: array[int]
    stop_layer: array[int]
    stop_offset: array[int]
    findings: array[int]
    keep: array[int]
    layer_start: array[int]
    layer_count: array[int]
    tunnel_start: array[int]
    tunnel_count: array[int]
    link_source: array[int]
    link_destination: array[int]
    outer_version: array[int]
    outer_protocol: array[int]
    outer_source_hi: array[int]
    outer_source_lo: array[int]
    outer_destination_hi: array[int]
    outer_destination_lo: array[int]
    outer_source_port: array[int]
    outer_destination_port: array[int]
    inner_version: array[int]
    inner_protocol: array[int]
    inner_source_hi: array[int]
    inner_source_lo: array[int]
    inner_destination_hi: array[int]
    inner_destination_lo: array[int]
    inner_source_port: array[int]
    inner_destination_port: array[int]
    inner_offset: array[int]
    inner_bytes: array[int]
    inner_ttl: array[int]
    inner_tos: array[int]
    inner_id: array[int]
    inner_fragment: array[int]
    payload_offset: array[int]
    payload_bytes: array[int]
    tcp_flags: array[int]
    tcp_sequence: array[int]
    tcp_acknowledgment: array[int]
    tcp_window: array[int]
    tcp_options: array[int]
    tcp_mss: array[int]
    tcp_window_scale: array[int]
    tcp_timestamp: array[int]
    tcp_timestamp_echo: array[int]

    def __init__(self, capacity: int = BATCH_ROWS) -> None:
        super().__init__(capacity)
        self.first = 0
        self.count = 0
        self.layers = LayerTable(capacity * 8 + MAX_LAYERS)
        self.tunnels = TunnelTable(capacity * 2 + MAX_TUNNELS)
        self.options = OptionTable(capacity * 4 + MAX_TUNNELS * MAX_OPTIONS)

    def inner_ends(self, i: int) -> tuple[int, int, int, int, int, int, int]:
        """Return version, source (hi, lo), destination (hi, lo) and both ports, innermost."""
        return (
            self.inner_version[i],
            self.inner_source_hi[i],
            self.inner_source_lo[i],
            self.inner_destination_hi[i],
            self.inner_destination_lo[i],
            self.inner_source_port[i],
            self.inner_destination_port[i],
        )


class LayerTable(Columns):
    """Headers of the frames of a `DecodedBatch`, outermost first."""

    SCHEMA = (
        ("code", "I", "layer code: see `decode.layers`"),
        ("offset", "I", "first octet of the header in its frame"),
    )
    count = 0
    code: array[int]
    offset: array[int]


class TunnelTable(Columns):
    """Tunnels of the frames of a `DecodedBatch`, outermost first."""

    SCHEMA = (
        ("row", "I", "row of the frame in the DecodedBatch"),
        ("depth", "B", "0 for the outermost tunnel of its frame"),
        ("kind", "B", "TunnelKind"),
        ("vni", "i", "VNI, or -1 where the format has none"),
        ("version", "B", "IP version of the header that carries the tunnel"),
        ("source_hi", "Q", ""),
        ("source_lo", "Q", ""),
        ("destination_hi", "Q", ""),
        ("destination_lo", "Q", ""),
        ("source_port", "i", "of the carrying UDP header, or -1"),
        ("destination_port", "i", "of the carrying UDP header, or -1"),
        ("overhead_bytes", "I", "outer IP header to the next network-layer header"),
        ("ip_offset", "I", "offset of the carrying IP header in the frame"),
        ("header_offset", "I", "offset of the tunnel header in the frame"),
        ("flags", "I", "the first 32 bits of the tunnel header"),
        ("identifier", "I", "GRE key, TEID, or the first 32 bits of ERSPAN's own header, else 0"),
        ("option_start", "I", "first row in the option table"),
        ("option_count", "B", "Geneve options that were there whole"),
    )
    count = 0
    row: array[int]
    depth: array[int]
    kind: array[int]
    vni: array[int]
    version: array[int]
    source_hi: array[int]
    source_lo: array[int]
    destination_hi: array[int]
    destination_lo: array[int]
    source_port: array[int]
    destination_port: array[int]
    overhead_bytes: array[int]
    ip_offset: array[int]
    header_offset: array[int]
    flags: array[int]
    identifier: array[int]
    option_start: array[int]
    option_count: array[int]


class OptionTable(Columns):
    """Geneve options of the tunnels of a `DecodedBatch`, in header order."""

    SCHEMA = (
        ("option_class", "H", ""),
        ("option_type", "B", "the whole octet, critical bit included"),
        ("data_offset", "I", "first octet of the data in its frame"),
        ("data_bytes", "B", "octets of data, without the 4-octet option header"),
    )
    count = 0
    option_class: array[int]
    option_type: array[int]
    data_offset: array[int]
    data_bytes: array[int]
