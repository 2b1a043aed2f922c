# SPDX-License-Identifier: Apache-2.0
"""The lab's parts that need no network."""

from __future__ import annotations

import struct

import pytest

from tests.lab import captures, peer, record_samples, samplefiles, vxlan_kernel
from tests.lab.namespaces import LabError


def block(kind: int, body: bytes) -> bytes:
    size = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + size + body + size


def option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)


SECTION_FIXED = struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1)
INTERFACE_FIXED = struct.pack("=HHI", 1, 0, 262144)
PACKET = block(6, struct.pack("=IIIII", 0, 0, 0, 4, 4) + b"data")


@pytest.mark.parametrize(
    ("said", "drops"),
    [
        ("Packets received/dropped on interface 'eth0': 120/0 (pcap:0/dumpcap:0)", 0),
        (
            """Packets received/dropped on interface 'a': 9/2 (pcap:1/dumpcap:1)
            Packets received/dropped on interface 'b': 9/3 (pcap:3/dumpcap:0)""",
            5,
        ),
        ("94 packets captured\n94 packets received by filter\n0 packets dropped by kernel", 0),
        ("91 packets captured\n94 packets received by filter\n3 packets dropped by kernel", 6),
        ("1 packet captured\n1 packet received by filter\n1 packet dropped by kernel", 1),
        ("tcpdump: eth0: no such device", None),
    ],
)
def test_drops_are_read_from_what_recorders_say(said, drops):
    assert captures.drops_in(said) == drops


def test_the_name_of_the_machine_is_taken_out_and_nothing_else():
    end = option(0, b"")
    section = SECTION_FIXED + option(2, b"Some Processor") + option(3, b"Linux 1.2.3-x")
    interface = INTERFACE_FIXED + option(2, b"eth0") + option(12, b"Linux 1.2.3-x")
    before = block(0x0A0D0D0A, section + option(4, b"Dumpcap") + end)
    before += block(1, interface + option(9, b"\x09") + end) + PACKET

    after = block(0x0A0D0D0A, SECTION_FIXED + option(3, b"Linux") + option(4, b"Dumpcap") + end)
    after += block(
        1, INTERFACE_FIXED + option(2, b"eth0") + option(12, b"Linux") + option(9, b"\x09") + end
    )
    assert samplefiles.without_machine(before) == after + PACKET
    assert samplefiles.count_packets(before) == 1


def test_a_cut_file_is_not_counted():
    whole = block(0x0A0D0D0A, SECTION_FIXED) + PACKET + PACKET
    assert samplefiles.count_packets(whole) == 2
    with pytest.raises(LabError, match="bad length"):
        samplefiles.count_packets(whole[:-1])

    record = struct.pack("=IIII", 0, 0, 4, 4) + b"data"
    classic = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 96, 1) + record + record
    assert samplefiles.count_packets(classic) == 2
    with pytest.raises(LabError, match="record 2 ends at offset 64, the file at 63"):
        samplefiles.count_packets(classic[:-1])
    with pytest.raises(LabError, match="not a capture the lab makes"):
        samplefiles.count_packets(b"text, no capture")


def test_counts_are_put_into_the_row_of_their_file():
    table = "| `a.pcap` | 1 | one |\n| `b.pcap` | 2 | two, see `a.pcap` |\n"
    updated = samplefiles.update_counts(table, {"a.pcap": 17})
    assert updated == "| `a.pcap` | 17 | one |\n| `b.pcap` | 2 | two, see `a.pcap` |\n"
    with pytest.raises(LabError, match=r"has 0 rows for c\.pcap"):
        samplefiles.update_counts(table, {"c.pcap": 1})


def test_checksum_is_that_of_rfc_1071():
    # The example of RFC 1071 section 3: the sum is ddf2, the checksum its complement.
    assert peer._internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2


@pytest.mark.parametrize("size_bytes", [0, 1, 28, 29, 30, 3000])
def test_payload_has_the_size_asked_for(size_bytes):
    assert len(peer.text_of(size_bytes)) == size_bytes


def test_recording_without_root_says_so_and_keeps_the_old_files(tmp_path, monkeypatch, capsys):
    old = tmp_path / vxlan_kernel.FILES[0]
    old.write_bytes(b"old")
    monkeypatch.setattr(record_samples, "why_unavailable", lambda tools: "needs root")
    assert record_samples.main(["--only", "vxlan-kernel", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: needs root\n"
    assert [path.name for path in tmp_path.iterdir()] == [old.name]
    assert old.read_bytes() == b"old"


def test_a_recording_that_fails_keeps_the_old_files(tmp_path, monkeypatch, capsys):
    old = tmp_path / vxlan_kernel.FILES[0]
    old.write_bytes(b"old")

    def fail(lab, folder):
        (folder / old.name).write_bytes(b"new, but not whole")
        raise LabError("7 packets were dropped")

    monkeypatch.setattr(record_samples, "why_unavailable", lambda tools: None)
    monkeypatch.setattr(vxlan_kernel, "record", fail)
    assert record_samples.main(["--only", "vxlan-kernel", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: 7 packets were dropped\n"
    assert [path.name for path in tmp_path.iterdir()] == [old.name]
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (block(0x0A0D0D0A, SECTION_FIXED), "no packet was recorded"),
        (block(0x0A0D0D0A, SECTION_FIXED) + PACKET * 6_000, "the limit is 200000"),
    ],
)
def test_a_recording_that_is_empty_or_too_large_is_refused(tmp_path, data, message):
    path = tmp_path / "x.pcapng"
    path.write_bytes(data)
    with pytest.raises(LabError, match=message):
        record_samples._finish(path)
