# SPDX-License-Identifier: Apache-2.0
"""What traffic says of a point, and its neighbours of it: each with its opposite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.addresses import parse_address
from genevecap.analysis.points.signs import FIRST_FRAMES, MOST_POINTS, SYNS_KEPT
from genevecap.analysis.points.traffic import is_unicast
from genevecap.capture.manifest import Manifest
from genevecap.capture.points import PointTable
from tests.analysis.pointing import (
    ACK,
    MAC_1,
    MAC_2,
    MAC_3,
    NODE_A,
    NODE_B,
    OTHER,
    POD,
    SYN,
    THIRD,
    ZTUNNEL,
    found,
    frame,
    roles_of,
    signs_of,
    talk,
    tunnelled,
    write,
)
from tests.build import packets as p
from tests.build.captures import pcap

SLL2, SLL, NULL = 276, 113, 0


def only(folder, interface, frames, name="x", **more):
    (point,) = roles_of(write(folder, name, {interface: frames}, **more))
    return point


# --- a pod's own address ---


@pytest.mark.parametrize("ttl", [64, 128, 255])
def test_a_pod_sends_with_a_senders_ttl(tmp_path, ttl):
    assert found(only(tmp_path, "eth0", talk(ttl=ttl))) == ("pod", (POD,))


def test_one_peer_is_enough_where_the_ttl_tells(tmp_path):
    assert found(only(tmp_path, "eth0", talk(peers=[OTHER]))) == ("pod", (POD,))


def test_a_router_has_lowered_the_ttl_at_a_nodes_card(tmp_path):
    point = only(tmp_path, "eth0", talk(ttl=63))
    assert found(point) == ("underlay", ())


def test_addresses_of_both_ip_versions(tmp_path):
    six = talk("fd00::4", ["fd00:2::5", "fd00:2::9"])
    neighbours = [frame("fe80::1", "ff02::1", ttl=255), frame("fe80::2", "fe80::1", ttl=255)]
    point = only(tmp_path, "eth0", talk() + six + neighbours)
    assert found(point) == ("pod", (POD, "fd00::4"))


def test_two_senders_on_one_link_are_told_apart_by_the_mac_in_every_frame(tmp_path):
    """As with eBPF redirection: sent to the gateway, received from ztunnel."""
    frames = [
        frame(POD, OTHER, macs=(MAC_1, MAC_2)),
        frame(OTHER, POD, macs=(MAC_3, MAC_1), ports=(8080, 40000)),
    ]
    assert found(only(tmp_path, "eth0", frames)) == ("pod", (POD,))


def test_two_senders_on_one_link_stay_undecided(tmp_path):
    point = only(tmp_path, "eth0", talk(peers=[OTHER], peer_ttl=64))
    assert found(point) == ("unknown", ())
    assert point.evidence == ("two addresses are in every packet: which is its own is open",)


def test_istios_translated_source_is_never_the_pods(tmp_path):
    frames = talk(peers=["169.254.7.127"], peer_ttl=64)
    assert found(only(tmp_path, "eth0", frames)) == ("pod", (POD,))


def test_a_pod_that_never_answers(tmp_path):
    frames = [frame(OTHER, POD, ttl=62, sequence=n, flags=SYN) for n in range(3)]
    assert found(only(tmp_path, "eth0", frames)) == ("pod", (POD,))


# --- pod or node ---


def cooked(packet_type, **more):
    return lambda packet, protocol: p.sll2(packet, protocol, packet_type=packet_type, **more)


def sll2_talk(own, peer, *, sent, interface=3):
    to_us, by_us = (4, 0) if sent else (0, 4)
    return [
        frame(own, peer, link=cooked(to_us, interface=interface)),
        frame(peer, own, ttl=62, link=cooked(by_us, interface=interface), ports=(8080, 40000)),
    ]


def test_cooked_captures_tell_the_pods_end_from_the_nodes(tmp_path):
    inside = only(tmp_path, None, sll2_talk(POD, OTHER, sent=True), link=SLL2)
    node = only(tmp_path, None, sll2_talk(POD, OTHER, sent=False), link=SLL2)
    assert found(inside) == ("pod", (POD,))
    assert found(node) == ("node-veth", (POD,))


def test_interface_one_is_the_loopback(tmp_path):
    frames = sll2_talk(POD, OTHER, sent=True, interface=1)
    assert only(tmp_path, None, frames, link=SLL2).role == "lo"


def test_loopbacks(tmp_path):
    nobody = (bytes(6), bytes(6))
    redirected = [
        frame(POD, "127.0.0.1", macs=nobody, ports=(40000, 15001), flags=SYN),
        frame(OTHER, POD, macs=nobody, ports=(8080, 40000)),
    ]
    delivered = [
        frame(OTHER, POD, macs=nobody, flags=SYN),
        frame(POD, OTHER, macs=nobody, ports=(8080, 40000)),
    ]
    assert found(only(tmp_path, None, redirected)) == ("lo", (POD,))
    assert found(only(tmp_path, None, delivered)) == ("lo", (POD,))
    bsd = pcap(p.null(p.ipv4(p.udp(b"x"), 17, "127.0.0.1", "127.0.0.1")), link=NULL)
    (tmp_path / "mac.pcap").write_bytes(bsd)
    (point,) = roles_of(str(tmp_path / "mac.pcap"))
    assert point.role == "lo"


def test_a_file_name_makes_no_loopback_of_a_link(tmp_path):
    (tmp_path / "x.lo.pcap").write_bytes(pcap(*talk()))
    (point,) = roles_of(str(tmp_path / "x.lo.pcap"))
    assert found(point) == ("pod", (POD,))


def test_cooked_captures_of_version_one_are_all_interfaces(tmp_path):
    frames = [frame(link=p.sll)]
    assert only(tmp_path, "any", frames, link=SLL).role == "any"
    assert only(tmp_path, None, frames, link=SLL).role == "any"


# --- ztunnel, card, overlay ---


def test_istios_tunnel_ends_at_ztunnel(tmp_path):
    inside = frame(flags=SYN)
    frames = [tunnelled(inside, "10.244.1.1", ZTUNNEL, vni=1001, port=6082), *talk()]
    assert found(only(tmp_path, "eth0", frames)) == ("ztunnel", (ZTUNNEL,))
    assert found(only(tmp_path, "veth1", frames)) == ("ztunnel-veth", (ZTUNNEL,))


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(
            [
                tunnelled(frame(), vni=1001, port=6081),
                tunnelled(frame(OTHER, POD), NODE_B, NODE_A, vni=1001, port=6081),
            ],
            id="both ways",
        ),
        pytest.param(
            [
                tunnelled(
                    frame(), vni=1001, port=6081, options=p.geneve_option(0x0102, 0x80, b"abcd")
                )
            ],
            id="options",
        ),
        pytest.param([tunnelled(frame(), vni=1001)], id="VXLAN"),
        pytest.param([tunnelled(frame(), vni=7, port=6081)], id="another VNI"),
    ],
)
def test_an_underlay_is_not_ztunnel(tmp_path, frames):
    assert found(only(tmp_path, "eth0", frames)) == ("underlay", ())


def proxied(hbone_macs, plain_macs):
    return [
        frame(ports=(40000 + n, port), macs=macs, sequence=n)
        for n in range(3)
        for port, macs in ((15008, hbone_macs), (8080, plain_macs))
    ] + talk("10.244.1.6", [THIRD])


def test_hbone_that_goes_the_other_way_than_plain_packets_is_ztunnels(tmp_path):
    there, back = (MAC_1, MAC_2), (MAC_2, MAC_1)
    assert only(tmp_path, "eth0", proxied(there, back)).role == "ztunnel"
    assert only(tmp_path, "veth1", proxied(there, back)).role == "ztunnel-veth"
    assert only(tmp_path, "veth1", proxied(there, there)).role == "node-veth"


def test_the_wire_is_on_no_node(tmp_path):
    frames = [tunnelled(frame())]
    assert only(tmp_path, "wA", frames).role == "wire"
    assert only(tmp_path, "eth0", frames).role == "underlay"
    assert only(tmp_path, None, frames).role == "underlay"
    assert only(tmp_path, None, frames, name="mirror-port").role == "wire"


def test_behind_an_overlay_are_the_packets_of_its_tunnel(tmp_path):
    """Interface 5 carries VXLAN, 6 what is inside it, 7 the node's own packets."""
    inside = talk(ttl=63)
    carried = tunnelled(inside[0]), tunnelled(inside[1], NODE_B, NODE_A)
    others = [tunnelled(f) for f in inside[2:]]

    def at(index, frames):
        return [p.sll2(f[14:], interface=index, packet_type=4) for f in frames]

    frames = [*at(5, [*carried, *others]), *at(6, inside), *at(7, talk(NODE_A, [NODE_B]))]
    points = roles_of(write(tmp_path, "x", {None: frames}, link=SLL2))
    assert [point.role for point in points] == ["underlay", "overlay", "bridge"]


