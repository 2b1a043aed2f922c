# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from genevecap.analysis.results import AmbientSummary, StopCounts
from genevecap.reports.layout import Style
from genevecap.reports.lists import list_lines
from genevecap.reports.machine import TABLES
from genevecap.reports.summary import summary_lines
from genevecap.reports.text import cells

from .made import CAPTURE, DAMAGE, FINDING, POINT, RESULT, TUNNEL

HOSTILE = "\x1b[2J\u202eeth0\nerror: forged"


def hostile(result):
    point = replace(POINT, name=HOSTILE, interface=HOSTILE)
    return replace(
        result,
        captures=(replace(CAPTURE, path=HOSTILE, points=(point,) * 3, cut_short=True),) * 2,
        findings=(replace(FINDING, message=HOSTILE, details=(HOSTILE,) * 3),),
        ambient=AmbientSummary(mode="mixed", evidence=(HOSTILE,) * 5),
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("made", [RESULT, hostile(RESULT)], ids=["plain", "hostile"])
def test_no_line_wraps_and_nothing_acts_on_the_terminal(width: int, made):
    style = Style(width=width)
    lines = list(summary_lines(made, style))
    for name in TABLES:
        lines += list_lines(made, name, style)
    for line in lines:
        assert cells(line) <= width
        assert line.isprintable()


def test_the_most_important_comes_first():
    text = "\n".join(summary_lines(RESULT, Style()))
    order = [
        "node-a.pcapng.gz  pcapng, gzip, 40 packets, 12.3 kB, 2 capture points",
        "2026-01-31T12:00:00.123Z, 2.41 s, 16 pps, 41.0 kbit/s",
        "Istio ambient: iptables-geneve",
        "VNI 1000 between two pods",
        "Tunnels  2 directions",
        "10.244.1.2:6081",
        "Geneve options",
        "0x0102  Open Virtual Networking (OVN)",
        "Top flows",
        "10.244.2.5:8080",
        "Findings  1 error",
        "Decoding ended early  3 of 40 packets",
        "ip-proto-89",
        "Capture points  2 interfaces, 3 packets lost",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_a_capture_that_is_in_order_needs_few_lines():
    quiet = replace(
        RESULT,
        captures=(replace(CAPTURE, points=(replace(POINT, dropped=0),)),),
        findings=(),
        stops=StopCounts(complete=40),
        stop_layers=(),
    )
    lines = list(summary_lines(quiet, Style()))
    assert len(lines) < 24
    text = "\n".join(lines)
    assert "Decoding ended early" not in text
    assert "Findings" not in text
    assert "Capture points" not in text


def test_long_lists_are_cut_and_say_where_the_rest_is():
    many = replace(RESULT, tunnels=tuple(TUNNEL._replace(vni=vni) for vni in range(43)))
    assert "… 37 more (--table tunnels)" in "\n".join(summary_lines(many, Style()))
    assert len(list_lines(many, "tunnels", Style())) == 44


def test_a_selection_is_said():
    text = "\n".join(summary_lines(replace(RESULT, selected_packets=12), Style()))
    assert "12 of 40 packets selected" in text


def test_what_is_wrong_with_a_file_is_said():
    damaged = replace(RESULT, captures=(replace(CAPTURE, damage=DAMAGE, cut_short=True),))
    text = "\n".join(summary_lines(damaged, Style()))
    assert "damaged at record 7, offset 0x1f3a0: node-a.pcapng.gz" in text
    assert "interrupted" in "\n".join(summary_lines(replace(RESULT, interrupted=True), Style()))


def test_an_empty_capture():
    empty = replace(
        RESULT,
        captures=(replace(CAPTURE, packets=0, wire_bytes=0, first_ns=None, last_ns=None),),
        tunnels=(),
        options=(),
        top_flows=(),
        findings=(),
        stops=StopCounts(),
        stop_layers=(),
        selected_packets=0,
    )
    lines = list(summary_lines(empty, Style()))
    assert "0 packets" in lines[0]
    assert list_lines(empty, "top_flows", Style()) == ["no top flows"]


def test_no_tunnels_is_said():
    text = "\n".join(summary_lines(replace(RESULT, tunnels=()), Style()))
    assert "No tunnels" in text


def test_colour_is_for_terminals_that_have_it():
    assert "\x1b" not in "".join(summary_lines(RESULT, Style()))
    assert "\x1b[" in "".join(summary_lines(RESULT, Style(colour=True)))
