# SPDX-License-Identifier: Apache-2.0
"""The walk through one frame: what every protocol reads from and writes to.

A `Walk` is reused for every frame.  It holds the octets of the frame, the window that the lengths
read so far leave open (docs/decoding.md, "Windows"), and what has been found: the last IP header
with its ports and payload, the TCP header, findings, and the side tables of the batch.

Protocols build no objects but tuples, and columns are written once per frame, by the driver.
Here `a if a < b else b` stands for `min`: a call costs four times as much, several times a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...columns import (
    MAX_TUNNELS,
    DecodedBatch,
    LayerTable,
    OptionTable,
    Stop,
    TunnelKind,
    TunnelTable,
)

if TYPE_CHECKING:
    from array import array

IpHeader = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
"""Version, protocol, source (hi, lo), destination (hi, lo), offset, length of the packet, TTL, TOS,
identification, flags and fragment offset: in the order of the columns."""

NO_VNI = -1
_IPIP = TunnelKind.IPIP

IP_OFFSET = 6
IP_BYTES = 7
IP_FRAGMENT = 11

TcpHeader = tuple[int, int, int, int, int, int, int, int, int]
"""Flags, sequence, acknowledgment, window, which options, MSS, window scale, TSval, TSecr."""

Ports = tuple[int, int]
NO_PORTS: Ports = (-1, -1)


class Walk:
    """State of decoding one frame.

    All offsets are counted from the first octet of the frame.
    """

    __slots__ = (
        "captured",
        "data",
        "esp_icv_bytes",
        "esp_trailer",
        "findings",
        "fragment",
        "frame_end",
        "inner",
        "layer_code",
        "layer_end",
        "layer_offset",
        "limit",
        "link",
        "link_end",
        "next",
        "open_tunnel",
        "options",
        "outer",
        "outer_ports",
        "payload_bytes",
        "payload_offset",
        "ports",
        "row",
        "stop",
        "stop_layer",
        "stop_offset",
        "tcp",
        "tunnel_start",
        "tunnels",
        "udp_table",
        "window",
    )

    def __init__(self, udp_table: bytes, esp_icv_bytes: int | None = None) -> None:
        self.esp_icv_bytes = -1 if esp_icv_bytes is None else esp_icv_bytes
        """Octets of the ICV of ESP that does not encrypt; -1 where ESP encrypts."""
        self.udp_table = udp_table
        """By UDP destination port a `Layer`, perhaps with `TENTATIVE`, or 0."""
        self.bind(DecodedBatch(1))
        self.begin(bytearray(), 0, 0)

    def bind(self, decoded: DecodedBatch) -> None:
        """Write to the side tables of `decoded` from now on, and empty them."""
        layers: LayerTable = decoded.layers
        self.layer_code: array[int] = layers.code
        self.layer_offset: array[int] = layers.offset
        self.layer_end = 0
        """Rows of the layer table in use."""
        self.tunnels: TunnelTable = decoded.tunnels
        self.options: OptionTable = decoded.options
        self.tunnels.count = self.options.count = layers.count = 0

    def begin(self, data: bytes | bytearray, wire_bytes: int, row: int) -> None:
        """Start on a frame: its captured octets, its original length, its row in the batch."""
        self.data = data
        self.captured = captured = len(data)
        self.frame_end = self.window = captured if captured > wire_bytes else wire_bytes  # noqa: FURB136 - faster
        self.limit = captured
        """Octets that may be read: to the end of the window and of what was captured."""
        self.row = row
        self.next = 0
        """Where the layer begins whose code a protocol has just returned."""
        self.findings = 0
        self.stop = 0
        self.stop_layer = 0
        self.stop_offset = 0
        self.esp_trailer: tuple[int, int] | None = None
        """Begin and end of the trailer of ESP that does not encrypt."""
        self.fragment: tuple[IpHeader, int, int] | None = None
        """Where an IP header with more fragments to come has set the window: that header, and how
        many tunnels and options there were before it."""
        self.outer: IpHeader | None = None
        self.inner: IpHeader | None = None
        self.outer_ports = self.ports = NO_PORTS
        self.payload_offset = 0
        self.payload_bytes = 0
        self.tcp: TcpHeader | None = None
        self.link: tuple[int, int] | None = None
        """Source and destination MAC of the outermost Ethernet header."""
        self.link_end = 0
        """End of the last link-layer or tunnel header."""
        self.tunnel_start = self.tunnels.count
        self.open_tunnel = -1
        """Tunnel row whose overhead still grows with every link-layer header."""

    # --- windows ------------------------------------------------------------------------------

    def narrow(self, end: int) -> None:
        """Let a length field end the window at `end`, unless that is beyond the window."""
        if end <= self.window:
            self.window = end
            self.limit = end if end < self.captured else self.captured  # noqa: FURB136 - faster
            self.fragment = None

    def narrow_by_ip(self, end: int, fragment: tuple[IpHeader, int, int] | None) -> None:
        """Let an IP packet end the window at `end`; `fragment` where more of it is to come."""
        if end <= self.window:
            self.window = end
            self.limit = end if end < self.captured else self.captured  # noqa: FURB136 - faster
            self.fragment = fragment

    def cut(self, end: int) -> int:
        """Stop because a header that ends at `end` does not fit. Returns 0, for no next layer."""
        if end <= self.window:
            self.stop = Stop.TRUNCATED
        elif self.fragment is None:
            self.stop = Stop.MALFORMED
        else:
            self.stop = Stop.FRAGMENT
            self._describe_fragment()
        return 0

    def end(self, stop: Stop) -> int:
        """Stop at the layer that is being decoded. Returns 0, for no next layer."""
        self.stop = stop
        return 0

    def end_opaque(self, offset: int) -> int:
        """Complete the frame at the layer at `offset`, which hides what is inside. Returns 0."""
        self.stop_layer = self.layer_code[self.layer_end - 1]
        self.stop_offset = offset
        return 0

    def end_at(self, stop: Stop, code: int, offset: int) -> int:
        """Stop at another layer than the one being decoded. Returns 0, for no next layer."""
        self.stop = stop
        self.stop_layer = code
        self.stop_offset = offset
        return 0

    def relabel(self, code: int) -> None:
        """List the layer being decoded under another name."""
        self.layer_code[self.layer_end - 1] = code

    def unlist(self) -> None:
        """Take back the layer being decoded: its first octets say that it is something else."""
        self.layer_end -= 1

    def _describe_fragment(self) -> None:
        """Describe the frame as the fragment whose end the headers ran past."""
        if self.fragment is None:
            return
        header, self.tunnels.count, self.options.count = self.fragment
        if self.outer is header:
            self.outer_ports = NO_PORTS
        self.inner = header
        self.ports = NO_PORTS
        self.tcp = None
        self.payload_offset = self.payload_bytes = 0
        self.open_tunnel = -1

    # --- what was found -----------------------------------------------------------------------

    def add_ip(self, header: IpHeader) -> None:
        """Make `header` the innermost IP header; nothing above it is known yet."""
        self.inner = header
        if self.outer is None:
            self.outer = header
        else:
            self.ports = NO_PORTS
            self.tcp = None
            self.payload_offset = self.payload_bytes = 0
            if self.open_tunnel >= 0:
                self.close_tunnel()

    def add_ports(self, ports: Ports) -> None:
        """Give the innermost IP header its ports."""
        self.ports = ports
        if self.inner is self.outer:
            self.outer_ports = ports

    def add_payload(self, offset: int, end: int | None = None) -> None:
        """Note where the transport payload begins, and where it ends if not with the IP packet."""
        inner = self.inner
        if inner is None:
            return
        packet_end = inner[IP_OFFSET] + inner[IP_BYTES]
        if end is None or end > packet_end:
            end = packet_end
        self.payload_offset = offset
        self.payload_bytes = end - offset if end > offset else 0

    def add_tunnel(
        self, kind: TunnelKind, vni: int, offset: int, end: int, flags: int, identifier: int = 0
    ) -> int:
        """Add a tunnel whose header lies at `offset` and ends at `end`. Returns its row.

        vni: -1 where the format or this header has none; flags: its first 32 bits.
        """
        tunnels = self.tunnels
        row = tunnels.count
        carrier = self.inner or _NO_HEADER
        version, _, source_hi, source_lo, destination_hi, destination_lo, ip_offset = carrier[:7]
        tunnels.row[row] = self.row
        tunnels.depth[row] = row - self.tunnel_start
        tunnels.kind[row] = kind
        tunnels.vni[row] = vni
        tunnels.version[row] = version
        tunnels.source_hi[row] = source_hi
        tunnels.source_lo[row] = source_lo
        tunnels.destination_hi[row] = destination_hi
        tunnels.destination_lo[row] = destination_lo
        tunnels.ip_offset[row] = ip_offset
        tunnels.source_port[row], tunnels.destination_port[row] = self.ports
        tunnels.header_offset[row] = offset
        tunnels.flags[row] = flags
        tunnels.identifier[row] = identifier
        tunnels.option_start[row] = self.options.count
        tunnels.option_count[row] = 0
        tunnels.count = row + 1
        self.link_end = end if end < self.window else self.window  # noqa: FURB136 - faster
        self.open_tunnel = row
        return row

    def add_ip_in_ip(self, code: int) -> int:
        """Add the tunnel that IP directly in IP is. Returns `code`, of the IP at `next`, or 0."""
        if self.tunnels.count - self.tunnel_start >= MAX_TUNNELS:
            return self.end_at(Stop.TOO_DEEP, code, self.next)
        self.add_tunnel(_IPIP, NO_VNI, self.next, self.next, 0)
        return code

    def close_tunnel(self) -> None:
        """Write the overhead of the innermost tunnel: no more link-layer headers follow."""
        row = self.open_tunnel
        tunnels = self.tunnels
        tunnels.overhead_bytes[row] = self.link_end - tunnels.ip_offset[row]
        self.open_tunnel = -1


_NO_HEADER: IpHeader = (0,) * 12
