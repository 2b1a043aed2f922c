# SPDX-License-Identifier: Apache-2.0
"""`diff vxlan-vs-geneve`: figures worked out by hand from the RFCs, and counted by tshark."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from genevecap.analysis.comparison.encapsulation import (
    IMIX,
    STANDARD_SIZES,
    Parcel,
    diff_encapsulations,
    features,
    split,
)
from genevecap.analysis.comparison.encapsulation_hops import encapsulation_hops
from genevecap.analysis.comparison.encapsulation_results import (
    EncapsulationDiff,
    ObservedEncapsulation,
)
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.build import captures as c
from tests.build import packets as p

# RFC 791, RFC 8200, RFC 768, RFC 7348 section 5, RFC 8926 section 3.4, IEEE 802.3.
IPV4, IPV6, UDP, HEADER, ETHERNET, TCP = 20, 40, 8, 8, 14, 20


def diff(tmp_path, *frames, **options) -> EncapsulationDiff:
    """Compare on a pcap of these frames."""
    path = tmp_path / "made.pcap"
    path.write_bytes(c.pcap(*frames))
    return diff_encapsulations([CaptureSpec.parse(str(path))], **options)


def row(result, kind, outer="ipv4", options=False):
    """The one row of a format."""
    (found,) = [
        r
        for r in result.encapsulations
        if (r.kind, r.outer, r.option_bytes > 0) == (kind, outer, options)
    ]
    return found


def inner(payload=1000, **ports):
    """An Ethernet frame with TCP in IPv4: 54 octets of headers."""
    return p.ethernet(p.ipv4(p.tcp(bytes(payload), **ports), 6, "10.1.0.1", "10.1.0.2"))


def in_vxlan(frame, vni=1):
    return p.ethernet(p.ipv4(p.udp(p.vxlan(frame, vni), 50000, 4789)))


def in_geneve(frame, options=b"", vni=1):
    return p.ethernet(p.ipv4(p.udp(p.geneve(frame, vni, options=options), 50000, 6081)))


OVN = p.geneve_option(0x0102, 0x80, bytes(4))


def test_standard_packets():
    result = diff_encapsulations([], option_bytes=8)
    assert result.traffic.packets == 0
    assert result.traffic.observed == "none"
    assert len(result.encapsulations) == 8 * 6
    for size in STANDARD_SIZES:
        for kind, outer, options, headers in (
            ("vxlan", "ipv4", 0, 50),
            ("geneve", "ipv4", 0, 50),
            ("geneve", "ipv4", 8, 58),  # what OVN needs
            ("vxlan", "ipv6", 0, 70),
            ("geneve", "ipv6", 0, 70),
            ("geneve", "ipv6", 8, 78),
        ):
            (found,) = [
                r
                for r in result.encapsulations
                if (r.packet_bytes, r.name, r.kind, r.outer, r.option_bytes)
                == (size, str(size), kind, outer, options)
            ]
            assert found.header_bytes == found.overhead_bytes == headers
            assert found.wire_bytes == size + headers + 14
            assert found.overhead_share == pytest.approx(headers / (size + headers + 14), abs=1e-6)
            assert found.goodput_share == pytest.approx(
                (size - 40) / (size + headers + 14), abs=1e-6
            )
            assert found.inner_mtu == 1500 - headers
            assert found.packets_over_mtu == (size > 1500 - headers)


@pytest.mark.parametrize(
    ("kind", "outer", "options", "mtu", "inner_mtu"),
    [
        ("vxlan", "ipv4", 0, 1500, 1450),
        ("vxlan", "ipv6", 0, 1500, 1430),
        ("geneve", "ipv4", 8, 1500, 1442),  # ovn-kubernetes
        ("geneve", "ipv4", 252, 1500, 1198),  # the most options there can be
        ("geneve", "ipv4", 0, 9000, 8950),
    ],
)
def test_published_inner_mtus(kind, outer, options, mtu, inner_mtu):
    result = diff_encapsulations([], option_bytes=options, outer_mtu_bytes=mtu)
    assert {
        r.inner_mtu
        for r in result.encapsulations
        if (r.kind, r.outer, r.option_bytes) == (kind, outer, options)
    } == {inner_mtu}


def test_imix():
    assert sum(size * number for size, number in IMIX) == 4084
    rows = [r for r in diff_encapsulations([]).encapsulations if r.name == "IMIX"]
    assert {(r.packets, r.inner_bytes, r.packet_bytes) for r in rows} == {(12, 4084, 340)}
    assert rows[0].overhead_bytes == 12 * 50
    assert rows[0].wire_bytes == 4084 + 12 * 64


@pytest.mark.parametrize(
    ("parcel", "mtu", "pieces", "headers"),
    [
        # TCP: 8960 octets, 1410 of them in a segment of 1450.
        (Parcel(9000, 40, 8960, True, 4), 1450, 7, 40),
        (Parcel(1460, 40, 1420, True, 4), 1450, 2, 40),
        # RFC 791: 1480 octets behind the header, 1424 (8 × 178) in each fragment but the last.
        (Parcel(1500, 28, 1472, False, 4), 1450, 2, 20),
        (Parcel(4292, 28, 4264, False, 4), 1450, 3, 20),  # 4272 = 3 × 1424
        (Parcel(4293, 28, 4265, False, 4), 1450, 4, 20),
        # RFC 8200: 40 and 8 of fragment header leave 1376 of 1430.
        (Parcel(2792, 48, 2744, False, 6), 1430, 2, 48),
        (Parcel(2793, 48, 2745, False, 6), 1430, 3, 48),
        # ARP cannot be split.
        (Parcel(2000, 0, 0, False, 0), 1450, 1, 0),
    ],
)
def test_what_is_too_large_is_split(parcel, mtu, pieces, headers):
    assert split(parcel, mtu) == (pieces, headers)


def test_geneve_with_options_that_vary(tmp_path):
    both = OVN + p.geneve_option(0xFFFF, 1, bytes(12))  # 8 and 24
    frames = [in_geneve(inner(1000), OVN), in_geneve(inner(1000), OVN), in_geneve(inner(10), both)]
    result = diff(tmp_path, *frames)
    octets = 1040 + 1040 + 50
    assert result.traffic.observed == "geneve"
    assert (result.traffic.packets, result.traffic.inner_bytes) == (3, octets)
    bare, geneve = row(result, "vxlan"), row(result, "geneve", options=True)
    assert bare.overhead_bytes == 150
    assert bare.wire_bytes == octets + 150 + 3 * 14
    assert geneve.option_bytes == 13  # 40 / 3, rounded
    assert geneve.header_bytes == 63
    assert geneve.overhead_bytes == 150 + 8 + 8 + 24
    assert geneve.wire_bytes == sum(map(len, frames))
    assert geneve.inner_mtu == 1500 - 50 - 24
    assert geneve.is_observed
    assert result.observed == (
        ObservedEncapsulation(
            kind="geneve",
            packets=3,
            inner_bytes=octets,
            overhead_bytes=190,
            option_bytes=40,
            wire_bytes=sum(map(len, frames)),
            overhead_share=round(190 / sum(map(len, frames)), 6),
        ),
    )


def test_given_options_replace_the_observed(tmp_path):
    result = diff(tmp_path, in_geneve(inner(), OVN), option_bytes=32)
    found = row(result, "geneve", options=True)
    assert (found.option_bytes, found.overhead_bytes, found.inner_mtu) == (32, 82, 1418)
    assert not found.is_observed


def test_both_formats_in_one_capture(tmp_path):
    arp = p.ethernet(p.arp(), 0x0806)
    result = diff(tmp_path, in_vxlan(inner(100)), in_geneve(arp, OVN))
    assert result.traffic.observed == "both"
    assert (result.traffic.packets, result.traffic.inner_bytes) == (2, 140 + 28)
    assert [(o.kind, o.packets, o.overhead_bytes) for o in result.observed] == [
        ("vxlan", 1, 50),
        ("geneve", 1, 58),
    ]
    # The mean of the Geneve packets, for those that had none too.
    assert row(result, "geneve", options=True).overhead_bytes == 2 * 58


def test_without_a_tunnel_all_packets(tmp_path):
    result = diff(tmp_path, inner(100), p.ethernet(p.arp(), 0x0806), p.ethernet(bytes(50), 0x88CC))
    assert result.traffic.observed == "none"
    assert (result.traffic.packets, result.traffic.inner_bytes) == (2, 140 + 28)


def test_padding_is_no_traffic(tmp_path):
    result = diff(tmp_path, in_vxlan(inner(0) + bytes(6)))
    assert result.traffic.inner_bytes == 40


def test_what_is_neither_ip_nor_arp_ends_with_the_outer_packet(tmp_path):
    frame = in_vxlan(p.ethernet(bytes(46), 0x88CC)) + bytes(10)
    result = diff(tmp_path, frame)
    assert (result.traffic.packets, result.traffic.inner_bytes) == (1, 46)


def test_the_outermost_tunnel_counts_where_they_are_nested(tmp_path):
    nested = in_vxlan(in_geneve(inner(100)))
    result = diff(tmp_path, nested)
    assert result.traffic.observed == "vxlan"
    assert result.traffic.inner_bytes == len(nested) - 50 - 14


def test_one_packet_at_two_points_counts_once(tmp_path):
    frame = in_vxlan(inner(100))
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(c.pcap(frame, frame))
        paths.append(CaptureSpec.parse(str(tmp_path / name)))
    assert diff_encapsulations(paths).traffic.packets == 2


def test_a_super_packet_counts_as_its_segments(tmp_path):
    mss = p.tcp(b"", flags=0x02, options=b"\x02\x04\x05\x82")  # 1410
    syn = p.ethernet(p.ipv4(mss, 6, "10.1.0.1", "10.1.0.2"))
    result = diff(tmp_path, in_vxlan(syn), in_vxlan(inner(3000)))
    assert result.traffic.packets == 1 + 3  # 1410 + 1410 + 180
    assert result.traffic.super_packets == 1
    assert result.traffic.inner_bytes == 44 + 3 * 40 + 3000
    assert row(result, "vxlan").overhead_bytes == 4 * 50
    assert row(result, "vxlan").packets_over_mtu == 0


def test_a_fragmented_tunnel_packet_counts_whole(tmp_path):
    whole = p.udp(p.vxlan(inner(1446)), 50000, 4789)
    frames = [
        p.ethernet(p.ipv4(whole[:1480], flags=1, identification=7)),
        p.ethernet(p.ipv4(whole[1480:], fragment_offset=1480, identification=7)),
    ]
    result = diff(tmp_path, *frames)
    assert (result.traffic.packets, result.traffic.inner_bytes) == (1, 1486)
    assert row(result, "vxlan").packets_over_mtu == 1
    assert row(result, "vxlan").extra_segments == 1
    assert row(result, "vxlan").extra_bytes == 40 + 50 + 14


def test_a_first_fragment_of_ipv6_too(tmp_path):
    whole = p.udp(p.vxlan(inner(1446)), 50000, 4789)
    frame = p.ethernet(p.ipv6(p.ipv6_fragment(whole[:1448], more=1), 44), 0x86DD)
    assert diff(tmp_path, frame).traffic.inner_bytes == 1486


def test_hops_need_captures_that_can_be_read_twice():
    hops, why = encapsulation_hops(
        [CaptureSpec.parse("-")], [], [], settings=DecodeSettings(), selector=Selector()
    )
    assert (hops, why) == ((), "an input can be read only once")


def test_both_formats_without_a_packet_on_both_sides(tmp_path):
    result = diff(tmp_path, in_vxlan(inner(100)), in_geneve(inner(100, source_port=7)))
    assert result.latency == ()
    assert "both inside and outside" in result.no_latency


def test_features_have_sources():
    found = features()
    assert len(found) > 12
    for feature in found:
        assert all((feature.feature, feature.vxlan, feature.geneve))
        assert "RFC" in feature.source


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", ["geneve-ovs.pcapng", "vxlan-any-sll2.pcap"])
def test_inner_bytes_are_those_that_tshark_reads(samples, name):
    """The length of each inner IP packet and of each inner ARP, of tunnelled packets."""
    fields = ("frame.protocols", "ip.len", "ipv6.plen")
    done = subprocess.run(
        ["tshark", "-r", str(samples / name), "-d", "udp.port==8472,vxlan", "-o",
         "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-Y", "geneve || vxlan",
         "-T", "fields", *(word for field in fields for word in ("-e", field))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    octets = packets = 0
    for line in done.stdout.splitlines():
        protocols, *lengths = line.split("\t")
        ip, ipv6 = ([int(n.split(" ")[0]) for n in each.split(",") if n] for each in lengths)
        network = [each for each in protocols.split(":") if each in {"ip", "ipv6", "arp"}]
        outer_is_ip = network[0] == "ip"
        match network[1]:
            case "ip":
                octets += ip[outer_is_ip]
            case "ipv6":
                octets += 40 + ipv6[not outer_is_ip]
            case "arp":
                octets += 28
        packets += 1
    result = diff_encapsulations([CaptureSpec.parse(str(samples / name))])
    assert packets
    assert (result.traffic.packets, result.traffic.inner_bytes) == (packets, octets)
