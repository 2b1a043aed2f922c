# SPDX-License-Identifier: Apache-2.0
"""reports/findings: findings in sentences and as a table; text from a capture cannot act."""

from __future__ import annotations

import pytest

from genevecap.analysis.results import FindingSummary, FrameRef
from genevecap.reports.findings import finding_lines, finding_table, severity_words
from genevecap.reports.layout import Style
from genevecap.reports.machine import CSV_COLUMNS, finding_row, flat_finding

STYLE = Style(width=100)


def finding(**changed):
    values = {
        "code": "A03",
        "severity": "error",
        "message": "port 15008 cannot be reached",
        "packets": 20,
        "frames": (FrameRef(capture="a.pcap", frame=4), FrameRef(capture="b.pcap", frame=7)),
        "display_filter": "tcp.port == 15008",
        "details": ("one", "two", "three"),
    }
    return FindingSummary(**(values | changed))


def lines(*findings, several=True, most_details=2):
    return list(finding_lines(findings, STYLE, several=several, most_details=most_details))


def test_a_finding_in_sentences():
    assert lines(finding()) == [
        "  error A03: port 15008 cannot be reached, 20 packets",
        "    - one",
        "    - two",
        "    … 1 more (--table findings)",
        "    frames 4 of a.pcap; 7 of b.pcap",
        "    tcp.port == 15008",
    ]
    assert lines(finding(), most_details=None)[1:4] == ["    - one", "    - two", "    - three"]
    assert "    frames 4; 7" in lines(finding(), several=False)


def test_what_no_packet_shows_has_no_frames_and_no_filter():
    assert lines(finding(packets=0, frames=(), display_filter="", details=())) == [
        "  error A03: port 15008 cannot be reached"
    ]


def test_what_is_only_worth_knowing_is_short_in_a_summary():
    info = finding(severity="info")
    assert lines(info) == ["  info A03: port 15008 cannot be reached, 20 packets"]
    assert len(lines(info, most_details=None)) > 1


@pytest.mark.parametrize("field", ["message", "display_filter"])
def test_text_of_a_capture_cannot_act(field):
    hostile = "\x1b[31mred\r\n"
    for found in (finding(**{field: hostile}), finding(details=(hostile,))):
        text = "".join(lines(found, most_details=None)) + str(finding_table([found], several=True))
        assert "\x1b" not in text
        assert "\r" not in text
    names = finding(frames=(FrameRef(capture=hostile, frame=1),))
    assert "\x1b" not in "".join(lines(names))


def test_rows_have_the_columns_of_csv():
    row = finding_row(finding())
    assert tuple(flat_finding(row)) == CSV_COLUMNS["findings"]
    assert row["frames"][0] == {"capture": "a.pcap", "frame": 4}
    assert flat_finding(row)["frames"] == "a.pcap:4 b.pcap:7"
    assert flat_finding(row)["details"] == "one; two; three"


def test_how_many_of_each_severity():
    assert severity_words([]) == ""
    found = [finding(), finding(severity="info"), finding(severity="info")]
    assert severity_words(found) == "1 error, 2 info"
