# SPDX-License-Identifier: Apache-2.0
"""`overhead`: who pays for which header, worked out by hand from the RFCs."""

from __future__ import annotations

import pytest

from genevecap.analysis.costs.layers import spread
from genevecap.analysis.costs.overhead import overhead
from genevecap.analysis.costs.results import Spread
from genevecap.analysis.results import Problem
from genevecap.capture.spec import CaptureSpec
from tests.build import captures as c
from tests.build import packets as p
from tests.decode.vectors import VECTORS
from tests.properties.decoders import mutated, prefixes

from .test_mtu import CLUSTER, OVN, in_geneve, in_vxlan

POD_A, POD_B, NODE_A, ZTUNNEL = "10.1.0.1", "10.1.0.2", "192.168.0.1", "10.1.0.9"
LOOPBACK = {"source": bytes(6), "destination": bytes(6)}


def tcp(payload=b"", source=(POD_A, 40000), destination=(POD_B, 80), link=None, **fields):
    header = p.tcp(payload, source[1], destination[1], **fields)
    return p.ethernet(p.ipv4(header, 6, source[0], destination[0]), **(link or {}))


def write(tmp_path, **points):
    """Write one capture for each point."""
    for name, frames in points.items():
        (tmp_path / f"{name}.pcap").write_bytes(c.pcap(*frames))
    return [CaptureSpec.parse(str(tmp_path / f"{name}.pcap")) for name in points]


def bill(tmp_path, **points):
    return overhead(write(tmp_path, **points))


def layer(result, kind, purpose="underlay", host_only=False):
    found = [
        each
        for each in result.layers
        if (each.kind, each.purpose, each.host_only) == (kind, purpose, host_only)
    ]
    assert len(found) == 1
    return found[0]


def test_published_overheads(tmp_path):
    """VXLAN 50, OVN's Geneve 58, AWS Gateway Load Balancer 68 (shared with `inspect`)."""
    gwlb = (
        p.geneve_option(0x0108, 1, bytes(8))
        + p.geneve_option(0x0108, 2, bytes(8))
        + p.geneve_option(0x0108, 3, bytes(4))
    )
    frames = [
        in_vxlan(tcp(bytes(100))),
        in_geneve(tcp(bytes(100), (POD_A, 1), (POD_B, 2)), OVN),
        in_geneve(tcp(bytes(100), (POD_A, 3), (POD_B, 4))[14:], gwlb, protocol=0x0800),
    ]
    result = bill(tmp_path, eth0=frames)
    assert layer(result, "vxlan").overhead_bytes == 50
    geneve = layer(result, "geneve")
    assert geneve.overhead_bytes == 58 + 68
    assert geneve.option_bytes == 8 + 32
    assert (geneve.packets, geneve.per_packet) == (2, Spread(min=58, p50=58, max=68))
    assert result.totals.wire_bytes == sum(map(len, frames))
    assert result.totals.overhead_bytes == 176
    assert geneve.share == round(126 / sum(map(len, frames)), 6)
    assert (geneve.basis, geneve.uncertainty_bytes) == ("counted", 0)
    assert result.totals.application_bytes == 300


def test_each_packet_is_billed_once(tmp_path):
    frames = [tcp(bytes(100)), tcp(bytes(50), sequence=101)]
    outer = [in_vxlan(frame) for frame in frames]
    result = bill(tmp_path, pod=frames, veth=frames, a=outer, wire=outer, b=outer)
    assert result.totals.packets == 2
    assert result.totals.wire_bytes == sum(map(len, outer))
    assert layer(result, "vxlan").overhead_bytes == 100
    assert result.totals.application_bytes == 150


def test_a_lost_packet_is_billed_where_it_still_was(tmp_path):
    outer = [in_vxlan(tcp(bytes(100), sequence=n)) for n in range(5)]
    result = bill(tmp_path, a=outer, b=outer[:3])
    assert layer(result, "vxlan").packets == 5


def test_a_super_packet_pays_for_each_of_its_segments(tmp_path):
    mss = b"\x02\x04\x05\x82"  # 1410
    frames = [in_vxlan(tcp(flags=2, options=mss)), in_vxlan(tcp(bytes(14_100)))]
    result = bill(tmp_path, eth0=frames)
    vxlan = layer(result, "vxlan")
    assert (vxlan.packets, vxlan.overhead_bytes) == (11, 11 * 50)
    assert (vxlan.basis, vxlan.uncertainty_bytes) == ("estimated", 50)
    # Each segment: 14 + 50 + 40 + 1410.
    assert result.totals.wire_bytes == len(frames[0]) + 10 * (14 + 50 + 40 + 1410)
    assert result.totals.super_packets == 1


