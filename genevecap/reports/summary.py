# SPDX-License-Identifier: Apache-2.0
"""The summary of `inspect` for people: one screen, the most important first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .findings import severity_words
from .layout import Style
from .lists import early_stop_lines, format_words, state_words, top_lines
from .text import (
    bit_rate,
    cells,
    count,
    duration,
    moment,
    packet_rate,
    plural,
    printable,
    share,
    shorten,
    size,
)

if TYPE_CHECKING:
    from ..analysis.results import AmbientSummary, CaptureSummary, InspectResult

LIMITS = {"tunnels": 6, "options": 5, "top_flows": 5, "findings": 5, "stops": 4, "captures": 5}
"""Rows of each list that one screen has room for."""

EVIDENCE_LINES = 3


def summary_lines(result: InspectResult, style: Style) -> Iterator[str]:
    """Yield the lines of the summary."""
    yield from _header(result, style)
    yield ""
    yield from _ambient(result.ambient, style)
    if result.tunnels:
        yield ""
        packets = sum(tunnel.packets for tunnel in result.tunnels if tunnel.depth == 0)
        yield style.heading("Tunnels", _tunnel_note(result, packets))
        yield from top_lines(result, "tunnels", LIMITS["tunnels"], style)
    elif result.selected_packets:
        yield ""
        yield style.heading(
            "No tunnels", "nothing here is VXLAN or Geneve on the ports it looks at"
        )
    if result.options:
        yield ""
        yield style.heading("Geneve options", plural(len(result.options), "kind"))
        yield from top_lines(result, "options", LIMITS["options"], style)
    if result.top_flows:
        yield ""
        inside = "inner flow" if result.tunnels else "flow"
        yield style.heading("Top flows", f"of {plural(result.flows, f'one-way {inside}')}")
        yield from top_lines(result, "top_flows", LIMITS["top_flows"], style)
    yield from _findings(result, style)
    yield from _stops(result, style)
    yield from _places(result, style)


def _header(result: InspectResult, style: Style) -> Iterator[str]:
    """Yield what was read: the one capture, or all together."""
    captures = result.captures
    packets = sum(capture.packets for capture in captures)
    octets = sum(capture.wire_bytes for capture in captures)
    if len(captures) == 1:
        name = printable(captures[0].path)
        facts = [format_words(captures[0])]
    else:
        name, facts = plural(len(captures), "capture"), []
    facts += [plural(packets, "packet"), size(octets)]
    points = sum(len(capture.points) for capture in captures)
    if points > 1:
        facts.append(plural(points, "capture point"))
    note = ", ".join(facts)
    room = max(style.width - cells(note) - 2, 16)
    yield style.heading(shorten(name, room, middle=True), note)
    yield from (style.paint(line, "dim") for line in _when(result, packets, octets, style))
    if result.selected_packets != packets:
        chosen = f"{count(result.selected_packets)} of {plural(packets, 'packet')} selected"
        yield style.paint(
            shorten(f"{chosen}: what follows counts those only", style.width), "warning"
        )
    for capture in captures:
        if capture.cut_short or capture.damage is not None:
            state = f"{state_words(capture)}: {printable(capture.path)}"
            yield style.paint(shorten(state, style.width), "warning")
    if result.interrupted:
        yield style.paint(
            shorten("interrupted: counts what was read so far", style.width), "warning"
        )


def _when(result: InspectResult, packets: int, octets: int, style: Style) -> Iterator[str]:
    """Yield start, length and rates, as much of them as fits one line."""
    first = [capture.first_ns for capture in result.captures if capture.first_ns is not None]
    last = [capture.last_ns for capture in result.captures if capture.last_ns is not None]
    if not first or not last:
        return
    lasting = max(last) - min(first)
    facts = [moment(min(first), 3), duration(lasting)]
    if lasting > 0:
        facts += [packet_rate(packets, lasting), bit_rate(octets, lasting)]
    while len(facts) > 1 and cells(", ".join(facts)) > style.width:
        facts.pop()
    yield shorten(", ".join(facts), style.width)


def _ambient(ambient: AmbientSummary, style: Style) -> Iterator[str]:
    found = ambient.mode != "none"
    note = ambient.description
    mode = style.paint(printable(ambient.mode), "good" if found else None)
    head = "Istio ambient: "
    room = style.width - len(head) - cells(ambient.mode) - 2
    yield (
        style.paint(head, "heading")
        + mode
        + (f"  {style.paint(shorten(note, room), 'dim')}" if note and room > 8 else "")
    )
    if found:
        for evidence in ambient.evidence[:EVIDENCE_LINES]:
            yield from style.prose(printable(evidence), "  - ")
        more = len(ambient.evidence) - EVIDENCE_LINES
        if more > 0:
            yield style.paint(f"  … {more} more (--format json)", "dim")


def _tunnel_note(result: InspectResult, packets: int) -> str:
    overhead = sum(tunnel.overhead_bytes for tunnel in result.tunnels)
    octets = sum(tunnel.wire_bytes for tunnel in result.tunnels if tunnel.depth == 0)
    return (
        f"{plural(len(result.tunnels), 'direction')}, {plural(packets, 'packet')}"
        f" ({share(packets, result.selected_packets)}), overhead {size(overhead)}"
        f" ({share(overhead, octets)})"
    )


def _findings(result: InspectResult, style: Style) -> Iterator[str]:
    if not result.findings:
        return
    yield ""
    yield style.heading("Findings", severity_words(result.findings))
    yield from top_lines(result, "findings", LIMITS["findings"], style)


def _stops(result: InspectResult, style: Style) -> Iterator[str]:
    hidden = sum(layer.packets for layer in result.stop_layers if layer.stop == "complete")
    early = result.selected_packets - result.stops.complete + hidden
    if early <= 0:
        return
    yield ""
    note = f"{count(early)} of {plural(result.selected_packets, 'packet')}"
    yield style.heading("Decoding ended early", note)
    yield from early_stop_lines(result, LIMITS["stops"], style)


def _places(result: InspectResult, style: Style) -> Iterator[str]:
    """Yield captures and points where there are several, or where packets were lost."""
    captures: tuple[CaptureSummary, ...] = result.captures
    if len(captures) > 1:
        yield ""
        yield style.heading("Captures")
        yield from top_lines(result, "captures", LIMITS["captures"], style)
    points = [point for capture in captures for point in capture.points]
    lost = sum((point.dropped or 0) + (point.dropped_by_dumpcap or 0) for point in points)
    if len(points) > len(captures) or lost:
        yield ""
        note = plural(len(points), "interface") + (
            f", {plural(lost, 'packet')} lost" if lost else ""
        )
        yield style.heading("Capture points", note)
        yield from top_lines(result, "points", LIMITS["captures"], style)
