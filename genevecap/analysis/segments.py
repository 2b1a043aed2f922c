# SPDX-License-Identifier: Apache-2.0
"""TCP segments as they were sighted, in NumPy columns that outlive their batch.

One row is one sighting: one frame at one capture point whose innermost header is TCP.  What links
rows across points, files and hosts is built on these columns (`identity`, `connections`).

Both directions of a connection share one 64-bit `key`, a mix of the two endpoints (address and
port) that does not depend on their order; `upward` tells the two directions apart.  Equal keys of
different connections are possible in theory (one pair in 2**64).  A port that is used again gives
the same key again: incarnations are told apart by their initial sequence numbers, not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..columns import NO_TIME, Columns, DecodedBatch, Finding, FrameBatch
from .rows import Array, Rows

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""TCP flags (RFC 9293 section 3.1)."""

TCP = 6
"""IP protocol."""

CONTROL = np.uint32(Finding.G09)
"""For a tunnel endpoint itself: what is inside is nobody's traffic (RFC 8926 section 3.4)."""

# Multipliers of splitmix64 and of the golden ratio: any odd constants with mixed bits would do.
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True, kw_only=True)
class Segments(Rows):
    """Sightings of TCP segments; all columns have one length, in the order they were read."""

    row: Array
    """int64: row of the frame in its FrameBatch; of use only while that batch is."""
    decoded_row: Array
    """int64: row in its DecodedBatch, as `row`."""
    capture: Array
    """int32: index of the input."""
    point: Array
    """int32: index of the capture point."""
    frame: Array
    """int64: Wireshark's frame number in its file."""
    time_ns: Array
    """int64, by the clock of the point's host."""
    key: Array
    """uint64: the connection, both directions alike."""
    upward: Array
    """bool: the direction; which of the two endpoints it starts from is arbitrary but fixed."""
    version: Array
    """uint8: IP version of the innermost header."""
    source_hi: Array
    source_lo: Array
    destination_hi: Array
    destination_lo: Array
    source_port: Array
    destination_port: Array
    sequence: Array
    """uint32."""
    acknowledgment: Array
    """uint32."""
    flags: Array
    """uint16: 9 flag bits, NS first."""
    window: Array
    """uint16, unscaled."""
    payload_bytes: Array
    """int64: octets of TCP payload on the wire, whatever was captured of them."""
    payload_offset: Array
    """int64: where they begin in the frame."""
    options: Array
    """uint8: TcpOption bits."""
    mss: Array
    timestamp: Array
    """uint32: TSval, 0 without the option."""
    timestamp_echo: Array
    """uint32: TSecr, 0 without the option."""
    ttl: Array
    identification: Array
    """uint32: IPv4 identification, 0 for IPv6."""
    wire_bytes: Array
    """int64: the frame's original length."""
    captured_bytes: Array
    """int64."""
    tunnels: Array
    """uint8: tunnels around the segment."""
    vni: Array
    """int32: VNI of the innermost tunnel, -1 without one."""
    inner_offset: Array
    """int64: where the innermost IP header begins in the frame."""
    link_destination: Array
    """uint64: destination MAC of the outermost Ethernet header, 0 without one."""

    @property
    def end_sequence(self) -> Array:
        """uint32: sequence number after the segment; SYN and FIN take one each."""
        control = ((self.flags & SYN) != 0).astype(np.uint32) + ((self.flags & FIN) != 0)
        end: Array = self.sequence + self.payload_bytes.astype(np.uint32) + control
        return end.astype(np.uint32)


