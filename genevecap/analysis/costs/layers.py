# SPDX-License-Identifier: Apache-2.0
"""The bill of `overhead`, layer by layer: who pays for which header.

Three bills are kept apart: *interception* is Istio's (Geneve with its VNIs between node and
ztunnel), *underlay* the CNI's or whatever else carries packets between hosts, *hbone* what TLS and
HTTP/2 cost.  *extra-leg* are IP and TCP headers of the connections that a proxied one consists of
besides: from the client to its ztunnel, and from the server's ztunnel to the server.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...ambient import HBONE_PORT, OUTBOUND_PORT, modes
from ...columns import TUNNEL_NAMES, TunnelKind
from ...decode.layers import Layer
from ..comparison.encapsulation import share
from ..super_packets import SegmentCounts
from .billing import LegBill
from .hbone_bytes import HboneBytes
from .results import LayerOverhead, Spread
from .shapes import Leg, Level, Shape, Sighting, TunnelShape

TCP = 6

_ESP_TAIL_BYTES = 2 + 16
"""Pad length, next header (RFC 4303 section 2), and the tag of AES-GCM (RFC 4106 section 6)."""
_ESP_HEAD_BYTES = 8 + 8
"""SPI and sequence number, and the initialisation vector of AES-GCM (RFC 4106 section 3.1)."""
_ESP_PADDING_BYTES = 3
"""At most, for an alignment to 4 octets (RFC 4303 section 2.4)."""
_MACSEC_BYTES = 16 + 16
"""SecTAG with SCI, its EtherType included, and ICV (IEEE 802.1AE clause 9)."""
_MACSEC_SCI_BYTES = 8
"""Which the SecTAG may lack."""
_WIREGUARD_BYTES = 8 + 16 + 16
"""UDP, the header of a data message, and its tag (WireGuard, section 5.4.6)."""
_WIREGUARD_PADDING_BYTES = 15
_WIREGUARD_HANDSHAKES = frozenset((148, 92))
"""Initiation and response (sections 5.4.2 and 5.4.3), all of them overhead.  Data messages have 32
octets and a multiple of 16; so has a cookie reply, which is rare."""
_TCP_DOUBT_BYTES = 28
"""How much longer than with time stamps a TCP header may be (RFC 9293 section 3.1)."""
_IPV4_BYTES = 20

Key = tuple[str, str, bool]
"""Kind, purpose, host-only."""


@dataclass(slots=True)
class _Row:
    """What is added up for one layer."""

    overhead: int = 0
    options: int = 0
    uncertainty: int = 0
    estimated: bool = False
    per_packet: Counter[int] = field(default_factory=Counter)

    def add(self, octets: int, packets: int) -> None:
        self.overhead += octets * packets
        self.per_packet[octets] += packets


class LayerBill:
    """Adds up the layers of the legs of one run."""

    def __init__(self, segments: SegmentCounts, interception: frozenset[Level]) -> None:
        self._segments = segments
        self._interception = interception
        self._rows: dict[Key, _Row] = defaultdict(_Row)

    def purpose(self, level: Level) -> str:
        """Return whose tunnel it is."""
        return "interception" if level in self._interception else "underlay"

    def leg(self, bill: LegBill, extra: bool) -> int:
        """Add a leg's tunnels, encryption and (if it is an extra one) headers.

        Returns the octets of overhead that were added.
        """
        before = self._total()
        for level, seen in bill.levels.items():
            key = (TUNNEL_NAMES[level.kind], self.purpose(level), bill.host_only)
            row = self._rows[key]
            for sighting in seen:
                self._tunnel(row, sighting, sighting.shape.tunnels[sighting.stack.index(level)])
        for sighting in bill.own:
            if sighting.shape.encryption:
                self._encryption(sighting, bill.host_only)
            if sighting.shape.guard_bytes:
                self._guard(sighting, bill.host_only)
            if extra:
                self._headers(sighting, bill.host_only)
        return self._total() - before

    def hbone(self, found: HboneBytes, host_only: bool) -> int:
        """Add TLS and HTTP/2 of one direction of a connection; returns the octets."""
        tls = self._rows["tls", "hbone", host_only]
        http2 = self._rows["http2", "hbone", host_only]
        tls.overhead += found.tls_bytes
        tls.uncertainty += found.tls_uncertainty_bytes
        tls.estimated |= found.tls_uncertainty_bytes > 0
        http2.overhead += found.http2_bytes
        http2.uncertainty += found.http2_uncertainty_bytes
        http2.estimated = True
        for (of_tls, of_http2), packets in found.per_packet.items():
            tls.per_packet[of_tls] += packets
            http2.per_packet[of_http2] += packets
        return found.tls_bytes + found.http2_bytes

    def _total(self) -> int:
        return sum(row.overhead for row in self._rows.values())

    def _number(self, row: _Row, sighting: Sighting, octets: int) -> int:
        """Return how many packets a sighting is, having noted how sure that is."""
        number = self._segments.of(sighting.leg, sighting.shape)
        if number > 1:
            row.estimated = True
            row.uncertainty += self._segments.doubt(sighting.leg, sighting.shape) * (
                octets * sighting.frames
            )
        return number * sighting.frames

    def _tunnel(self, row: _Row, sighting: Sighting, parts: TunnelShape) -> None:
        packets = self._number(row, sighting, parts.overhead_bytes)
        row.add(parts.overhead_bytes, packets)
        row.options += parts.option_bytes * packets

    def _headers(self, sighting: Sighting, host_only: bool) -> None:
        shape = sighting.shape
        for kind, octets in (("ip", shape.ip_bytes), ("tcp", shape.transport_bytes)):
            row = self._rows[kind, "extra-leg", host_only]
            number = self._number(row, sighting, octets)
            row.add(octets, number)
            if shape.guessed and kind == "tcp":
                row.estimated = True
                row.uncertainty += _TCP_DOUBT_BYTES * number

    def _encryption(self, sighting: Sighting, host_only: bool) -> None:
        shape = sighting.shape
        match shape.encryption:
            case Layer.ESP:
                kind = "esp"
                udp = 8 if shape.transport == Layer.UDP else 0  # RFC 3948
                octets = _ESP_HEAD_BYTES + _ESP_TAIL_BYTES + udp + _ip_bytes(shape)
                # Padding; and in transport mode the IP header is the packet's own.
                doubt = _ESP_PADDING_BYTES + _ip_bytes(shape)
            case Layer.MACSEC:
                kind, octets, doubt = "macsec", _MACSEC_BYTES, _MACSEC_SCI_BYTES
            case _ if shape.packet_bytes - shape.ip_bytes - 8 in _WIREGUARD_HANDSHAKES:
                kind, octets, doubt = "wireguard", shape.packet_bytes, 0
            case _:
                kind, octets = "wireguard", _WIREGUARD_BYTES + _ip_bytes(shape)
                doubt = _WIREGUARD_PADDING_BYTES
        row = self._rows[kind, "underlay", host_only]
        row.estimated = True
        row.uncertainty += doubt * sighting.frames
        row.add(octets, sighting.frames)

    def _guard(self, sighting: Sighting, host_only: bool) -> None:
        """Add MACsec that encrypts nothing: its tag is seen, and its ICV has one length."""
        row, octets = self._rows["macsec", "underlay", host_only], sighting.shape.guard_bytes
        row.add(octets, self._number(row, sighting, octets))

    def result(self, wire_bytes: int) -> tuple[LayerOverhead, ...]:
        """Return the rows, those of the network first, the dearest first."""
        rows = [
            LayerOverhead(
                kind=kind,
                purpose=purpose,
                packets=row.per_packet.total(),
                overhead_bytes=row.overhead,
                option_bytes=row.options,
                share=0.0 if host_only else share(row.overhead, wire_bytes),
                basis="estimated" if row.estimated else "counted",
                uncertainty_bytes=row.uncertainty,
                per_packet=spread(row.per_packet),
                host_only=host_only,
            )
            for (kind, purpose, host_only), row in self._rows.items()
            if row.per_packet
        ]
        return tuple(sorted(rows, key=lambda r: (r.host_only, -r.overhead_bytes, r.kind)))


def _ip_bytes(shape: Shape) -> int:
    """Return the IP header in front of what encrypts; UDP, where there is one, aside."""
    return shape.ip_bytes or _IPV4_BYTES


def spread(counts: Mapping[int, int]) -> Spread:
    """Return least, median (one that was met) and most."""
    values = sorted(counts)
    if not values:
        return Spread(min=0, p50=0, max=0)
    half, seen = (sum(counts.values()) + 1) // 2, 0
    for value in values:
        seen += counts[value]
        if seen >= half:
            return Spread(min=values[0], p50=value, max=values[-1])
    raise AssertionError("unreachable")  # pragma: no cover


# --- whose tunnels, whose legs -------------------------------------------------------------------


def interception_levels(sightings: Iterable[Sighting]) -> frozenset[Level]:
    """Return the tunnels of a redirect mode: its VNIs, no options, and an end of their own.

    An endpoint that also gets other VNIs on the same port is an underlay's, which happens to use
    the number.
    """
    vnis = {vni for mode in modes().values() for vni in mode.vnis}
    levels: dict[Level, int] = {}
    for sighting in sightings:
        for level, parts in zip(sighting.stack, sighting.shape.tunnels, strict=True):
            levels[level] = max(levels.get(level, 0), parts.option_bytes)
    shared = {
        _end(level) for level in levels if level.kind == TunnelKind.GENEVE and level.vni not in vnis
    }
    return frozenset(
        level
        for level, options in levels.items()
        if level.kind == TunnelKind.GENEVE
        and level.vni in vnis
        and not options
        and _end(level) not in shared
    )


def _end(level: Level) -> tuple[int, ...]:
    return level.version, level.destination_hi, level.destination_lo, level.port


def is_hbone(leg: Leg) -> bool:
    """Tell whether a leg is HBONE by its port."""
    return leg.protocol == TCP and HBONE_PORT in (leg.source_port, leg.destination_port)


def extra_legs(
    all_bills: Sequence[LegBill],
    interception: frozenset[Level],
    redirected: frozenset[Leg],
) -> frozenset[Leg]:
    """Return the TCP legs that are there because a connection goes through ztunnels.

    redirected: legs whose SYN was given another destination MAC on its way (eBPF redirection).
    """
    tcp = [bill for bill in all_bills if bill.leg.protocol == TCP and not is_hbone(bill.leg)]
    pairs = {frozenset((bill.leg[1:3], bill.leg[3:5])) for bill in all_bills if is_hbone(bill.leg)}
    ambient = pairs or any(bill.leg.destination_port == OUTBOUND_PORT for bill in tcp)
    if not ambient:
        return frozenset()
    outside_pods = bool(redirected) or any(
        level in interception for bill in all_bills for level in bill.levels
    )
    extra: set[Leg] = set()
    for bill in tcp:
        leg = bill.leg
        if (
            bill.host_only
            or leg in redirected
            or any(level in interception for level in bill.levels)
            or (outside_pods and frozenset((leg[1:3], leg[3:5])) in pairs)
        ):
            extra |= {leg, leg.reversed()}
    return frozenset(extra)
