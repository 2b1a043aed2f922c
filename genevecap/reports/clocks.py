# SPDX-License-Identifier: Apache-2.0
"""How the clocks of hosts differ, as rows and as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from .layout import Column, Style, table
from .machine import Row, fields
from .text import count, duration, printable

if TYPE_CHECKING:
    from ..analysis.clock import ClockSegment, HostClock

_Number = TypeVar("_Number", int, float)


def clock_row(clock: HostClock) -> Row:
    """Return how a host's clock differs, as CONTRACT's `clocks` has it."""
    return {
        "host": clock.host,
        "reference": clock.reference,
        "pairs": clock.pairs,
        "dropped": clock.dropped,
        "segments": [fields(segment) for segment in clock.segments],
    }


def clock_lines(clocks: Sequence[HostClock], style: Style) -> list[str]:
    """Return the clocks as a table; nothing where there are none.

    A clock has a line, and one more for each time it was set; JSON has all pieces of its curve.
    """
    columns = (
        Column(title="host", floor=8),
        Column(title="against", floor=8),
        Column(title="packets", right=True),
        Column(title="offset", right=True),
        Column(title="±", right=True),
        Column(title="drift", right=True, drop=1),
    )
    cells_of = [
        [
            printable(clock.host),
            printable(clock.reference),
            count(clock.pairs),
            _span([segment.offset_ns for segment in stretch], duration),
            duration(max(segment.uncertainty_ns for segment in stretch)),
            _span([segment.drift_ppm for segment in stretch], "{:.1f} ppm".format),
        ]
        for clock in clocks
        for stretch in _stretches(clock.segments)
    ]
    cells_of += [
        [printable(clock.host), printable(clock.reference), count(clock.pairs), "?", "?", "?"]
        for clock in clocks
        if not clock.segments
    ]
    return table(columns, cells_of, style) if cells_of else []


def _stretches(segments: Iterable[ClockSegment]) -> list[list[ClockSegment]]:
    """Return segments in groups, within which the clock was not set."""
    groups: list[list[ClockSegment]] = []
    for segment in segments:
        if groups and _is_continued(groups[-1][-1], segment):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _is_continued(one: ClockSegment, other: ClockSegment) -> bool:
    step_ns = abs(other.offset_at(other.from_ns) - one.offset_at(one.to_ns))
    return step_ns <= one.uncertainty_ns + other.uncertainty_ns


def _span(values: Sequence[_Number], text: Callable[[_Number], str]) -> str:
    """Return the least and the greatest value as text, one where they look alike."""
    least, most = text(min(values)), text(max(values))
    return least if least == most else f"{least} to {most}"
