# SPDX-License-Identifier: Apache-2.0
"""analysis/partial_checksums: SYNs whose checksum the network card was to complete."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.build import packets as p
from tests.build.captures import pcap, pcap_header, pcap_record

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}


def syn(version: int, kind: str) -> bytes:
    """A SYN whose checksum is `right`, `wrong` or `partial`."""
    octets = bytearray(p.tcp(source_port=1000, destination_port=2000, flags=2))
    addresses = b"".join(ip_address(each).packed for each in ENDS[version])
    octets[16:18] = bytes(2)
    pseudo = addresses + struct.pack(">HH", 6, len(octets))
    partial = ~p.checksum(pseudo) & 0xFFFF
    right = p.checksum(pseudo + bytes(octets))
    field = {"right": right, "wrong": right ^ 0x0100, "partial": partial}[kind]
    struct.pack_into(">H", octets, 16, field)
    build, ethertype = (p.ipv4, 0x0800) if version == 4 else (p.ipv6, 0x86DD)
    return p.ethernet(build(bytes(octets), 6, *ENDS[version]), ethertype)


def frames_with_c08(tmp_path, octets):
    path = tmp_path / "a.pcap"
    path.write_bytes(octets)
    (*found,) = inspect([CaptureSpec.parse(str(path))]).findings
    return [ref.frame for each in found if each.code == "C08" for ref in each.frames]


@pytest.mark.parametrize("version", [4, 6])
def test_only_partial_ones_are_counted(version, tmp_path):
    kinds = ("right", "wrong", "partial", "right")
    assert frames_with_c08(tmp_path, pcap(*(syn(version, kind) for kind in kinds))) == [3]


@pytest.mark.parametrize("version", [4, 6])
def test_a_syn_inside_a_tunnel(version, tmp_path):
    tunnel = p.udp(p.vxlan(syn(version, "partial")), 50000, 4789)
    assert frames_with_c08(tmp_path, pcap(p.ethernet(p.ipv4(tunnel)))) == [1]


def test_a_syn_that_was_not_captured_whole_says_nothing(tmp_path):
    whole = p.ethernet(p.ipv4(p.tcp(bytes(100), flags=2), 6))
    record = pcap_record(whole[:-1], original=len(whole))
    assert frames_with_c08(tmp_path, pcap_header() + record) == []
