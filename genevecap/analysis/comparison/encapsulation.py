# SPDX-License-Identifier: Apache-2.0
"""`diff vxlan-vs-geneve`: the same inner traffic under either format, as arithmetic.

Both formats put an outer IP header, UDP and 8 octets of their own in front of an Ethernet frame
(RFC 7348 section 5, RFC 8926 sections 3.1 to 3.4), so that without options they cost the same.
Geneve's options are the difference in octets; the feature table has the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from ...capture.spec import CaptureSpec
from ...columns import TunnelKind
from ...decode import DecodeSettings
from ...decode.layers import Layer
from ..costs.billing import bills
from ..costs.shapes import ETHERNET_BYTES, Level, Sighting
from ..costs.traffic import Traffic
from ..inputs import Inputs, read_into
from ..progress import Progress
from ..results import Problem, Problems
from ..select import Selector
from ..super_packets import SegmentCounts
from .encapsulation_hops import KINDS, encapsulation_hops
from .encapsulation_results import (
    Encapsulation,
    EncapsulationDiff,
    EncapsulationHop,
    Feature,
    InnerTraffic,
    ObservedEncapsulation,
)

IP_BYTES = {"ipv4": 20, "ipv6": 40}
"""Outer IP header without options (RFC 791 section 3.1, RFC 8200 section 3)."""

UDP_BYTES = 8
"""RFC 768."""

TUNNEL_BYTES = 8
"""Header of both formats, without options (RFC 7348 section 5, RFC 8926 section 3.4)."""

BARE_BYTES = UDP_BYTES + TUNNEL_BYTES + ETHERNET_BYTES
"""All but the outer IP header and options."""

STANDARD_SIZES = (64, 128, 256, 512, 1024, 1460, 9000)
"""IP packets, in octets."""

IMIX = ((40, 7), (576, 4), (1500, 1))
"""(octets of the IP packet, how many): the simple IMIX, 340 octets in the mean."""

_FRAGMENT_HEADER_BYTES = 8
"""RFC 8200 section 4.5."""


class Parcel(NamedTuple):
    """One kind of inner packet."""

    inner_bytes: int
    fixed_bytes: int
    """In front of the payload: each segment of it has that again."""
    payload_bytes: int
    is_tcp: bool
    version: int
    """Of the header that would be fragmented; 0: it cannot be."""


Parcels = Mapping[Parcel, int]
"""How many packets there are of each kind."""


class _Gathered(NamedTuple):
    """What the captures hold."""

    traffic: InnerTraffic
    parcels: Parcels
    observed: tuple[ObservedEncapsulation, ...]
    option_bytes: int
    """Mean of the Geneve packets, rounded."""
    most_option_bytes: int
    option_total: int
    """Of the Geneve packets."""
    geneve_packets: int


def diff_encapsulations(
    specs: Sequence[CaptureSpec],
    *,
    option_bytes: int | None = None,
    outer_mtu_bytes: int = 1500,
    outers: Sequence[str] = ("ipv4", "ipv6"),
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> EncapsulationDiff:
    """Compare VXLAN and Geneve on the traffic of captures, or without any on standard packets.

    option_bytes: Geneve options of each packet, option headers included; None for the observed.
    outer_mtu_bytes: largest outer IP packet.
    Raises UsageError where the selector cannot be understood.
    """
    note = Problems(on_problem)
    if not specs:
        rows = [
            row
            for name, parcels in standard_parcels()
            for row in _rows(parcels, option_bytes, outer_mtu_bytes, outers, name=name)
        ]
        nothing = InnerTraffic(packets=0, inner_bytes=0, observed="none")
        return EncapsulationDiff(
            traffic=nothing, encapsulations=tuple(rows), observed=(), features=features()
        )
    settings, selector = settings or DecodeSettings(), selector or Selector()
    inputs = Inputs(specs, settings, selector, note, progress)
    traffic = Traffic()
    interrupted = read_into(
        inputs, lambda batch: traffic.update(batch.frames, batch.decoded, batch.capture)
    )
    sightings = traffic.result()
    found = _gather(traffic, sightings)
    hops: tuple[EncapsulationHop, ...] = ()
    no_latency = None
    if found.traffic.observed == "both" and not interrupted:
        hops, no_latency = encapsulation_hops(
            specs, sightings, inputs.points.names, settings=settings, selector=selector
        )
    return EncapsulationDiff(
        traffic=found.traffic,
        encapsulations=tuple(
            _rows(found.parcels, option_bytes, outer_mtu_bytes, outers, found=found)
        ),
        observed=found.observed,
        features=features(),
        latency=hops,
        no_latency=no_latency,
        paths=inputs.read_paths(),
        problems=note.met(),
        interrupted=interrupted,
    )


def standard_parcels() -> list[tuple[str, Parcels]]:
    """Return the packets that stand for traffic where there is no capture: TCP over IPv4."""

    def parcel(size: int) -> Parcel:
        return Parcel(size, 40, size - 40, True, 4)

    sizes: list[tuple[str, Parcels]] = [(str(size), {parcel(size): 1}) for size in STANDARD_SIZES]
    return [*sizes, ("IMIX", {parcel(size): number for size, number in IMIX})]


def features() -> tuple[Feature, ...]:
    """Return how the formats differ, one respect a row, each with its source."""
    table = files("genevecap.analysis.comparison").joinpath("encapsulation_features.tsv")
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()[1:]]
    return tuple(Feature(feature=f, vxlan=v, geneve=g, source=s) for f, v, g, s in rows)


# --- one row -----------------------------------------------------------------------------------


def _rows(
    parcels: Parcels,
    option_bytes: int | None,
    outer_mtu_bytes: int,
    outers: Sequence[str],
    *,
    name: str | None = None,
    found: _Gathered | None = None,
) -> Iterable[Encapsulation]:
    """Yield a row for each format, without options and with them, in each outer IP version."""
    packets = sum(parcels.values())
    given = option_bytes or 0
    observed = found is not None and option_bytes is None and found.most_option_bytes > 0
    if observed and found is not None:
        mean = found.option_bytes
        others = packets - found.geneve_packets
        options = (mean, found.most_option_bytes, found.option_total + mean * others)
    else:
        options = (given, given, given * packets)
    for outer in outers:
        bare = (0, 0, 0)
        for kind, (each, most, total) in (
            ("vxlan", bare),
            ("geneve", bare),
            *([("geneve", options)] if options[1] else []),
        ):
            yield _row(
                parcels,
                Encapsulation(
                    kind=kind,
                    outer=outer,
                    option_bytes=each,
                    outer_mtu_bytes=outer_mtu_bytes,
                    packet_bytes=None,
                    name=name,
                    packets=packets,
                    inner_bytes=sum(p.inner_bytes * n for p, n in parcels.items()),
                    header_bytes=IP_BYTES[outer] + BARE_BYTES + each,
                    overhead_bytes=(IP_BYTES[outer] + BARE_BYTES) * packets + total,
                    wire_bytes=0,
                    overhead_share=0,
                    inner_mtu=max(outer_mtu_bytes - IP_BYTES[outer] - BARE_BYTES - most, 0),
                    packets_over_mtu=0,
                    extra_segments=0,
                    extra_bytes=0,
                    goodput_share=0,
                    is_observed=observed and each > 0,
                ),
            )


def _row(parcels: Parcels, row: Encapsulation) -> Encapsulation:
    """Return a row with everything that follows from its headers."""
    from dataclasses import replace

    wire = row.inner_bytes + row.overhead_bytes + ETHERNET_BYTES * row.packets
    over = segments = octets = 0
    for parcel, number in parcels.items():
        if parcel.inner_bytes > row.inner_mtu:
            pieces, again = split(parcel, row.inner_mtu)
            over += number
            segments += (pieces - 1) * number
            octets += (pieces - 1) * number * (again + row.header_bytes + ETHERNET_BYTES)
    payload = sum(parcel.payload_bytes * number for parcel, number in parcels.items())
    mean = round(row.inner_bytes / row.packets) if row.packets else 0
    return replace(
        row,
        packet_bytes=None if row.name is None else mean,
        wire_bytes=wire,
        overhead_share=share(row.overhead_bytes, wire),
        packets_over_mtu=over,
        extra_segments=segments,
        extra_bytes=octets,
        goodput_share=share(payload, wire),
    )


def split(parcel: Parcel, mtu: int) -> tuple[int, int]:
    """Return into how many pieces of at most `mtu` octets a packet goes, and the headers of each.

    TCP is segmented (RFC 9293 section 3.7.1), anything else that is IP is fragmented: pieces but
    the last hold a multiple of 8 octets (RFC 791 section 3.2, RFC 8200 section 4.5).
    """
    if not parcel.version:
        return 1, 0
    if parcel.is_tcp and parcel.payload_bytes:
        room = max(mtu - parcel.fixed_bytes, 1)
        return -(-parcel.payload_bytes // room), parcel.fixed_bytes
    header = 20 if parcel.version == 4 else 40 + _FRAGMENT_HEADER_BYTES
    room = max((mtu - header) // 8 * 8, 8)
    octets = parcel.inner_bytes - (20 if parcel.version == 4 else 40)
    return max(-(-octets // room), 1), header


def share(part: int, whole: int) -> float:
    """Return a share of a whole, 0 of nothing."""
    return round(part / whole, 6) if whole else 0.0


# --- captures ----------------------------------------------------------------------------------


def _gather(traffic: Traffic, sightings: Sequence[Sighting]) -> _Gathered:
    segments = SegmentCounts(sightings, traffic.mss)
    all_bills = bills(sightings, segments, traffic.loopback, _compared_level, cooked=traffic.cooked)
    by_kind: dict[str, Counter[Parcel]] = {"vxlan": Counter(), "geneve": Counter()}
    overhead: Counter[str] = Counter()
    options: Counter[int] = Counter()
    super_packets = 0
    for bill in all_bills:
        for level, seen in bill.levels.items():
            kind = KINDS[TunnelKind(level.kind)]
            for sighting in seen:
                number = segments.of(bill.leg, sighting.shape)
                super_packets += sighting.frames * (number > 1)
                parts = sighting.shape.tunnels[sighting.stack.index(level)]
                overhead[kind] += parts.overhead_bytes * number * sighting.frames
                if kind == "geneve":
                    options[parts.option_bytes] += number * sighting.frames
                _add_parcels(by_kind[kind], sighting, level, segments)
    found = [kind for kind in by_kind if by_kind[kind]]
    parcels = sum(by_kind.values(), Counter())
    if not found:
        super_packets = 0
        network = [bill for bill in all_bills if not bill.host_only] or all_bills
        for bill in network:
            for sighting in bill.own:
                if sighting.shape.version or sighting.shape.transport == Layer.ARP:
                    super_packets += sighting.frames * (segments.of(bill.leg, sighting.shape) > 1)
                    _add_parcels(parcels, sighting, None, segments)
    option_total = sum(size * number for size, number in options.items())
    geneve_packets = options.total()
    return _Gathered(
        traffic=InnerTraffic(
            packets=parcels.total(),
            inner_bytes=_inner_bytes(parcels),
            observed="both" if len(found) == 2 else found[0] if found else "none",
            payload_bytes=sum(p.payload_bytes * n for p, n in parcels.items()),
            super_packets=super_packets,
        ),
        parcels=parcels,
        observed=tuple(
            _observed(kind, by_kind[kind], overhead[kind], option_total * (kind == "geneve"))
            for kind in found
        ),
        option_bytes=round(option_total / geneve_packets) if geneve_packets else 0,
        most_option_bytes=max(options, default=0),
        option_total=option_total,
        geneve_packets=geneve_packets,
    )


def _compared_level(sighting: Sighting) -> tuple[Level, ...]:
    """Return the outermost tunnel that is VXLAN or Geneve, if there is any."""
    return tuple(level for level in sighting.stack if level.kind in KINDS)[:1]


def _add_parcels(
    parcels: Counter[Parcel], sighting: Sighting, level: Level | None, segments: SegmentCounts
) -> None:
    """Add what is inside a level (None: all of the packet) as packets of the wire."""
    shape = sighting.shape
    inside = shape.tunnels[sighting.stack.index(level) + 1 :] if level else shape.tunnels
    fixed = sum(each.overhead_bytes for each in inside) + shape.ip_bytes + shape.transport_bytes
    is_tcp = shape.transport == Layer.TCP
    version = sighting.stack[-len(inside)].version if inside else shape.version
    number = segments.of(sighting.leg, shape)
    if number == 1:
        size = sum(each.overhead_bytes for each in inside) + shape.whole_bytes
        more = shape.whole_bytes - shape.packet_bytes  # in the fragments that follow
        one = Parcel(size, fixed, shape.payload_bytes + more, is_tcp, version)
        parcels[one] += sighting.frames
        return
    full = segments.payload_of_segment(sighting.leg, shape)
    rest = shape.payload_bytes - full * (number - 1)
    parcels[Parcel(fixed + full, fixed, full, True, version)] += (number - 1) * sighting.frames
    parcels[Parcel(fixed + rest, fixed, rest, True, version)] += sighting.frames


def _inner_bytes(parcels: Parcels) -> int:
    return sum(parcel.inner_bytes * number for parcel, number in parcels.items())


def _observed(kind: str, parcels: Parcels, overhead: int, options: int) -> ObservedEncapsulation:
    packets = sum(parcels.values())
    wire = _inner_bytes(parcels) + overhead + ETHERNET_BYTES * packets
    return ObservedEncapsulation(
        kind=kind,
        packets=packets,
        inner_bytes=_inner_bytes(parcels),
        overhead_bytes=overhead,
        option_bytes=options,
        wire_bytes=wire,
        overhead_share=share(overhead, wire),
    )
