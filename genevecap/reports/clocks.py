# SPDX-License-Identifier: Apache-2.0
"""How the clocks of hosts differ, as rows and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .layout import Column, Style, table
from .machine import Row, fields
from .text import count, duration, printable

if TYPE_CHECKING:
    from ..analysis.clock import HostClock


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
    """Return the clocks as a table; nothing where there are none."""
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
            duration(segment.offset_ns) if segment.offset_ns >= 0 else
            f"-{duration(-segment.offset_ns)}",
            duration(segment.uncertainty_ns),
            f"{segment.drift_ppm:.1f} ppm",
        ]
        for clock in clocks
        for segment in clock.segments
    ]  # fmt: skip
    cells_of += [
        [printable(clock.host), printable(clock.reference), count(clock.pairs), "?", "?", "?"]
        for clock in clocks
        if not clock.segments
    ]
    return table(columns, cells_of, style) if cells_of else []
