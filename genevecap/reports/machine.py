# SPDX-License-Identifier: Apache-2.0
"""Results as JSON, ndjson and CSV: the only place that knows the keys of the contract.

A JSON document is written piece by piece, so that a long list is never held as text: one top-level
key a line, one item of a list a line.  All text is ASCII with escapes, so that nothing in it can
act on a terminal.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .text import printable

if TYPE_CHECKING:
    from ..analysis.results import (
        CaptureSummary,
        FindingSummary,
        InspectResult,
        OptionSummary,
        PacketRow,
        TunnelRow,
    )

Row = dict[str, Any]

INSPECT_SCHEMA = "genevecap/inspect/1"
PACKETS_SCHEMA = "genevecap/packets/1"

TABLES = ("captures", "points", "tunnels", "options", "top_flows", "stops", "findings")
"""Lists of the summary that `--table` offers; csv and ndjson give the first one."""


# --- writing ---------------------------------------------------------------------------------


def json_line(value: Any) -> str:
    """Return one value as JSON on one line, ASCII only."""
    return json.dumps(value, separators=(", ", ": "))


def json_pieces(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of a JSON document in pieces; iterators among its values become lists."""
    opening = "{"
    for key, value in document.items():
        yield f"{opening}{json_line(key)}: "
        opening = ",\n "
        if isinstance(value, list | tuple | Iterator):
            yield from _list_pieces(value)
        else:
            yield json_line(value)
    yield "}\n"


def _list_pieces(items: Iterable[Any]) -> Iterator[str]:
    opening, closing = "[\n  ", "[]"
    for item in items:
        yield opening + json_line(item)
        opening, closing = ",\n  ", "\n ]"
    yield closing


def ndjson_pieces(rows: Iterable[Row]) -> Iterator[str]:
    """Yield one line of JSON per row."""
    for row in rows:
        yield json_line(row) + "\n"


def csv_pieces(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield a heading line and one line per row; what is not there is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_cell(row[column]) for column in columns])
    yield buffer.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value))


# --- the summary -----------------------------------------------------------------------------


def inspect_document(result: InspectResult, only: str | None = None) -> Row:
    """Return the summary as `genevecap/inspect/1`, or that schema with one list of it only."""
    if only is not None:
        return {"schema": INSPECT_SCHEMA, only: table_rows(result, only)}
    return {
        "schema": INSPECT_SCHEMA,
        "captures": [_capture(capture) for capture in result.captures],
        "tunnels": table_rows(result, "tunnels"),
        "options": [_option(option) for option in result.options],
        "top_flows": table_rows(result, "top_flows"),
        "stops": fields(result.stops),
        "stop_layers": [fields(layer) for layer in result.stop_layers],
        "findings": [finding_row(finding) for finding in result.findings],
        "ambient": {
            "mode": result.ambient.mode,
            "evidence": list(result.ambient.evidence),
        },
        "selected_packets": result.selected_packets,
        "flows": result.flows,
        "interrupted": result.interrupted,
    }


def table_rows(result: InspectResult, name: str) -> list[Row]:
    """Return one list of the summary as rows with the keys of the JSON document.

    `points` are the points of all captures, `stops` one row per reason and layer.
    """
    if name == "captures":
        return [_capture(capture) for capture in result.captures]
    if name == "points":
        return [
            {"capture": capture.path, **fields(point)}
            for capture in result.captures
            for point in capture.points
        ]
    if name == "tunnels":
        return [fields(tunnel) for tunnel in result.tunnels]
    if name == "options":
        return [_option(option) for option in result.options]
    if name == "top_flows":
        return [fields(flow) for flow in result.top_flows]
    if name == "stops":
        return _stops(result)
    return [finding_row(finding) for finding in result.findings]


def table_csv(result: InspectResult, name: str) -> Iterator[str]:
    """Yield one list of the summary as CSV, nested values flattened into columns of their own."""
    flatten = {"captures": _flat_capture, "findings": flat_finding}.get(name, dict)
    return csv_pieces(CSV_COLUMNS[name], (flatten(row) for row in table_rows(result, name)))


CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "captures": (
        "path",
        "format",
        "compression",
        "packets",
        "captured_bytes",
        "wire_bytes",
        "first_ns",
        "last_ns",
        "cut_short",
        "damage_record",
        "damage_offset",
        "damage_needed",
        "damage_had",
        "points",
    ),
    "points": (
        "capture",
        "name",
        "interface",
        "link_type",
        "packets",
        "dropped",
        "dropped_by_dumpcap",
        "role",
    ),
    "tunnels": (
        "kind",
        "vni",
        "source",
        "destination",
        "port",
        "depth",
        "packets",
        "wire_bytes",
        "overhead_bytes",
        "inner_flows",
        "first_ns",
        "last_ns",
    ),
    "options": (
        "class",
        "class_name",
        "type",
        "name",
        "critical",
        "data_bytes",
        "packets",
        "occurrences",
    ),
    "top_flows": (
        "vni",
        "source",
        "destination",
        "protocol",
        "source_port",
        "destination_port",
        "packets",
        "wire_bytes",
    ),
    "stops": ("stop", "layer", "packets"),
    "findings": (
        "code",
        "severity",
        "message",
        "packets",
        "frames",
        "display_filter",
        "details",
    ),
}
"""Columns of each list, in an order that does not change."""


