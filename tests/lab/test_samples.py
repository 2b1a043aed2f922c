# SPDX-License-Identifier: Apache-2.0
"""The samples are what their README says, and can be recorded anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.lab import record_samples, samplefiles
from tests.lab.namespaces import why_unavailable

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = record_samples.SAMPLES
README = (SAMPLES / "README.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \| (\d+) \|", re.MULTILINE)
# Folders hold samples that are cut from recordings: see test_cut_samples.py.
ROWS = [(name, int(count)) for name, count in ROW.findall(README) if "/" not in name]
LISTED = dict(ROWS)
FILES = sorted(path for path in SAMPLES.iterdir() if path.is_file() and path.name != "README.md")
FOLDER_LIMIT_BYTES = 3_000_000

each_sample = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def tshark_fields(path: Path, *fields: str) -> list[list[str]]:
    """Return one list of values a packet; a field met several times is joined with commas."""
    named = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-d", "udp.port==8472,vxlan", "-r", str(path), "-T", "fields", *named],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


def needs_lab(tools: tuple[str, ...]) -> None:
    reason = why_unavailable((*tools, "tshark"))
    if reason:
        pytest.skip(reason)


def test_readme_lists_every_sample_once_and_nothing_else():
    assert sorted(name for name, _ in ROWS) == [path.name for path in FILES]


@each_sample
def test_packet_count_is_the_one_in_the_readme(path):
    assert samplefiles.count_packets(samplefiles.read(path)) == LISTED[path.name]


@each_sample
def test_tshark_confirms_the_packet_count(path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is missing")
    assert len(tshark_fields(path, "frame.number")) == LISTED[path.name]


@each_sample
def test_sample_is_small(path):
    assert 0 < path.stat().st_size < samplefiles.LARGEST_SAMPLE_BYTES


def test_folder_is_small():
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= FOLDER_LIMIT_BYTES


@each_sample
def test_readme_gives_one_command_for_each_sample(path):
    commands = re.findall(r"^genevecap \w+ samples/(\S+)", README, re.MULTILINE)
    assert Counter(commands)[path.name] == 1


@each_sample
def test_pcapng_does_not_name_the_machine(path):
    if path.suffix != ".pcapng":
        pytest.skip("a classic pcap has no place for the machine's name")
    data = path.read_bytes()
    assert samplefiles.without_machine(data) == data


def test_every_scenario_writes_files_of_the_readme():
    written = [file for one in record_samples.SCENARIOS.values() for file in one.FILES]
    assert set(written) <= set(LISTED)
    assert len(written) == len(set(written))


def leftovers() -> list[str]:
    """Return the namespaces of this very process: others may be running the lab beside it."""
    done = subprocess.run(
        ["ip", "netns", "list"], capture_output=True, text=True, check=True, timeout=20
    )
    return re.findall(rf"^genevecap-{os.getpid():x}-\S+", done.stdout, re.MULTILINE)


@pytest.mark.root
def test_geneve_is_recorded_with_its_options_and_leaves_nothing(tmp_path):
    needs_lab(record_samples.SCENARIOS["geneve-ovs"].TOOLS)
    counts = record_samples.record("geneve-ovs", tmp_path)
    assert leftovers() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(counts)

    rows = tshark_fields(
        tmp_path / "geneve-ovs.pcapng", "frame.interface_name", "geneve.vni",
        "geneve.option.class", "geneve.option.type", "geneve.option.type.critical",
        "geneve.option.length", "frame.protocols",
    )  # fmt: skip
    assert len(rows) == counts["geneve-ovs.pcapng"]
    assert {row[0] for row in rows} == {"eth0", "pod-a1", "pod-a2"}
    tunnelled = [row for row in rows if row[1]]
    assert {int(row[1], 0) for row in tunnelled} == {5, 70000}
    assert {row[2] for row in tunnelled} == {"0x0102", "0x0102,0xffff"}
    assert {row[0] for row in tunnelled} == {"eth0"}
    inner = " ".join(row[6].partition("geneve:")[2] for row in tunnelled)
    for protocol in ("arp", "icmp", "icmpv6", "vlan", "ipv6", "tcp", "udp"):
        assert protocol in re.split(r"[: ]", inner)

    short = tshark_fields(tmp_path / "geneve-short.pcap.gz", "frame.cap_len", "frame.len")
    assert max(int(captured) for captured, _ in short) == 96
    assert any(int(captured) < int(length) for captured, length in short)


@pytest.mark.root
def test_vxlan_is_recorded_on_its_ports_and_leaves_nothing(tmp_path):
    needs_lab(record_samples.SCENARIOS["vxlan-kernel"].TOOLS)
    try:
        counts = record_samples.record("vxlan-kernel", tmp_path)
    except record_samples.LabUnavailable as reason:
        pytest.skip(str(reason))
    finally:
        assert leftovers() == []

    rows = tshark_fields(
        tmp_path / "vxlan-kernel.pcapng", "vxlan.vni", "udp.dstport", "vxlan.gbp", "ipv6.version"
    )
    assert len(rows) == counts["vxlan-kernel.pcapng"]
    outer_ports = {(row[0], row[1].split(",")[0]) for row in rows if row[0]}
    assert outer_ports == {("1", "8472"), ("100", "4789"), ("300", "4789")}
    # The kernel's own MLD reports may add a group ID of their own: see the README of the samples.
    assert {row[2] for row in rows if row[0] == "300"} >= {"0", "42"}
    assert all(row[3].startswith("6") for row in rows if row[0] == "300")

    rows = tshark_fields(tmp_path / "vxlan-any-sll2.pcap", "frame.encap_type", "vxlan.vni")
    assert len(rows) == counts["vxlan-any-sll2.pcap"]
    assert {row[0] for row in rows} == {"210"}  # Wireshark's own number of LINUX_SLL2
    assert {row[1] for row in rows if row[1]} == {"1", "100", "300"}
