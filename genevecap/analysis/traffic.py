# SPDX-License-Identifier: Apache-2.0
"""What packets are made of, counted by leg, tunnels and capture point.

A *leg* is a one-way 5-tuple (the innermost one), a *stack* the tunnels around it, a *shape* the
octets of every part of a frame.  Legs, stacks and shapes repeat, so that this is small: it grows
with flows and the sizes of their packets, never with the number of frames.  Nothing is judged
while packets pass: which of several sightings of a packet is the one to bill, and how many
segments a super-packet was, is decided from the whole (`billing`, `super_packets`).
"""

from __future__ import annotations

from typing import NamedTuple, Self

from ..capture.linktypes import ETHERNET
from ..columns import DecodedBatch, FrameBatch
from ..decode.layers import Layer
from ..decode.network_headers import ARP_BYTES, has_more_fragments, packet_bytes_said

ETHERNET_BYTES = 14
"""Destination, source, EtherType (IEEE 802.3 clause 3.1.1); no frame check sequence."""


class Level(NamedTuple):
    """One tunnel around a packet, as it is told from others."""

    kind: int
    vni: int
    version: int
    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int
    port: int


class TunnelShape(NamedTuple):
    """Octets of one tunnel's parts, from its outer IP header to the next network-layer header."""

    overhead_bytes: int
    ip_bytes: int
    """Outer IP header with its options or extension headers."""
    udp_bytes: int
    """8, or 0 where the tunnel is not over UDP."""
    header_bytes: int
    """Tunnel header without options."""
    option_bytes: int
    """Geneve options, their headers included."""
    link_bytes: int
    """Inner Ethernet and tags, and whatever else stands before the next network-layer header."""
    options: tuple[tuple[int, int, int], ...]
    """(class, type, octets of data) of each option."""


class Shape(NamedTuple):
    """Octets of every part of a frame."""

    link_bytes: int
    """Link layer in front of the outermost network-layer header, as on Ethernet."""
    tunnels: tuple[TunnelShape, ...]
    packet_bytes: int
    """The innermost network-layer packet; of a first outer fragment, what of it is there."""
    whole_bytes: int
    """The innermost network-layer packet before its tunnel packet was fragmented."""
    ip_bytes: int
    """Its IP header, 0 for what is not IP."""
    transport: int
    """Layer code of its transport header, or ARP; 0 where none was met."""
    encryption: int
    """Layer code of what encrypts the rest (ESP, MACsec, WireGuard), else 0."""
    transport_bytes: int
    """Transport header with options; 0 where no payload was reached."""
    payload_bytes: int
    version: int


class Leg(NamedTuple):
    """A one-way flow.  Where a tunnel holds no IP, it is the carrier's, with protocol -1."""

    version: int
    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int
    protocol: int
    source_port: int
    destination_port: int

    def reversed(self) -> Leg:
        """Return the other direction."""
        return Leg(
            self.version,
            self.destination_hi,
            self.destination_lo,
            self.source_hi,
            self.source_lo,
            self.protocol,
            self.destination_port,
            self.source_port,
        )


class Sighting(NamedTuple):
    """Frames of one leg, in one stack of tunnels, with one shape, at one capture point."""

    leg: Leg
    stack: tuple[Level, ...]
    point: int
    shape: Shape
    frames: int


_TRANSPORTS = frozenset((Layer.TCP, Layer.UDP, Layer.SCTP, Layer.ICMP, Layer.ICMPV6))
_ENCRYPTING = frozenset((Layer.ESP, Layer.MACSEC, Layer.WIREGUARD))
_IP_BYTES = {0: 0, 4: 20, 6: 40}
"""Octets of an IP header without options, by version (RFC 791, RFC 8200)."""

_Key = tuple[int, int, int, int]


