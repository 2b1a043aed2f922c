# SPDX-License-Identifier: Apache-2.0
"""`inspect`: what is in these captures, as one `InspectResult`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..addresses import address_text, parse_address
from ..ambient import (
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    OUTBOUND_PORT,
    SNAT_ADDRESSES,
    FlowSign,
    RedirectSign,
    Signs,
    TunnelSign,
    describe,
    modes,
    recognise,
)
from ..capture.linktypes import link_type_name
from ..capture.points import PointTable
from ..capture.roles import Role
from ..capture.spec import CaptureSpec
from ..columns import NO_TIME, TUNNEL_NAMES, Stop
from ..decode import DecodeSettings
from ..decode.layers import layer_name, protocol_name
from ..decode.options import class_name, option_name
from .inputs import Inputs, InputState
from .partial_checksums import PartialChecksums
from .points.roles import RoleSigns
from .progress import Progress
from .redirects import SynSightings
from .replays import make_replays, note_replays
from .results import (
    AmbientSummary,
    CaptureSummary,
    FlowSummary,
    InspectResult,
    OptionSummary,
    PointSummary,
    Problem,
    Problems,
    StopCounts,
    StopLayerCount,
    TunnelSummary,
)
from .run_findings import run_findings
from .select import Selector
from .tables import FlowCount, SummaryTables, TunnelCount, summary_tables

if TYPE_CHECKING:
    from ..capture.manifest import Manifest
    from .findings.noted import Noted

TOP_FLOWS = 20
"""Flows that `top_flows` lists."""

_SIGN_FLOWS = 1_000


def inspect(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    manifest: Manifest | None = None,
    checksums: bool = False,
    progress: Progress | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> InspectResult:
    """Read captures and count what is in them.

    An input that cannot be read, or is damaged, is in `problems` (and told to `on_problem` as it
    is met); the others go on.  An interrupt ends reading, and what was gathered is returned.
    Raises UsageError where the selector cannot be understood.
    """
    note = Problems(on_problem)
    inputs = Inputs(
        specs,
        settings or DecodeSettings(),
        selector or Selector(),
        note,
        progress,
        points=PointTable(manifest),
    )
    tables = summary_tables()
    syns = SynSightings()
    syn_checksums = PartialChecksums()
    replays = make_replays()
    told: list[Callable[[Noted], None]] = [syn_checksums.note, partial(note_replays, replays)]
    outer = None
    if checksums:
        from .outer_checksums import OuterChecksums

        outer = OuterChecksums()
        told.append(outer.note)
    signs = RoleSigns(inputs.points)
    interrupted = False
    try:
        for batch in inputs.batches():
            rows = tables.update(batch.frames, batch.decoded, batch.capture)
            signs.update(batch, rows)
            if outer is not None:
                outer.update(batch.frames, batch.decoded, batch.capture)
            replays.update(batch.frames, batch.decoded, tables.hidden(), batch.capture)
            if rows:
                syns.update(batch.frames, batch.decoded, rows)
                syn_checksums.update(batch.frames, batch.decoded, rows, batch.capture)
    except KeyboardInterrupt:
        interrupted = True
    tunnels = tables.tunnels()
    roles = [point.role for point in signs.result()]
    ambient = ambient_summary(tables, tunnels, syns.signs(inputs.points.names))
    findings = run_findings(
        tables,
        tunnels,
        inputs.states,
        told,
        mode=ambient.mode,
        is_selection=bool(inputs.selector),
    )
    return InspectResult(
        captures=tuple(capture_summary(state, roles) for state in inputs.states if was_read(state)),
        tunnels=_tunnels(tunnels),
        options=_options(tables),
        top_flows=tuple(_flow(flow) for flow in tables.top_flows(TOP_FLOWS)),
        stops=_stops(tables),
        findings=findings.summaries([state.spec.path for state in inputs.states]),
        ambient=ambient,
        stop_layers=_stop_layers(tables),
        selected_packets=tables.selected(),
        flows=tables.flow_count(),
        problems=note.met(),
        interrupted=interrupted,
    )


def was_read(state: InputState) -> bool:
    """Tell whether anything of an input could be read; if not, its error says all there is."""
    return state.capture is not None and (state.damage is None or state.capture.packets > 0)


def capture_summary(state: InputState, roles: Sequence[Role]) -> CaptureSummary:
    """Describe one input that was opened; `roles` by point index."""
    capture = state.capture
    if capture is None:
        raise ValueError("the capture was not opened")
    return CaptureSummary(
        path=state.spec.path,
        format=capture.format,
        compression=capture.compression,
        packets=capture.packets,
        captured_bytes=capture.captured_bytes,
        wire_bytes=capture.wire_bytes,
        first_ns=capture.first_ns,
        last_ns=capture.last_ns,
        cut_short=capture.cut_short,
        damage=state.damage,
        points=tuple(
            PointSummary(
                name=point.name,
                interface=point.interface,
                link_type=link_type_name(point.link_type),
                packets=point.packets,
                dropped=point.dropped,
                dropped_by_dumpcap=point.dropped_by_dumpcap,
                role=None if role is Role.UNKNOWN else str(role),
            )
            for point, role in zip(capture.points.points, roles, strict=True)
            if point.capture == capture.index
        ),
        comments=capture.comments,
        application=capture.application,
    )


def _optional(number: int) -> int | None:
    """Return a port or VNI column's value, None for -1."""
    return None if number < 0 else number