def fields(value: Any) -> Row:
    """Return the fields of a result that holds plain values only."""
    names = getattr(value, "_fields", None) or value.__dataclass_fields__  # a named tuple, or not
    return {name: getattr(value, name) for name in names}


def _capture(capture: CaptureSummary) -> Row:
    row = fields(capture)
    row["damage"] = None if capture.damage is None else fields(capture.damage)
    row["points"] = [fields(point) for point in capture.points]
    row["comments"] = list(capture.comments)
    return row


def _option(option: OptionSummary) -> Row:
    row = fields(option)
    return {
        "class": row.pop("option_class"),
        "class_name": row.pop("class_name"),
        "type": row.pop("option_type"),
        **row,
    }


def finding_row(finding: FindingSummary) -> Row:
    """Return a finding as CONTRACT's `findings` has it."""
    row = fields(finding)
    row["frames"] = [fields(frame) for frame in finding.frames]
    row["details"] = list(finding.details)
    return row


def _stops(result: InspectResult) -> list[Row]:
    """Return one row per reason and layer; what no layer accounts for has the layer None."""
    rows: list[Row] = []
    for stop, packets in fields(result.stops).items():
        layers = [fields(layer) for layer in result.stop_layers if layer.stop == stop]
        rest = packets - sum(layer["packets"] for layer in layers)
        rows += layers
        if rest or not layers:
            rows.append({"stop": stop, "layer": None, "packets": rest})
    return rows


def _flat_capture(row: Row) -> Row:
    damage = row["damage"] or {}
    return {
        **row,
        **{f"damage_{key}": damage.get(key) for key in ("record", "offset", "needed", "had")},
        "points": len(row["points"]),
    }


def flat_finding(row: Row) -> Row:
    """Return a finding's row without nested values."""
    frames = " ".join(f"{ref['capture']}:{ref['frame']}" for ref in row["frames"])
    return {**row, "frames": frames, "details": "; ".join(row["details"])}


# --- packets ---------------------------------------------------------------------------------


def packet_row(row: PacketRow) -> Row:
    """Return one frame with the keys of `genevecap/packets/1`."""
    return {
        "capture": row.capture,
        "frame": row.frame,
        "point": row.point,
        "time_ns": row.time_ns,
        "captured_bytes": row.captured_bytes,
        "wire_bytes": row.wire_bytes,
        "layers": list(row.layers),
        "tunnels": [_tunnel(tunnel) for tunnel in row.tunnels],
        "inner": None if row.inner is None else fields(row.inner),
        "stop": row.stop,
        "stop_layer": row.stop_layer,
        "findings": list(row.findings),
    }


def _tunnel(tunnel: TunnelRow) -> Row:
    return {
        "kind": tunnel.kind,
        "vni": tunnel.vni,
        "source": tunnel.source,
        "destination": tunnel.destination,
        "source_port": tunnel.source_port,
        "destination_port": tunnel.destination_port,
        "overhead_bytes": tunnel.overhead_bytes,
        "options": [
            {
                "class": option.option_class,
                "type": option.option_type,
                "critical": option.critical,
                "data": option.data.hex(),
            }
            for option in tunnel.options
        ],
        **dict(tunnel.flags),
    }


PACKET_CSV_COLUMNS = (
    "capture",
    "frame",
    "point",
    "time_ns",
    "captured_bytes",
    "wire_bytes",
    "layers",
    "tunnel_kind",
    "vni",
    "tunnel_source",
    "tunnel_destination",
    "tunnel_source_port",
    "tunnel_destination_port",
    "overhead_bytes",
    "options",
    "inner_source",
    "inner_destination",
    "inner_protocol",
    "inner_source_port",
    "inner_destination_port",
    "stop",
    "stop_layer",
    "findings",
)
"""One line a frame.  Tunnels stand outermost first with `;` between them, layers with `:`; an
option is `class/type/data`, the options of one tunnel have a space between them."""


def packet_csv(rows: Iterable[PacketRow]) -> Iterator[str]:
    """Yield frames as CSV with the columns `PACKET_CSV_COLUMNS`."""
    return csv_pieces(PACKET_CSV_COLUMNS, map(_flat_packet, rows))


def _flat_packet(row: PacketRow) -> Row:
    tunnels, inner = row.tunnels, row.inner
    flat: Row = {
        "capture": row.capture,
        "frame": row.frame,
        "point": row.point,
        "time_ns": row.time_ns,
        "captured_bytes": row.captured_bytes,
        "wire_bytes": row.wire_bytes,
        "layers": ":".join(row.layers),
        "tunnel_kind": ";".join(tunnel.kind for tunnel in tunnels),
        "stop": row.stop,
        "stop_layer": row.stop_layer,
        "findings": " ".join(row.findings),
        "options": ";".join(
            " ".join(f"{o.option_class}/{o.option_type}/{o.data.hex()}" for o in tunnel.options)
            for tunnel in tunnels
        ),
    }
    for column in ("vni", "overhead_bytes"):
        flat[column] = _joined(getattr(tunnel, column) for tunnel in tunnels)
    for column in ("source", "destination", "source_port", "destination_port"):
        flat[f"tunnel_{column}"] = _joined(getattr(tunnel, column) for tunnel in tunnels)
        flat[f"inner_{column}"] = None if inner is None else getattr(inner, column)
    flat["inner_protocol"] = None if inner is None else inner.protocol
    return flat


def _joined(values: Iterable[Any]) -> str:
    return ";".join("" if value is None else str(value) for value in values)
