# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from genevecap.reports.layout import Style
from genevecap.reports.packets import packet_lines
from genevecap.reports.text import cells

from .made import PACKET, START_NS


def test_a_line_says_what_a_frame_is():
    later = replace(PACKET, frame=13, time_ns=START_NS + 1_500, findings=())
    lines = list(packet_lines(iter([PACKET, later]), Style(width=160), look_ahead=10))
    assert lines[0] == "second 0: 2026-01-31T12:00:00.123456789Z"
    assert lines[1].split() == ["frame", "seconds", "bytes", "point", "tunnels", "inner"]
    assert lines[2].split("  ") == [
        "",
        " 12",
        "0.000000000",
        " 1500",
        "node-a/eth0",
        "geneve 1000 10.244.1.1 > 10.244.1.2 +1 option",
        "[G08] tcp 10.244.1.4:53696 > 10.244.2.5:8080",
    ]
    assert lines[3].endswith("+1 option  tcp 10.244.1.4:53696 > 10.244.2.5:8080")
    assert "0.000001500" in lines[3]
    assert len({line.index("node-a/eth0") for line in lines[2:]}) == 1


def test_lines_come_as_their_frames_do():
    seen = []

    def rows():
        for frame in range(1, 4):
            seen.append(frame)
            yield replace(PACKET, frame=frame)

    lines = packet_lines(rows(), Style())
    next(lines), next(lines)
    assert next(lines).split()[0] == "1"
    assert seen == [1]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_wraps_and_nothing_acts_on_the_terminal(width: int):
    rows = [
        replace(PACKET, point="\x1b[31m\u202e\n" * 9),
        replace(PACKET, stop="truncated", stop_layer="tcp", time_ns=None, tunnels=()),
        replace(PACKET, inner=None, stop="malformed", stop_layer=None, layers=()),
        replace(PACKET, tunnels=PACKET.tunnels * 8),
    ]
    for line in packet_lines(rows, Style(width=width)):
        assert cells(line) <= width
        assert line.isprintable()


def test_what_is_wrong_stands_before_what_may_be_cut():
    row = replace(PACKET, stop="truncated", stop_layer="tcp", findings=())
    (_, _, line) = packet_lines([row], Style(width=80))
    assert "[truncated at tcp] tcp 10." in line


def test_nothing_is_nothing():
    assert list(packet_lines([], Style())) == []
