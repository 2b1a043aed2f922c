# SPDX-License-Identifier: Apache-2.0
"""reports/rules: rules as lines that fit, and as a page."""

from __future__ import annotations

import pytest

from genevecap.analysis.findings import rules
from genevecap.reports import rules as report
from genevecap.reports.layout import Style
from genevecap.reports.text import cells

EVERY = list(rules().values())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_screen(width):
    style = Style(width=width)
    for line in (*report.lines(EVERY, style), *report.explanations(EVERY, style)):
        # A filter or a path has no place to break it.
        assert cells(line) <= width or " " not in line.strip()


def test_the_page_has_a_section_for_each_rule_under_its_subject():
    page = list(report.markdown(EVERY))
    headings = [line for line in page if line.startswith("### ")]
    assert headings == sorted(headings, key=lambda line: (rules()[line[4:7]].subject, line[4:7]))
    assert len(headings) == len(EVERY)
    subjects = [line for line in page if line.startswith("## ")]
    assert subjects == [f"## {name.capitalize()}" for name in sorted({r.subject for r in EVERY})]


def test_a_rule_that_no_packet_shows_has_no_filter():
    text = "\n".join(report.explanations([rules()["C02"]], Style()))
    assert "Wireshark" not in text
    assert "Wireshark" in "\n".join(report.explanations([rules()["C03"]], Style()))
