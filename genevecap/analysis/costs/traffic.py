# SPDX-License-Identifier: Apache-2.0
"""What packets are made of, counted by leg, tunnels and capture point.

Legs, stacks and shapes (see `shapes`) repeat, so that this is small: it grows with flows and the
sizes of their packets, never with the number of frames.  Nothing is judged
while packets pass: which of several sightings of a packet is the one to bill, and how many
segments a super-packet was, is decided from the whole (`billing`, `super_packets`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Self
from zlib import crc32

from ...capture.linktypes import ETHERNET, LINUX_SLL
from ...columns import DecodedBatch, FrameBatch, Stop
from ...decode.layers import LINK_TYPES, Layer
from ...decode.network_headers import ARP_BYTES, FIXED_HEADERS, fragmentation, packet_bytes_said
from ...decode.protocols.macsec import ICV_BYTES
from .shapes import (
    ETHERNET_BYTES,
    Announced,
    Announcements,
    Leg,
    LegFields,
    Level,
    Place,
    Shape,
    Sighting,
    TunnelShape,
    stack_of,
    tunnel_shape,
)

_TRANSPORTS = frozenset((Layer.TCP, Layer.UDP, Layer.SCTP, Layer.ICMP, Layer.ICMPV6))
_ENCRYPTING = frozenset((Layer.ESP, Layer.MACSEC, Layer.WIREGUARD))
_VERSION = Shape._fields.index("version")
_KNOWN_TUNNELS = 65_536
"""Single tunnels, with all that their parts come of, that are remembered."""

_COPIES_KEPT = 1024
"""Packets among which the copy of one is looked for."""
_COMPARED_BYTES = 64

_TCP_BYTES = 20
_IP_BYTES = {0: 0, 4: 20, 6: 40}
"""Octets of an IP header without options, by version (RFC 791, RFC 8200)."""

_FRAGMENT = 0x3FFF
_DF = 0x4000
"""Of `inner_fragment`: more fragments or an offset; "don't fragment" (RFC 791 section 3.1)."""

_CUT_HEADERS = {6: (Layer.TCP, 32), 17: (Layer.UDP, 8)}
"""By IP protocol: layer, and octets of a header that was cut; TCP's with time stamps."""

_BEHIND_MACSEC = 2
"""The least layers in front of one that MACsec leaves readable: Ethernet and MACsec."""

_MOST_MSS = 16_384
"""An MSS above this is a loopback's."""

_Key = tuple[int, int, int, int]
_ShapeFields = tuple[Any, ...]
"""Those of a `Shape`, as `LegFields` those of a leg."""


