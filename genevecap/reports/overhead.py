# SPDX-License-Identifier: Apache-2.0
"""`overhead` as text and as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import machine
from .encapsulation import percent
from .findings import DETAILS, finding_lines, severity_words
from .layout import Column, Style, endpoint_column, table
from .machine import Row, fields, finding_row, flat_finding
from .text import cells, count, plural, printable, shorten, size

if TYPE_CHECKING:
    from ..analysis.costs.results import LayerOverhead, OverheadResult, PointMtu

SCHEMA = "genevecap/overhead/1"

TABLES = ("layers", "mtu", "sums", "vnis", "flows", "findings")
"""Lists that `--table` offers; csv and ndjson give the first one."""

LIMITS = {"sums": 4, "vnis": 5, "flows": 5, "mtu": 12}
"""Rows of each list that one screen has room for."""

CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "layers": (
        "kind",
        "purpose",
        "packets",
        "overhead_bytes",
        "option_bytes",
        "share",
        "basis",
        "uncertainty_bytes",
        "min",
        "p50",
        "max",
        "host_only",
    ),
    "mtu": (
        "point",
        "largest_frame_bytes",
        "largest_packet_bytes",
        "mtu_bytes",
        "mtu_basis",
        "headroom_bytes",
        "fragments",
        "outer_fragments",
        "df_packets",
        "icmp_too_big",
        "super_packets",
        "largest_super_packet_bytes",
        "over_mtu",
        "black_hole",
        "flows",
    ),
    "sums": ("tunnels", "purpose", "packets", "mtu_bytes", "basis", "inner_mtu_bytes", "text"),
    "vnis": (
        "kind",
        "purpose",
        "vni",
        "packets",
        "wire_bytes",
        "overhead_bytes",
        "option_bytes",
        "share",
    ),
    "flows": (
        "source",
        "destination",
        "protocol",
        "packets",
        "wire_bytes",
        "overhead_bytes",
        "payload_bytes",
        "share",
        "host_only",
    ),
    "findings": machine.CSV_COLUMNS["findings"],
}


def document(result: OverheadResult, only: str | None = None) -> Row:
    """Return the answer as `genevecap/overhead/1`, or with one list of it only."""
    if only is not None:
        return {"schema": SCHEMA, only: rows(result, only)}
    return {
        "schema": SCHEMA,
        "layers": rows(result, "layers"),
        "mtu": rows(result, "mtu"),
        "totals": fields(result.totals),
        "sums": rows(result, "sums"),
        "vnis": rows(result, "vnis"),
        "flows": rows(result, "flows"),
        "findings": rows(result, "findings"),
        "interrupted": result.interrupted,
    }


def rows(result: OverheadResult, name: str) -> list[Row]:
    """Return one list of the answer as rows with the keys of the JSON document."""
    if name == "findings":
        return [finding_row(finding) for finding in result.findings]
    values: Sequence[Any] = getattr(result, name)
    made = [fields(value) for value in values]
    for row in made:
        if name == "layers":
            row["per_packet"] = fields(row["per_packet"])
        elif name == "mtu":
            row["flows"] = [
                {**fields(flow), "frames": [fields(frame) for frame in flow.frames]}
                for flow in row["flows"]
            ]
        elif name == "sums":
            row["tunnels"] = list(row["tunnels"])
            row["terms"] = [
                {"name": term.name, "bytes": term.octets, "parts": list(term.parts)}
                for term in row["terms"]
            ]
    return made


def csv_rows(result: OverheadResult, name: str) -> Iterator[Row]:
    """Yield the same for CSV: nested values in columns of their own, or counted."""
    for row in rows(result, name):
        if name == "layers":
            yield {**row, **row["per_packet"]}
        elif name == "mtu":
            yield {**row, "flows": len(row["flows"])}
        elif name == "sums":
            yield {**row, "tunnels": " in ".join(reversed(row["tunnels"]))}
        elif name == "findings":
            yield flat_finding(row)
        else:
            yield row


# --- for people ---------------------------------------------------------------------------------


def lines(result: OverheadResult, style: Style, only: str | None = None) -> Iterator[str]:
    """Yield the answer, or one list of it, for people."""
    if only is not None:
        yield from _whole(result, only, style)
        return
    yield from _heading(result, style)
    if result.layers:
        yield ""
        yield from table(*_layers(result), style)
        yield from _notes(result, style)
    for name, heading, note in (
        ("sums", "Inner MTU", "what the largest headers leave"),
        ("vnis", "Virtual networks", ""),
        ("flows", "Flows", "those that pay most, both directions"),
        ("mtu", "Sizes", "octets of the largest packet at each capture point"),
    ):
        if getattr(result, name):
            yield ""
            yield style.heading(heading, note)
            yield from _top(result, name, style)
    if result.findings:
        yield ""
        yield style.heading("Findings", severity_words(result.findings))
        yield from _findings(result, style, DETAILS)


def _whole(result: OverheadResult, only: str, style: Style) -> Iterator[str]:
    if not getattr(result, only):
        yield style.paint(f"no {only}", "dim")
    elif only == "findings":
        yield from _findings(result, style, None)
    elif only == "sums":
        yield from _sums(result, style, len(result.sums))
    else:
        yield from table(*_BUILDERS[only](result), style)


def _top(result: OverheadResult, name: str, style: Style) -> Iterator[str]:
    limit, number = LIMITS[name], len(getattr(result, name))
    if name == "sums":
        yield from _sums(result, style, limit)
    else:
        columns, body = _BUILDERS[name](result)
        yield from table(columns, body[:limit], style)
    if number > limit:
        yield style.paint(f"… {count(number - limit)} more (--table {name})", "dim")


def _heading(result: OverheadResult, style: Style) -> Iterator[str]:
    totals = result.totals
    name = (
        printable(result.paths[0])
        if len(result.paths) == 1
        else plural(len(result.paths), "capture")
    )
    note = f"{plural(totals.packets, 'packet')} of the network, {size(totals.wire_bytes)}"
    yield style.heading(shorten(name, max(style.width - cells(note) - 2, 16), middle=True), note)
    line = f"overhead {size(totals.overhead_bytes)}, {percent(totals.overhead_share)} of the wire"
    if totals.application_bytes:
        line += (
            f"; {totals.overhead_per_application_byte:.2f} octets for each of "
            f"{size(totals.application_bytes)} of application data"
        )
    yield from style.prose(line)
    yield from style.prose("each packet once, at the point nearest the wire that saw all of them")
    if result.interrupted:
        yield style.paint(
            shorten("interrupted: counts what was read so far", style.width), "warning"
        )


def _notes(result: OverheadResult, style: Style) -> Iterator[str]:
    """Yield what must be known about the table above."""
    totals = result.totals
    if totals.super_packets:
        yield from style.prose(
            f"{plural(totals.super_packets, 'super-packet')} counted as segments: an estimate"
        )
    if any(layer.host_only for layer in result.layers):
        yield from style.prose(
            f"on lo: {plural(totals.host_only_packets, 'packet')}, {size(totals.host_only_bytes)}, "
            "in no share and no MTU"
        )


def _layers(result: OverheadResult) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="layer"),
        Column(title="purpose"),
        Column(title="packets", right=True),
        Column(title="overhead", right=True),
        Column(title="of it options", right=True, drop=2),
        Column(title="share", right=True),
        Column(title="per packet: min", right=True, drop=3),
        Column(title="median", right=True, drop=4),
        Column(title="max", right=True, drop=3),
        Column(title="basis", drop=1),
    )
    return columns, [
        [
            layer.kind,
            f"{layer.purpose}, on lo" if layer.host_only else layer.purpose,
            count(layer.packets),
            count(layer.overhead_bytes),
            count(layer.option_bytes) if layer.option_bytes else "",
            "-" if layer.host_only else percent(layer.share),
            str(layer.per_packet.min),
            str(layer.per_packet.p50),
            str(layer.per_packet.max),
            _basis(layer),
        ]
        for layer in result.layers
    ]


def _basis(layer: LayerOverhead) -> str:
    if layer.basis == "counted":
        return layer.basis
    return f"{layer.basis} ± {count(layer.uncertainty_bytes)}"


def _sums(result: OverheadResult, style: Style, most: int) -> Iterator[str]:
    for each in result.sums[:most]:
        words = " in ".join(printable(tunnel) for tunnel in reversed(each.tunnels))
        known = {
            "given": "",
            "mss": ", MTU by the MSS of SYNs",
            "fragments": ", MTU by the size of fragments",
            "assumed": ", MTU assumed: give --mtu",
        }[each.basis]
        note = f"{words}, {each.purpose}, {plural(each.packets, 'packet')}{known}"
        yield style.paint(shorten(note, style.width), "title")
        yield from style.prose(printable(each.text), "  ")


def _vnis(result: OverheadResult) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="tunnel"),
        Column(title="VNI", right=True),
        Column(title="purpose", drop=1),
        Column(title="packets", right=True),
        Column(title="wire bytes", right=True),
        Column(title="overhead", right=True),
        Column(title="of it options", right=True, drop=2),
        Column(title="share", right=True),
    )
    return columns, [
        [
            row.kind,
            "-" if row.vni is None else str(row.vni),
            row.purpose,
            count(row.packets),
            count(row.wire_bytes),
            count(row.overhead_bytes),
            count(row.option_bytes) if row.option_bytes else "",
            percent(row.share),
        ]
        for row in result.vnis
    ]


def _flows(result: OverheadResult) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        endpoint_column("from"),
        endpoint_column("to"),
        Column(title="protocol", drop=3),
        Column(title="packets", right=True),
        Column(title="wire bytes", right=True),
        Column(title="overhead", right=True),
        Column(title="share", right=True),
        Column(title="where", drop=2),
    )
    return columns, [
        [
            row.source,
            row.destination,
            row.protocol,
            count(row.packets),
            count(row.wire_bytes),
            count(row.overhead_bytes),
            percent(row.share),
            "on lo" if row.host_only else "",
        ]
        for row in result.flows
    ]


def _mtu(result: OverheadResult) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="capture point", floor=16, middle=True),
        Column(title="largest", right=True),
        Column(title="MTU", right=True),
        Column(title="headroom", right=True),
        Column(title="over MTU", right=True, drop=3),
        Column(title="DF", right=True, drop=5),
        Column(title="fragments", right=True, drop=2),
        Column(title="too big", right=True, drop=1),
        Column(title="super-packets", right=True, drop=4),
        Column(title="black hole", role=lambda _text: "error"),
    )
    return columns, [_mtu_row(row) for row in result.mtu]


def _mtu_row(row: PointMtu) -> list[str]:
    return [
        printable(row.point),
        count(row.largest_packet_bytes),
        "?" if row.mtu_bytes is None else count(row.mtu_bytes),
        "?" if row.headroom_bytes is None else count(row.headroom_bytes),
        _some(row.over_mtu),
        _some(row.df_packets),
        _some(row.fragments),
        _some(row.icmp_too_big),
        f"{count(row.super_packets)}, to {count(row.largest_super_packet_bytes)}"
        if row.super_packets
        else "",
        "yes" if row.black_hole else "",
    ]


def _some(number: int) -> str:
    return count(number) if number else ""


def _findings(result: OverheadResult, style: Style, most: int | None) -> Iterator[str]:
    return finding_lines(result.findings, style, several=len(result.paths) > 1, most_details=most)


_BUILDERS = {"layers": _layers, "mtu": _mtu, "vnis": _vnis, "flows": _flows}