def test_a_node_has_no_pods_device(tmp_path):
    """A host-network program's packets look like a pod's; the links beside them do not."""
    own = talk("172.18.0.2", ["172.18.0.9", "1.1.1.1"])
    path = write(tmp_path, "x", {"eth0": own, "veth1": talk()})
    assert [found(point)[0] for point in roles_of(path)] == ["underlay", "node-veth"]
    assert found(only(tmp_path, "eth0", own)) == ("pod", ("172.18.0.2",))


def test_nothing_to_judge_by(tmp_path):
    path = write(tmp_path, "x", {"eth0": [], "veth1": [], "wA": [p.ethernet(p.arp(), 0x0806)]})
    points = roles_of(path)
    assert [point.role for point in points] == ["unknown", "node-veth", "unknown"]
    assert points[0].evidence == ("no packets to judge by",)


def test_what_a_manifest_says_stays(tmp_path):
    """Neither the card beside it nor its twin changes that."""
    text = """
        [[point]]
        match = "x/eth0"
        role = "gateway"
        [[point]]
        match = "x/veth1"
        addresses = ["10.9.9.9"]
        node = "elsewhere"
    """
    manifest = Manifest.parse(text.encode(), "m")
    path = write(tmp_path, "x", {"eth0": talk(), "veth1": talk(), "veth2": talk()})
    eth0, veth1, veth2 = roles_of(path, points=PointTable(manifest))
    assert found(eth0) == ("gateway", (POD,))
    assert eth0.evidence == ("the manifest says so",)
    assert found(veth1) == ("node-veth", ("10.9.9.9",))
    assert (veth1.node, veth2.node) == ("elsewhere", "x")


