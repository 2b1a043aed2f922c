# SPDX-License-Identifier: Apache-2.0
"""What packets are made of: legs, the tunnels around them, and the octets of every part.

A *leg* is a one-way 5-tuple (the innermost one), a *level* one tunnel around it, a *stack* all of
them, a *shape* the octets of every part of a frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...addresses import address_text, endpoint_text
from ...columns import DecodedBatch, Stop, TunnelKind
from ...decode.network_headers import FIXED_HEADER_BYTES, geneve_option_bytes, tunnel_header_end
from ..tables import FIRST_FRAMES

ETHERNET_BYTES = 14
"""Destination, source, EtherType (IEEE 802.3 clause 3.1.1); no frame check sequence."""


_AROUND_ETHERNET = frozenset((TunnelKind.VXLAN, TunnelKind.NVGRE))
_BY_ETHERTYPE = frozenset((TunnelKind.GENEVE, TunnelKind.GRE))


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
    """Link layer around the outermost network-layer packet, as on Ethernet."""
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
    whole: bool = True
    """Whether the innermost IP packet is no fragment."""
    fixed: bool = False
    """Whether routers must not fragment the outermost IP packet: DF, or IPv6."""
    guard_bytes: int = 0
    """MACsec's tag, EtherType included, and ICV around a packet that it leaves readable."""
    guessed: bool = False
    """Whether the TCP header was not captured, so that its length is a guess."""

    @property
    def outer_bytes(self) -> int:
        """Octets of the outermost network-layer packet."""
        return sum(each.overhead_bytes for each in self.tunnels) + self.packet_bytes


LegFields = tuple[int, int, int, int, int, int, int, int]
"""Those of a `Leg`, which is equal to them: quicker to make, for look-ups."""


Place = tuple[int, int]
"""Index of a capture, and the number of a frame in it."""


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

    def ends(self) -> tuple[str, str]:
        """Return source and destination as text; of what is no IP, question marks."""
        if self.version not in (4, 6):
            return "?", "?"
        source = address_text(self.version, self.source_hi, self.source_lo)
        destination = address_text(self.version, self.destination_hi, self.destination_lo)
        ports = [None if port < 0 else port for port in (self.source_port, self.destination_port)]
        return endpoint_text(source, ports[0]), endpoint_text(destination, ports[1])


class Announced(NamedTuple):
    """What a SYN says about sizes."""

    packet_bytes: int
    """Innermost IP packet that its sender takes: MSS and headers without options."""
    tunnel_bytes: int
    """What the tunnels around it add."""
    mss: int
    stack: tuple[Level, ...]


class Announcements(NamedTuple):
    """How many SYNs said so, the first leg of them, in their order, and the first frames."""

    number: int
    leg: Leg
    frames: tuple[Place, ...]

    def and_also(self, number: int, leg: Leg, frames: Iterable[Place]) -> Announcements:
        """Return these and others together."""
        first = tuple(sorted({*self.frames, *frames})[:FIRST_FRAMES])
        return Announcements(self.number + number, min(self.leg, leg), first)


class Sighting(NamedTuple):
    """Frames of one leg, in one stack of tunnels, with one shape, at one capture point."""

    leg: Leg
    stack: tuple[Level, ...]
    point: int
    shape: Shape
    frames: int


def leg_of(d: DecodedBatch, i: int) -> Leg:
    """Return the innermost 5-tuple of decoded row i."""
    return Leg(
        d.inner_version[i],
        d.inner_source_hi[i],
        d.inner_source_lo[i],
        d.inner_destination_hi[i],
        d.inner_destination_lo[i],
        d.inner_protocol[i],
        d.inner_source_port[i],
        d.inner_destination_port[i],
    )


def outer_leg_of(d: DecodedBatch, i: int) -> Leg:
    """Return the outermost 5-tuple of decoded row i."""
    return Leg(
        d.outer_version[i],
        d.outer_source_hi[i],
        d.outer_source_lo[i],
        d.outer_destination_hi[i],
        d.outer_destination_lo[i],
        d.outer_protocol[i],
        d.outer_source_port[i],
        d.outer_destination_port[i],
    )


def stack_of(d: DecodedBatch, i: int) -> tuple[Level, ...]:
    """Return the tunnels of decoded row i, outermost first."""
    t, start = d.tunnels, d.tunnel_start[i]
    return tuple(
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
        for row in range(start, start + d.tunnel_count[i])
    )


def tunnel_shape(d: DecodedBatch, i: int, row: int) -> TunnelShape:
    """Return the parts of one tunnel of decoded row i."""
    t = d.tunnels
    begin, header = t.ip_offset[row], t.header_offset[row]
    cut = _cut_ethernet_bytes(d, i, row)
    end = begin + t.overhead_bytes[row] + cut
    udp = 8 if t.destination_port[row] >= 0 else 0
    behind = min(end - cut, tunnel_header_end(d, i, row))
    first = t.option_start[row]
    options = tuple(
        (d.options.option_class[o], d.options.option_type[o], d.options.data_bytes[o])
        for o in range(first, first + t.option_count[row])
    )
    option_bytes = min(geneve_option_bytes(d, row), max(behind - header - FIXED_HEADER_BYTES, 0))
    return TunnelShape(
        end - begin,
        max(header - begin - udp, 0),
        udp,
        max(behind - header - option_bytes, 0),
        option_bytes,
        max(end - behind, 0),
        options,
    )


def _cut_ethernet_bytes(d: DecodedBatch, i: int, row: int) -> int:
    """Return the octets of the Ethernet header that a tunnel holds where it was not captured."""
    t = d.tunnels
    if d.stop[i] != Stop.TRUNCATED or row != d.tunnel_start[i] + d.tunnel_count[i] - 1:
        return 0
    if t.ip_offset[row] + t.overhead_bytes[row] > tunnel_header_end(d, i, row):
        return 0
    kind, holds = t.kind[row], t.flags[row] & 0xFFFF
    ethernet = kind in _AROUND_ETHERNET or (kind in _BY_ETHERTYPE and holds == 0x6558)
    return ETHERNET_BYTES if ethernet else 0
