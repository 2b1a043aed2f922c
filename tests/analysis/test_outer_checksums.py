# SPDX-License-Identifier: Apache-2.0
"""analysis/outer_checksums: wrong ones, and not those that are begun, missing or unjudgeable."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from click.testing import CliRunner

import genevecap
from genevecap.cli.main import main
from tests.build import packets as p
from tests.build.captures import pcap, pcap_header, pcap_record

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
TUNNELS = {"G20": (p.geneve, 6081), "V05": (p.vxlan, 4789)}
BOTH = pytest.mark.parametrize("code", TUNNELS)
VERSIONS = pytest.mark.parametrize("version", [4, 6])
KINDS = ("right", "wrong", "partial", "none")


def checked(octets: bytes, place: int, kind: str, protocol: int, version: int) -> bytes:
    """Return a datagram or segment with a checksum at `place` that is what `kind` says."""
    plain = bytearray(octets)
    plain[place : place + 2] = bytes(2)
    pseudo = b"".join(ip_address(each).packed for each in ENDS[version])
    pseudo += struct.pack(">HH", protocol, len(plain))
    right = p.checksum(pseudo + bytes(plain)) or 0xFFFF
    partial = ~p.checksum(pseudo) & 0xFFFF
    field = {"right": right, "wrong": right ^ 0x0100, "partial": partial, "none": 0}[kind]
    struct.pack_into(">H", plain, place, field)
    return bytes(plain)


def over_ip(octets: bytes, protocol: int, version: int, **fields) -> bytes:
    build, ethertype = (p.ipv4, 0x0800) if version == 4 else (p.ipv6, 0x86DD)
    return p.ethernet(build(octets, protocol, *ENDS[version], **fields), ethertype)


def inner(kind: str = "right", version: int = 4) -> bytes:
    return over_ip(checked(p.tcp(b"some octets"), 16, kind, 6, version), 6, version)


def tunnel(code: str, kind: str, version: int = 4, inside: bytes | None = None, **fields) -> bytes:
    header, port = TUNNELS[code]
    datagram = p.udp(header(inner() if inside is None else inside), 50000, port)
    return over_ip(checked(datagram, 6, kind, 17, version), 17, version, **fields)


def wrong_frames(tmp_path, code: str, *frames: bytes, octets: bytes | None = None) -> list[int]:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(*frames) if octets is None else octets)
    without = {each.code for each in genevecap.inspect(str(path)).findings}
    assert not without & TUNNELS.keys()
    found = {each.code: each for each in genevecap.inspect(str(path), checksums=True).findings}
    assert not (found.keys() & TUNNELS.keys()) - {code}
    if code not in found:
        return []
    assert found[code].packets == len(found[code].frames)
    return [each.frame for each in found[code].frames]


@BOTH
@VERSIONS
def test_only_wrong_ones_are_counted(code, version, tmp_path):
    frames = [tunnel(code, kind, version) for kind in KINDS]
    assert wrong_frames(tmp_path, code, *frames) == [2]


@BOTH
@pytest.mark.parametrize("version", [4, 6])
def test_what_is_inside_may_be_anything(code, version, tmp_path):
    insides = [
        inner(version=version),
        p.ethernet(p.arp(), 0x0806),
        over_ip(p.udp(b"no checksum"), 17, version),
        over_ip(checked(p.udp(b"a checksum"), 6, "right", 17, version), 17, version),
        p.ethernet(p.ipv4(p.icmp(), 1)),
    ]
    frames = [tunnel(code, kind, 4, each) for each in insides for kind in ("right", "wrong")]
    assert wrong_frames(tmp_path, code, *frames) == [2, 4, 6, 8, 10]


@BOTH
def test_a_checksum_over_an_unfinished_one_is_not_judged(code, tmp_path):
    """With local checksum offload it is right as soon as the inner one is."""
    frames = [tunnel(code, "wrong", 4, inner(kind)) for kind in ("partial", "wrong")]
    assert wrong_frames(tmp_path, code, *frames) == []


@BOTH
def test_every_tunnel_is_judged_where_all_that_is_inside_is_right(code, tmp_path):
    nested = [
        tunnel(code, outside, 4, tunnel("V05", inside, 6, inner(innermost)))
        for outside in ("right", "wrong")
        for inside in ("right", "none", "partial")
        for innermost in ("right", "partial")
    ]
    assert wrong_frames(tmp_path, code, *nested) == [7, 9]
    in_gre = p.ethernet(p.ipv4(p.gre(tunnel(code, "wrong")[14:]), 47))
    assert wrong_frames(tmp_path, code, in_gre, tunnel(code, "right", 6, in_gre)) == [1, 2]


def test_a_wrong_one_inside_is_counted_and_what_is_around_it_is_not_judged(tmp_path):
    bad = tunnel("V05", "wrong")
    assert wrong_frames(tmp_path, "V05", *(tunnel("G20", kind, 4, bad) for kind in KINDS)) == [
        1, 2, 3, 4,
    ]  # fmt: skip


@BOTH
def test_neither_fragments_nor_cut_packets_are_judged(code, tmp_path):
    assert wrong_frames(tmp_path, code, tunnel(code, "wrong", flags=1)) == []
    whole = tunnel(code, "wrong")
    cut = pcap_header() + pcap_record(whole[:-1], original=len(whole))
    assert wrong_frames(tmp_path, code, octets=cut) == []


def test_real_traffic_has_none(samples):
    paths = [str(path) for path in sorted(samples.rglob("*.pcap*"))]
    found = {each.code for each in genevecap.inspect(*paths, checksums=True).findings}
    assert not found & TUNNELS.keys()


def test_the_option(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(tunnel("V05", "wrong")))
    words = ["inspect", str(path), "--fail-on", "V05"]
    assert CliRunner().invoke(main, words[:2]).exit_code == 0
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 2
    assert "with --checksums only" in refused.stderr
    assert CliRunner().invoke(main, [*words, "--checksums"]).exit_code == 1
    assert CliRunner().invoke(main, [*words, "--checksums", "--packets"]).exit_code == 2
