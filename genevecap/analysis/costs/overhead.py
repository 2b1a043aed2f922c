# SPDX-License-Identifier: Apache-2.0
"""`overhead`: what encapsulation and interception cost, and what it does to the MTU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...ambient import HBONE_PORT
from ...capture.manifest import Manifest
from ...capture.points import PointTable
from ...capture.roles import Role
from ...capture.spec import CaptureSpec
from ...columns import TUNNEL_NAMES, DecodedBatch, FrameBatch
from ...decode import DecodeSettings
from ...decode.layers import protocol_name
from ..comparison.encapsulation import share
from ..inputs import Batch, Inputs, read_into
from ..points.roles import RoleSigns
from ..progress import Progress
from ..results import Problem, Problems
from ..run_counts import RunCounts
from ..select import Selector
from ..super_packets import SegmentCounts
from .billing import LegBill, bills
from .hbone_account import HboneAccount
from .hbone_bytes import HboneMeter
from .layers import LayerBill, extra_legs, interception_levels, is_hbone
from .mtu import MtuEvents
from .mtu_findings import note_mtu
from .mtu_points import mtu_sums, point_mtus
from .results import FlowOverhead, OverheadResult, OverheadTotals, VniOverhead
from .shapes import Leg, Sighting, leg_of
from .traffic import Traffic

TOP_FLOWS = 20
"""Flows that are listed."""

_SYN = 0x02

_RANKS = {Role.WIRE: 0, Role.UNDERLAY: 1, Role.BRIDGE: 2, Role.ZTUNNEL_VETH: 3, Role.NODE_VETH: 4}
"""How far from the wire points are; all others are farther."""


class OverheadCounter:
    """Gathers what the answer needs, batch by batch."""

    def __init__(self, points: PointTable, settings: DecodeSettings, counts: RunCounts) -> None:
        """Gather from these points; `counts`, which every report has, gets each batch too."""
        self._counts = counts
        self.traffic = Traffic()
        self.events = MtuEvents(settings)
        self.meters: dict[tuple[int, Leg], HboneMeter] = {}
        """By point and the client's direction."""
        self._roles = RoleSigns(points)

    def update(self, batch: Batch) -> None:
        """Take a batch."""
        self._counts.update(batch)
        frames, d = batch.frames, batch.decoded
        self.traffic.update(frames, d, batch.capture)
        self.events.update(frames, d, batch.capture)
        self._roles.update(batch)
        n = d.count
        flags = d.tcp_flags[:n]
        keep = d.keep
        ports = zip(d.inner_source_port[:n], d.inner_destination_port[:n], flags, strict=True)
        for i, (source, destination, flag) in enumerate(ports):
            if flag and keep[i] and HBONE_PORT in (source, destination):
                self._hbone(frames, d, i, destination == HBONE_PORT)

    def _hbone(self, frames: FrameBatch, d: DecodedBatch, i: int, from_client: bool) -> None:
        row = d.first + i
        leg = leg_of(d, i)
        key = frames.point[row], leg if from_client else leg.reversed()
        meter = self.meters.get(key)
        if meter is None:
            meter = self.meters[key] = HboneMeter()
        sequence, size = d.tcp_sequence[i], d.payload_bytes[i]
        if d.tcp_flags[i] & _SYN:
            meter.begin(from_client, sequence)
        elif size:
            begin = frames.offset[row] + d.payload_offset[i]
            captured = frames.offset[row] + frames.captured_bytes[row]
            data = bytes(frames.buffer[begin : min(begin + size, captured)])
            meter.update(from_client, sequence, data, size)

    def ranks(self) -> dict[int, int]:
        """Return how far from the wire points are, by what they are."""
        return {
            role.index: _RANKS[role.role] for role in self._roles.result() if role.role in _RANKS
        }

    def loopback(self) -> set[int]:
        """Return the points that are a host's `lo`."""
        named = {role.index for role in self._roles.result() if role.role is Role.LO}
        return self.traffic.loopback | named

    def redirected(self) -> frozenset[Leg]:
        """Return the legs whose SYN was redirected by its MAC address, HBONE aside."""
        texts = {(sign.source, sign.destination) for sign in self._counts.redirects()}
        if not texts:
            return frozenset()
        return frozenset(
            leg for leg in self.traffic.legs() if leg.ends() in texts and not is_hbone(leg)
        )


