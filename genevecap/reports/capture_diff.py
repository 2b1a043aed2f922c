# SPDX-License-Identifier: Apache-2.0
"""`diff captures` as text and as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from .layout import Column, Style, table
from .machine import Row, fields
from .text import count, duration, plural, printable

if TYPE_CHECKING:
    from ..analysis.comparison.bootstrap import QuantileDifference
    from ..analysis.comparison.results import (
        CaptureDiff,
        HopDifference,
        SegmentDifference,
        TimeDifference,
    )

SCHEMA = "genevecap/diff-captures/1"

TABLES = ("hops", "segments", "sessions", "overhead", "findings")
"""Lists that `--table` offers; csv and ndjson give the first one."""

TOO_FEW = (
    "too few sessions to tell: an interval of the median needs 6 sessions of the same hop in each "
    "run, one of p99 needs 368; record for longer, or more connections"
)

_TIME_COLUMNS = (
    "p50_a_ns",
    "p50_b_ns",
    "difference_ns",
    "ci95_low_ns",
    "ci95_high_ns",
    "p_value",
    "p99_a_ns",
    "p99_b_ns",
    "p99_difference_ns",
    "p99_ci95_low_ns",
    "p99_ci95_high_ns",
    "p99_p_value",
    "packets_a",
    "packets_b",
    "sessions_a",
    "sessions_b",
    "conclusion",
)
CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "hops": (
        "hop",
        "from",
        "to",
        "leg",
        "direction",
        "kind",
        "phase",
        "matched_by",
        "hops_a",
        "hops_b",
        *_TIME_COLUMNS,
    ),
    "segments": ("kind", "segment", *_TIME_COLUMNS),
    "sessions": ("kind", "outcome", "a", "b"),
    "overhead": (
        "kind",
        "purpose",
        "packets_a",
        "packets_b",
        "overhead_bytes_a",
        "overhead_bytes_b",
        "share_a",
        "share_b",
    ),
    "findings": ("code", "severity", "message", "change", "packets", "display_filter"),
}
_ROWS_SHOWN = 40


# --- rows ------------------------------------------------------------------------------------


def document(result: CaptureDiff, only: str | None = None) -> Row:
    """Return the answer as `genevecap/diff-captures/1`, or with one list of it only."""
    if only is not None:
        return {"schema": SCHEMA, only: rows(result, only)}
    return {
        "schema": SCHEMA,
        "a": {**fields(result.a), "captures": list(result.a.captures)},
        "b": {**fields(result.b), "captures": list(result.b.captures)},
        **{name: rows(result, name) for name in TABLES},
        "interrupted": result.interrupted,
    }


def rows(result: CaptureDiff, name: str) -> list[Row]:
    """Return one list of the answer as rows with the keys of the JSON document."""
    if name == "hops":
        return [_hop(hop) for hop in result.hops]
    if name == "segments":
        return [
            {"kind": row.kind, "segment": row.segment, **_times(row.times)}
            for row in result.segments
        ]
    return [fields(row) for row in getattr(result, name)]


def csv_rows(result: CaptureDiff, name: str) -> Iterator[Row]:
    """Yield one list as rows without nested values."""
    for row in rows(result, name):
        for prefix in ("", "p99_"):
            if f"{prefix}ci95_ns" in row:
                low, high = row.pop(f"{prefix}ci95_ns") or (None, None)
                row |= {f"{prefix}ci95_low_ns": low, f"{prefix}ci95_high_ns": high}
        yield row


def _hop(hop: HopDifference) -> Row:
    return {
        "hop": f"{hop.leg} {hop.direction} {_kind(hop)}: {hop.origin} > {hop.to}",
        "from": hop.origin,
        "to": hop.to,
        "leg": hop.leg,
        "direction": hop.direction,
        "kind": hop.kind,
        "phase": hop.phase,
        "matched_by": hop.matched_by,
        "hops_a": hop.hops_a,
        "hops_b": hop.hops_b,
        **_times(hop.times),
    }


def _kind(hop: HopDifference) -> str:
    return hop.kind if hop.phase is None else f"{hop.kind} {hop.phase}"


def _times(times: TimeDifference) -> Row:
    return {
        **_quantile(times.median, "p50_", ""),
        **_quantile(times.p99, "p99_", "p99_"),
        "packets_a": times.packets_a,
        "packets_b": times.packets_b,
        "sessions_a": times.sessions_a,
        "sessions_b": times.sessions_b,
        "conclusion": times.conclusion,
    }


def _quantile(quantile: QuantileDifference | None, of: str, prefix: str) -> Row:
    interval = None if quantile is None else quantile.ci95_ns
    return {
        f"{of}a_ns": None if quantile is None else quantile.a_ns,
        f"{of}b_ns": None if quantile is None else quantile.b_ns,
        f"{prefix}difference_ns": None if quantile is None else quantile.difference_ns,
        f"{prefix}ci95_ns": None if interval is None else list(interval),
        f"{prefix}p_value": None if quantile is None else quantile.p_value,
    }


# --- text ------------------------------------------------------------------------------------


def lines(result: CaptureDiff, style: Style, only: str | None = None) -> Iterator[str]:
    """Yield the answer, or one list of it, for people."""
    if only is not None:
        yield from _LISTS[only](result, style)
        return
    yield style.heading("Runs", "differences are B less A: positive where B has more")
    if result.interrupted:
        yield style.paint("interrupted: compares what was read so far", "warning")
    yield from _runs(result, style)
    for name, (title, note) in _TITLES.items():
        yield ""
        yield style.heading(title, note)
        shown = list(_LISTS[name](result, style))
        yield from shown[: _ROWS_SHOWN + 1]
        if len(shown) > _ROWS_SHOWN + 1:
            yield style.paint(f"{len(shown) - _ROWS_SHOWN - 1} more: --table {name}", "dim")
    yield ""
    yield from (style.paint(line, "dim") for line in style.prose(_caveat(result)))


_TITLES = {
    "sessions": ("Sessions", "by kind and outcome"),
    "segments": ("Segments", "time to the first byte of a response, completed sessions"),
    "hops": ("Hops", "one packet from point to point"),
    "overhead": ("Overhead", "octets of headers, and their share of what went over the wire"),
    "findings": ("Findings", "that only one of the runs has"),
}


def _caveat(result: CaptureDiff) -> str:
    times = [row.times for row in result.hops] + [row.times for row in result.segments]
    few = sum(row.conclusion == "too-few-sessions" for row in times)
    text = (
        "Intervals are 95 %, by bootstrap over sessions: 1 in 20 leaves out 0 by chance where "
        "nothing changed."
    )
    if few:
        text += f" {plural(few, 'row')} with {TOO_FEW}."
    return text


def _runs(result: CaptureDiff, style: Style) -> list[str]:
    columns = (
        Column(title="run"),
        Column(title="captures", floor=12, middle=True),
        Column(title="points", right=True),
        Column(title="packets", right=True),
        Column(title="sessions", right=True),
        Column(title="mode"),
    )
    body = []
    for name, run in (("A", result.a), ("B", result.b)):
        paths = [printable(path) for path in run.captures]
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        figures = (count(run.points), count(run.packets), count(run.sessions))
        body.append([name, (paths[0] if paths else "none") + more, *figures, run.mode])
    return table(columns, body, style)


def _hops(result: CaptureDiff, style: Style) -> list[str]:
    columns = (
        Column(title="leg", drop=3),
        Column(title="direction", drop=4),
        Column(title="from", floor=10, middle=True),
        Column(title="to", floor=10, middle=True),
        Column(title="kind", drop=2),
        *_time_columns(),
    )
    body = [
        [
            hop.leg,
            hop.direction,
            printable(hop.origin)
            + (f" ({max(hop.hops_a, hop.hops_b)})" * (hop.matched_by == "role")),
            printable(hop.to),
            _kind(hop),
            *_time_cells(hop.times),
        ]
        for hop in result.hops
    ]
    return table(columns, body, style) if body else _none(style)


def _segments(result: CaptureDiff, style: Style) -> list[str]:
    columns = (Column(title="kind"), Column(title="segment"), *_time_columns())
    body = [_segment_cells(row) for row in result.segments]
    return table(columns, body, style) if body else _none(style)


def _segment_cells(row: SegmentDifference) -> list[str]:
    return [row.kind, row.segment, *_time_cells(row.times)]


def _time_columns() -> tuple[Column, ...]:
    colours = {"longer": "warning", "shorter": "good"}
    return (
        Column(title="sessions", right=True, drop=5),
        Column(title="p50 A", right=True, drop=1),
        Column(title="p50 B", right=True, drop=1),
        Column(title="difference", right=True),
        Column(title="95 % interval", right=True),
        Column(title="p", right=True, drop=6),
        Column(title="p99 by", right=True, drop=7),
        Column(title="B is", role=colours.get),
    )


def _time_cells(times: TimeDifference) -> list[str]:
    sessions = f"{count(times.sessions_a)}/{count(times.sessions_b)}"
    conclusion = times.conclusion.replace("-", " ")
    if times.median is None:
        return [sessions, "", "", "", "", "", "", conclusion]
    median, interval = times.median, times.median.ci95_ns
    tail = times.p99
    return [
        sessions,
        duration(median.a_ns),
        duration(median.b_ns),
        _signed(median.difference_ns),
        "" if interval is None else " to ".join(map(_signed, interval)),
        "" if median.p_value is None else f"{median.p_value:.3f}",
        "" if tail is None or tail.ci95_ns is None else _signed(tail.difference_ns),
        conclusion,
    ]


def _signed(time_ns: int) -> str:
    return duration(time_ns) if time_ns <= 0 else f"+{duration(time_ns)}"


def _sessions(result: CaptureDiff, style: Style) -> list[str]:
    columns = (
        Column(title="kind"),
        Column(title="outcome"),
        Column(title="A", right=True),
        Column(title="B", right=True),
        Column(title="difference", right=True),
    )
    body = [
        [row.kind, row.outcome, count(row.a), count(row.b), f"{row.b - row.a:+,}"]
        for row in result.sessions
    ]
    return table(columns, body, style) if body else _none(style)


def _overhead(result: CaptureDiff, style: Style) -> list[str]:
    columns = (
        Column(title="header"),
        Column(title="purpose"),
        Column(title="packets A", right=True, drop=1),
        Column(title="packets B", right=True, drop=1),
        Column(title="octets A", right=True),
        Column(title="octets B", right=True),
        Column(title="share A", right=True),
        Column(title="share B", right=True),
        Column(title="difference", right=True),
    )
    body = [
        [
            row.kind,
            row.purpose,
            count(row.packets_a),
            count(row.packets_b),
            count(row.overhead_bytes_a),
            count(row.overhead_bytes_b),
            f"{row.share_a:.1%}",
            f"{row.share_b:.1%}",
            f"{100 * (row.share_b - row.share_a):+.1f} points",
        ]
        for row in result.overhead
    ]
    return table(columns, body, style) if body else _none(style)


def _findings(result: CaptureDiff, style: Style) -> list[str]:
    columns = (
        Column(title="change"),
        Column(title="severity"),
        Column(title="finding"),
        Column(title="packets", right=True),
        Column(title="what it is", floor=20),
    )
    body = [
        [row.change, row.severity, row.code, count(row.packets), printable(row.message)]
        for row in result.findings
    ]
    return table(columns, body, style) if body else _none(style)


def _none(style: Style) -> list[str]:
    return [style.paint("none", "dim")]


_LISTS: dict[str, Callable[[CaptureDiff, Style], Sequence[str]]] = {
    "hops": _hops,
    "segments": _segments,
    "sessions": _sessions,
    "overhead": _overhead,
    "findings": _findings,
}
