# SPDX-License-Identifier: Apache-2.0
"""The lists of the summary as tables for people: whole for `--table`, their top in the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..addresses import endpoint_text
from .findings import finding_table
from .layout import Column, Style, endpoint_column, table
from .text import count, duration, moment, plural, printable, share, size

if TYPE_CHECKING:
    from ..analysis.results import (
        CaptureSummary,
        InspectResult,
        OptionSummary,
        TunnelSummary,
    )

Table = tuple[Sequence[Column], list[list[str]]]

STOP_MEANING = {
    "complete": "decoded to the transport header or the last layer there is",
    "truncated": "captured shorter than the headers (snap length)",
    "malformed": "a header contradicts its own or an enclosing length",
    "unsupported": "a layer that is not decoded",
    "too_deep": "more than 8 tunnels or 32 headers",
    "fragment": "the rest of the headers is in another fragment",
}
HIDDEN = "protected: what is inside is encrypted"
"""What `complete` means at a layer that hides its payload."""


def list_lines(result: InspectResult, name: str, style: Style) -> list[str]:
    """Return one whole list of the summary, by its name in `machine.TABLES`, as a table."""
    columns, rows = _BUILDERS[name](result)
    if not rows:
        return [style.paint(f"no {name.replace('_', ' ')}", "dim")]
    return table(columns, rows, style)


def top_lines(result: InspectResult, name: str, limit: int, style: Style) -> list[str]:
    """Return the first rows of a list, and where the others are to be had."""
    whole = getattr(result, name, None)
    if whole is None:
        columns, rows = _BUILDERS[name](result)
        return _cut_lines(columns, rows, len(rows), name, limit, style)
    # Only what is shown becomes text: there may be tens of thousands.
    columns, rows = _BUILDERS[name](replace(result, **{name: whole[:limit]}))
    return _cut_lines(columns, rows, len(whole), name, limit, style)


def early_stop_lines(result: InspectResult, limit: int, style: Style) -> list[str]:
    """Return how packets ended that were not decoded to a transport header, like `top_lines`."""
    columns, rows = _stops(result)
    early = [row for row in rows if row[0] != "complete" or row[1] != "-"]
    return _cut_lines(columns, early, len(early), "stops", limit, style)


def _cut_lines(
    columns: Sequence[Column],
    rows: list[list[str]],
    number: int,
    name: str,
    limit: int,
    style: Style,
) -> list[str]:
    """Return the first rows, and how many of the `number` there are beside them."""
    lines = table(columns, rows[:limit], style)
    if number > limit:
        lines.append(style.paint(f"… {count(number - limit)} more (--table {name})", "dim"))
    return lines


# --- what the lists look like ------------------------------------------------------------------


def _tunnels(result: InspectResult) -> Table:
    nested = any(tunnel.depth for tunnel in result.tunnels)
    columns = (
        Column(title="kind"),
        Column(title="VNI", right=True),
        endpoint_column("from"),
        endpoint_column("to"),
        Column(title="depth", right=True, drop=4),
        Column(title="packets", right=True),
        Column(title="bytes", right=True, drop=1),
        Column(title="overhead", right=True, drop=2),
        Column(title="share", right=True, drop=3),
        Column(title="inner flows", right=True, drop=5),
        Column(title="lasting", right=True, drop=6),
    )
    rows = [
        [
            tunnel.kind,
            _number(tunnel.vni),
            tunnel.source,
            endpoint_text(tunnel.destination, tunnel.port),
            str(tunnel.depth) if nested else "",
            count(tunnel.packets),
            size(tunnel.wire_bytes),
            size(tunnel.overhead_bytes),
            share(tunnel.overhead_bytes, tunnel.wire_bytes),
            count(tunnel.inner_flows),
            _lasting(tunnel),
        ]
        for tunnel in result.tunnels
    ]
    return columns, rows


def _lasting(tunnel: TunnelSummary | CaptureSummary) -> str:
    if tunnel.first_ns is None or tunnel.last_ns is None:
        return "-"
    return duration(tunnel.last_ns - tunnel.first_ns)


def _options(result: InspectResult) -> Table:
    columns = (
        Column(title="class", right=True),
        Column(title="assigned to", floor=22),
        Column(title="type", right=True),
        Column(title="option", floor=14, drop=1),
        Column(title="critical", drop=2),
        Column(title="data", right=True),
        Column(title="packets", right=True),
        Column(title="occurrences", right=True, drop=3),
    )
    rows = [
        [
            f"{option.option_class:#06x}",
            printable(option.class_name),
            f"{option.option_type:#04x}",
            _option_name(option),
            "yes" if option.critical else "no",
            size(option.data_bytes),
            count(option.packets),
            count(option.occurrences),
        ]
        for option in result.options
    ]
    return columns, rows


def _option_name(option: OptionSummary) -> str:
    return "-" if option.name is None else printable(option.name)


def _top_flows(result: InspectResult) -> Table:
    columns = (
        Column(title="VNI", right=True),
        Column(title="protocol"),
        endpoint_column("from"),
        endpoint_column("to"),
        Column(title="packets", right=True),
        Column(title="bytes", right=True, drop=1),
    )
    rows = [
        [
            _number(flow.vni),
            flow.protocol,
            endpoint_text(flow.source, flow.source_port),
            endpoint_text(flow.destination, flow.destination_port),
            count(flow.packets),
            size(flow.wire_bytes),
        ]
        for flow in result.top_flows
    ]
    return columns, rows


def _stops(result: InspectResult) -> Table:
    from .machine import table_rows

    columns = (
        Column(title="ended"),
        Column(title="at layer", floor=8, drop=1),
        Column(title="packets", right=True),
        Column(title="meaning", floor=20, drop=2),
    )
    rows = [
        [
            row["stop"],
            printable(row["layer"] or "-"),
            count(row["packets"]),
            HIDDEN if row["stop"] == "complete" and row["layer"] else STOP_MEANING[row["stop"]],
        ]
        for row in table_rows(result, "stops")
        if row["packets"]
    ]
    return columns, rows


def _findings(result: InspectResult) -> Table:
    return finding_table(result.findings, several=len(result.captures) > 1)


def _captures(result: InspectResult) -> Table:
    columns = (
        Column(title="capture", floor=16, middle=True),
        Column(title="format", drop=5),
        Column(title="packets", right=True),
        Column(title="bytes", right=True, drop=1),
        Column(title="first packet", drop=3),
        Column(title="lasting", right=True, drop=2),
        Column(title="points", right=True, drop=6),
        Column(
            title="state", floor=9, drop=4, role=lambda text: "warning" if text != "whole" else None
        ),
    )
    rows = [
        [
            printable(capture.path),
            format_words(capture),
            count(capture.packets),
            size(capture.wire_bytes),
            "-" if capture.first_ns is None else moment(capture.first_ns, 3),
            _lasting(capture),
            str(len(capture.points)),
            state_words(capture),
        ]
        for capture in result.captures
    ]
    return columns, rows


def format_words(capture: CaptureSummary) -> str:
    """Return the format of a capture and what compresses it: `pcapng, gzip`."""
    return ", ".join(filter(None, (capture.format, capture.compression)))


def state_words(capture: CaptureSummary) -> str:
    """Return whether a capture is whole, cut short or damaged, and where."""
    if capture.damage is not None:
        return f"damaged at record {capture.damage.record}, offset {capture.damage.offset:#x}"
    return "cut short" if capture.cut_short else "whole"


def _points(result: InspectResult) -> Table:
    columns = (
        Column(title="capture point", floor=16, middle=True),
        Column(title="link type", drop=2),
        Column(title="packets", right=True),
        Column(title="dropped", right=True, drop=1),
        Column(title="role", drop=3),
    )
    rows = [
        [
            printable(point.name),
            printable(point.link_type),
            count(point.packets),
            _dropped(point.dropped, point.dropped_by_dumpcap),
            printable(point.role or ""),
        ]
        for capture in result.captures
        for point in capture.points
    ]
    return columns, rows


def _dropped(dropped: int | None, by_dumpcap: int | None) -> str:
    """Return both counts of lost packets; unknown is not zero."""
    words = "not recorded" if dropped is None else count(dropped)
    return f"{words} + {plural(by_dumpcap, 'packet')} by dumpcap" if by_dumpcap else words


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


_BUILDERS = {
    "captures": _captures,
    "points": _points,
    "tunnels": _tunnels,
    "options": _options,
    "top_flows": _top_flows,
    "stops": _stops,
    "findings": _findings,
}