def test_snaplen_does_not_matter(tmp_path):
    frame = in_vxlan(tcp(bytes(1000)))
    (tmp_path / "short.pcap").write_bytes(
        c.pcap_header() + c.pcap_record(frame[:110], original=len(frame))
    )
    result = overhead([CaptureSpec.parse(str(tmp_path / "short.pcap"))])
    assert result.totals.wire_bytes == len(frame)
    assert result.totals.application_bytes == 1000


def test_nested_tunnels_pay_each(tmp_path):
    nested = in_vxlan(in_geneve(tcp(bytes(100)), CLUSTER))
    result = bill(tmp_path, eth0=[nested])
    assert layer(result, "vxlan").overhead_bytes == 50
    assert layer(result, "geneve").overhead_bytes == 78
    assert result.totals.wire_bytes == len(nested)
    assert {(v.kind, v.vni, v.wire_bytes) for v in result.vnis} == {
        ("vxlan", 1, len(nested)),
        ("geneve", 5, len(nested)),
    }


def in_istio(frame, vni=1001):
    udp = p.udp(p.geneve(frame, vni), 2275, 6081)
    return p.ethernet(p.ipv4(udp, 17, "10.1.0.254", ZTUNNEL))


def test_three_bills_are_kept_apart(tmp_path):
    """Istio 1.18: conn1's SYN through Geneve, HBONE between the nodes in VXLAN, conn3 plain."""
    conn1 = tcp(flags=2)
    conn1_data = tcp(bytes(300))
    conn3 = tcp(bytes(300), (POD_A, 50000))
    hbone = in_vxlan(tcp(b"\xee" * 331, (POD_A, 41000), (POD_B, 15008)))
    result = bill(
        tmp_path, veth=[conn1, conn1_data], ztunnel=[in_istio(conn1), conn1_data],
        eth0=[hbone], server=[conn3],
    )  # fmt: skip
    assert layer(result, "geneve", "interception").overhead_bytes == 50
    assert layer(result, "vxlan").overhead_bytes == 50
    assert layer(result, "ip", "extra-leg").overhead_bytes == 3 * 20
    assert layer(result, "tcp", "extra-leg").overhead_bytes == 3 * 20
    assert {(s.purpose, s.tunnels) for s in result.sums} == {
        ("interception", ("geneve VNI 1001",)),
        ("underlay", ("vxlan VNI 1",)),
    }


def test_an_underlay_may_use_istios_numbers(tmp_path):
    """Options, or other VNIs at the same endpoint, tell a CNI's tunnel from Istio's."""
    frames = [in_geneve(tcp(), OVN, vni=1001)]
    assert layer(bill(tmp_path, eth0=frames), "geneve").overhead_bytes == 58
    frames = [in_geneve(tcp(), vni=1001), in_geneve(tcp(bytes(9), (POD_A, 1), (POD_B, 2)), vni=7)]
    assert layer(bill(tmp_path, eth0=frames), "geneve").overhead_bytes == 100


def test_what_stays_on_lo_is_shown_and_in_no_share(tmp_path):
    """In-pod: conn1 in two halves on the client's lo, conn3 on the server's."""
    to_ztunnel = tcp(bytes(200), (POD_A, 40000), ("127.0.0.1", 15001), LOOPBACK)
    reply = tcp(bytes(50), (POD_B, 80), (POD_A, 40000), LOOPBACK)
    conn3 = tcp(bytes(200), (POD_A, 50000), (POD_B, 80), LOOPBACK)
    hbone = tcp(b"\xee" * 231, (POD_A, 41000), (POD_B, 15008))
    result = bill(tmp_path, cli=[to_ztunnel, reply], srv=[conn3], eth0=[hbone])
    for kind in ("ip", "tcp"):
        extra = layer(result, kind, "extra-leg", host_only=True)
        assert (extra.packets, extra.overhead_bytes, extra.share) == (3, 60, 0.0)
    assert result.totals.wire_bytes == len(hbone)
    assert result.totals.host_only_packets == 3
    assert result.totals.host_only_bytes == len(to_ztunnel) + len(reply) + len(conn3)
    assert [row.point for row in result.mtu] == ["eth0"]


def test_ordinary_traffic_has_no_extra_legs(tmp_path):
    assert bill(tmp_path, lo=[tcp(bytes(10), link=LOOPBACK)], eth0=[tcp(bytes(10))]).layers == ()


