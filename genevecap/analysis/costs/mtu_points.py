# SPDX-License-Identifier: Apache-2.0
"""Sizes at each capture point, and the sum that says which inner MTU its tunnels leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...columns import TUNNEL_NAMES, TunnelKind
from ...decode.options import class_name, option_name
from ..results import FrameRef
from ..super_packets import ETHERNET_MTU, SegmentCounts
from .mtu import Complaint, MtuEvents, Sending
from .results import MtuFlow, MtuSum, PointMtu, Term
from .shapes import ETHERNET_BYTES, Announced, Announcements, Leg, Level, Place, Shape, Sighting
from .traffic import Traffic

_FULL = 0.8
"""Of the MSS: a segment of this share is full-sized; the rest are TCP options and rounding."""

_VLAN_BYTES = 4
"""IEEE 802.1Q tag."""


@dataclass(slots=True)
class _Sizes:
    """What one point saw."""

    largest_frame: int = 0
    largest_packet: int = 0
    fragments: int = 0
    outer_fragments: int = 0
    fixed: int = 0
    super_packets: int = 0
    largest_super: int = 0
    over: int = 0
    ends: set[tuple[int, int, int]] = field(default_factory=set)
    """Tunnel endpoints."""


def point_mtus(
    names: Sequence[str],
    sightings: Sequence[Sighting],
    traffic: Traffic,
    events: MtuEvents,
    segments: SegmentCounts,
    interception: frozenset[Level],
    *,
    mtu: int | None,
    paths: Sequence[str],
) -> tuple[PointMtu, ...]:
    """Return the sizes at each point that is not a loopback, in the order of points.

    paths: of the captures.
    mtu: what the user says of every link; None to go by what hosts announce.
    """
    limits = link_mtus(sightings, traffic, mtu)
    sizes = _sizes(sightings, segments, limits)
    flows = _flows(events, traffic, paths)
    for point, (limit, _) in limits.items():
        known = traffic.announced.get(point, {})
        flows[point] += _too_large_mss(known, limit, interception, paths)
    return tuple(
        PointMtu(
            point=names[point],
            largest_frame_bytes=seen.largest_frame,
            largest_packet_bytes=seen.largest_packet,
            mtu_bytes=limits[point][0] if point in limits else None,
            mtu_basis=limits[point][1] if point in limits else "unknown",
            headroom_bytes=limits[point][0] - seen.largest_packet if point in limits else None,
            fragments=seen.fragments + seen.outer_fragments,
            outer_fragments=seen.outer_fragments,
            df_packets=seen.fixed,
            icmp_too_big=events.messages.get(point, 0),
            super_packets=seen.super_packets,
            largest_super_packet_bytes=seen.largest_super,
            over_mtu=seen.over,
            black_hole=any(flow.kind == "black-hole" for flow in flows.get(point, ())),
            flows=tuple(flows.get(point, ())),
        )
        for point, seen in sorted(sizes.items())
        if point not in traffic.loopback
    )


Limits = Mapping[int, tuple[int, str]]
"""By point: the MTU of its link and how that is known, where it is."""


def link_mtus(sightings: Sequence[Sighting], traffic: Traffic, mtu: int | None) -> Limits:
    """Return the MTU of the link at each point, where it can be known.

    By what the user says; by the MSS of SYNs outside tunnels, since a host announces what its own
    link takes (inside a tunnel it speaks of another link); by the size of first fragments.
    Of all interfaces at once nothing is concluded: those are many links.
    """
    points = {sighting.point for sighting in sightings}
    if mtu is not None:
        return dict.fromkeys(points, (mtu, "given"))
    limits: dict[int, tuple[int, str]] = {}
    for _, stack, point, shape, _ in sightings:
        if point in traffic.cooked:
            continue
        if shape.whole_bytes > shape.packet_bytes or (not shape.whole and not stack):
            # Payload in a fragment is a multiple of 8 (RFC 791 section 3.2).
            least = shape.outer_bytes + (-shape.outer_bytes - 4) % 8
            limits[point] = (max(least, limits.get(point, (0, ""))[0]), "fragments")
    for point, known in traffic.announced.items():
        bare = [said.packet_bytes for said in known if not said.tunnel_bytes]
        if bare and point not in traffic.cooked:
            limits[point] = (max(bare), "mss")
    return limits


def _too_large_mss(
    known: Mapping[Announced, Announcements],
    limit: int,
    interception: frozenset[Level],
    paths: Sequence[str],
) -> Iterable[MtuFlow]:
    """Yield what hosts announced that does not fit the link with its tunnels.

    Through interception's own tunnels go first packets only, and those are small.
    """
    for said, (number, leg, frames) in sorted(known.items()):
        if said.packet_bytes + said.tunnel_bytes <= limit:
            continue
        if said.stack and interception.issuperset(said.stack):
            continue
        source, destination = leg.ends()
        yield MtuFlow(
            kind="mss",
            source=source,
            destination=destination,
            packets=number,
            packet_bytes=said.packet_bytes + said.tunnel_bytes,
            mss=said.mss,
            frames=_frames(frames, paths),
        )


def _sizes(
    sightings: Sequence[Sighting],
    segments: SegmentCounts,
    limits: Limits,
) -> dict[int, _Sizes]:
    sizes: dict[int, _Sizes] = defaultdict(_Sizes)
    for sighting in sightings:
        ends = sizes[sighting.point].ends
        for level in sighting.stack:
            ends.add((level.version, level.source_hi, level.source_lo))
            ends.add((level.version, level.destination_hi, level.destination_lo))
    for leg, stack, point, shape, frames in sightings:
        seen = sizes[point]
        seen.fixed += frames * shape.fixed
        packet = shape.outer_bytes
        if segments.of(leg, shape) > 1:
            seen.super_packets += frames
            seen.largest_super = max(seen.largest_super, packet)
            continue
        seen.largest_packet = max(seen.largest_packet, packet)
        seen.largest_frame = max(seen.largest_frame, shape.link_bytes + packet)
        seen.over += frames * (point in limits and packet > limits[point][0])
        if shape.whole_bytes > shape.packet_bytes:
            seen.outer_fragments += frames
        elif not shape.whole:
            outer = not stack and (leg.version, leg.source_hi, leg.source_lo) in seen.ends
            if outer:
                seen.outer_fragments += frames
            else:
                seen.fragments += frames
    return sizes


# --- flows --------------------------------------------------------------------------------------


def _frames(places: Iterable[Place], paths: Sequence[str]) -> tuple[FrameRef, ...]:
    return tuple(FrameRef(capture=paths[capture], frame=frame) for capture, frame in places)


def _flows(events: MtuEvents, traffic: Traffic, paths: Sequence[str]) -> dict[int, list[MtuFlow]]:
    found: dict[int, list[MtuFlow]] = defaultdict(list)
    for (point, leg), complaint in events.complaints.items():
        found[point].append(_complaint(leg, complaint, paths))
    for (point, parts), sending in events.sending.items():
        leg = Leg(*parts)
        if is_black_hole(sending, traffic.mss.get(leg)):
            found[point].append(_black_hole(leg, sending, traffic.mss.get(leg), paths))
    return found


def is_black_hole(sending: Sending, mss: int | None) -> bool:
    """Tell whether only full-sized segments of a direction were lost, every time."""
    lost = sending.lost_size
    return lost > sending.passed and (mss is None or lost >= mss * _FULL)


def _complaint(leg: Leg, complaint: Complaint, paths: Sequence[str]) -> MtuFlow:
    source, destination = leg.ends()
    heeded = None
    if complaint.later_too_big:
        heeded = False
    elif complaint.later_fitting:
        heeded = True
    return MtuFlow(
        kind="too-big",
        source=source,
        destination=destination,
        packets=complaint.messages,
        packet_bytes=complaint.packet_bytes,
        next_hop_mtu_bytes=complaint.next_hop_mtu_bytes or None,
        obeyed=heeded,
        frames=_frames(complaint.frames, paths),
    )


def _black_hole(leg: Leg, sending: Sending, mss: int | None, paths: Sequence[str]) -> MtuFlow:
    headers = 20 if leg.version == 4 else 40
    source, destination = leg.ends()
    return MtuFlow(
        kind="black-hole",
        source=source,
        destination=destination,
        packets=sending.lost_tries,
        # 12 of 32 octets of TCP header are time stamps, which all but few connections carry.
        packet_bytes=sending.lost_size + headers + 32,
        mss=mss,
        frames=_frames(sending.lost_frames, paths),
    )


# --- the sum ------------------------------------------------------------------------------------


def mtu_sums(
    sightings: Sequence[Sighting],
    traffic: Traffic,
    segments: SegmentCounts,
    interception: frozenset[Level],
    *,
    mtu: int | None,
) -> tuple[MtuSum, ...]:
    """Return for each stack of tunnels the inner MTU that it leaves, most packets first.

    The packet with the largest headers decides, since all must fit.
    """
    seen: dict[tuple[tuple[int, int], ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    dearest: dict[tuple[tuple[int, int], ...], tuple[int, Sighting]] = {}
    for sighting in sightings:
        if not sighting.stack:
            continue
        key = tuple((level.kind, level.vni) for level in sighting.stack)
        number = segments.of(sighting.leg, sighting.shape) * sighting.frames
        seen[key][sighting.point] += number
        overhead = sum(parts.overhead_bytes for parts in sighting.shape.tunnels)
        if key not in dearest or overhead > dearest[key][0]:
            dearest[key] = overhead, sighting
    result = []
    limits = link_mtus(sightings, traffic, mtu)
    for key, points in seen.items():
        at = max(points, key=lambda point: (point not in traffic.cooked, points[point], -point))
        overhead, sighting = dearest[key]
        outside, basis = limits.get(at, (ETHERNET_MTU, "assumed"))
        if outside < overhead:
            outside, basis = ETHERNET_MTU, "assumed"
        terms = _terms(sighting.stack, sighting.shape)
        left = outside - sum(term.octets for term in terms)
        result.append(
            MtuSum(
                tunnels=tuple(_tunnel_words(kind, vni) for kind, vni in key),
                purpose=(
                    "interception"
                    if all(level in interception for level in sighting.stack)
                    else "underlay"
                ),
                packets=points[at],
                mtu_bytes=outside,
                basis=basis,
                terms=terms,
                inner_mtu_bytes=left,
                text=" − ".join([str(outside), *map(_term_words, terms)]) + f" = {left}",
            )
        )
    return tuple(sorted(result, key=lambda each: (-each.packets, each.tunnels)))


def _tunnel_words(kind: int, vni: int) -> str:
    return TUNNEL_NAMES[kind] if vni < 0 else f"{TUNNEL_NAMES[kind]} VNI {vni}"


_TITLES = {
    TunnelKind.GENEVE: "Geneve",
    TunnelKind.VXLAN: "VXLAN",
    TunnelKind.VXLAN_GPE: "VXLAN-GPE",
    TunnelKind.GRE: "GRE",
    TunnelKind.NVGRE: "NVGRE",
    TunnelKind.ERSPAN: "ERSPAN",
    TunnelKind.GTPU: "GTP-U",
}


def _terms(stack: Sequence[Level], shape: Shape) -> tuple[Term, ...]:
    terms = []
    for level, parts in zip(stack, shape.tunnels, strict=True):
        terms.append(Term(name=f"IPv{level.version}", octets=parts.ip_bytes))
        if parts.udp_bytes:
            terms.append(Term(name="UDP", octets=parts.udp_bytes))
        if parts.header_bytes:
            title = _TITLES.get(TunnelKind(level.kind), TUNNEL_NAMES[level.kind])
            terms.append(Term(name=title, octets=parts.header_bytes))
        if parts.option_bytes:
            terms.append(
                Term(
                    name="options",
                    octets=parts.option_bytes,
                    parts=tuple(_option_words(*option) for option in parts.options),
                )
            )
        rest = parts.link_bytes
        if rest >= ETHERNET_BYTES:
            terms.append(Term(name="Ethernet", octets=ETHERNET_BYTES))
            rest -= ETHERNET_BYTES
        if rest:
            name = "802.1Q" if rest % _VLAN_BYTES == 0 else "inner headers"
            terms.append(Term(name=name, octets=rest))
    return tuple(terms)


def _option_words(option_class: int, option_type: int, data_bytes: int) -> str:
    """Return whose option it is, and its octets with the 4 of its header."""
    known = option_name(option_class, option_type, data_bytes)
    owner = class_name(option_class)
    short = owner.partition("(")[2].rstrip(")") if owner.endswith(")") else ""
    if known is None:
        short = f"class {option_class:#06x}"
    return f"{short or known} {data_bytes + 4}"


def _term_words(term: Term) -> str:
    inside = f"{term.name}: {', '.join(term.parts)}" if term.parts else term.name
    return f"{term.octets} ({inside})"
