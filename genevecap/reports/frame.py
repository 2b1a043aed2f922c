# SPDX-License-Identifier: Apache-2.0
"""`inspect --frame N`: the field tree of one frame with offsets, and its octets in hex."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

from .layout import Style
from .machine import Row, csv_pieces, packet_row
from .text import cells, moment, plural, printable, shorten

if TYPE_CHECKING:
    from ..analysis.packets import FrameAnswer
    from ..decode.detail import Field, LayerDetail

FRAME_SCHEMA = "genevecap/frame/1"

HEX_OCTETS = 16
_TREE_INDENT = 16
"""Columns of `offset`, `length` and what is between them and the tree."""

_SOURCE_WIDTH = 100
"""From this width on the RFC section of a field is shown, ending in this column."""


# --- for people ------------------------------------------------------------------------------


def frame_lines(answer: FrameAnswer, style: Style) -> Iterator[str]:
    """Yield the tree and the hex view of one frame."""
    row = answer.row
    head = f"Frame {row.frame} of {printable(row.capture)}"
    yield style.heading(shorten(head, style.width, middle=True))
    for fact in _facts(answer):
        yield from style.prose(fact, "  ")
    yield ""
    yield style.paint("offset  length  field", "title")
    for i, layer in enumerate(answer.detail.layers):
        yield from _layer_lines(layer, f"layer{i % 4}", style)
    yield from _end_lines(answer, style)
    yield ""
    yield from hex_lines(answer.data, _starts(answer), style)


def _facts(answer: FrameAnswer) -> Iterator[str]:
    row = answer.row
    time = "no time" if row.time_ns is None else moment(row.time_ns)
    yield f"{time}, captured at {printable(row.point)}"
    captured = f"{plural(row.captured_bytes, 'octet')} captured"
    yield captured if row.captured_bytes == row.wire_bytes else f"{captured} of {row.wire_bytes:,}"
    for comment in answer.comments:
        yield f"comment: {printable(comment)}"


def _layer_lines(layer: LayerDetail, role: str, style: Style) -> Iterator[str]:
    room = style.width - _TREE_INDENT - len(layer.name) - 2
    summary = f"  {shorten(printable(layer.summary), room)}" if layer.summary and room > 4 else ""
    place = f"{layer.offset:6}  {layer.length:6}  "
    yield f"{place}{style.paint(layer.name, role)}{summary}"
    for field in layer.fields:
        yield from _field_lines(field, 1, style)


def _field_lines(field: Field, depth: int, style: Style) -> Iterator[str]:
    """Yield a field and what is inside it; a field of bits says which ones."""
    text = f"{'  ' * depth}{field.name}: {printable(field.text)}"
    source = printable(field.source or "") if style.width >= _SOURCE_WIDTH else ""
    width = min(style.width, _SOURCE_WIDTH) if source else style.width
    room = width - _TREE_INDENT - (cells(source) + 2 if source else 0)
    text = shorten(text, max(room, 10))
    place = f"{_place(field):>6}  {_length(field):>6}  "
    if source:
        padding = " " * max(width - len(place) - cells(text) - cells(source), 2)
        yield f"{place}{text}{padding}{style.paint(source, 'dim')}"
    else:
        yield f"{place}{text}"
    for child in field.children:
        yield from _field_lines(child, depth + 1, style)


def _place(field: Field) -> str:
    return str(field.offset) if not field.bit_length else f"{field.offset}.{field.bit_offset or 0}"


def _length(field: Field) -> str:
    return f"{field.bit_length} bit" if field.bit_length else str(field.length)


def _end_lines(answer: FrameAnswer, style: Style) -> Iterator[str]:
    row = answer.row
    if row.stop != "complete":
        where = f" at {row.stop_layer}" if row.stop_layer else ""
        text = f"decoding ended: {row.stop}{where}, offset {answer.detail.stop_offset}"
        yield style.paint(shorten(text, style.width), "warning")
    if row.findings:
        yield style.paint(shorten(f"findings: {' '.join(row.findings)}", style.width), "warning")


def _starts(answer: FrameAnswer) -> dict[int, str]:
    """Return the layers of a frame by the offset of their first octet."""
    starts: dict[int, str] = {}
    for layer in answer.detail.layers:
        if layer.length:
            starts.setdefault(layer.offset, layer.name)
    return starts


def hex_lines(data: bytes, starts: dict[int, str], style: Style) -> Iterator[str]:
    """Yield octets as hex and text; `|` stands before the first octet of a layer.

    starts: layer names by offset.  The names of the layers that begin in a line stand at its end.
    """
    marks = sorted(starts)
    roles = {offset: f"layer{i % 4}" for i, offset in enumerate(marks)}
    role: str | None = None
    for base in range(0, len(data), HEX_OCTETS):
        octets, shown = [], []
        for i, octet in enumerate(data[base : base + HEX_OCTETS], base):
            role = roles.get(i, role)
            octets.append(("|" if i in starts else " ") + style.paint(f"{octet:02x}", role))
            shown.append(chr(octet) if 32 <= octet < 127 else ".")
        padding = "   " * (HEX_OCTETS - len(octets))
        line = f"{base:05x} {''.join(octets)}{padding}  {''.join(shown):<{HEX_OCTETS}}"
        names = ", ".join(starts[i] for i in marks if base <= i < base + HEX_OCTETS)
        room = style.width - (6 + 3 * HEX_OCTETS + 2 + HEX_OCTETS) - 2
        yield f"{line}  {shorten(names, room)}" if names and room > 3 else line.rstrip()


# --- for programs ----------------------------------------------------------------------------


def frame_document(answer: FrameAnswer) -> Row:
    """Return one frame as `genevecap/frame/1`."""
    return {"schema": FRAME_SCHEMA, **frame_row(answer)}


def frame_row(answer: FrameAnswer) -> Row:
    """Return one frame: its packet row, and the field tree as `layers`; `data` is hex.

    `offset` and `length` count octets; a field of bits has `bit_offset` (from the most significant
    bit of the octet at `offset`) and `bit_length` besides, else null.
    """
    row = packet_row(answer.row)
    return {
        "packet": row,
        "comments": list(answer.comments),
        "layers": [
            {
                "name": layer.name,
                "offset": layer.offset,
                "length": layer.length,
                "summary": layer.summary,
                "fields": [_field_row(field) for field in layer.fields],
            }
            for layer in answer.detail.layers
        ],
        "stop": row["stop"],
        "stop_layer": row["stop_layer"],
        "stop_offset": answer.detail.stop_offset,
        "findings": row["findings"],
        "data": answer.data.hex(),
    }


def _field_row(field: Field) -> Row:
    return {
        "name": field.name,
        "value": _plain(field.value),
        "text": field.text,
        "offset": field.offset,
        "length": field.length,
        "bit_offset": field.bit_offset,
        "bit_length": field.bit_length,
        "source": field.source,
        "fields": [_field_row(child) for child in field.children],
    }


def _plain(value: Any) -> Any:
    """Return a field's value as JSON has it: octets as hex, numbers as numbers."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, int | str | bool | None) else str(value)


FRAME_CSV_COLUMNS = ("layer", "field", "value", "text", "offset", "length", "bits", "source")
"""One line a field; the name of a field inside another stands after its name and a dot."""


def frame_csv(answer: FrameAnswer) -> Iterator[str]:
    """Yield the fields of one frame as CSV with the columns `FRAME_CSV_COLUMNS`."""
    rows = (
        row
        for layer in answer.detail.layers
        for field in layer.fields
        for row in _flat_fields(layer.name, "", field)
    )
    return csv_pieces(FRAME_CSV_COLUMNS, rows)


def _flat_fields(layer: str, prefix: str, field: Field) -> Iterator[Row]:
    name = f"{prefix}{field.name}"
    yield {
        "layer": layer,
        "field": name,
        "value": _plain(field.value),
        "text": field.text,
        "offset": field.offset,
        "length": field.length,
        "bits": field.bit_length,
        "source": field.source,
    }
    for child in field.children:
        yield from _flat_fields(layer, f"{name}.", child)