def test_encryption_is_estimated(tmp_path):
    """ESP with AES-GCM in tunnel mode: 20 + 8 + 8 + 2 + 16; WireGuard 20 + 8 + 16 + 16 = 60."""
    esp = p.ethernet(p.ipv4(p.esp(bytes(100)), 50))
    natted = p.ethernet(p.ipv4(p.udp(p.esp(bytes(100)), 4500, 4500)))
    wireguard = p.ethernet(p.ipv4(p.udp(bytes((4, 0, 0, 0)) + bytes(60), 51820, 51820)))
    result = bill(tmp_path, eth0=[esp, natted, wireguard])
    found = {each.kind: each for each in result.layers}
    assert found["esp"].overhead_bytes in (54, 54 + 62)
    for each in found.values():
        assert each.basis == "estimated"
        assert each.uncertainty_bytes > 0
    if "wireguard" in found:
        assert found["wireguard"].overhead_bytes == 60


def test_handshakes_of_wireguard_carry_nothing(tmp_path):
    """Initiation 148 and response 92 octets, with 20 + 8 in front; data of 64 octets costs 60."""

    def message(kind, size, ports=(51820, 51820)):
        return p.ethernet(p.ipv4(p.udp(p.wireguard(bytes(size - 4), kind), *ports)))

    frames = [message(1, 148), message(2, 92), message(4, 64 + 32)]
    found = layer(bill(tmp_path, eth0=frames), "wireguard")
    assert (found.packets, found.overhead_bytes) == (3, 176 + 120 + 60)
    assert (found.uncertainty_bytes, found.per_packet.max) == (15, 176)


def test_macsec_hides_who_talks(tmp_path):
    """SecTAG with SCI 16, of which 8 may be missing, and ICV 16 (IEEE 802.1AE)."""
    frame = p.ethernet(bytes.fromhex("2c00000000050200000000aa0001") + bytes(60), 0x88E5)
    result = bill(tmp_path, eth0=[frame])
    found = layer(result, "macsec")
    assert (found.overhead_bytes, found.basis, found.uncertainty_bytes) == (32, "estimated", 8)
    assert [(flow.source, flow.protocol) for flow in result.flows] == [("?", "not IP")]


def test_macsec_without_encryption_is_counted(tmp_path):
    """Flags, length and packet number 6, SCI 8 where there is one, EtherType 2, ICV 16."""
    packet, icv = tcp(bytes(100))[14:], bytes(16)
    with_sci = p.macsec(bytes(8) + b"\x08\0" + packet + icv, flags=0x20)
    bare = p.vlan(p.macsec(b"\x08\0" + packet + icv), 0x88E5)
    arp = p.macsec(b"\x08\x06" + p.arp() + icv)
    frames = [p.ethernet(with_sci, 0x88E5), p.ethernet(bare, 0x8100), p.ethernet(arp, 0x88E5)]
    result = bill(tmp_path, eth0=frames)
    found = layer(result, "macsec")
    assert (found.packets, found.overhead_bytes, found.basis) == (3, 32 + 24 + 24, "counted")
    assert result.totals.wire_bytes == sum(map(len, frames))
    assert result.mtu[0].largest_frame_bytes == len(frames[0])
    assert result.totals.application_bytes == 200


@pytest.mark.parametrize(
    ("captured", "segments", "application"),
    [
        (60, 1, 0),  # nothing of the inner Ethernet header is there
        (64, 1, 0),
        (84, 4, 5000 + 1398),  # VXLAN's inner IP header is, Geneve's is not
        (96, 4, 5000 + 2 * 1398),  # half of TCP's
        (110, 4, 5000 + 2 * 1398),  # TCP's, without options
    ],
)
def test_what_a_snap_length_cut_is_billed_by_its_length(tmp_path, captured, segments, application):
    time_stamps = bytes.fromhex("0101080a0000000100000002")
    inner = p.ethernet(p.ipv4(p.tcp(bytes(5000), 40000, 80, options=time_stamps), 6, POD_A, POD_B))
    ordinary = p.ethernet(
        p.ipv4(p.tcp(bytes(1398), 40000, 80, options=time_stamps), 6, POD_A, POD_B)
    )
    frames = [in_vxlan(inner), in_vxlan(ordinary), in_geneve(ordinary, OVN)]
    path = tmp_path / "eth0.pcap"
    records = (c.pcap_record(frame[:captured], original=len(frame)) for frame in frames)
    path.write_bytes(c.pcap_header() + b"".join(records))
    result = overhead([CaptureSpec.parse(str(path))])
    assert layer(result, "vxlan").overhead_bytes == 50 * (segments + 1)
    assert layer(result, "geneve").overhead_bytes == 58
    assert result.totals.application_bytes == application