class Traffic:
    """Counts sightings; merges in any order."""

    def __init__(self) -> None:
        self._legs: dict[Leg, int] = {}
        self._stacks: dict[tuple[Level, ...], int] = {(): 0}
        self._shapes: dict[Shape, int] = {}
        self._frames: dict[_Key, int] = {}
        self.mss: dict[Leg, int] = {}
        """Smallest MSS that either side of a connection announced, for both directions."""
        self.loopback: set[int] = set()
        """Points where every Ethernet frame had no addresses: `lo`."""
        self._addressed: set[int] = set()
        """Points where a frame had an address, or that have none by their link type."""
        self.frames = 0
        """Frames counted."""

    def update(self, frames: FrameBatch, decoded: DecodedBatch) -> None:
        """Count the rows that `keep`."""
        d, n = decoded, decoded.count
        first = d.first
        legs, shapes, counts = self._legs, self._shapes, self._frames
        rows = zip(
            range(n),
            d.keep[:n],
            d.inner_version[:n],
            d.inner_source_hi[:n],
            d.inner_source_lo[:n],
            d.inner_destination_hi[:n],
            d.inner_destination_lo[:n],
            d.inner_protocol[:n],
            d.inner_source_port[:n],
            d.inner_destination_port[:n],
            d.tunnel_count[:n],
            d.tcp_flags[:n],
            frames.point[first : first + n],
            strict=True,
        )
        for (
            i,
            keep,
            version,
            shi,
            slo,
            dhi,
            dlo,
            protocol,
            sport,
            dport,
            tunnels,
            flags,
            at,
        ) in rows:
            if not keep:
                continue
            self.frames += 1
            shape, stack = self._describe(frames, d, i)
            if tunnels and not shape.version:
                protocol = -1  # noqa: PLW2901  what the tunnel holds is no IP
            leg = Leg(version, shi, slo, dhi, dlo, protocol, sport, dport)
            number = legs.setdefault(leg, len(legs))
            key = (number, stack, at, shapes.setdefault(shape, len(shapes)))
            counts[key] = counts.get(key, 0) + 1
            if flags & 0x02 and d.tcp_mss[i]:
                self._note_mss(leg, d.tcp_mss[i])
            self._note_link(frames.link_types[at], at, d, i)

    def _describe(self, frames: FrameBatch, d: DecodedBatch, i: int) -> tuple[Shape, int]:
        """Return the shape of a frame and the number of its stack."""
        row = d.first + i
        wire = frames.wire_bytes[row]
        count = d.tunnel_count[i]
        version, begin, size = d.inner_version[i], d.inner_offset[i], d.inner_bytes[i]
        stack = whole = 0
        parts: tuple[TunnelShape, ...] = ()
        layers, layer_end = d.layers, d.layer_start[i] + d.layer_count[i]
        if count:
            stack, parts = self._tunnels(d, i)
            last = d.tunnel_start[i] + count - 1
            inside = d.tunnels.ip_offset[last] + d.tunnels.overhead_bytes[last]
            outermost = d.tunnels.ip_offset[d.tunnel_start[i]]
            if begin < inside:  # no IP in there
                version, begin = 0, inside
                size = self._other_bytes(d, i, begin, wire)
            if has_more_fragments(frames, row, outermost, d.tunnels.version[d.tunnel_start[i]]):
                whole = packet_bytes_said(frames, row, begin, version)
        elif not version:
            begin = layers.offset[layer_end - 1] if layer_end > d.layer_start[i] else 0
            size = self._other_bytes(d, i, begin, wire)
            outermost = begin
        else:
            outermost = begin
        transport = encryption = transport_bytes = 0
        ip_bytes = min(size, _IP_BYTES[version])
        layer = layer_end - 1
        if layer >= d.layer_start[i] and layers.code[layer] in _ENCRYPTING:
            encryption = layers.code[layer]
            layer -= 1
        if not version and layer >= d.layer_start[i] and layers.code[layer] == Layer.ARP:
            transport = Layer.ARP
        elif version and layer >= d.layer_start[i] and layers.code[layer] in _TRANSPORTS:
            transport = layers.code[layer]
            ip_bytes = layers.offset[layer] - begin
            transport_bytes = max(d.payload_offset[i] - layers.offset[layer], 0)
        link = frames.link_types[frames.point[row]]
        return (
            Shape(
                outermost if link == ETHERNET else _link_stand_in(link),
                parts,
                size,
                max(whole, size),
                ip_bytes,
                transport,
                encryption,
                transport_bytes,
                d.payload_bytes[i] if version else 0,
                version,
            ),
            stack,
        )

    @staticmethod
    def _other_bytes(d: DecodedBatch, i: int, begin: int, wire: int) -> int:
        """Return the octets of a network-layer packet that is no IP: ARP, or to the end."""
        end = d.layer_start[i] + d.layer_count[i]
        if end > d.layer_start[i] and d.layers.code[end - 1] == Layer.ARP:
            return ARP_BYTES
        return max(wire - begin, 0)

    def _tunnels(self, d: DecodedBatch, i: int) -> tuple[int, tuple[TunnelShape, ...]]:
        t, levels, parts = d.tunnels, [], []
        start = d.tunnel_start[i]
        for row in range(start, start + d.tunnel_count[i]):
            levels.append(
                Level(
                    t.kind[row],
                    t.vni[row],
                    t.version[row],
                    t.source_hi[row],
                    t.source_lo[row],
                    t.destination_hi[row],
                    t.destination_lo[row],
                    t.destination_port[row],
                )
            )
            parts.append(tunnel_shape(d, i, row))
        stack = tuple(levels)
        return self._stacks.setdefault(stack, len(self._stacks)), tuple(parts)

    def _note_mss(self, leg: Leg, mss: int) -> None:
        least = min(mss, self.mss.get(leg, mss))
        self.mss[leg] = self.mss[leg.reversed()] = least

    def _note_link(self, link_type: int, point: int, d: DecodedBatch, i: int) -> None:
        if point in self._addressed:
            return
        if link_type != ETHERNET or d.link_source[i] or d.link_destination[i]:
            self._addressed.add(point)
            self.loopback.discard(point)
        elif d.layer_count[i]:
            self.loopback.add(point)

    def merge(self, other: Self) -> None:
        """Add what another one counted; points must be those of one table."""
        legs, stacks, shapes = list(other._legs), list(other._stacks), list(other._shapes)
        for (leg, stack, point, shape), frames in other._frames.items():
            key = (
                self._legs.setdefault(legs[leg], len(self._legs)),
                self._stacks.setdefault(stacks[stack], len(self._stacks)),
                point,
                self._shapes.setdefault(shapes[shape], len(self._shapes)),
            )
            self._frames[key] = self._frames.get(key, 0) + frames
        for direction, mss in other.mss.items():
            self._note_mss(direction, mss)
        self._addressed |= other._addressed
        self.loopback = (self.loopback | other.loopback) - self._addressed
        self.frames += other.frames

    def result(self) -> list[Sighting]:
        """Return all sightings, sorted."""
        legs, stacks, shapes = list(self._legs), list(self._stacks), list(self._shapes)
        return sorted(
            Sighting(legs[leg], stacks[stack], point, shapes[shape], frames)
            for (leg, stack, point, shape), frames in self._frames.items()
        )


