# SPDX-License-Identifier: Apache-2.0
"""Black holes, messages that something is too big, MSS and sums: what `overhead` says of sizes."""

from __future__ import annotations

import os

import pytest

from genevecap.analysis.costs.mtu import Sending
from genevecap.analysis.costs.mtu_points import is_black_hole
from genevecap.analysis.costs.overhead import overhead
from genevecap.capture.spec import CaptureSpec
from tests.build import captures as c
from tests.build import packets as p
from tests.conftest import SHARED

A, B = "10.1.0.1", "10.1.0.2"
MSS = b"\x02\x04\x05\xb4"  # 1460


def segment(payload=b"", sequence=1, acknowledgment=1, *, back=False, flags=0x10, options=b""):
    ports = (80, 40000) if back else (40000, 80)
    ends = (B, A) if back else (A, B)
    header = p.tcp(
        payload, *ports, sequence=sequence, acknowledgment=acknowledgment, flags=flags,
        options=options,
    )  # fmt: skip
    return p.ethernet(p.ipv4(header, 6, *ends, flags=2))


SYN = segment(sequence=0, acknowledgment=0, flags=0x02, options=MSS)
SYN_ACK = segment(sequence=0, back=True, flags=0x12, options=MSS)
SMALL, FULL = bytes(400), bytes(1460)


def answer(tmp_path, *frames, name="a", **options):
    path = tmp_path / f"{name}.pcap"
    path.write_bytes(c.pcap(*frames))
    return overhead([CaptureSpec.parse(str(path))], **options)


def point(tmp_path, *frames, **options):
    (found,) = answer(tmp_path, *frames, **options).mtu
    return found


# --- black holes -------------------------------------------------------------------------------

BEGIN = (SYN, SYN_ACK, segment(SMALL), segment(acknowledgment=401, back=True))


def full(sequence=401):
    return segment(FULL, sequence)


def test_full_segments_that_never_arrive(tmp_path):
    found = point(tmp_path, *BEGIN, *[full()] * 5)
    assert found.black_hole
    (flow,) = found.flows
    assert (flow.kind, flow.source, flow.destination) == (
        "black-hole", "10.1.0.1:40000", "10.1.0.2:80",
    )  # fmt: skip
    assert (flow.packets, flow.mss) == (5, 1460)
    assert [at.frame for at in flow.frames] == [5, 6, 7, 8, 9]


def test_the_tries_of_a_segment_that_was_sent_behind_another_one(tmp_path):
    """Frames are those of the lost segment, not of the one in front of it."""
    got = segment(acknowledgment=1861, back=True)
    small = segment(SMALL, 401), segment(acknowledgment=801, back=True)
    first = full(801), full(2261), segment(acknowledgment=801, back=True)
    found = point(tmp_path, *BEGIN, *small, *first, *[full(801)] * 6)
    (flow,) = found.flows
    assert flow.packets == 7
    assert [at.frame for at in flow.frames] == [7, 10, 11, 12, 13]
    assert not point(tmp_path, *BEGIN, full(), full(1861), got, *[full(1861)] * 6).black_hole


def test_an_answer_from_the_other_end_makes_it_sure_sooner(tmp_path):
    again = segment(acknowledgment=401, back=True)
    assert point(tmp_path, *BEGIN, full(), again, *[full()] * 3).black_hole
    assert not point(tmp_path, *BEGIN, full(), again, *[full()] * 2).black_hole
    assert not point(tmp_path, *BEGIN, *[full()] * 4).black_hole


def test_a_super_packet_that_is_sent_again_in_segments(tmp_path):
    found = point(tmp_path, *BEGIN, segment(bytes(2920), 401), *[full()] * 4)
    assert found.black_hole


@pytest.mark.parametrize(
    "frames",
    [
        # Small segments are lost too: the other end or the path is gone.
        [segment(SMALL, 401)] * 9,
        # As large a segment got through before.
        [full(), segment(acknowledgment=1861, back=True), *[full(1861)] * 9],
        # It got through in the end.
        [*[full()] * 9, segment(acknowledgment=1861, back=True)],
        # A reset is no answer.
        [full(), segment(back=True, flags=0x04, acknowledgment=401), *[full()] * 3],
    ],
)
def test_what_is_no_black_hole(tmp_path, frames):
    assert not point(tmp_path, *BEGIN, *frames).black_hole


