# SPDX-License-Identifier: Apache-2.0
"""Wireshark reads Google Cloud's options too: an independent witness, where tshark is installed."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from genevecap.decode.options import decode_option

OPTIONS = [
    (0x01, "fabcdef1"),
    (0x01, "0000001e"),
    (0x01, "00000000"),
    (0x02, "0abcdef00a0102030000000000000000"),
    (0x02, "00000001"),
    (0x03, "00010002"),
    (0x03, "ffffffffffffffff"),
]
FIELDS = {
    "virtual_network_id": "geneve.option.gcp.vnid",
    "direction": "geneve.option.gcp.direction",
    "endpoint_id": "geneve.option.gcp.endpoint",
    "profile_id": "geneve.option.gcp.profile",
}


def write_capture(path):
    """Write a pcap with a frame for each option: Ethernet, IPv4, UDP, Geneve, no inner packet."""
    records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for option_type, text in OPTIONS:
        data = bytes.fromhex(text)
        option = struct.pack("!HBB", 0x0132, option_type, len(data) // 4) + data
        geneve = struct.pack("!BBHI", len(option) // 4, 0, 0x0800, 0) + option
        udp = struct.pack("!HHHH", 50000, 6081, 8 + len(geneve), 0) + geneve
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
        frame = bytes(12) + b"\x08\x00" + ip + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + udp
        records.append(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(records))


def as_tshark_prints(field):
    return field.value.hex() if isinstance(field.value, bytes) else str(field.value)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_google_options_read_as_wireshark_reads_them(tmp_path):
    capture = tmp_path / "google.pcap"
    write_capture(capture)
    wanted = [word for name in FIELDS.values() for word in ("-e", name)]
    run = subprocess.run(
        ["tshark", "-n", "-r", capture, "-T", "fields", *wanted],
        check=True,
        capture_output=True,
        text=True,
    )
    theirs = [line.split("\t") for line in run.stdout.splitlines()]
    ours = []
    for option_type, text in OPTIONS:
        fields = decode_option(0x0132, option_type, bytes.fromhex(text))
        found = {field.name: as_tshark_prints(field) for field in fields}
        ours.append([found.get(name, "") for name in FIELDS])
    assert ours == theirs