def tunnel_shape(d: DecodedBatch, i: int, row: int) -> TunnelShape:
    """Return the parts of one tunnel of decoded row i, by the layers that stand in it."""
    t, layers = d.tunnels, d.layers
    begin, header = t.ip_offset[row], t.header_offset[row]
    end = begin + t.overhead_bytes[row]
    udp = 8 if t.destination_port[row] >= 0 else 0
    behind = end
    for layer in range(d.layer_start[i], d.layer_start[i] + d.layer_count[i]):
        if layers.offset[layer] > header:
            behind = min(end, layers.offset[layer])
            break
    first = t.option_start[row]
    options = tuple(
        (d.options.option_class[o], d.options.option_type[o], d.options.data_bytes[o])
        for o in range(first, first + t.option_count[row])
    )
    # RFC 8926 section 3.4: OptLen, the lower six bits of the first octet, in words.
    option_bytes = ((t.flags[row] >> 24) & 0x3F) * 4 if t.kind[row] == _GENEVE else 0
    option_bytes = min(option_bytes, max(behind - header - 8, 0))
    return TunnelShape(
        t.overhead_bytes[row],
        max(header - begin - udp, 0),
        udp,
        max(behind - header - option_bytes, 0),
        option_bytes,
        max(end - behind, 0),
        options,
    )


_GENEVE = 1


def _link_stand_in(link_type: int) -> int:
    """Return what an Ethernet header costs on links whose captures hold something else."""
    return 0 if link_type in _NO_LINK else ETHERNET_BYTES


_NO_LINK = frozenset((12, 14, 101, 228, 229))
"""Raw IP: there is no link-layer header."""