def test_nothing_ever_arrived(tmp_path):
    """A dead host swallows everything: nothing says that it is the size."""
    assert not point(tmp_path, SYN, SYN_ACK, *[full(1)] * 9).black_hole


def test_a_segment_that_is_not_full_sized_is_no_matter_of_size():
    sending = Sending(lost_size=900, passed=400)
    assert is_black_hole(sending, 1000)
    assert is_black_hole(sending, None)
    assert not is_black_hole(sending, 1460)


LAB = os.environ.get("GENEVECAP_LAB") or SHARED / "lab"


def holes(folder):
    specs = [CaptureSpec.parse(str(path)) for path in sorted(folder.glob("*.pcap*"))]
    assert specs
    result = overhead(specs)
    return {row.point for row in result.mtu if row.black_hole}, result


@pytest.mark.parametrize(
    "name",
    [
        "ebpf-redirect", "inpod", "iptables-geneve", "ovs-geneve-underlay", "vxlan-4789",
        "ztunnel-1.24", "ztunnel-1.31", "ztunnel-1.31-faults", "ztunnel-1.31-ingress",
        "ztunnel-1.31-multinetwork", "ztunnel-1.31-storm", "ztunnel-1.31-waypoint",
    ],
)  # fmt: skip
def test_no_recording_without_a_black_hole_shows_one(name):
    folder = SHARED / "lab" / name
    if not folder.is_dir():
        pytest.skip("the lab's recordings (../shared/lab beside the checkout) are not here")
    assert holes(folder)[0] == set()


@pytest.mark.root
@pytest.mark.parametrize(
    ("variant", "expected"), [("pmtu-black-hole", True), ("loss", False), ("unreachable", False)]
)
def test_the_black_hole_of_the_lab(tmp_path, variant, expected):
    from tests.lab.mesh import run
    from tests.lab.mesh.scenario import scenario
    from tests.lab.namespaces import LabUnavailable

    try:
        run.run(scenario("in-pod", "routed", variant), tmp_path / "run")
    except LabUnavailable as why:
        pytest.skip(str(why))
    found, result = holes(tmp_path / "run")
    assert bool(found) == expected
    if expected:
        # Towards node B only, and on the sender's side of the wire only.
        flows = {flow for row in result.mtu for flow in row.flows if flow.kind == "black-hole"}
        assert {flow.destination for flow in flows} == {"10.244.2.5:15008"}
        assert {flow.packet_bytes for flow in flows} == {1500}
        assert {"node-a/eth0", "wire/wa"} <= found
        assert not {name for name in found if name.startswith(("node-b", "srv"))}


# --- messages ----------------------------------------------------------------------------------


def too_big(mtu, packet=1500, back=False):
    ends = (B, A) if back else (A, B)
    quoted = p.ipv4(p.tcp(bytes(8)), 6, *ends, total_length=packet)
    message = p.icmp(quoted, 3, 4, bytes(2) + mtu.to_bytes(2, "big"))
    return p.ethernet(p.ipv4(message, 1, "10.9.9.9", A))


@pytest.mark.parametrize(
    ("later", "obeyed"),
    [
        ([], None),
        ([segment(bytes(1410), 401)], True),
        ([segment(bytes(1410), 401), full(1811)], False),
        ([segment(acknowledgment=5)], None),
        ([segment(bytes(5640), 401)], None),  # a super-packet of segments that fit, or not
        ([full(), too_big(1450), segment(bytes(1410), 401)], True),
    ],
)
def test_whether_the_sender_obeyed(tmp_path, later, obeyed):
    found = point(tmp_path, *BEGIN, full(), too_big(1450), *later)
    (flow,) = found.flows
    assert (flow.kind, flow.source, flow.destination) == (
        "too-big", "10.1.0.1:40000", "10.1.0.2:80",
    )  # fmt: skip
    assert (flow.packet_bytes, flow.next_hop_mtu_bytes, flow.obeyed) == (1500, 1450, obeyed)
    assert found.icmp_too_big == flow.packets
    assert [at.frame for at in flow.frames] == [6, 8][: flow.packets]


