# SPDX-License-Identifier: Apache-2.0
"""The readable decoder: drives the protocols of `protocols/` over frames and writes the columns.

docs/decoding.md says what the columns hold.  This is the reference that the compiled kernel is
compared with, the ground of the field tree (`detail/`), and what decodes where nothing was
compiled.  It is written to be read, and then to be quick: no objects per field, columns once per
frame, and one dictionary look-up per header.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ..columns import MAX_LAYERS, MAX_OPTIONS, MAX_TUNNELS, DecodedBatch, FrameBatch, Stop
from .layers import link_layer
from .protocols import PROTOCOLS, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from .protocols.walk import IpHeader

    Entry = tuple[int, bool, Callable[[Walk, int], int]]

MAX_FRAME_OPTIONS = MAX_TUNNELS * MAX_OPTIONS

_DECODERS: dict[int, Entry] = {
    code: (protocol.HEADER_BYTES, protocol.TUNNEL, protocol.decode)
    for code, protocol in PROTOCOLS.items()
}
"""By layer code: octets of the fixed header, whether it is a tunnel, the function."""

_MINUS_ONE = frozenset(
    ("outer_source_port", "outer_destination_port", "inner_source_port", "inner_destination_port")
)

_COMPLETE = int(Stop.COMPLETE)


def follow(walk: Walk, code: int, offset: int) -> None:
    """Decode from the layer `code` at `offset` to where it ends, and note why it ended."""
    codes = walk.layer_code
    offsets = walk.layer_offset
    decoders = _DECODERS
    first = walk.layer_end
    for row in range(first, first + MAX_LAYERS):
        entry = decoders.get(code)
        if entry is None:
            codes[row] = code
            offsets[row] = offset
            walk.layer_end = row + 1
            walk.stop = Stop.UNSUPPORTED
            break
        header_bytes, is_tunnel, decode = entry
        if is_tunnel and walk.tunnels.count - walk.tunnel_start >= MAX_TUNNELS:
            walk.stop = Stop.TOO_DEEP
            break
        if offset + header_bytes > walk.limit:
            PROTOCOLS[code].partial(walk, offset)
            walk.cut(offset + header_bytes)
            break
        codes[row] = code
        offsets[row] = offset
        walk.layer_end = row + 1
        next_code = decode(walk, offset)
        if not next_code:
            code = codes[row]  # a header may have listed itself under another name
            break
        code = next_code
        offset = walk.next
    else:
        walk.stop = Stop.TOO_DEEP
    if not walk.stop_layer:  # else the layer has said where it is
        if walk.stop != _COMPLETE:
            walk.stop_layer = code
        walk.stop_offset = offset
    if walk.open_tunnel >= 0:
        walk.close_tunnel()
    if walk.esp_trailer is not None:
        room = walk.esp_trailer[0] - walk.payload_offset
        if walk.payload_bytes > room:
            walk.payload_bytes = max(0, room)


class ReadableDecoder:
    """Decodes frames with the protocols of `protocols/`."""

    def __init__(self, udp_table: bytes, esp_icv_bytes: int | None = None) -> None:
        """udp_table, esp_icv_bytes: as `DecodeSettings` has them."""
        self._walk = Walk(udp_table, esp_icv_bytes)

    def decode(self, frames: FrameBatch, first: int, decoded: DecodedBatch) -> int:
        """Decode rows of `frames` from row `first` into `decoded`, from its row 0.

        Ends at the last frame, or earlier when `decoded` or one of its side tables is nearly full.
        Returns the first row that was not decoded.
        """
        walk = self._walk
        walk.bind(decoded)
        rows = max(0, min(frames.count - first, decoded.capacity))
        _reset(decoded, rows)
        write = _Writer(decoded).write
        layers, tunnels, options = decoded.layers, decoded.tunnels, decoded.options
        max_layers = layers.capacity - MAX_LAYERS
        max_tunnels = tunnels.capacity - MAX_TUNNELS
        max_options = options.capacity - MAX_FRAME_OPTIONS
        buffer, starts = frames.buffer, frames.offset
        captured_bytes, wire_bytes = frames.captured_bytes, frames.wire_bytes
        points = frames.point
        link_codes = [link_layer(link_type) for link_type in frames.link_types]
        row = 0
        while row < rows:
            if (
                walk.layer_end > max_layers
                or tunnels.count > max_tunnels
                or options.count > max_options
            ):
                break
            index = first + row
            start = starts[index]
            layer_start = walk.layer_end
            walk.begin(buffer[start : start + captured_bytes[index]], wire_bytes[index], row)
            follow(walk, link_codes[points[index]], 0)
            write(walk, row, layer_start)
            row += 1
        layers.count = walk.layer_end
        decoded.first = first
        decoded.count = row
        return first + row


def _reset(decoded: DecodedBatch, rows: int) -> None:
    """Give the first `rows` rows of every column the value that means nothing is there."""
    for name, typecode, _ in decoded.SCHEMA:
        blank = array(typecode, (-1 if name in _MINUS_ONE else 0,)) * rows
        getattr(decoded, name)[:rows] = blank


class _Writer:
    """Writes what a walk found to the columns of a batch.

    The columns are looked up once per batch, not once per frame.
    """

    __slots__ = ("_frame", "_inner", "_link", "_outer", "_outer_ports", "_ports", "_tcp")

    def __init__(self, decoded: DecodedBatch) -> None:
        d = decoded
        self._frame = (
            d.stop,
            d.stop_layer,
            d.stop_offset,
            d.findings,
            d.keep,
            d.layer_start,
            d.layer_count,
            d.tunnel_start,
            d.tunnel_count,
        )
        self._link = (d.link_source, d.link_destination)
        self._outer = (
            d.outer_version,
            d.outer_protocol,
            d.outer_source_hi,
            d.outer_source_lo,
            d.outer_destination_hi,
            d.outer_destination_lo,
        )
        self._outer_ports = (d.outer_source_port, d.outer_destination_port)
        self._inner = (
            d.inner_version,
            d.inner_protocol,
            d.inner_source_hi,
            d.inner_source_lo,
            d.inner_destination_hi,
            d.inner_destination_lo,
            d.inner_offset,
            d.inner_bytes,
            d.inner_ttl,
            d.inner_tos,
            d.inner_id,
            d.inner_fragment,
        )
        self._ports = (
            d.inner_source_port,
            d.inner_destination_port,
            d.payload_offset,
            d.payload_bytes,
        )
        self._tcp = (
            d.tcp_flags,
            d.tcp_sequence,
            d.tcp_acknowledgment,
            d.tcp_window,
            d.tcp_options,
            d.tcp_mss,
            d.tcp_window_scale,
            d.tcp_timestamp,
            d.tcp_timestamp_echo,
        )

    def write(self, walk: Walk, row: int, layer_start: int) -> None:
        """Write row `row`, whose other columns are as `_reset` leaves them."""
        stop, stop_layer, stop_offset, findings, keep, start, count, first, tunnels = self._frame
        stop[row] = walk.stop
        stop_layer[row] = walk.stop_layer
        stop_offset[row] = walk.stop_offset
        findings[row] = walk.findings
        keep[row] = 1
        start[row] = layer_start
        count[row] = walk.layer_end - layer_start
        first[row] = walk.tunnel_start
        tunnels[row] = walk.tunnels.count - walk.tunnel_start
        if walk.link is not None:
            source, destination = self._link
            source[row], destination[row] = walk.link
        if walk.outer is not None and walk.inner is not None:
            self._write_ip(walk, walk.outer, walk.inner, row)
        if walk.tcp is not None:
            flags, sequence, acknowledgment, window, options, mss, scale, stamp, echo = self._tcp
            (
                flags[row],
                sequence[row],
                acknowledgment[row],
                window[row],
                options[row],
                mss[row],
                scale[row],
                stamp[row],
                echo[row],
            ) = walk.tcp

    def _write_ip(self, walk: Walk, outer: IpHeader, inner: IpHeader, row: int) -> None:
        version, protocol, source_hi, source_lo, destination_hi, destination_lo = self._outer
        (
            version[row],
            protocol[row],
            source_hi[row],
            source_lo[row],
            destination_hi[row],
            destination_lo[row],
            _,
            _,
            _,
            _,
            _,
            _,
        ) = outer
        source_port, destination_port = self._outer_ports
        source_port[row], destination_port[row] = walk.outer_ports
        (
            version,
            protocol,
            source_hi,
            source_lo,
            destination_hi,
            destination_lo,
            offset,
            size,
            ttl,
            tos,
            identification,
            fragment,
        ) = self._inner
        (
            version[row],
            protocol[row],
            source_hi[row],
            source_lo[row],
            destination_hi[row],
            destination_lo[row],
            offset[row],
            size[row],
            ttl[row],
            tos[row],
            identification[row],
            fragment[row],
        ) = inner
        source_port, destination_port, payload_offset, payload_bytes = self._ports
        source_port[row], destination_port[row] = walk.ports
        payload_offset[row] = walk.payload_offset
        payload_bytes[row] = walk.payload_bytes
