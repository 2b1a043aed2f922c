# SPDX-License-Identifier: Apache-2.0
"""`flows` as text and as rows: sessions, the ways they took, and what went around the mesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from . import machine, no_sessions
from .budgets import budgets, sure
from .clocks import clock_lines, clock_row
from .findings import DETAILS, finding_lines, severity_words
from .layout import Column, Style, endpoint_column, table
from .machine import Row, fields, finding_row, flat_finding
from .text import cells, count, duration, plural, printable, shorten, size

if TYPE_CHECKING:
    from ..analysis.sessions.results import BypassSummary, FlowsResult, LegSummary, SessionSummary

SCHEMA = "genevecap/flows/1"

TABLES = ("sessions", "unlinked_legs", "bypass", "findings", "clocks")
"""Lists that `--table` offers; csv and ndjson give the first one."""

CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "sessions": (
        "id",
        "client",
        "destination",
        "server",
        "kind",
        "outcome",
        "origin",
        "same_node",
        "mode_client",
        "mode_server",
        "confidence",
        "legs",
        "total_ns",
        "first_byte_ns",
        "evidence",
    ),
    "unlinked_legs": (
        "role",
        "source",
        "destination",
        "points",
        "packets",
        "payload_bytes",
        "first_ns",
        "last_ns",
    ),
    "bypass": ("source", "destination", "packets", "why", "frames", "display_filter"),
    "findings": machine.CSV_COLUMNS["findings"],
    "clocks": ("host", "reference", "pairs", "dropped", "from_ns", "to_ns", "at_ns", "offset_ns",
               "drift_ppm", "uncertainty_ns"),
}  # fmt: skip

_SHOWN = 20
_SLOWEST = 8


# --- rows ------------------------------------------------------------------------------------


def document(result: FlowsResult, only: str | None = None) -> Row:
    """Return the answer as `genevecap/flows/1`, or with one list of it only."""
    if only is not None:
        return {"schema": SCHEMA, only: rows(result, only)}
    return {
        "schema": SCHEMA,
        "mode": result.mode,
        "evidence": list(result.mode_evidence),
        **{name: rows(result, name) for name in TABLES},
        "found": fields(result.found),
        "interrupted": result.interrupted,
    }


def rows(result: FlowsResult, name: str) -> list[Row]:
    """Return one list of the answer as rows with the keys of the JSON document."""
    if name == "sessions":
        return [session_row(session) for session in result.sessions]
    if name == "unlinked_legs":
        return [_leg(leg) for leg in result.unlinked_legs]
    if name == "bypass":
        return [_bypass(item) for item in result.bypass]
    if name == "findings":
        return [finding_row(finding) for finding in result.findings]
    return [clock_row(clock) for clock in result.clocks]


def csv_rows(result: FlowsResult, name: str) -> Iterator[Row]:
    """Yield one list as rows without nested values."""
    for row in rows(result, name):
        if name == "sessions":
            mode, timing = row.pop("mode"), row.pop("timing")
            row |= {"mode_client": mode["client"], "mode_server": mode["server"]}
            row |= {key: timing[key] for key in ("total_ns", "first_byte_ns")}
            row["legs"] = " ".join(
                f"{leg['role']}:{leg['source']}>{leg['destination']}" for leg in row["legs"]
            )
            row["evidence"] = "; ".join(row["evidence"])
        elif name == "unlinked_legs":
            row["points"] = " ".join(row["points"])
        elif name == "bypass":
            row["frames"] = " ".join(f"{f['capture']}:{f['frame']}" for f in row["frames"])
        elif name == "findings":
            yield flat_finding(row)
            continue
        elif name == "clocks":
            for segment in row.pop("segments"):
                yield row | segment
            continue
        yield row


def session_row(session: SessionSummary) -> Row:
    """Return a session as CONTRACT's `sessions` has it."""
    return {
        "id": session.id,
        "client": session.client,
        "destination": session.destination,
        "server": session.server,
        "kind": session.kind,
        "outcome": session.outcome,
        "origin": session.origin,
        "same_node": session.same_node,
        "mode": {"client": session.mode_client, "server": session.mode_server},
        "confidence": session.confidence,
        "evidence": list(session.evidence),
        "legs": [_leg(leg) for leg in session.legs],
        "timing": {
            "total_ns": session.timing.total_ns,
            "first_byte_ns": session.timing.first_byte_ns,
            "by_segment": [fields(part) for part in session.timing.by_segment],
            "waits": [fields(wait) for wait in session.timing.waits],
        },
    }


def _leg(leg: LegSummary) -> Row:
    return fields(leg) | {
        "points": list(leg.points),
        "alternatives": [fields(other) for other in leg.alternatives],
    }


def _bypass(item: BypassSummary) -> Row:
    return fields(item) | {
        "frames": [{"capture": path, "frame": frame} for path, frame in item.frames]
    }


# --- text ------------------------------------------------------------------------------------


def lines(result: FlowsResult, style: Style, only: str | None = None) -> Iterator[str]:
    """Yield the answer, or one list of it, for people."""
    if only == "sessions":
        yield from _sessions(result.sessions, style)
    elif only == "unlinked_legs":
        yield from _legs(result.unlinked_legs, style)
    elif only == "bypass":
        yield from _bypasses(result.bypass, style)
    elif only == "findings":
        yield from _findings(result, style, None)
    elif only == "clocks":
        yield from clock_lines(result.clocks, style)
    else:
        yield from _whole(result, style)