_FROM_DECODED = {
    "version": "inner_version",
    "source_hi": "inner_source_hi",
    "source_lo": "inner_source_lo",
    "destination_hi": "inner_destination_hi",
    "destination_lo": "inner_destination_lo",
    "source_port": "inner_source_port",
    "destination_port": "inner_destination_port",
    "sequence": "tcp_sequence",
    "acknowledgment": "tcp_acknowledgment",
    "flags": "tcp_flags",
    "window": "tcp_window",
    "options": "tcp_options",
    "mss": "tcp_mss",
    "timestamp": "tcp_timestamp",
    "timestamp_echo": "tcp_timestamp_echo",
    "ttl": "inner_ttl",
    "identification": "inner_id",
    "tunnels": "tunnel_count",
    "link_destination": "link_destination",
}


def extract(frames: FrameBatch, decoded: DecodedBatch, capture: int, *, kept: bool) -> Segments:
    """Return the TCP segments of a decoded batch as columns of their own.

    A frame counts whose innermost header is TCP, read up to its flags at least, that has a time,
    and that is no control packet of Geneve.  Frames of which less was captured have no sequence
    number to recognise them by.
    kept: look only at rows that passed the selectors (`DecodedBatch.keep`).
    """
    count, first = decoded.count, decoded.first
    protocol = column(decoded, "inner_protocol", count)
    # Flags are 0 where the TCP header was not reached; a segment without any flag is none.
    wanted = (protocol == TCP) & (column(decoded, "tcp_flags", count) != 0)
    time_ns = column(frames, "time_ns", first + count)[first:]
    wanted &= time_ns != NO_TIME
    wanted &= (column(decoded, "findings", count) & CONTROL) == 0
    if kept:
        wanted &= column(decoded, "keep", count) != 0
    rows = np.flatnonzero(wanted)
    columns: dict[str, Array] = {
        name: column(decoded, source, count)[rows] for name, source in _FROM_DECODED.items()
    }
    for name in ("payload_bytes", "payload_offset", "inner_offset"):
        columns[name] = column(decoded, name, count)[rows].astype(np.int64)
    for name in ("point", "frame", "time_ns"):
        columns[name] = column(frames, name, first + count)[first:][rows]
    for name in ("wire_bytes", "captured_bytes"):
        columns[name] = column(frames, name, first + count)[first:][rows].astype(np.int64)
    has_timestamps = (columns["options"] & 8) != 0
    for name in ("timestamp", "timestamp_echo"):
        columns[name] = np.where(has_timestamps, columns[name], 0).astype(np.uint32)
    source = mix_endpoint(columns["source_hi"], columns["source_lo"], columns["source_port"])
    destination = mix_endpoint(
        columns["destination_hi"], columns["destination_lo"], columns["destination_port"]
    )
    return Segments(
        row=rows + first,
        decoded_row=rows,
        capture=np.full(len(rows), capture, np.int32),
        key=mix(source + destination),
        upward=source < destination,
        vni=_vni(decoded, rows, columns["tunnels"]),
        **columns,
    )


def column(batch: Columns, name: str, count: int) -> Array:
    """Return the rows in use of a column, without copying."""
    values = getattr(batch, name)
    return np.frombuffer(values, dtype=f"{values.typecode}")[:count]


def _vni(decoded: DecodedBatch, rows: Array, tunnels: Array) -> Array:
    vni = np.full(len(rows), -1, np.int32)
    inside = np.flatnonzero(tunnels)
    if len(inside):
        start = column(decoded, "tunnel_start", decoded.count)[rows[inside]]
        last = start.astype(np.int64) + tunnels[inside] - 1
        vni[inside] = column(decoded.tunnels, "vni", decoded.tunnels.count)[last]
    return vni


def mix(value: Array) -> Array:
    """Return 64-bit values with every bit depending on every bit (splitmix64's finaliser)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    mixed: Array = value ^ (value >> np.uint64(31))
    return mixed


def mix_endpoint(hi: Array, lo: Array, port: Array) -> Array:
    """Return 64-bit mixes of endpoints; the sum of a connection's two makes its key."""
    return mix(mix(hi + _GOLDEN) ^ lo ^ (port.astype(np.uint64) << np.uint64(40)))
