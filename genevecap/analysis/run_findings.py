# SPDX-License-Identifier: Apache-2.0
"""The findings of a run: bits of packets, and what is told from what was counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..ambient import own_vnis
from ..columns import Finding
from ..decode.option_kinds import EXPERIMENTAL_CLASS, KNOWN_CRITICAL, OPTION_CRITICAL
from .findings.noted import Noted
from .health.counts import note_node_local, note_port
from .inputs import InputState
from .tables import FindingCount, OptionCount, SummaryTables, TunnelCount
from .underlay import note_underlay

LEAST_CONNECTIONS = 10
"""With fewer TCP connections nothing is said about directions."""


def note_packets(
    noted: Noted, findings: Iterable[FindingCount], options: Sequence[OptionCount]
) -> None:
    """Note the findings about single packets.

    options: all that were met, to be named; none where they were not counted.
    """
    for finding in findings:
        code = str(Finding(finding.bit).name)
        noted.note(code, packets=finding.packets, frames=finding.frames)
        if finding.bit == Finding.G07:
            _name_options(noted, code, [o for o in options if _is_unknown_critical(o)])
        elif finding.bit == Finding.G17:
            _name_options(noted, code, [o for o in options if o.option_class >= EXPERIMENTAL_CLASS])


def _is_unknown_critical(option: OptionCount) -> bool:
    key = option.option_class << 8 | option.option_type
    return bool(option.option_type & OPTION_CRITICAL) and key not in KNOWN_CRITICAL


def _name_options(noted: Noted, code: str, options: Sequence[OptionCount]) -> None:
    """Say which options a finding is about."""
    for option in sorted(options):
        detail = f"class {option.option_class:#06x}, type {option.option_type:#04x}"
        noted.note(code, packets=0, detail=detail)


def note_captures(noted: Noted, states: Iterable[InputState]) -> None:
    """Note what is wrong with the captures themselves: C02, C09, C10."""
    for state in states:
        capture, path = state.capture, state.spec.path
        if state.damage is not None:
            where = f"record {state.damage.record}, offset {state.damage.offset:#x}"
            noted.note("C10", packets=0, detail=f"{path}: {where}")
        if capture is None:
            continue
        if capture.cut_short and state.damage is None:
            noted.note("C09", packets=0, detail=f"{path}: {capture.why_cut_short()}")
        for point in capture.points.points:
            by_kernel, by_dumpcap = point.dropped or 0, point.dropped_by_dumpcap or 0
            if point.capture == capture.index and by_kernel + by_dumpcap:
                detail = f"{point.name}: {by_kernel} by the kernel, {by_dumpcap} by dumpcap"
                noted.note("C02", packets=by_kernel + by_dumpcap, detail=detail)


def note_directions(noted: Noted, tables: SummaryTables) -> None:
    """Note C06 where nearly all connections lack one direction."""
    both, one, redirected = tables.directions()
    # Redirected connections have two halves without anything in common: this one, and the answer.
    one -= min(2 * redirected, one)
    if both + one >= LEAST_CONNECTIONS and one >= 9 * both:
        noted.note("C06", packets=0, detail=f"{one} of {both + one} connections")


def run_findings(
    tables: SummaryTables,
    tunnels: Sequence[TunnelCount],
    states: Sequence[InputState],
    told: Iterable[Callable[[Noted], None]],
    *,
    mode: str,
    is_selection: bool,
) -> Noted:
    """Return all findings of a run.

    told: what notes findings of its own, gathered beside the tables.
    mode: how ambient redirects here, in CONTRACT's words.
    is_selection: whether packets were left out, which may be all of one direction.
    """
    noted = Noted()
    note_packets(noted, tables.findings(), tables.options())
    note_captures(noted, states)
    for note in told:
        note(noted)
    note_underlay(noted, tables, tunnels, own_vnis(mode))
    note_port(noted, tunnels, mode)
    note_node_local(noted, tables)
    if not is_selection:
        note_directions(noted, tables)
    return noted