def _findings(result: FlowsResult, style: Style, most: int | None) -> Iterator[str]:
    several = len(result.captures) > 1
    return finding_lines(result.findings, style, several=several, most_details=most)


def _whole(result: FlowsResult, style: Style) -> Iterator[str]:
    paths = [capture.path for capture in result.captures]
    name = printable(paths[0]) if len(paths) == 1 else plural(len(paths), "capture")
    note = f"{plural(len(result.sessions), 'session')}, redirect mode {result.mode}"
    yield style.heading(shorten(name, max(style.width - cells(note) - 2, 16), middle=True), note)
    for evidence in result.mode_evidence:
        yield from style.prose(printable(evidence), "  - ")
    if result.interrupted:
        yield style.paint("interrupted: says what was read so far", "warning")
    yield from no_sessions.lines(result, style)
    sections: list[tuple[str, str, Callable[[], Sequence[str]]]] = [
        ("Sessions", _kinds(result.sessions), lambda: _overview(result, style)),
        (
            "Findings",
            severity_words(result.findings),
            lambda: list(_findings(result, style, DETAILS)),
        ),
        (
            "Slowest to the first byte",
            "where their time went (--per-session for all)",
            lambda: list(budgets(result.sessions, style, most=3)),
        ),
        (
            "Around the mesh",
            plural(len(result.bypass), "connection"),
            lambda: _bypasses(result.bypass[:_SHOWN], style),
        ),
        (
            "In no session",
            plural(len(result.unlinked_legs), "connection"),
            lambda: _legs(result.unlinked_legs[:_SLOWEST], style),
        ),
        (
            "Clocks",
            "one way times are uncertain by this",
            lambda: clock_lines(result.clocks, style),
        ),
    ]
    for title, text, body in sections:
        found = list(body())
        if found:
            yield ""
            yield style.heading(title, text)
            yield from found


def _kinds(sessions: Sequence[SessionSummary]) -> str:
    kinds = Counter((s.kind, s.outcome) for s in sessions)
    return ", ".join(f"{count(n)} {kind} {outcome}" for (kind, outcome), n in kinds.most_common(6))


def _overview(result: FlowsResult, style: Style) -> list[str]:
    shown = _sessions(result.sessions[:_SHOWN], style)
    if len(result.sessions) > _SHOWN:
        more = f"… {count(len(result.sessions) - _SHOWN)} more (--table sessions)"
        shown.append(style.paint(more, "dim"))
    return shown


def _sessions(sessions: Sequence[SessionSummary], style: Style) -> list[str]:
    columns = (
        Column(title="id", right=True, drop=3),
        endpoint_column("client"),
        endpoint_column("destination"),
        Column(title="kind"),
        Column(title="outcome", role=_outcome_role),
        endpoint_column("HBONE", drop=1),
        endpoint_column("server leg", drop=2),
        Column(title="sure", right=True),
        Column(title="first byte", right=True),
        Column(title="last byte", right=True, drop=4),
    )
    rows_of = [_session_cells(session) for session in sessions]
    return table(columns, rows_of, style) if rows_of else []


def _outcome_role(text: str) -> str | None:
    if text in {"refused", "denied", "unreachable", "timeout"}:
        return "error"
    return "warning" if text in {"aborted", "unknown"} else None


def _session_cells(session: SessionSummary) -> list[str]:
    by_role = {leg.role: leg for leg in session.legs}
    hbone, inbound = by_role.get("hbone"), by_role.get("inbound")
    return [
        str(session.id),
        printable(session.client),
        printable(session.destination),
        session.kind,
        session.outcome,
        "-" if hbone is None else _hbone_text(hbone),
        "-" if inbound is None else printable(inbound.source),
        sure(session.confidence),
        _time(session.timing.first_byte_ns),
        _time(session.timing.total_ns),
    ]


def _hbone_text(leg: LegSummary) -> str:
    stream = "" if leg.stream is None else f" #{leg.stream}"
    return f"{printable(leg.source)}{stream}"


def _time(value: int | None) -> str:
    return "-" if value is None else duration(value)


def _legs(legs: Sequence[LegSummary], style: Style) -> list[str]:
    columns = (
        Column(title="role"),
        endpoint_column("from"),
        endpoint_column("to"),
        Column(title="packets", right=True),
        Column(title="payload", right=True, drop=1),
        Column(title="seen at", floor=16, drop=2),
    )
    cells_of = [
        [
            leg.role,
            printable(leg.source),
            printable(leg.destination),
            "?" if leg.packets is None else count(leg.packets),
            "?" if leg.payload_bytes is None else size(leg.payload_bytes),
            printable(", ".join(leg.points)),
        ]
        for leg in legs
    ]
    return table(columns, cells_of, style) if cells_of else []


def _bypasses(items: Sequence[BypassSummary], style: Style) -> list[str]:
    columns = (
        endpoint_column("from"),
        endpoint_column("to"),
        Column(title="packets", right=True),
        Column(title="why", floor=20, drop=1),
        Column(title="Wireshark filter", floor=20, drop=2),
    )
    cells_of = [
        [
            printable(item.source),
            printable(item.destination),
            count(item.packets),
            item.why,
            item.display_filter,
        ]
        for item in items
    ]
    return table(columns, cells_of, style) if cells_of else []