def test_an_old_router_gives_no_mtu(tmp_path):
    found = point(tmp_path, *BEGIN, full(), too_big(0), full())
    assert found.flows[0].next_hop_mtu_bytes is None
    assert found.flows[0].obeyed is None


# --- sizes -------------------------------------------------------------------------------------


def test_all_interfaces_at_once_are_many_links(tmp_path):
    """What a pod announces on its own link, seen by `any`, says nothing about the underlay's."""
    syn = segment(sequence=0, acknowledgment=0, flags=0x02, options=b"\x02\x04\x05\x50")  # 1360
    outer = p.ipv4(p.udp(p.vxlan(segment(bytes(1360), 1)), 50000, 4789), 17, "10.9.9.1", "10.9.9.2")
    path = tmp_path / "any.pcap"
    path.write_bytes(c.pcap(p.sll(syn[14:]), p.sll(outer), link=113))
    result = overhead([CaptureSpec.parse(str(path))])
    (found,) = result.mtu
    assert (found.mtu_bytes, found.headroom_bytes, found.over_mtu) == (None, None, 0)
    assert found.flows == ()
    (told,) = result.sums
    assert (told.mtu_bytes, told.basis, told.inner_mtu_bytes) == (1500, "assumed", 1450)
    (found,) = overhead([CaptureSpec.parse(str(path))], mtu_bytes=1430).mtu
    assert (found.mtu_bytes, found.headroom_bytes) == (1430, 1430 - len(outer))


def test_the_sum_is_of_the_underlays_own_point(tmp_path):
    frame = p.ethernet(
        p.ipv4(p.udp(p.vxlan(segment(bytes(9), 1)), 50000, 4789), 17, "10.9.9.1", "10.9.9.2")
    )
    host = p.ethernet(
        p.ipv4(p.tcp(b"", flags=0x02, options=b"\x02\x04\x22\xe0"), 6, "10.9.9.1", "10.9.9.3")
    )  # 8928
    for name, frames, link in (("any", [p.sll(frame[14:])] * 3, 113), ("eth0", [host, frame], 1)):
        (tmp_path / f"{name}.pcap").write_bytes(c.pcap(*frames, link=link))
    names = (str(tmp_path / "any.pcap"), str(tmp_path / "eth0.pcap"))
    (told,) = overhead([CaptureSpec.parse(name) for name in names]).sums
    assert (told.mtu_bytes, told.basis, told.inner_mtu_bytes) == (8968, "mss", 8918)


def test_headroom_by_the_mss(tmp_path):
    found = point(tmp_path, *BEGIN, segment(bytes(1360), 401), segment(bytes(4380), 1761))
    assert (found.largest_packet_bytes, found.largest_frame_bytes) == (1400, 1414)
    assert (found.mtu_bytes, found.mtu_basis, found.headroom_bytes) == (1500, "mss", 100)
    assert (found.super_packets, found.largest_super_packet_bytes) == (1, 4420)
    assert found.df_packets == 6


def test_headroom_by_what_the_user_says(tmp_path):
    found = point(tmp_path, *BEGIN, full(), mtu_bytes=1450)
    assert (found.mtu_bytes, found.mtu_basis, found.headroom_bytes) == (1450, "given", -50)
    assert found.over_mtu == 1
    assert [(flow.kind, flow.mss, flow.packet_bytes) for flow in found.flows] == [
        ("mss", 1460, 1500)
    ]


def test_a_loopback_has_no_mtu(tmp_path):
    nowhere = bytes(12)
    frames = [nowhere + frame[12:] for frame in BEGIN]
    assert answer(tmp_path, *frames).mtu == ()


def in_vxlan(frame, vni=1, **ip):
    return p.ethernet(p.ipv4(p.udp(p.vxlan(frame, vni), 50000, 4789), **ip))


def test_an_mss_inside_a_tunnel_speaks_of_another_link(tmp_path):
    found = point(tmp_path, in_vxlan(SYN), in_vxlan(SYN_ACK))
    assert (found.mtu_bytes, found.mtu_basis, found.headroom_bytes) == (None, "unknown", None)
    found = point(tmp_path, in_vxlan(SYN), in_vxlan(SYN_ACK), mtu_bytes=1500)
    assert [(flow.kind, flow.mss, flow.packet_bytes) for flow in found.flows] == [
        ("mss", 1460, 1550)
    ]


