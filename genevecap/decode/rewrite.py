# SPDX-License-Identifier: Apache-2.0
"""Frames without their tunnels, or with the other format: octets in, octets out.

The frame is what the columns say it is; a change that cannot be made rightly is not made, and the
`Kept` that is raised says why.  Lengths and checksums of every header around a change are made
right: RFC 791 and RFC 768 for whole packets, RFC 1624 (from the old checksum and what changed)
where the packet was not captured to its end.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ..capture.linktypes import ETHERNET
from ..columns import DecodedBatch, FrameBatch, TunnelKind
from .layers import ETHERTYPES as LAYERS_OF_TYPES
from .layers import Layer
from .network_headers import (
    FIXED_HEADERS,
    fragmentation,
    packet_bytes_said,
    tunnel_header_end,
)
from .protocols import erspan, ipv4, ipv6

TRANSPARENT_ETHERNET = 0x6558
"""EtherType of an Ethernet frame inside a tunnel (RFC 8926 section 3.4, RFC 2784)."""

PORTS = {TunnelKind.VXLAN: 4789, TunnelKind.GENEVE: 6081}
"""UDP destination ports of IANA (RFC 7348 section 8, RFC 8926 section 7)."""

_VXLAN_I = 0x0800_0000
_GRE_CHECKSUM = 0x8000_0000
_MAC_BYTES = 12
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_VERSIONS = {ethertype: version for version, ethertype in _ETHERTYPES.items()}
_GPE_ETHERTYPES = {1: 0x0800, 2: 0x86DD, 3: TRANSPARENT_ETHERNET, 4: 0x894F, 5: 0x8847}
_WCCP = 0x883E
"""GRE protocol type of a redirected IPv4 packet (draft-mclaggan-wccp-v2rev1 section 5)."""
_MIRRORED: dict[int, int] = {
    Layer.ETHERNET: TRANSPARENT_ETHERNET,
    Layer.IPV4: _ETHERTYPES[4],
    Layer.IPV6: _ETHERTYPES[6],
}
"""What ERSPAN type III may hold."""
_GUARDS = frozenset((Layer.AH, Layer.ESP, Layer.MACSEC))
"""Layers with an integrity check value over all that is behind them."""
_UDP_KINDS = frozenset((TunnelKind.VXLAN, TunnelKind.VXLAN_GPE, TunnelKind.GENEVE, TunnelKind.GTPU))


class Kept(Exception):
    """Why a frame is left as it is, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A frame as it is to be written."""

    data: bytes
    wire_bytes: int
    link_type: int


@dataclass(slots=True)
class _Frame:
    """One frame that is looked at, with its rows in the columns."""

    frames: FrameBatch
    row: int
    data: bytes
    wire_bytes: int
    link_type: int
    d: DecodedBatch
    layers: range
    tunnels: range

    @classmethod
    def of(cls, frames: FrameBatch, d: DecodedBatch, i: int) -> _Frame:
        row = d.first + i
        begin = frames.offset[row]
        if not d.tunnel_count[i]:
            raise Kept("no tunnel")
        return cls(
            frames,
            row,
            bytes(frames.buffer[begin : begin + frames.captured_bytes[row]]),
            frames.wire_bytes[row],
            frames.link_types[frames.point[row]],
            d,
            range(d.layer_start[i], d.layer_start[i] + d.layer_count[i]),
            range(d.tunnel_start[i], d.tunnel_start[i] + d.tunnel_count[i]),
        )

    def kind(self, t: int) -> TunnelKind:
        return TunnelKind(self.d.tunnels.kind[t])

    def ethertype(self, t: int, end: int) -> int:
        """Return the EtherType of what tunnel row t holds, which begins at `end`; 0: unknown."""
        flags = self.d.tunnels.flags[t]
        match self.kind(t):
            case TunnelKind.VXLAN | TunnelKind.NVGRE:
                return TRANSPARENT_ETHERNET
            case TunnelKind.ERSPAN:
                type_3 = self.d.tunnels.identifier[t] >> 28 == erspan.VERSION_3
                return _MIRRORED.get(self.layer(end), 0) if type_3 else TRANSPARENT_ETHERNET
            case TunnelKind.GENEVE:
                return flags & 0xFFFF
            case TunnelKind.GRE:
                # Not all of GRE's protocol types are EtherTypes: PPP, NHRP, vendors' own.
                protocol = flags & 0xFFFF
                if protocol == _WCCP:
                    return _ETHERTYPES[4]
                return protocol if protocol in LAYERS_OF_TYPES else 0
            case TunnelKind.VXLAN_GPE:
                return _GPE_ETHERTYPES.get(flags & 0xFF, 0) if flags & 0x0400_0000 else (
                    TRANSPARENT_ETHERNET
                )  # fmt: skip
        return _ETHERTYPES.get(self.data[end] >> 4, 0) if end < len(self.data) else 0

    def layer(self, offset: int) -> int:
        """Return the code of the layer that begins at an offset, 0 for none."""
        layers = self.d.layers
        return next((layers.code[row] for row in self.layers if layers.offset[row] == offset), 0)

    def is_guarded(self, t: int) -> bool:
        """Tell whether what carries tunnel row t is protected against any change."""
        layers, header = self.d.layers, self.d.tunnels.header_offset[t]
        return any(
            layers.code[row] in _GUARDS and layers.offset[row] < header for row in self.layers
        )

    def addresses(self) -> bytes:
        """Return the MAC addresses of the outermost Ethernet header, or none of theirs."""
        if self.link_type == ETHERNET and len(self.data) >= _MAC_BYTES:
            return self.data[:_MAC_BYTES]
        return bytes(_MAC_BYTES)

    def is_fragment(self, t: int) -> bool:
        """Tell whether the packet that carries tunnel row t is the first of several fragments."""
        at, version = self.d.tunnels.ip_offset[t], self.d.tunnels.version[t]
        return fragmentation(self.frames, self.row, at, version)[0]


# --- without tunnels ---------------------------------------------------------------------------


def decapsulated(frames: FrameBatch, d: DecodedBatch, i: int) -> Rewritten:
    """Return what the innermost tunnel of decoded row i holds, as an Ethernet frame.

    Where the tunnel holds a packet without Ethernet, it gets the addresses of the outer frame.
    Raises Kept where there is no tunnel, or not a whole tunnel packet.
    """
    frame = _Frame.of(frames, d, i)
    if any(frame.is_fragment(t) for t in frame.tunnels):
        raise Kept("fragment")
    t = frame.tunnels[-1]
    begin = tunnel_header_end(d, i, t)
    ethertype = frame.ethertype(t, begin)
    if not ethertype:
        raise Kept("unknown payload")
    end = min(_packet_end(frame, t), frame.wire_bytes)
    if begin > end:
        raise Kept("damaged")
    if ethertype == TRANSPARENT_ETHERNET:
        head = b""
    else:
        head = frame.addresses() + ethertype.to_bytes(2, "big")
        # Behind a packet there may be more than its tunnel's: ESP without encryption has a trailer.
        version = _VERSIONS.get(ethertype)
        said = packet_bytes_said(frames, frame.row, begin, version) if version else 0
        end = min(end, begin + said) if said >= ipv4.HEADER_BYTES else end
    inner = frame.data[begin : min(end, len(frame.data))]
    return Rewritten(data=head + inner, wire_bytes=len(head) + end - begin, link_type=ETHERNET)


def _packet_end(frame: _Frame, t: int) -> int:
    """Return where the IP packet that carries tunnel row t ends: behind it is padding."""
    at, version = frame.d.tunnels.ip_offset[t], frame.d.tunnels.version[t]
    length = packet_bytes_said(frame.frames, frame.row, at, version)
    return at + length if length else frame.wire_bytes


# --- with the other format ---------------------------------------------------------------------


def encapsulated(
    frames: FrameBatch, d: DecodedBatch, i: int, to: TunnelKind, vni: int | None = None
) -> Rewritten:
    """Return decoded row i with every VXLAN and Geneve header as one of kind `to`.

    Options, flags and group policies have no place in the other format and are left out.
    vni: of all these tunnels; None keeps theirs.
    Raises Kept where there is nothing to change or it cannot be done rightly.
    """
    frame = _Frame.of(frames, d, i)
    data, grown, changed = bytearray(frame.data), 0, False
    # From the inside out, so that what stands in front keeps its place.
    for t in reversed(frame.tunnels):
        kind, own = frame.kind(t), 0
        replaced = kind in FIXED_HEADERS and (kind != to or vni is not None)
        if replaced:
            if frame.is_guarded(t):
                raise Kept("integrity check")
            begin, end = d.tunnels.header_offset[t], tunnel_header_end(d, i, t)
            header = _header(frame, t, (begin, end), to, vni)
            own = len(header) - (end - begin)
            data[begin : min(end, len(frame.data))] = header
            changed = True
        grown += own
        if grown and frame.is_fragment(t):
            raise Kept("fragment")
        if grown or replaced:
            _mend(data, frame, t, grown, PORTS[to] if replaced and kind != to else None)
    if not changed:
        raise Kept("nothing to change")
    return Rewritten(
        data=bytes(data),
        wire_bytes=max(frame.wire_bytes + grown, len(data)),
        link_type=frame.link_type,
    )


def _header(
    frame: _Frame, t: int, place: tuple[int, int], to: TunnelKind, vni: int | None
) -> bytes:
    """Return what stands instead of the tunnel header of row t, at octets `place`."""
    begin, end = place
    number = max(frame.d.tunnels.vni[t], 0) if vni is None else vni
    identifier = number.to_bytes(3, "big") + b"\0"
    if frame.kind(t) == to:
        return frame.data[begin : begin + 4] + identifier + frame.data[begin + 8 : end]
    ethertype = frame.ethertype(t, end)
    if not ethertype:
        raise Kept("unknown payload")
    octets = ethertype.to_bytes(2, "big")
    if to == TunnelKind.GENEVE:
        return b"\0\0" + octets + identifier
    inner = b"" if ethertype == TRANSPARENT_ETHERNET else frame.addresses() + octets
    return _VXLAN_I.to_bytes(4, "big") + identifier + inner


def _mend(data: bytearray, frame: _Frame, t: int, grown: int, port: int | None) -> None:
    """Make lengths and checksums of the headers that carry tunnel row t right.

    grown: octets more behind these headers; port: the new UDP destination port.
    """
    tunnels = frame.d.tunnels
    header, ip = tunnels.header_offset[t], tunnels.ip_offset[t]
    kind, version = frame.kind(t), tunnels.version[t]
    if kind == TunnelKind.GTPU:
        _add(data, header + 2, grown)
    elif kind not in _UDP_KINDS and tunnels.flags[t] & _GRE_CHECKSUM and kind != TunnelKind.IPIP:
        raise Kept("GRE checksum")
    length_at = ip + (ipv4.TOTAL_LENGTH if version == 4 else ipv6.PAYLOAD_LENGTH)
    if kind in _UDP_KINDS:
        udp = header - 8
        if port is not None:
            data[udp + 2 : udp + 4] = port.to_bytes(2, "big")
        _add(data, udp + 4, grown)
        _mend_udp_checksum(data, frame, t, udp)
    _add(data, length_at, grown)
    if version == 4:
        end = ip + (data[ip] & ipv4.IHL_MASK) * 4
        data[ip + ipv4.CHECKSUM : ip + ipv4.CHECKSUM + 2] = b"\0\0"
        data[ip + ipv4.CHECKSUM : ip + ipv4.CHECKSUM + 2] = checksum(_sum(data[ip:end]))


def _add(data: bytearray, at: int, grown: int) -> None:
    """Add to a length of 16 bits; 0 says nothing and stays."""
    length = int.from_bytes(data[at : at + 2], "big")
    if length:
        if not 0 <= length + grown <= 0xFFFF:
            raise Kept("too large")
        data[at : at + 2] = (length + grown).to_bytes(2, "big")


def _mend_udp_checksum(data: bytearray, frame: _Frame, t: int, udp: int) -> None:
    """Make the checksum of the UDP header at `udp` right; one that was not sent stays so."""
    old, before = frame.data[udp + 6 : udp + 8], frame.data
    if old == b"\0\0":
        return
    ip, version = frame.d.tunnels.ip_offset[t], frame.d.tunnels.version[t]
    length = int.from_bytes(data[udp + 4 : udp + 6], "big")
    data[udp + 6 : udp + 8] = b"\0\0"
    if length and udp + length <= len(data) and not frame.is_fragment(t):
        first, last = (ip + 12, ip + 20) if version == 4 else (ip + 8, ip + 40)
        total = _sum(data[first:last]) + 17 + length + _sum(data[udp : udp + length])
    else:
        # RFC 1624: what is not here has not changed; octets that moved kept their parity.
        old_length = int.from_bytes(before[udp + 4 : udp + 6], "big")
        total = 0xFFFF ^ int.from_bytes(old, "big")
        total += _sum(data[udp:]) + length
        total += _negated(_sum(before[udp : udp + 6] + b"\0\0" + before[udp + 8 :]) + old_length)
    octets = checksum(total)
    data[udp + 6 : udp + 8] = octets if octets != b"\0\0" else b"\xff\xff"


def _sum(octets: bytes | bytearray) -> int:
    """Return the sum of the 16-bit words (RFC 1071), an odd octet padded with 0."""
    padded = bytes(octets) + b"\0" * (len(octets) % 2)
    words = memoryview(padded).cast("H")
    total = sum(words)
    return total if sys.byteorder == "big" else _swapped(total)


def _swapped(total: int) -> int:
    """Return a sum of words that were read in the wrong byte order (RFC 1071 section 2)."""
    folded = _folded(total)
    return (folded & 0xFF) << 8 | folded >> 8


def _folded(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _negated(total: int) -> int:
    return 0xFFFF ^ _folded(total)


def checksum(total: int) -> bytes:
    """Return the Internet checksum (RFC 1071) of a sum of words."""
    return _negated(total).to_bytes(2, "big")
