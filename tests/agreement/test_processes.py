# SPDX-License-Identifier: Apache-2.0
"""The command as people run it: a process of its own, one file or several."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from . import survey as surveys
from .conftest import whole_survey

SUBSET = (
    "libpcap__geneve.pcap",
    "zeek__vxlan-triple-v2.pcap",
    "zeek__geneve-truncated.pcapng",
    "tcpdump__bigtcp-ipv6-geneve-ipv6.pcap",
    "pngtest__be_test202.pcapng",
    "nfstream__dhcp_little_endian.pcapng",
    "tcpdump__time_2106_overflow.pcapng",
    "pcpp__clusterfuzz-testcase-minimized-FuzzTarget-5204104585674752.pcap",
    "libpcap__shb-option-too-long.pcapng",
    "pcpp__solaris.snoop",
)


def run(paths, decoder):
    return subprocess.run(
        [sys.executable, "-m", "genevecap", "inspect", "--packets", "--format", "ndjson", *paths],
        capture_output=True,
        text=True,
        env=surveys.environment(decoder),
        timeout=60,
        check=False,
    )


def by_frame(stdout):
    return {row["frame"]: row for row in map(json.loads, stdout.splitlines())}


@pytest.mark.parametrize("name", SUBSET)
def test_process_of_its_own_says_the_same(corpus, decoder, name):
    (inside,) = [f for f in whole_survey(corpus, decoder).files if f.expected.name == name]
    process = run([str(corpus / "captures" / name)], decoder)
    assert process.returncode == inside.output.exit_code
    assert by_frame(process.stdout) == inside.output.rows
    assert process.stderr == inside.output.stderr


def test_bad_file_among_good_ones_stops_nothing(corpus, decoder):
    paths = [str(corpus / "captures" / name) for name in SUBSET]
    process = run(paths, decoder)
    rows = [json.loads(line) for line in process.stdout.splitlines()]
    assert process.returncode == 3
    errors = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    surveyed = {f.expected.name: f.output for f in whole_survey(corpus, decoder).files}
    for name, path in zip(SUBSET, paths, strict=True):
        of_file = {row["frame"]: row for row in rows if row["capture"] == path}
        without_point = {n: {**row, "point": None} for n, row in of_file.items()}
        expected = {n: {**row, "point": None} for n, row in surveyed[name].rows.items()}
        assert without_point == expected  # names that two files share get a number
        assert sum(path in line for line in errors) == (surveyed[name].exit_code == 3)


def test_process_ends_badly_only_where_it_must():
    """The checks that every run goes through do find what they are there for."""
    assert surveys.process_faults(0, "", 0.1) == []
    assert surveys.process_faults(0, "warning: cut short\n", 0.1) == []
    assert surveys.process_faults(3, "error: x: not a capture\n", 0.1) == []
    assert surveys.process_faults(3, "", 0.1)
    assert surveys.process_faults(3, "error: a\nerror: b\n", 0.1)
    assert surveys.process_faults(0, "error: a\n", 0.1)
    assert surveys.process_faults(1, "", 0.1)
    assert surveys.process_faults(-11, "", 0.1)
    assert surveys.process_faults(3, "error: a\nTraceback (most recent call last):\n", 0.1)
    assert surveys.process_faults(0, "", 10.1)