def test_fragments_of_tunnel_packets_and_of_inner_ones(tmp_path):
    whole = p.udp(p.vxlan(full(), 1), 50000, 4789)
    frames = [
        p.ethernet(p.ipv4(whole[:1480], flags=1)),
        p.ethernet(p.ipv4(whole[1480:], fragment_offset=1480)),
        in_vxlan(p.ethernet(p.ipv4(bytes(600), 17, A, B, flags=1))),
        p.ethernet(p.ipv4(bytes(600), 17, A, B, flags=1)),
    ]
    found = point(tmp_path, *frames)
    assert (found.fragments, found.outer_fragments) == (4, 2)
    assert (found.mtu_bytes, found.mtu_basis) == (1500, "fragments")


# --- the sum -----------------------------------------------------------------------------------

OVN = p.geneve_option(0x0102, 0x80, bytes(4))
CLUSTER = OVN + p.geneve_option(0xFFFF, 1, bytes(16))
GWLB = (
    p.geneve_option(0x0108, 1, bytes(8))
    + p.geneve_option(0x0108, 2, bytes(8))
    + p.geneve_option(0x0108, 3, bytes(4))
)


def in_geneve(frame, options=b"", vni=5, protocol=0x6558):
    header = p.geneve(frame, vni, protocol, options, critical=0)
    return p.ethernet(p.ipv4(p.udp(header, 50000, 6081)))


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (in_vxlan(SYN), "1500 − 20 (IPv4) − 8 (UDP) − 8 (VXLAN) − 14 (Ethernet) = 1450"),
        (
            in_geneve(SYN, OVN),  # ovn-kubernetes: 1442
            "1500 − 20 (IPv4) − 8 (UDP) − 8 (Geneve) − 8 (options: OVN 8) − 14 (Ethernet) = 1442",
        ),
        (
            in_geneve(SYN, CLUSTER),
            (
                "1500 − 20 (IPv4) − 8 (UDP) − 8 (Geneve) − 28 (options: OVN 8, class 0xffff 20)"
                " − 14 (Ethernet) = 1422"
            ),
        ),
        (
            in_geneve(SYN[14:], GWLB, protocol=0x0800),  # AWS: 68 octets
            (
                "1500 − 20 (IPv4) − 8 (UDP) − 8 (Geneve) − 32 (options: "
                "AWS GWLB endpoint ENI ID 12, AWS GWLB attachment ID 12, AWS GWLB flow cookie 8)"
                " = 1432"
            ),
        ),
        (
            in_vxlan(p.ethernet(p.vlan(SYN[14:]), 0x8100)),
            "1500 − 20 (IPv4) − 8 (UDP) − 8 (VXLAN) − 14 (Ethernet) − 4 (802.1Q) = 1446",
        ),
        (
            p.ethernet(p.ipv6(p.udp(p.vxlan(SYN, 1), 50000, 4789)), 0x86DD),
            "1500 − 40 (IPv6) − 8 (UDP) − 8 (VXLAN) − 14 (Ethernet) = 1430",
        ),
        (
            in_vxlan(in_geneve(SYN)),
            (
                "1500 − 20 (IPv4) − 8 (UDP) − 8 (VXLAN) − 14 (Ethernet) − 20 (IPv4) − 8 (UDP)"
                " − 8 (Geneve) − 14 (Ethernet) = 1400"
            ),
        ),
    ],
)  # fmt: skip
def test_the_sum_as_an_engineer_writes_it(tmp_path, frame, text):
    (found,) = answer(tmp_path, frame).sums
    assert found.text == text
    assert found.inner_mtu_bytes == 1500 - sum(term.octets for term in found.terms)
    assert found.basis == "assumed"


def test_the_sum_with_another_mtu(tmp_path):
    (found,) = answer(tmp_path, in_vxlan(SYN), mtu_bytes=9000).sums
    assert found.text.startswith("9000 − 20 (IPv4)")
    assert (found.inner_mtu_bytes, found.basis) == (8950, "given")


def test_the_packet_with_the_largest_headers_decides(tmp_path):
    (found,) = answer(tmp_path, in_geneve(SYN, OVN), in_geneve(SYN, CLUSTER)).sums
    assert (found.inner_mtu_bytes, found.packets) == (1422, 2)