def test_flows_hold_both_directions(tmp_path):
    there, back = tcp(bytes(100)), tcp(bytes(10), (POD_B, 80), (POD_A, 40000))
    result = bill(tmp_path, eth0=[in_vxlan(there), in_vxlan(back)])
    (flow,) = result.flows
    assert (flow.source, flow.destination) == ("10.1.0.1:40000", "10.1.0.2:80")
    assert (flow.packets, flow.overhead_bytes, flow.payload_bytes) == (2, 100, 110)
    assert flow.wire_bytes == len(there) + len(back) + 100


def test_other_things_than_ip(tmp_path):
    arp = in_vxlan(p.ethernet(p.arp(), 0x0806))
    result = bill(tmp_path, eth0=[arp, p.ethernet(p.arp(), 0x0806), p.ethernet(bytes(50), 0x88CC)])
    assert layer(result, "vxlan").packets == 1
    assert result.flows[0].protocol == "not IP"
    assert result.totals.packets == 3


def test_a_capture_of_all_interfaces_at_once(tmp_path):
    """LINUX_SLL of `any`: a packet on the pod's cable, and inside VXLAN on the card."""
    inner = tcp(bytes(100), sequence=7)
    cooked = [p.sll(inner[14:]), p.sll(inner[14:]), p.sll(in_vxlan(inner)[14:])]
    (tmp_path / "any.pcap").write_bytes(c.pcap(*cooked, link=113))
    result = overhead([CaptureSpec.parse(str(tmp_path / "any.pcap"))])
    assert result.totals.packets == 1
    assert layer(result, "vxlan").packets == 1
    assert result.totals.application_bytes == 100


def test_whatever_the_octets_are(tmp_path):
    """Mutated and cut frames, as one capture of each link type: an answer that adds up."""
    frames = [(vector.link_type, vector.data, vector.original_length) for vector in VECTORS]
    made = [*prefixes(frames), *mutated(frames, 5_000, 11)]
    for link in {link for link, _, _ in made}:
        path = tmp_path / f"{link}.pcap"
        records = (
            c.pcap_record(data, seconds=i, original=original & 0xFFFF_FFFF)
            for i, (of, data, original) in enumerate(made)
            if of == link
        )
        path.write_bytes(c.pcap_header(link=link) + b"".join(records))
    specs = [CaptureSpec.parse(str(path)) for path in sorted(tmp_path.glob("*.pcap"))]
    result = overhead(specs)
    assert len(result.layers) > 5
    network = [each for each in result.layers if not each.host_only]
    assert sum(each.overhead_bytes for each in network) == result.totals.overhead_bytes
    for each in result.layers:
        assert 0 <= each.per_packet.min <= each.per_packet.p50 <= each.per_packet.max
    assert all(row.largest_packet_bytes >= 0 for row in result.mtu)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, (0, 0, 0)),
        ({50: 1}, (50, 50, 50)),
        ({50: 2, 58: 2}, (50, 50, 58)),
        ({50: 2, 58: 3, 90: 1}, (50, 58, 90)),
    ],
)
def test_spread(counts, expected):
    found = spread(counts)
    assert (found.min, found.p50, found.max) == expected


def test_an_empty_capture_and_a_missing_one(tmp_path):
    told: list[Problem] = []
    (tmp_path / "empty.pcap").write_bytes(c.pcap_header())
    specs = [CaptureSpec.parse(str(tmp_path / name)) for name in ("empty.pcap", "missing")]
    result = overhead(specs, on_problem=told.append)
    assert result.layers == result.mtu == result.sums == ()
    assert result.totals.overhead_share == 0
    assert result.paths == (str(tmp_path / "empty.pcap"),)
    assert result.problems == tuple(told) != ()


def test_the_lab_set_whose_bill_is_known(samples):
    """Of the real ztunnel: every network packet in VXLAN was one of the HBONE connections."""
    folder = samples / "ztunnel-in-pod"
    specs = [CaptureSpec.parse(str(path)) for path in sorted(folder.glob("*.pcapng"))]
    result = overhead(specs)
    vxlan = layer(result, "vxlan")
    assert vxlan.per_packet == Spread(min=50, p50=50, max=50)
    assert vxlan.overhead_bytes == 50 * vxlan.packets
    tls = layer(result, "tls", "hbone")
    assert tls.basis == "counted"
    assert layer(result, "tcp", "extra-leg", host_only=True).share == 0
    assert {each.kind for each in result.layers} == {"vxlan", "tls", "http2", "tcp", "ip"}
