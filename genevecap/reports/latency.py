# SPDX-License-Identifier: Apache-2.0
"""`latency` as text and as rows: ways drawn from point to point, and a table of hops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from . import machine
from .clocks import clock_row
from .findings import DETAILS, finding_lines, severity_words
from .flows import session_row
from .layout import Column, Style, table
from .machine import Row, fields, finding_row, flat_finding
from .round_trips import round_trip_lines
from .text import cells, count, duration, moment, plural, printable, shorten

if TYPE_CHECKING:
    from ..analysis.clock import ClockSegment
    from ..analysis.hops.results import Hop, LatencyResult

SCHEMA = "genevecap/latency/1"

TABLES = ("hops", "chains", "round_trips", "findings", "clocks", "matching")
"""Lists that `--table` offers; csv and ndjson give the first one."""

CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "hops": (
        "from",
        "to",
        "leg",
        "direction",
        "kind",
        "phase",
        "measured",
        "packets",
        "lost",
        "min_ns",
        "p50_ns",
        "p90_ns",
        "p99_ns",
        "max_ns",
        "uncertainty_ns",
        "added_p50_bytes",
        "added_max_bytes",
    ),
    "chains": ("leg", "direction", "hops"),
    "findings": machine.CSV_COLUMNS["findings"],
    "round_trips": (
        "point",
        "leg",
        "direction",
        "kind",
        "packets",
        "min_ns",
        "p50_ns",
        "p90_ns",
        "p99_ns",
        "max_ns",
        "uncertainty_ns",
    ),
    "clocks": (
        "host",
        "reference",
        "pairs",
        "dropped",
        "from_ns",
        "to_ns",
        "at_ns",
        "offset_ns",
        "drift_ppm",
        "uncertainty_ns",
    ),
    "matching": (
        "segments",
        "matched",
        "unmatched",
        "ambiguous",
        "late",
        "window_ns",
        "shortest_window_ns",
    ),
}

_TIMES = ("min_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns", "uncertainty_ns")
_WAYS_SHOWN = 24
_HOPS_SHOWN = 40
_TRIPS_SHOWN = 12
_MOST_SEGMENTS = 10_000


# --- rows ------------------------------------------------------------------------------------


def document(result: LatencyResult, only: str | None = None) -> Row:
    """Return the answer as `genevecap/latency/1`, or with one list of it only."""
    if only is not None:
        return {"schema": SCHEMA, only: rows(result, only)}
    return {
        "schema": SCHEMA,
        "clocks": rows(result, "clocks"),
        "hops": rows(result, "hops"),
        "chains": rows(result, "chains"),
        "round_trips": rows(result, "round_trips"),
        "matching": fields(result.matching),
        "sessions": [session_row(session) for session in result.sessions],
        "findings": rows(result, "findings"),
        "interrupted": result.interrupted,
    }


def rows(result: LatencyResult, name: str) -> list[Row]:
    """Return one list of the answer as rows with the keys of the JSON document."""
    if name == "hops":
        return [_hop(hop) for hop in result.hops]
    if name == "chains":
        return [
            {
                "leg": result.hops[chain[0]].leg,
                "direction": result.hops[chain[0]].direction,
                "hops": list(chain),
            }
            for chain in result.chains
        ]
    if name == "round_trips":
        return [fields(trip) for trip in result.round_trips]
    if name == "findings":
        return [finding_row(finding) for finding in result.findings]
    if name == "clocks":
        return [clock_row(clock) for clock in result.clocks]
    return [fields(result.matching)]


def csv_rows(result: LatencyResult, name: str) -> Iterator[Row]:
    """Yield one list as rows without nested values."""
    if name == "clocks":
        for row in rows(result, name):
            segments = row.pop("segments")
            yield from (row | segment for segment in segments)
        return
    if name == "findings":
        yield from map(flat_finding, rows(result, name))
        return
    for row in rows(result, name):
        if name == "hops":
            added = row.pop("added_bytes")
            row |= {"added_p50_bytes": added["p50"], "added_max_bytes": added["max"]}
        elif name == "chains":
            row["hops"] = " ".join(map(str, row["hops"]))
        yield row


def _hop(hop: Hop) -> Row:
    return {
        "from": hop.origin,
        "to": hop.to,
        "leg": hop.leg,
        "direction": hop.direction,
        "kind": hop.kind,
        "phase": hop.phase,
        "measured": hop.measured,
        "packets": hop.packets,
        "lost": hop.lost,
        **{name: getattr(hop, name) for name in _TIMES},
        "added_bytes": {"p50": hop.added_p50_bytes, "max": hop.added_max_bytes},
    }


# --- text ------------------------------------------------------------------------------------


def lines(result: LatencyResult, style: Style, only: str | None = None) -> Iterator[str]:
    """Yield the answer, or one list of it, for people."""
    if only == "hops":
        yield from _hops(result.hops, style)
    elif only == "chains":
        yield from _ways(result, style, len(result.chains))
    elif only == "round_trips":
        yield from round_trip_lines(result.round_trips, style)
    elif only == "clocks":
        yield from _clocks(result, style, _MOST_SEGMENTS)
    elif only == "findings":
        yield from _findings(result, style, None)
    elif only is not None:
        yield from _matching(result, style)
    else:
        yield from _whole(result, style)


def _whole(result: LatencyResult, style: Style) -> Iterator[str]:
    paths = [capture.path for capture in result.captures]
    name = printable(paths[0]) if len(paths) == 1 else plural(len(paths), "capture")
    points = sum(len(capture.points) for capture in result.captures)
    matching = result.matching
    note = f"{plural(points, 'capture point')}, {plural(matching.segments, 'TCP segment')}"
    room = max(style.width - cells(note) - 2, 16)
    yield style.heading(shorten(name, room, middle=True), note)
    yield from _matching(result, style)
    if result.interrupted:
        yield style.paint("interrupted: says what was read so far", "warning")
    if result.clocks:
        yield ""
        yield style.heading(
            "Clocks", f"relative to that of {printable(result.clocks[0].reference)}"
        )
        yield from _clocks(result, style, _MOST_SEGMENTS)
    if result.hops:
        yield from _hops_in_full(result, style)
    else:
        yield ""
        yield from style.prose(
            "No packet was seen at two points, so there is no hop to measure: give captures of"
            " several points. What one point sees by itself is how long answers took."
        )
    if result.findings:
        yield ""
        yield style.heading("Findings", severity_words(result.findings))
        yield from _findings(result, style, DETAILS)
    if result.round_trips:
        yield ""
        yield style.heading("Round trips", "from one point to the end that answers, and back")
        yield from round_trip_lines(result.round_trips[:_TRIPS_SHOWN], style)
        if len(result.round_trips) > _TRIPS_SHOWN:
            more = len(result.round_trips) - _TRIPS_SHOWN
            yield style.paint(f"{more} more: --table round_trips", "dim")


def _findings(result: LatencyResult, style: Style, most: int | None) -> Iterator[str]:
    several = len(result.captures) > 1
    return finding_lines(result.findings, style, several=several, most_details=most)


def _hops_in_full(result: LatencyResult, style: Style) -> Iterator[str]:
    yield ""
    yield style.heading("Ways", "median times between points; =: between nodes, ±N B: a tunnel")
    yield from _ways(result, style, _WAYS_SHOWN)
    yield ""
    yield style.heading("Hops", plural(len(result.hops), "hop"))
    yield from _hops(result.hops[:_HOPS_SHOWN], style)
    if len(result.hops) > _HOPS_SHOWN:
        yield style.paint(f"{len(result.hops) - _HOPS_SHOWN} more: --table hops", "dim")


def _clocks(result: LatencyResult, style: Style, most: int) -> list[str]:
    if not result.clocks:
        return [style.paint("one clock", "dim")]
    columns = (
        Column(title="host"),
        Column(title="packets", right=True),
        Column(title="from", drop=2),
        Column(title="ahead by", right=True),
        Column(title="±", right=True),
        Column(title="drift", right=True, drop=1),
    )
    shown = []
    for clock in result.clocks:
        name, pairs = printable(clock.host), count(clock.pairs)
        if not clock.segments:
            shown.append([name, pairs, "", "not known", "", ""])
        segments: Sequence[ClockSegment] = clock.segments
        if len(segments) > most:
            segments = sorted(segments, key=lambda s: s.from_ns - s.to_ns)[:most]
        shown += [[name, pairs, *_segment_cells(segment)] for segment in segments]
    lines = table(columns, shown, style)
    more = sum(max(len(clock.segments) - most, 0) for clock in result.clocks)
    if more:
        lines.append(style.paint(f"{plural(more, 'segment')} more: --table clocks", "dim"))
    return lines


def _segment_cells(segment: ClockSegment) -> list[str]:
    return [
        moment(segment.from_ns, 6),
        duration(segment.offset_ns),
        duration(segment.uncertainty_ns),
        f"{segment.drift_ppm:+.2f} ppm",
    ]


def _matching(result: LatencyResult, style: Style) -> Iterator[str]:
    m = result.matching
    facts = [
        f"{count(m.matched)} sightings matched",
        f"{count(m.unmatched)} seen at one point only",
    ]
    if m.ambiguous:
        facts.append(f"{count(m.ambiguous)} ambiguous")
    yield from (style.paint(line, "dim") for line in style.prose(", ".join(facts)))
    if m.late:
        text = (
            f"{plural(m.late, 'sighting')} came more than 1 s out of order: reordercap sorts files"
        )
        yield from (style.paint(line, "warning") for line in style.prose(text))
    if m.shortest_window_ns is not None:
        text = (
            f"the window of {duration(m.window_ns)} was cut to {duration(m.shortest_window_ns)}"
            " where more would not have fitted into memory"
        )
        yield from (style.paint(line, "warning") for line in style.prose(text))


def _ways(result: LatencyResult, style: Style, most: int) -> Iterator[str]:
    before = None
    for chain in result.chains[:most]:
        hops = [result.hops[i] for i in chain]
        title = f"{hops[0].leg} {hops[0].direction}"
        if title != before:
            yield style.paint(shorten(title, style.width), "title")
        before = title
        yield from _way(hops, style)
    if len(result.chains) > most:
        yield style.paint(f"{len(result.chains) - most} more: --table chains", "dim")


def _way(hops: Sequence[Hop], style: Style) -> Iterator[str]:
    """Yield one way, broken between hops where the line is full."""
    line = f"  {printable(hops[0].origin)}"
    for hop in hops:
        step = f" {_arrow(hop)} {printable(hop.to)}"
        if cells(line) + cells(step) > style.width and line.strip():
            yield shorten(line, style.width)
            line = "   "
        line += step
    yield shorten(line, style.width)


def _arrow(hop: Hop) -> str:
    stroke = "=" if hop.kind == "wire" else "─"
    time = "?" if hop.p50_ns is None else duration(hop.p50_ns)
    if hop.kind in {"encapsulate", "decapsulate"} and hop.added_p50_bytes is not None:
        time += f" {hop.added_p50_bytes:+} B".replace("-", "−")
    elif hop.kind not in {"pass", "wire"}:
        time += f" {hop.kind}"
        if hop.phase:
            time += f", {hop.phase}"
    return f"{stroke}{stroke} {time} {stroke}{stroke}▶"


def _hops(hops: Sequence[Hop], style: Style) -> list[str]:
    columns = (
        Column(title="leg", drop=1),
        Column(title="direction", drop=2),
        Column(title="from", floor=16, least=12, middle=True),
        Column(title="to", floor=16, least=12, middle=True),
        Column(title="kind"),
        Column(title="phase"),
        Column(title="packets", right=True),
        Column(title="lost", right=True, role=lambda text: None if text in {"0", "?"} else "error"),
        Column(title="min", right=True, drop=5),
        Column(title="p50", right=True),
        Column(title="±", right=True),
        Column(title="p90", right=True, drop=6),
        Column(title="p99", right=True, drop=3),
        Column(title="max", right=True, drop=4),
        Column(title="bytes", right=True, drop=7),
    )
    return table(columns, [_hop_cells(hop) for hop in hops], style)


def _hop_cells(hop: Hop) -> list[str]:
    def time(value: int | None) -> str:
        return "?" if value is None else duration(value)

    added = hop.added_p50_bytes
    return [
        hop.leg,
        hop.direction,
        printable(hop.origin),
        printable(hop.to),
        hop.kind,
        hop.phase or "",
        count(hop.packets),
        "?" if hop.lost is None else count(hop.lost),
        time(hop.min_ns),
        time(hop.p50_ns),
        time(hop.uncertainty_ns),
        time(hop.p90_ns),
        time(hop.p99_ns),
        time(hop.max_ns),
        f"{added:+}" if added else "",
    ]
