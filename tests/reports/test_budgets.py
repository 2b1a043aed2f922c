# SPDX-License-Identifier: Apache-2.0
"""reports/budgets: sessions one by one, the slowest first."""

from __future__ import annotations

import pytest

from genevecap.analysis.sessions.results import SegmentTime, SessionSummary, Timing
from genevecap.reports.budgets import budgets, sure
from genevecap.reports.layout import Style

STYLE = Style(width=100)


def session(number, first_byte_ns, segments=()):
    return SessionSummary(
        id=number,
        client=f"10.0.0.1:{number}",
        destination="10.0.0.2:80",
        server=None,
        kind="hbone",
        outcome="completed",
        origin="ztunnel",
        same_node=None,
        mode_client="in-pod",
        mode_server="unknown",
        confidence=0.99999,
        evidence=("address: \x1b[31mred",),
        legs=(),
        timing=Timing(total_ns=None, first_byte_ns=first_byte_ns, by_segment=tuple(segments)),
    )


def heads(lines):
    return [line.split()[0] for line in lines if line.startswith("#")]


@pytest.mark.parametrize(
    ("confidence", "words"),
    [(1.0, "100 %"), (0.99999, "99.9 %"), (0.5, "50 %"), (0.0, "0 %")],
)
def test_a_probability_is_never_rounded_up_to_certainty(confidence, words):
    assert sure(confidence) == words


def test_the_slowest_come_first_and_those_without_a_time_last():
    wire = SegmentTime(segment="wire", ns=3_000_000, uncertainty_ns=0)
    sessions = [session(1, None), session(2, 5_000_000, [wire]), session(3, 9_000_000)]
    assert heads(budgets(sessions, STYLE)) == ["#3", "#2", "#1"]
    assert heads(budgets(sessions, STYLE, most=5)) == ["#2"]


def test_text_of_a_capture_cannot_act():
    assert "\x1b" not in "".join(budgets([session(1, 1)], STYLE))
