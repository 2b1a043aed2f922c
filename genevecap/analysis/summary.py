# SPDX-License-Identifier: Apache-2.0
"""`inspect`: what is in these captures, as one `InspectResult`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..addresses import address_text
from ..capture.linktypes import link_type_name
from ..capture.points import PointTable
from ..capture.roles import Role
from ..capture.spec import CaptureSpec
from ..columns import NO_TIME, TUNNEL_NAMES, Stop
from ..decode import DecodeSettings
from ..decode.layers import layer_name, protocol_name
from ..decode.options import class_name, option_name
from .health.syn_retries import HboneSyns
from .inputs import Batch, Inputs, InputState, read_into
from .points.roles import RoleSigns
from .progress import Progress
from .results import (
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
from .run_counts import RunCounts
from .select import Selector
from .tables import FlowCount, SummaryTables, TunnelCount

if TYPE_CHECKING:
    from ..capture.manifest import Manifest

TOP_FLOWS = 20
"""Flows that `top_flows` lists."""


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
    counts, signs = RunCounts(inputs, checksums=checksums), RoleSigns(inputs.points)
    hbone_syns = HboneSyns()

    def take(batch: Batch) -> None:
        syns = counts.update(batch)
        signs.update(batch, syns)
        if syns:
            hbone_syns.update(batch.frames, batch.decoded, syns, batch.capture)

    interrupted = read_into(inputs, take)
    tables, ambient = counts.tables, counts.ambient()
    roles = [point.role for point in signs.result()]
    noted = counts.noted(ambient.mode)
    if not inputs.selector:
        hbone_syns.note(noted, tables, roles)
    return InspectResult(
        captures=tuple(capture_summary(state, roles) for state in inputs.states if was_read(state)),
        tunnels=_tunnels(counts.tunnels),
        options=_options(tables),
        top_flows=tuple(_flow(flow) for flow in tables.top_flows(TOP_FLOWS)),
        stops=_stops(tables),
        findings=noted.summaries([state.spec.path for state in inputs.states]),
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
