# SPDX-License-Identifier: Apache-2.0
"""reports/clocks: how the clocks of hosts differ."""

from __future__ import annotations

from dataclasses import replace

from genevecap.analysis.clock import ClockSegment, HostClock
from genevecap.reports.clocks import clock_lines, clock_row
from genevecap.reports.layout import Style

STYLE = Style(width=100)
SEGMENT = ClockSegment(
    from_ns=1, to_ns=9, at_ns=5, offset_ns=-137_000_000, drift_ppm=40.0, uncertainty_ns=4_500_000
)


def clock(*segments):
    return HostClock(host="B", reference="A", pairs=12, dropped=0, segments=segments)


def test_a_row_has_what_the_contract_names():
    row = clock_row(clock(SEGMENT))
    assert (row["host"], row["reference"], row["pairs"]) == ("B", "A", 12)
    assert row["segments"][0]["offset_ns"] == -137_000_000


def test_a_clock_that_is_known_and_one_that_is_not():
    _, known, unknown = clock_lines([clock(SEGMENT), clock()], STYLE)
    assert "-137 ms" in known
    assert "40.0 ppm" in known
    assert unknown.split()[-3:] == ["?", "?", "?"]


def test_a_clock_that_wanders_has_one_line_and_another_where_it_was_set():
    """The second piece goes on where the first one ends; then the clock jumps by 137 ms."""
    wander = replace(
        SEGMENT, from_ns=9, to_ns=20, at_ns=9, offset_ns=-136_000_000, uncertainty_ns=9_000_000
    )
    was_set = replace(SEGMENT, from_ns=20, to_ns=30, at_ns=20, offset_ns=0, drift_ppm=41.0)
    _, before, after = clock_lines([clock(SEGMENT, wander, was_set)], STYLE)
    assert before.split()[3:] == ["-137", "ms", "to", "-136", "ms", "9.00", "ms", "40.0", "ppm"]
    assert after.split()[3:] == ["0", "ns", "4.50", "ms", "41.0", "ppm"]


def test_without_clocks_there_is_no_table():
    assert clock_lines([], STYLE) == []
