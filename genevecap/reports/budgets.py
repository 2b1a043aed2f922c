# SPDX-License-Identifier: Apache-2.0
"""Sessions one by one: the way each took, where its time went, and what says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .layout import Style
from .text import duration, printable, shorten

if TYPE_CHECKING:
    from ..analysis.sessions.results import SessionSummary, Timing

_WAITS = 6


def budgets(
    sessions: Sequence[SessionSummary], style: Style, most: int | None = None
) -> Iterator[str]:
    """Yield sessions, the slowest to the first octet first, and those without any last.

    most: how many of those that have a time; None for every session.
    """
    timed = [s for s in sessions if s.timing.first_byte_ns is not None]
    timed.sort(key=lambda session: -(session.timing.first_byte_ns or 0))
    if most is None:
        shown = timed + [s for s in sessions if s.timing.first_byte_ns is None]
    else:
        shown = [s for s in timed if s.timing.by_segment][:most]
    for session in shown:
        yield from _way(session, style)
        if most is None:
            yield ""


def sure(confidence: float) -> str:
    """Return a probability; never rounded up to certainty."""
    return f"{min(int(confidence * 1000) / 10, 99.9 if confidence < 1 else 100.0):g} %"


def _way(session: SessionSummary, style: Style) -> Iterator[str]:
    """Yield one session as its legs, drawn as a chain, and its time budget."""
    chain = " ═▶ ".join(
        f"{printable(leg.source)} {leg.role} {printable(leg.destination)}" for leg in session.legs
    )
    head = f"#{session.id} {session.kind} {session.outcome}, {sure(session.confidence)} sure"
    yield style.paint(shorten(head, style.width), "title")
    yield from style.prose(chain, "  ")
    yield from style.prose(_budget(session.timing), "  ")
    if session.timing.waits:
        yield from style.prose(_waits(session), "  ")
    for line in session.evidence:
        yield from (style.paint(text, "dim") for text in style.prose(printable(line), "    "))


def _uncertainty(ns: int | None) -> str:
    """Return that of a part, in words where its ends were seen by clocks that nothing relates."""
    if ns is None:
        return " (clocks not compared)"
    return f" ±{duration(ns)}" if ns else ""


def _budget(timing: Timing) -> str:
    parts = [
        f"{part.segment} {'-' if part.ns is None else duration(part.ns)}"
        + _uncertainty(part.uncertainty_ns)
        for part in timing.by_segment
    ]
    if timing.first_byte_ns is None:
        whole = "no response"
    else:
        whole = f"first byte after {duration(timing.first_byte_ns)}"
    if parts:
        whole += f": {', '.join(parts)}"
    if timing.total_ns is not None:
        whole += f"; last byte after {duration(timing.total_ns)}"
    return whole


def _waits(session: SessionSummary) -> str:
    begin = session.legs[0].first_ns
    parts = [
        f"{wait.name.replace('-', ' ')} {duration(wait.ns)} on the {wait.leg} leg, after "
        f"{duration(max(wait.at_ns - begin, 0))}"
        for wait in session.timing.waits[:_WAITS]
    ]
    more = len(session.timing.waits) - _WAITS
    return f"waits: {'; '.join(parts)}" + (f"; and {more} more" if more > 0 else "")
