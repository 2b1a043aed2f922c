# SPDX-License-Identifier: Apache-2.0
"""reports/no_sessions: why there is no session, by what there was instead."""

from __future__ import annotations

import pytest

from genevecap.analysis.sessions.results import FlowsResult, Found
from genevecap.reports.layout import Style
from genevecap.reports.no_sessions import lines, packets, reason

from .made import CAPTURE


def result(connections, hbone):
    return FlowsResult(
        mode="none",
        mode_evidence=(),
        captures=(CAPTURE,),
        clocks=(),
        sessions=(),
        unlinked_legs=(),
        bypass=(),
        found=Found(connections=connections, hbone=hbone, outbound=0),
        findings=(),
    )


@pytest.mark.parametrize(
    ("connections", "hbone", "words"),
    [
        (0, 0, "there is no TCP connection in"),
        (3, 0, "none of 3 TCP connections goes to port 15008"),
        (3, 1, "1 connection to port 15008, but none"),
    ],
)
def test_why_there_is_no_session(connections, hbone, words):
    assert words in reason(result(connections, hbone))


def test_what_was_looked_for():
    found = result(3, 1)
    assert packets(found) == CAPTURE.packets
    text = list(lines(found, Style(width=100)))
    assert "No session" in "".join(text)
    assert any(line.split()[-1] == "3" for line in text if "TCP connections" in line)