class Traffic:
    """Counts sightings; merges in any order."""

    def __init__(self) -> None:
        self._legs: dict[LegFields, int] = {}
        self._stacks: dict[tuple[Level, ...], int] = {(): 0}
        self._shapes: dict[_ShapeFields, int] = {}
        self._frames: dict[_Key, int] = {}
        self.mss: dict[Leg, int] = {}
        """Smallest MSS that either side of a connection announced, for both directions."""
        self.announced: dict[int, dict[Announced, Announcements]] = {}
        """By point: the largest packets that hosts said they take there."""
        self.cooked: set[int] = set()
        """Points that are all interfaces at once, without telling which: LINUX_SLL of `any`."""
        self._copies: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self.loopback: set[int] = set()
        """Points where every Ethernet frame had no addresses: `lo`."""
        self._addressed: set[int] = set()
        """Points where a frame had an address, or that have none by their link type."""
        self._known_tunnels: dict[tuple[object, ...], tuple[int, tuple[TunnelShape, ...]]] = {}
        self.frames = 0
        """Frames counted."""

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> None:
        """Count the rows that `keep`; capture: the index of theirs."""
        d, n = decoded, decoded.count
        first = d.first
        legs, shapes, counts = self._legs, self._shapes, self._frames
        links, addressed = frames.link_types, self._addressed
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
            number,
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
            # What a tunnel holds may be no IP.
            protocol = -1 if tunnels and not shape[_VERSION] else number
            leg = (version, shi, slo, dhi, dlo, protocol, sport, dport)
            if links[at] == LINUX_SLL:
                self.cooked.add(at)
                if self._is_copy(frames, d, i, (at, stack, leg)):
                    continue
            key = (
                legs.setdefault(leg, len(legs)),
                stack,
                at,
                shapes.setdefault(shape, len(shapes)),
            )
            counts[key] = counts.get(key, 0) + 1
            if flags & 0x02 and d.tcp_mss[i]:
                self._note_mss(Leg(*leg), d.tcp_mss[i])
                place = capture, frames.frame[first + i]
                self._note_mtu(d, i, at, Shape(*shape), Leg(*leg), place)
            if at not in addressed:
                self._note_link(links[at], at, d, i)

    def _describe(self, frames: FrameBatch, d: DecodedBatch, i: int) -> tuple[_ShapeFields, int]:
        """Return the fields of a frame's `Shape`, and the number of its stack."""
        row = d.first + i
        wire = frames.wire_bytes[row]
        count = d.tunnel_count[i]
        version, begin, size = d.inner_version[i], d.inner_offset[i], d.inner_bytes[i]
        stack = whole = 0
        fixed = version == 6 or bool(d.inner_fragment[i] & _DF)
        parts: tuple[TunnelShape, ...] = ()
        layers, layer_end = d.layers, d.layer_start[i] + d.layer_count[i]
        link = frames.link_types[frames.point[row]]
        guarded = link == ETHERNET and layer_end - d.layer_start[i] > _BEHIND_MACSEC
        guard = _guard_bytes(d, i) if guarded else 0
        icv = guard and ICV_BYTES
        if count:
            stack, parts = self._tunnels(d, i)
            last = d.tunnel_start[i] + count - 1
            inside = d.tunnels.ip_offset[last] + parts[-1].overhead_bytes
            outermost = d.tunnels.ip_offset[d.tunnel_start[i]]
            outer_version = d.tunnels.version[d.tunnel_start[i]]
            more, fixed = fragmentation(frames, row, outermost, outer_version)
            if begin < inside:  # no IP in there
                version, begin = 0, inside
                said = packet_bytes_said(frames, row, outermost, outer_version)
                end = min(wire, outermost + said) if said else wire
                size = self._other_bytes(d, i, begin, end)
            if more:
                whole = packet_bytes_said(frames, row, begin, version)
        elif not version:
            begin = layers.offset[layer_end - 1] if layer_end > d.layer_start[i] else 0
            size = self._other_bytes(d, i, begin, wire - icv)
            outermost = begin
        else:
            outermost = begin
        headers, guessed = self._headers(frames, d, i, (version, begin, size))
        return (
            (
                outermost + icv if link == ETHERNET else _link_stand_in(link),
                parts,
                size,
                max(whole, size),
                *headers,
                version,
                not version or not d.inner_fragment[i] & _FRAGMENT,
                fixed,
                guard,
                guessed,
            ),
            stack,
        )

    @staticmethod
    def _headers(
        frames: FrameBatch, d: DecodedBatch, i: int, packet: tuple[int, int, int]
    ) -> tuple[tuple[int, int, int, int, int], bool]:
        """Return what the innermost packet is made of, and whether a part of that is a guess.

        packet: IP version (0: no IP), offset, octets.  The parts are `Shape`'s from `ip_bytes` to
        `payload_bytes`.
        """
        version, begin, size = packet
        row, layers, first = d.first + i, d.layers, d.layer_start[i]
        transport = encryption = transport_bytes = 0
        ip_bytes = min(size, _IP_BYTES[version])
        layer = first + d.layer_count[i] - 1
        if layer >= first and layers.code[layer] in _ENCRYPTING:
            encryption = layers.code[layer]
            layer -= 1
        if not version and layer >= first and layers.code[layer] == Layer.ARP:
            transport = Layer.ARP
        elif version and layer >= first and layers.code[layer] in _TRANSPORTS:
            transport = layers.code[layer]
            ip_bytes = layers.offset[layer] - begin
            transport_bytes = max(d.payload_offset[i] - layers.offset[layer], 0)
        payload = d.payload_bytes[i] if version else 0
        guessed = False
        if version and not d.payload_offset[i] and frames.captured_bytes[row] < (
            frames.wire_bytes[row]
        ):  # fmt: skip
            cut = _CUT_HEADERS.get(d.inner_protocol[i])
            if cut is not None and not d.inner_fragment[i] & _FRAGMENT:
                # Lengths of IP say how much there was.
                transport, header = cut
                transport_bytes = min(max(size - ip_bytes, 0), header)
                payload = max(size - ip_bytes - transport_bytes, 0)
                guessed = transport == Layer.TCP
        return (ip_bytes, transport, encryption, transport_bytes, payload), guessed

    @staticmethod
    def _other_bytes(d: DecodedBatch, i: int, begin: int, end: int) -> int:
        """Return the octets of a network-layer packet that is no IP: ARP, or up to `end`."""
        layers = d.layer_start[i] + d.layer_count[i]
        if layers > d.layer_start[i] and d.layers.code[layers - 1] == Layer.ARP:
            return ARP_BYTES
        return max(end - begin, 0)

    def _tunnels(self, d: DecodedBatch, i: int) -> tuple[int, tuple[TunnelShape, ...]]:
        """Return the number of a frame's stack, and the parts of its tunnels."""
        t, row = d.tunnels, d.tunnel_start[i]
        if d.tunnel_count[i] > 1 or t.kind[row] not in FIXED_HEADERS:
            return self._new_tunnels(d, i)
        first, count = t.option_start[row], t.option_count[row]
        # All that a single VXLAN or Geneve header's level and parts come of.
        key = (
            t.kind[row],
            t.vni[row],
            t.version[row],
            t.source_hi[row],
            t.source_lo[row],
            t.destination_hi[row],
            t.destination_lo[row],
            t.destination_port[row],
            t.overhead_bytes[row],
            t.header_offset[row] - t.ip_offset[row],
            t.flags[row] >> 24,
            d.stop[i] == Stop.TRUNCATED,
            count and d.options.option_class[first : first + count].tobytes(),
            count and d.options.option_type[first : first + count].tobytes(),
            count and d.options.data_bytes[first : first + count].tobytes(),
        )
        known = self._known_tunnels.get(key)
        if known is None:
            if len(self._known_tunnels) >= _KNOWN_TUNNELS:
                self._known_tunnels.clear()
            known = self._known_tunnels[key] = self._new_tunnels(d, i)
        return known

    def _new_tunnels(self, d: DecodedBatch, i: int) -> tuple[int, tuple[TunnelShape, ...]]:
        start = d.tunnel_start[i]
        rows = range(start, start + d.tunnel_count[i])
        parts = tuple(tunnel_shape(d, i, row) for row in rows)
        return self._stacks.setdefault(stack_of(d, i), len(self._stacks)), parts

    def _is_copy(
        self, frames: FrameBatch, d: DecodedBatch, i: int, what: tuple[object, ...]
    ) -> bool:
        """Tell whether the same packet was captured on another interface a moment ago."""
        row = d.first + i
        begin = frames.offset[row] + d.payload_offset[i]
        end = frames.offset[row] + frames.captured_bytes[row]
        key = (
            *what,
            d.inner_id[i],
            d.tcp_sequence[i],
            d.tcp_acknowledgment[i],
            d.tcp_flags[i],
            d.tcp_timestamp[i],
            d.payload_bytes[i],
            crc32(frames.buffer[begin : min(end, begin + _COMPARED_BYTES)]),
        )
        if key in self._copies:
            return True
        self._copies[key] = None
        if len(self._copies) > _COPIES_KEPT:
            self._copies.popitem(last=False)
        return False

    def _note_mss(self, leg: Leg, mss: int) -> None:
        least = min(mss, self.mss.get(leg, mss))
        self.mss[leg] = self.mss[leg.reversed()] = least

    def _note_mtu(
        self, d: DecodedBatch, i: int, point: int, shape: Shape, leg: Leg, place: Place
    ) -> None:
        """Note an MSS: a host announces what its own MTU leaves (RFC 9293 section 3.7.1)."""
        mss, stack = d.tcp_mss[i], stack_of(d, i)
        if mss <= _MOST_MSS:
            tunnels = shape.outer_bytes - shape.packet_bytes
            said = Announced(mss + _TCP_BYTES + shape.ip_bytes, tunnels, mss, stack)
            known = self.announced.setdefault(point, {})
            known[said] = known.get(said, Announcements(0, leg, ())).and_also(1, leg, (place,))

    def _note_link(self, link_type: int, point: int, d: DecodedBatch, i: int) -> None:
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
        for point, theirs in other.announced.items():
            known = self.announced.setdefault(point, {})
            for said, more in theirs.items():
                known[said] = known[said].and_also(*more) if said in known else more
        self.cooked |= other.cooked
        self._addressed |= other._addressed
        self.loopback = (self.loopback | other.loopback) - self._addressed
        self.frames += other.frames

    def legs(self) -> list[Leg]:
        """Return all legs, in the order they were met."""
        return [Leg(*leg) for leg in self._legs]

    def result(self) -> list[Sighting]:
        """Return all sightings, sorted."""
        legs, stacks = self.legs(), list(self._stacks)
        shapes = [Shape(*shape) for shape in self._shapes]
        return sorted(
            Sighting(legs[leg], stacks[stack], point, shapes[shape], frames)
            for (leg, stack, point, shape), frames in self._frames.items()
        )


def _guard_bytes(d: DecodedBatch, i: int) -> int:
    """Return the octets of MACsec around the outermost packet of decoded row i, if it is readable.

    The tag ends where the next layer begins (IEEE 802.1AE section 9.3).
    """
    layers, row = d.layers, d.layer_start[i] + 1
    last = row + d.layer_count[i] - _BEHIND_MACSEC
    while row < last and layers.code[row] == Layer.VLAN:
        row += 1
    if row >= last or layers.code[row] != Layer.MACSEC:
        return 0
    return layers.offset[row + 1] - layers.offset[row] + ICV_BYTES


def _link_stand_in(link_type: int) -> int:
    """Return what an Ethernet header costs on links whose captures hold something else."""
    return 0 if link_type in _NO_LINK else ETHERNET_BYTES


_NO_LINK = frozenset(
    link_type
    for link_type, layer in LINK_TYPES.items()
    if layer in (Layer.RAW, Layer.IPV4, Layer.IPV6)
)
"""There is no link-layer header."""
