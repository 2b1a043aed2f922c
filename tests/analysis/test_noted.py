# SPDX-License-Identifier: Apache-2.0
"""analysis/findings/noted: counts are exact, everything that is kept is bounded."""

from __future__ import annotations

from genevecap.analysis.findings import rules
from genevecap.analysis.findings.noted import MAX_DETAILS, MAX_FILTERS, Noted
from genevecap.analysis.results import FrameRef
from genevecap.analysis.tables import FIRST_FRAMES

PATHS = ("a.pcap", "b.pcap")


def only(noted: Noted):
    (found,) = noted.summaries(PATHS)
    return found


def test_nothing_noted_is_no_finding():
    assert Noted().summaries(PATHS) == ()


def test_the_rule_gives_severity_and_message():
    noted = Noted()
    noted.note("G03", packets=0)
    found = only(noted)
    rule = rules()["G03"]
    assert (found.severity, found.message) == (rule.severity, rule.message)
    assert found.display_filter == rule.display_filter
    assert (found.packets, found.frames, found.details) == (0, (), ())


def test_packets_add_up_and_the_first_frames_are_kept():
    noted = Noted()
    noted.note("G03", packets=100, frames=[(1, 7), (0, 9)])
    noted.note("G03", packets=11, frames=[(0, number) for number in range(1, 9)])
    found = only(noted)
    assert found.packets == 111
    assert found.frames == tuple(
        FrameRef(capture="a.pcap", frame=number) for number in range(1, FIRST_FRAMES + 1)
    )


def test_a_frame_noted_twice_is_named_once():
    noted = Noted()
    noted.note("G03", frames=[(0, 3)])
    noted.note("G03", packets=0, frames=[(0, 3)])
    assert only(noted).display_filter == "frame.number == 3"


def test_frames_of_one_capture_are_their_own_filter():
    noted = Noted()
    noted.note("G03", packets=2, frames=[(0, 3), (0, 5)], display_filter="udp")
    assert only(noted).display_filter == "frame.number in {3, 5}"
    noted.note("G03", packets=1, frames=[(1, 3)], display_filter="udp")
    assert only(noted).display_filter == "udp"


def test_filters_are_joined_until_there_are_too_many():
    noted = Noted()
    noted.note("G03", packets=9, display_filter="tcp")
    noted.note("G03", packets=9, display_filter="udp && ip")
    assert only(noted).display_filter == "(tcp) || (udp && ip)"
    for number in range(10 * MAX_FILTERS):
        noted.note("G03", display_filter=f"frame.len == {number}")
    assert only(noted).display_filter == rules()["G03"].display_filter


def test_one_note_without_a_filter_leaves_the_rules():
    noted = Noted()
    noted.note("G03", packets=9, display_filter="tcp")
    noted.note("G03", packets=9)
    assert only(noted).display_filter == rules()["G03"].display_filter


def test_details_are_bounded_and_the_rest_is_counted():
    noted = Noted()
    for number in range(MAX_DETAILS + 5):
        noted.note("G03", detail=f"VNI {number}")
        noted.note("G03", detail="VNI 0")
    noted.note("G03", detail="VNI 1", more=3)
    details = only(noted).details
    assert details[:2] == ("VNI 0", "VNI 1")
    assert len(details) == MAX_DETAILS + 1
    assert details[-1] == "and 8 more"


def test_the_gravest_come_first_then_the_most_frequent():
    noted = Noted()
    noted.note("G09", packets=500)
    noted.note("G06", packets=1)
    noted.note("G08", packets=2)
    noted.note("V01", packets=1)
    noted.note("G01", packets=1)
    assert [found.code for found in noted.summaries(PATHS)] == ["G01", "V01", "G08", "G06", "G09"]