def overhead(
    specs: Sequence[CaptureSpec],
    *,
    mtu_bytes: int | None = None,
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> OverheadResult:
    """Read captures and return what encapsulation and interception cost in them.

    mtu_bytes: of the links at every capture point; None to go by what hosts announce.
    manifest: what capture points are, where the user says it.
    An input that cannot be read, or is damaged, is in `problems` (and told to `on_problem`).
    Raises UsageError where the selector cannot be understood.
    """
    note = Problems(on_problem)
    settings = settings or DecodeSettings()
    inputs = Inputs(
        specs, settings, selector or Selector(), note, progress, points=PointTable(manifest)
    )
    counts = RunCounts(inputs)
    counter = OverheadCounter(inputs.points, settings, counts)
    interrupted = read_into(inputs, counter.update)
    paths = [state.spec.path for state in inputs.states]
    result = _Account(counter, inputs.points.names, paths, mtu_bytes).result(
        inputs.read_paths(), note.met(), interrupted
    )
    noted = counts.noted(counts.ambient().mode)
    note_mtu(noted, result.mtu, paths)
    return replace(result, findings=noted.summaries(paths))


@dataclass(slots=True)
class _Flow:
    """Both directions of a connection."""

    packets: int = 0
    wire: int = 0
    overhead: int = 0
    payload: int = 0
    host_only: bool = True


@dataclass(slots=True)
class _Network:
    """One virtual network."""

    packets: int = 0
    wire: int = 0
    overhead: int = 0
    options: int = 0


class _Account:
    """Turns what was gathered into the answer."""

    def __init__(
        self, counter: OverheadCounter, names: list[str], paths: list[str], mtu: int | None
    ) -> None:
        self._counter, self._names, self._paths, self._mtu = counter, names, paths, mtu
        self._sightings = counter.traffic.result()
        counter.traffic.loopback |= counter.loopback()
        self._segments = SegmentCounts(self._sightings, counter.traffic.mss, mtu)
        self._interception = interception_levels(self._sightings)
        self._layers = LayerBill(self._segments, self._interception)
        self._flows: dict[Leg, _Flow] = defaultdict(_Flow)
        self._vnis: dict[tuple[str, str, int], _Network] = defaultdict(_Network)
        self._packets = self._wire = self._overhead = self._application = 0
        self._host_packets = self._host_bytes = self._super_packets = 0

    def result(
        self, paths: tuple[str, ...], problems: tuple[Problem, ...], interrupted: bool
    ) -> OverheadResult:
        """Return the answer."""
        traffic = self._counter.traffic
        all_bills = bills(
            self._sightings,
            self._segments,
            traffic.loopback,
            ranks=self._counter.ranks(),
            cooked=traffic.cooked,
        )
        extra = extra_legs(all_bills, self._interception, self._counter.redirected())
        hbone = HboneAccount(self._counter.meters, all_bills)
        for bill in all_bills:
            self._leg(bill, bill.leg in extra, hbone)
        for host_only, found in hbone.inside():
            octets = self._layers.hbone(found, host_only)
            self._overhead += octets
        return OverheadResult(
            layers=self._layers.result(self._wire),
            mtu=point_mtus(
                self._names,
                self._sightings,
                traffic,
                self._counter.events,
                self._segments,
                self._interception,
                mtu=self._mtu,
                paths=self._paths,
            ),
            totals=OverheadTotals(
                packets=self._packets,
                wire_bytes=self._wire,
                overhead_bytes=self._overhead,
                overhead_share=share(self._overhead, self._wire),
                application_bytes=self._application,
                overhead_per_application_byte=share(self._overhead, self._application),
                host_only_packets=self._host_packets,
                host_only_bytes=self._host_bytes,
                super_packets=self._super_packets,
            ),
            sums=mtu_sums(
                self._sightings, traffic, self._segments, self._interception, mtu=self._mtu
            ),
            vnis=self._networks(),
            flows=self._top_flows(),
            paths=paths,
            problems=problems,
            interrupted=interrupted,
        )

    def _leg(self, bill: LegBill, extra: bool, hbone: HboneAccount) -> None:
        own = payload = packets = 0
        for sighting in bill.own:
            number = self._segments.of(bill.leg, sighting.shape)
            self._super_packets += sighting.frames * (number > 1)
            packets += number * sighting.frames
            own += _wire_bytes(sighting, number)
            payload += sighting.shape.payload_bytes * sighting.frames
        around = self._tunnels(bill)
        overhead = self._layers.leg(bill, extra)
        application = 0 if extra else payload
        if is_hbone(bill.leg):
            application = hbone.application_bytes(bill.leg)
            found = hbone.of(bill.leg)
            overhead += 0 if found is None else self._layers.hbone(found, bill.host_only)
        flow = self._flows[_forward(bill.leg)]
        flow.packets += packets
        flow.wire += own + around
        flow.overhead += overhead
        flow.payload += payload
        flow.host_only &= bill.host_only
        if bill.host_only:
            self._host_packets += packets
            self._host_bytes += own + around
        else:
            self._packets += packets
            self._wire += own + around
            self._overhead += overhead
            self._application += application

    def _tunnels(self, bill: LegBill) -> int:
        """Add to the virtual networks; return the octets of all tunnels around a leg."""
        octets = 0
        for level, seen in bill.levels.items():
            key = (TUNNEL_NAMES[level.kind], self._layers.purpose(level), level.vni)
            network = self._vnis[key]
            for sighting in seen:
                parts = sighting.shape.tunnels[sighting.stack.index(level)]
                number = self._segments.of(bill.leg, sighting.shape)
                packets = number * sighting.frames
                network.packets += packets
                network.overhead += parts.overhead_bytes * packets
                network.options += parts.option_bytes * packets
                network.wire += _wire_bytes(sighting, number) + packets * sum(
                    each.overhead_bytes for each in sighting.shape.tunnels
                )
                octets += parts.overhead_bytes * packets
        return octets

    def _networks(self) -> tuple[VniOverhead, ...]:
        rows = [
            VniOverhead(
                kind=kind,
                purpose=purpose,
                vni=None if vni < 0 else vni,
                packets=network.packets,
                wire_bytes=network.wire,
                overhead_bytes=network.overhead,
                option_bytes=network.options,
                share=share(network.overhead, network.wire),
            )
            for (kind, purpose, vni), network in self._vnis.items()
        ]
        return tuple(sorted(rows, key=lambda r: (-r.overhead_bytes, r.kind, r.vni or 0)))

    def _top_flows(self) -> tuple[FlowOverhead, ...]:
        largest = sorted(self._flows.items(), key=lambda item: (-item[1].overhead, item[0]))
        return tuple(
            FlowOverhead(
                source=source,
                destination=destination,
                protocol=_protocol_words(leg),
                packets=flow.packets,
                wire_bytes=flow.wire,
                overhead_bytes=flow.overhead,
                payload_bytes=flow.payload,
                share=share(flow.overhead, flow.wire),
                host_only=flow.host_only,
            )
            for leg, flow in largest[:TOP_FLOWS]
            if flow.overhead
            for source, destination in (leg.ends(),)
        )


def _wire_bytes(sighting: Sighting, number: int) -> int:
    """Return the octets of a leg's own packets: without tunnels, with the outermost Ethernet."""
    shape = sighting.shape
    again = (number - 1) * (shape.ip_bytes + shape.transport_bytes)
    return sighting.frames * (shape.packet_bytes + number * shape.link_bytes + again)


def _forward(leg: Leg) -> Leg:
    """Return the direction towards the lower port: the server's, as a rule."""
    back = leg.reversed()
    if leg.source_port == leg.destination_port:
        return min(leg, back)
    return leg if leg.destination_port < leg.source_port else back


def _protocol_words(leg: Leg) -> str:
    is_ip = leg.version in (4, 6) and leg.protocol >= 0
    return protocol_name(leg.protocol) if is_ip else "not IP"