LINKS = st.sampled_from([1, SLL, SLL2, NULL, 101])
FRAMES = st.lists(st.sampled_from([*talk(), tunnelled(frame(), vni=1001, port=6081)]), max_size=6)


@given(link=LINKS, frames=FRAMES, cut=st.integers(0, 80), flip=st.integers(0, 80))
def test_any_frames_give_roles(tmp_path_factory, link, frames, cut, flip):
    folder = tmp_path_factory.mktemp("any")
    broken = [
        data[:cut] + bytes(octet ^ 0xFF for octet in data[cut : cut + 2]) + data[cut + 2 :]
        for data in frames
    ]
    path = write(folder, "x", {"eth0": broken, None: [data[:flip] for data in frames]}, link=link)
    assert len(roles_of(path)) >= (2 if link != SLL2 else 0)


# --- the sample ---


def test_a_sample_is_bounded_and_keeps_the_same_syns_at_every_point(tmp_path):
    syns = [
        frame(ports=(1024 + n, 80), sequence=(n * 2654435761) % 2**32, flags=SYN)
        for n in range(3000)
    ]
    late = write(tmp_path, "late", {"eth0": [*[frame()] * 2000, *syns[500:]]})
    early = write(tmp_path, "early", {"eth0": syns})
    signs, _ = signs_of(early, late)
    for sample in signs.samples.values():
        assert sample.frames == FIRST_FRAMES
        assert len(sample.syns) == SYNS_KEPT
    one, other = (set(sample.packets()) for sample in signs.samples.values())
    assert len(one & other) > 0.6 * SYNS_KEPT


def test_more_points_than_are_sampled(tmp_path):
    points = {f"veth{n}": [frame()] for n in range(MOST_POINTS + 5)}
    signs, _ = signs_of(write(tmp_path, "x", points))
    assert len(signs.samples) == MOST_POINTS
    roles = signs.result()
    assert len(roles) == MOST_POINTS + 5
    assert roles[-1].role == "node-veth"


@pytest.mark.parametrize(
    ("text", "one_host"),
    [
        ("10.0.0.1", True),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("0.1.2.3", False),
        ("fd00::1", True),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::", False),
    ],
)
def test_unicast(text, one_host):
    assert is_unicast(parse_address(text)) == one_host


def test_acknowledgments_are_no_calls(tmp_path):
    signs, _ = signs_of(write(tmp_path, "x", {"lo": [frame(flags=SYN), frame(flags=SYN | ACK)]}))
    assert signs.samples[0].called == {(4, 0, 0x0AF40205): 1}