def _tunnels(counts: list[TunnelCount]) -> tuple[TunnelSummary, ...]:
    return tuple(
        # Unpacked, and given by position: there may be tens of thousands, and names are slower.
        TunnelSummary(
            TUNNEL_NAMES[kind],
            None if vni < 0 else vni,
            address_text(version, source_hi, source_lo),
            address_text(version, destination_hi, destination_lo),
            None if port < 0 else port,
            depth,
            packets,
            wire_bytes,
            overhead_bytes,
            inner_flows,
            None if first_ns == NO_TIME else first_ns,
            None if last_ns == NO_TIME else last_ns,
        )
        for (
            kind,
            vni,
            version,
            source_hi,
            source_lo,
            destination_hi,
            destination_lo,
            port,
            depth,
            packets,
            wire_bytes,
            overhead_bytes,
            inner_flows,
            _,
            first_ns,
            last_ns,
            *_,
        ) in counts
    )


def _options(tables: SummaryTables) -> tuple[OptionSummary, ...]:
    rows = sorted(tables.options(), key=lambda o: (-o.packets, -o.occurrences, *o[:3]))
    return tuple(
        OptionSummary(
            option_class=o.option_class,
            class_name=class_name(o.option_class),
            option_type=o.option_type,
            name=option_name(o.option_class, o.option_type, o.data_bytes),
            critical=bool(o.option_type & 0x80),
            data_bytes=o.data_bytes,
            packets=o.packets,
            occurrences=o.occurrences,
        )
        for o in rows
    )


def _flow(flow: FlowCount) -> FlowSummary:
    return FlowSummary(
        vni=_optional(flow.vni),
        source=address_text(flow.version, flow.source_hi, flow.source_lo),
        destination=address_text(flow.version, flow.destination_hi, flow.destination_lo),
        protocol=protocol_name(flow.protocol),
        source_port=_optional(flow.source_port),
        destination_port=_optional(flow.destination_port),
        packets=flow.packets,
        wire_bytes=flow.wire_bytes,
    )


def _stops(tables: SummaryTables) -> StopCounts:
    counts = dict.fromkeys((stop.name.lower() for stop in Stop), 0)
    for stop in tables.stops():
        counts[Stop(stop.stop).name.lower()] += stop.packets
    return StopCounts(**counts)


def _stop_layers(tables: SummaryTables) -> tuple[StopLayerCount, ...]:
    rows = [stop for stop in tables.stops() if stop.layer]
    rows.sort(key=lambda stop: (-stop.packets, stop.stop, stop.layer))
    return tuple(
        StopLayerCount(
            stop=Stop(stop.stop).name.lower(), layer=layer_name(stop.layer), packets=stop.packets
        )
        for stop in rows
    )


def ambient_summary(
    tables: SummaryTables, tunnels: list[TunnelCount], redirects: tuple[RedirectSign, ...]
) -> AmbientSummary:
    """Return which redirect mode the counted traffic shows, and why."""
    by_port = {
        port: tables.flows_with_port(port, _SIGN_FLOWS)
        for port in (HBONE_PORT, OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT)
    }
    flows = dict.fromkeys(flow for found in by_port.values() for flow in found)
    snat = [parse_address(text) for text in SNAT_ADDRESSES]
    mode, evidence = recognise(
        Signs(
            tunnels=_tunnel_signs(tunnels),
            flows=tuple(_flow_sign(flow) for flow in flows),
            more_flows=frozenset(p for p, found in by_port.items() if len(found) == _SIGN_FLOWS),
            snat_flows=tuple(
                _flow_sign(flow)
                for address in snat
                for flow in tables.flows_with_address(address, _SIGN_FLOWS)
            ),
            redirects=redirects,
        )
    )
    return AmbientSummary(mode=mode, evidence=evidence, description=describe(mode))


def _tunnel_signs(tunnels: list[TunnelCount]) -> tuple[TunnelSign, ...]:
    """Return the tunnels with a redirect mode's VNI, and for each endpoint the largest other one.

    What else such an endpoint gets tells ztunnel from an underlay; one such tunnel is enough.
    tunnels: largest first.
    """
    vnis = {vni for mode in modes().values() for vni in mode.vnis}
    chosen = [t for t in tunnels if t.vni in vnis]
    ends = {(t.version, t.destination_hi, t.destination_lo) for t in chosen}
    others: dict[tuple[int, int, int], TunnelCount] = {}
    for t in tunnels if ends else ():
        end = (t.version, t.destination_hi, t.destination_lo)
        if end in ends and t.vni not in vnis:
            others.setdefault(end, t)
    return tuple(_tunnel_sign(t) for t in (*chosen, *others.values()))


def _tunnel_sign(t: TunnelCount) -> TunnelSign:
    return TunnelSign(
        kind=TUNNEL_NAMES[t.kind],
        vni=_optional(t.vni),
        source=address_text(t.version, t.source_hi, t.source_lo),
        destination=address_text(t.version, t.destination_hi, t.destination_lo),
        port=_optional(t.port),
        depth=t.depth,
        packets=t.packets,
        packets_with_options=t.option_packets,
    )


def _flow_sign(flow: FlowCount) -> FlowSign:
    return FlowSign(
        vni=_optional(flow.vni),
        source=address_text(flow.version, flow.source_hi, flow.source_lo),
        destination=address_text(flow.version, flow.destination_hi, flow.destination_lo),
        source_port=_optional(flow.source_port),
        destination_port=_optional(flow.destination_port),
        packets=flow.packets,
    )
