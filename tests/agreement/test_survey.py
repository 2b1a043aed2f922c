# SPDX-License-Identifier: Apache-2.0
"""How rows are held against the truth, with outputs written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import listed, report
from . import survey as surveys
from .readings import Difference
from .survey import Output, Survey, judge
from .test_readings import ROW
from .test_truth import ETH, TCP, UDP, expect, ip, record

OURS = ROW | {
    "time_ns": 1_500_000_000_000_000_001,
    "captured_bytes": 100,
    "wire_bytes": 100,
    "layers": ["ethernet", "ipv4", "udp"],
    "tunnels": [],
    "inner": {
        "source": "192.0.2.1",
        "destination": "192.0.2.2",
        "protocol": "udp",
        "source_port": 40000,
        "destination_port": 53,
    },
}
FRAME = (ETH, ip(), UDP)


def output(rows, exit_code=0, faults=()):
    return Output(exit_code=exit_code, rows=rows, stderr="", seconds=0.1, kernels=(), faults=faults)


def verdict(expected, rows, exit_code=0, entries=()):
    listing = listed.Entries.parse({"difference": list(entries)})
    return judge(expected, output(rows, exit_code), listing)


def unlisted(*arguments, **options):
    return [
        (d.frame, d.field, d.truth, d.ours) for d in verdict(*arguments, **options).all_unlisted()
    ]


def test_rows_that_say_the_same_do_not_differ():
    expected = expect(record(1, *FRAME), record(2, *FRAME))
    assert unlisted(expected, {1: OURS, 2: OURS | {"frame": 2}}) == []


def test_missing_row_differs():
    expected = expect(record(1, *FRAME), record(2, *FRAME))
    assert unlisted(expected, {1: OURS}) == [(2, "row", "a row", "no row")]


def test_row_too_many_differs():
    expected = expect(record(1, *FRAME))
    assert unlisted(expected, {1: OURS, 2: OURS}) == [(2, "row", "no row", "a row")]


def test_row_behind_the_point_where_the_dissector_gave_up_is_counted_only():
    found = verdict(expect(record(1, *FRAME), code=2), {1: OURS, 2: OURS}, exit_code=3)
    assert found.all_unlisted() == []
    assert found.extra_rows == 1


def test_row_for_a_block_without_packet_differs():
    expected = expect(record(1, protocols="data", not_packet=True))
    assert unlisted(expected, {1: OURS}) == [(1, "row", "no row", "a row")]
    assert unlisted(expected, {}) == []


def test_exit_code_differs():
    expected = expect(record(1, *FRAME))
    assert unlisted(expected, {1: OURS}, exit_code=3) == [(0, "exit_code", "0", "3")]


def test_row_of_another_form_differs():
    (difference,) = unlisted(expect(record(1, *FRAME)), {1: {"frame": 1}})
    assert difference[:3] == (1, "form", "by the contract")


def test_what_is_no_capture_may_have_no_rows():
    expected = expect(record(1, *FRAME), file_type="Sun snoop")
    assert unlisted(expected, {}, exit_code=3) == []
    assert unlisted(expected, {1: OURS}, exit_code=3) == [(1, "row", "no row", "a row")]
    assert unlisted(expected, {}) == [(0, "exit_code", "3", "0")]


ENTRY = {
    "file": "x.pcap",
    "frame": 2,
    "field": "inner.protocol",
    "truth": "6",
    "ours": "17",
    "reason": "a reason of several words",
}


@pytest.fixture
def example():
    """Four frames: agreed, listed, different, and compared in part."""
    other = (ETH, ip(proto="108"), {"L": "ipcomp"})
    tcp = (ETH, ip(proto="6"), TCP | {"srcport": "40000", "dstport": "53"})
    expected = expect(record(1, *FRAME), record(2, *tcp), record(3, *FRAME), record(4, *other))
    different = OURS | {"inner": OURS["inner"] | {"source": "192.0.2.77"}}
    ports = {"protocol": "108", "source_port": None, "destination_port": None}
    layers = ["ethernet", "ipv4", "ip-proto-108"]
    rows = {
        1: OURS,
        2: OURS | {"layers": ["ethernet", "ipv4", "tcp"]},
        3: different,
        4: OURS | {"layers": layers, "inner": OURS["inner"] | ports},
    }
    file = verdict(expected, rows, entries=[ENTRY])
    return Survey(decoder="readable", files=(file,), stale=())


def test_summary_counts_each_frame_once(example):
    summary = example.summary()
    assert (summary.in_full, summary.agreed) == (3, 1)
    assert (summary.only_listed, summary.different) == (1, 1)
    assert summary.skipped == {"ipcomp": 1}
    assert (summary.partly_agreed, summary.partly_different) == (1, 0)
    assert summary.share_agreed == pytest.approx(1 / 3)
    for part in ("3 frames compared in full", "(33.33 %)", "1   ipcomp"):
        assert part in str(summary)


def test_overview_names_what_differs(example):
    lines = []
    report.print_overview(example, example.unlisted(), 40, lines.append)
    text = "\n".join(lines)
    assert "1 differences that are not listed" in text
    assert "x.pcap frame 3: 192.0.2.1 | 192.0.2.77" in text


def test_report_on_files_shows_both_readings(example):
    lines = []
    options = report._options(["--file", "x.pcap"])
    report.print_files(example, options, lines.append)
    text = "\n".join(lines)
    assert "x.pcap frame 3: compared in full" in text
    (line,) = [line for line in lines if "inner.source " in line]
    assert "192.0.2.1 " in line
    assert line.endswith("192.0.2.77")
    assert "frame 2" not in text

    lines.clear()
    report.print_files(example, report._options(["--file", "x", "--listed"]), lines.append)
    assert any("frame 2" in line for line in lines)


def test_printed_entries_can_be_pasted(example):
    lines = []
    report.print_entries(example.unlisted(), lines.append)
    text = "\n".join(lines).replace('reason = ""', 'reason = "because we say so"')
    entries = listed.Entries.parse(listed.tomllib.loads(text))
    assert list(entries.entries) == [
        Difference("x.pcap", 3, "inner.source", "192.0.2.1", "192.0.2.77")
    ]


def test_tcpdumps_text_is_told_apart_by_frame():
    truth = {
        "tcpdump": {"text": ["1.000000 IP a", "    more", "2.000000 IP b"]},
        "frame_list": [{"n": 1}, {"n": 2, "not_packet": True}, {"n": 3}],
    }
    assert report.tcpdump_text(truth, 1) == ["1.000000 IP a", "    more"]
    assert report.tcpdump_text(truth, 2) == []
    assert report.tcpdump_text(truth, 3) == ["2.000000 IP b"]


def stand_in(directory, body):
    """Write a package that the runner takes for genevecap."""
    package = directory / "genevecap"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(body)


def run_stand_in(directory, monkeypatch, body, names):
    stand_in(directory, body)
    monkeypatch.setattr(surveys, "package_directory", lambda: directory / "genevecap")
    monkeypatch.setattr(surveys, "LIMIT_SECONDS", 1.0)
    return surveys.run([Path(name) for name in names], "readable")


def test_runner_hands_back_what_the_command_did(tmp_path, monkeypatch):
    body = (
        "import json, os, sys\n"
        "os.write(2, b'warning: it is a stand-in\\n')\n"
        "print(json.dumps({'capture': sys.argv[-1], 'frame': 1, 'args': sys.argv[1:-1]}))\n"
        "print('error: broken', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    outputs = run_stand_in(tmp_path, monkeypatch, body, ["a", "b"])
    assert set(outputs) == {"a", "b"}
    assert outputs["b"].exit_code == 3
    assert outputs["b"].rows[1]["args"] == ["inspect", "--packets", "--format", "ndjson"]
    assert outputs["b"].stderr == "warning: it is a stand-in\nerror: broken\n"
    assert outputs["b"].faults == ()


def test_runner_reports_exceptions_overtime_and_text_that_is_no_row(tmp_path, monkeypatch):
    body = (
        "import sys, time\n"
        "if sys.argv[-1] == 'raises': raise ValueError('oh')\n"
        "if sys.argv[-1] == 'sleeps': time.sleep(30)\n"
        "print('no row')\n"
    )
    outputs = run_stand_in(tmp_path, monkeypatch, body, ["raises", "sleeps", "prints"])
    assert "ValueError: oh" in outputs["raises"].faults[0]
    assert outputs["sleeps"].faults[0] == "overtime"
    assert outputs["prints"].faults == ("not a row: no row",)


def test_file_that_kills_the_process_is_a_fault_and_the_rest_goes_on(tmp_path, monkeypatch):
    body = "import os, sys\nif sys.argv[-1] == 'kills': os.abort()\n"
    outputs = run_stand_in(tmp_path, monkeypatch, body, ["a", "kills", "b"])
    assert outputs["a"].faults == outputs["b"].faults == ()
    assert "the process ended with -6" in outputs["kills"].faults[0]
