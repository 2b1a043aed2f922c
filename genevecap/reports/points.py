# SPDX-License-Identifier: Apache-2.0
"""`genevecap points` as a table, as rows, and as a manifest to edit."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from .layout import Column, Style, table
from .machine import Row
from .text import count, plural, printable

if TYPE_CHECKING:
    from ..analysis.points.listing import PointsResult
    from ..analysis.points.roles import PointRole

POINTS_SCHEMA = "genevecap/points/1"

CSV_COLUMNS = (
    "name",
    "host",
    "interface",
    "role",
    "addresses",
    "namespace",
    "node",
    "twin_of",
    "packets",
    "evidence",
)

_UNKNOWN = "unknown"


def points_document(result: PointsResult) -> dict[str, Any]:
    """Return the result as `genevecap/points/1`."""
    return {
        "schema": POINTS_SCHEMA,
        "points": list(point_rows(result)),
        "interrupted": result.interrupted,
    }


def point_rows(result: PointsResult) -> Iterator[Row]:
    """Yield one row per point; `twin_of` is the name of the point that stands for it."""
    for point in result.points:
        yield {
            "name": point.name,
            "host": point.host,
            "interface": point.interface,
            "role": None if point.role == _UNKNOWN else str(point.role),
            "addresses": list(point.addresses),
            "namespace": point.namespace,
            "node": point.node,
            "twin_of": _twin(result, point),
            "packets": point.packets,
            "evidence": list(point.evidence),
        }


def flat_rows(result: PointsResult) -> Iterator[Row]:
    """Yield the rows with addresses and evidence as one text each, for CSV."""
    for row in point_rows(result):
        yield {
            **row,
            "addresses": " ".join(row["addresses"]),
            "evidence": "; ".join(row["evidence"]),
        }


def _twin(result: PointsResult, point: PointRole) -> str | None:
    return None if point.twin_of is None else result.points[point.twin_of].name


def points_lines(result: PointsResult, style: Style) -> Iterator[str]:
    """Yield a table: point, role, addresses, node, host, packets, why."""
    twins = sum(point.twin_of is not None for point in result.points)
    note = plural(len(result.points), "point")
    if twins:
        note += f", {plural(twins, 'interface')} captured twice"
    yield style.heading("Capture points", note)
    columns = (
        Column(title="point", floor=24, middle=True),
        Column(title="role", role=lambda text: "dim" if text == _UNKNOWN else None),
        Column(title="addresses", floor=15),
        Column(title="node", drop=2, floor=8),
        Column(title="host", drop=3, floor=8),
        Column(title="packets", right=True, drop=1),
        Column(title="why", drop=4, floor=30),
    )
    rows = [
        [
            printable(point.name),
            str(point.role),
            ", ".join(point.addresses),
            printable(point.node or ""),
            printable(point.host),
            count(point.packets),
            printable("; ".join(point.evidence)),
        ]
        for point in result.points
    ]
    yield from table(columns, rows, style)
    if result.interrupted:
        yield style.paint("interrupted: judged by what was read so far", "warning")


# --- the manifest ----------------------------------------------------------------------------


def manifest_lines(result: PointsResult, roles: tuple[str, ...]) -> Iterator[str]:
    """Yield a manifest that says of each point what was recognised, to be edited.

    roles: the words that `role` may be.
    """
    yield "# Capture points as genevecap recognised them: correct what is wrong, delete what is"
    yield "# right, and give this file to --points."
    yield "# match: the full name of a point or a pattern (* ? [...]).  Of one key, the last entry"
    yield "# that matches counts."
    yield "# host: whose clock stamped the packets.  Pods have the clock of their node."
    words = f"role: {', '.join(roles)}."
    yield from wrap(words, 98, initial_indent="# ", subsequent_indent="#   ")
    for point in result.points:
        yield ""
        yield f"# {plural(point.packets, 'packet')}"
        for reason in point.evidence:
            yield f"# {printable(reason)}"
        if point.twin_of is not None:
            yield f"# {printable(str(_twin(result, point)))} stands for this point"
        yield "[[point]]"
        yield f"match = {toml_string(as_pattern(point.own_name))}"
        if point.name != point.own_name:
            yield f"name = {toml_string(point.name)}"
        yield f"host = {toml_string(_clock(point))}"
        if point.node is not None:
            yield f"node = {toml_string(point.node)}"
        unknown = "# " if point.role == _UNKNOWN else ""
        yield f"{unknown}role = {toml_string(str(point.role))}"
        if point.addresses:
            yield f"addresses = [{', '.join(map(toml_string, point.addresses))}]"


def _clock(point: PointRole) -> str:
    """Return whose clock a point has: its node's, unless a host was given for it."""
    given = point.host != point.capture_name
    return point.host if given or point.node is None else point.node


def as_pattern(name: str) -> str:
    """Return the pattern that matches a name: its special characters stand in brackets.

    An octet that is not UTF-8 cannot stand in a TOML file and becomes `?`, any one character.
    """
    special = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    return "".join("?" if 0xD800 <= ord(char) <= 0xDFFF else char for char in special)


def toml_string(text: str) -> str:
    """Return a text as a basic string of TOML 1.0: what must not stand in one is escaped.

    So is everything that is not ASCII and not visible, since a manifest is read on a terminal.
    """
    return '"' + "".join(map(_toml_character, text)) + '"'


def _toml_character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if 0xD800 <= ord(char) <= 0xDFFF:  # half a pair: no Unicode scalar value
        return "\\uFFFD"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"
