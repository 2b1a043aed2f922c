# SPDX-License-Identifier: Apache-2.0
"""The converter, on records of frames written by hand in the dissector's form."""

from __future__ import annotations

import pytest

from .readings import AtLeast, Beginning, Congruent, Inner, Option, Silent
from .truth import expected_file, time_ns

ETH = {"L": "eth", "dst": "ff:ff:ff:ff:ff:ff", "src": "02:00:00:00:00:01", "type": "0x0800"}
UDP = {"L": "udp", "srcport": "40000", "dstport": "53", "length": "30"}
TCP = {"L": "tcp", "srcport": "1024", "dstport": "80", "hdr_len": "20"}
ARP = {"L": "arp", "opcode": "1"}
ICMP = {"L": "icmp", "type": "3", "code": "1"}
VXLAN = {"L": "vxlan", "flags": "0x0800", "flag_g": "0", "gbp": "3", "vni": "7"}
GENEVE = {
    "L": "geneve",
    "version": "0",
    "option.length": "8",
    "flags.oam": "0",
    "flags.critical": "1",
    "proto_type": "0x6558",
    "vni": "0x00000a",
    "options": [{"class": "0102", "type": "80", "critical": True, "data": "0000000C"}],
}


def ip(source="192.0.2.1", destination="192.0.2.2", **fields):
    header = {
        "L": "ip",
        "hdr_len": "20",
        "len": "1500",
        "id": "0x0001",
        "flags.mf": "0",
        "frag_offset": "0",
        "proto": "17",
        "src": source,
        "dst": destination,
    }
    return header | {name.replace("__", "."): value for name, value in fields.items()}


def ipv6(**fields):
    header = {"L": "ipv6", "plen": "100", "nxt": "17", "src": "2001:db8::1", "dst": "2001:db8::2"}
    return header | {name.replace("__", "."): value for name, value in fields.items()}


def record(number, *layers, protocols=None, **fields):
    return {
        "n": number,
        "time_epoch": "1500000000.000000001",
        "len": 100,
        "cap_len": 100,
        "protocols": protocols or ":".join(layer["L"] for layer in layers),
        "layers": list(layers),
    } | fields


def expect(*records, code=0, file_type="Wireshark/tcpdump/... - pcap", **options):
    truth = {
        "file": "x.pcap",
        "tshark": {"rc": code},
        "capinfos_long": [f"File type:           {file_type}"],
        "frame_list": list(records),
    }
    return expected_file(truth, **options)


def one(*layers, **fields):
    (frame,) = expect(record(1, *layers, **fields)).frames
    return frame


def inner(source, destination, protocol, *ports):
    source_port, destination_port = ports or (None, None)
    return Inner(
        source=source,
        destination=destination,
        protocol=protocol,
        source_port=source_port,
        destination_port=destination_port,
    )


OUTER = inner("192.0.2.1", "192.0.2.2", 17, 40000, 53)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("1500000000.000000001", 1_500_000_000_000_000_001),
        ("0.000000000", 0),
        ("4294967296.000000000", 4_294_967_296_000_000_000),
        ("", None),  # a Simple Packet Block has no time stamp
        ("4734231571822.539464000", None),  # beyond int64
        ("538976288.2105376000", Congruent(538976288, 2105376000)),
        ("-1418145370.2147483648", Congruent(1418145370, 2147483648)),
        ("-81.671088640", Congruent(81, 2**32 - 671088640)),
    ],
)
def test_times(printed, expected):
    assert time_ns(printed) == expected


def test_length_at_the_dissectors_ceiling_is_a_lower_bound():
    assert one(ETH, len=2**31 - 1).reading.wire_bytes == AtLeast(2**31 - 1)


def test_block_that_holds_no_packet_has_no_reading():
    assert one(protocols="data", not_packet=True).reading is None


def test_file_that_the_dissector_gave_up_may_end_either_way():
    expected = expect(record(1, ETH), code=2)
    assert not expected.complete
    assert expected.exit_codes == {0, 3}
    assert expect(record(1, ETH)).exit_codes == {0}


def test_file_that_is_no_capture_has_no_frames():
    expected = expect(record(1, ETH), file_type="Sun snoop")
    assert expected.frames == ()
    assert expected.exit_codes == {3}


def test_transport_header_ends_the_frame():
    frame = one(ETH, ip(proto="6"), TCP, {"L": "http2"}, {"L": "vxlan"})
    assert frame.reading.inner == inner("192.0.2.1", "192.0.2.2", 6, 1024, 80)
    assert frame.reading.tunnels == ()
    assert frame.skipped_at is None


def test_packet_quoted_in_an_icmp_error_is_payload():
    quoted = ip("198.51.100.1", "198.51.100.2")
    frame = one(ETH, ip(proto="1"), ICMP, quoted, UDP)
    assert frame.reading.inner == inner("192.0.2.1", "192.0.2.2", 1)
    assert frame.skipped_at is None


def test_geneve():
    frame = one(ETH, ip(), UDP | {"dstport": "6081"}, GENEVE, ETH, ipv6(nxt="6"), TCP)
    (tunnel,) = frame.reading.tunnels
    assert (tunnel.kind, tunnel.vni) == ("geneve", 10)
    assert (tunnel.source, tunnel.destination) == ("192.0.2.1", "192.0.2.2")
    assert (tunnel.source_port, tunnel.destination_port) == (40000, 6081)
    assert tunnel.options == (Option(0x0102, 0x80, "0000000c"),)
    assert tunnel.overhead_bytes == 20 + 8 + 8 + 8 + 14
    assert tunnel.flags == {"version": 0, "oam": 0, "critical": 1, "protocol": 0x6558}
    assert frame.reading.inner == inner("2001:db8::1", "2001:db8::2", 6, 1024, 80)


def test_geneve_of_another_version_is_no_tunnel():
    frame = one(ETH, ip(), UDP, GENEVE | {"version": "1"})
    assert frame.reading.tunnels == ()
    assert frame.reading.inner == OUTER


def test_tunnel_that_holds_arp_leaves_the_outer_header_innermost():
    frame = one(ETH, ip(), UDP, VXLAN, ETH, ARP)
    assert [t.kind for t in frame.reading.tunnels] == ["vxlan"]
    assert frame.reading.inner == OUTER


def test_nested_tunnels_come_outermost_first():
    second = VXLAN | {"vni": "8"}
    layers = (ETH, ip(), UDP, VXLAN, ETH, ip("10.0.0.1", "10.0.0.2"), UDP, second, ETH, ARP)
    frame = one(*layers)
    assert [(t.vni, t.source) for t in frame.reading.tunnels] == [(7, "192.0.2.1"), (8, "10.0.0.1")]
    assert frame.reading.inner.source == "10.0.0.1"


def test_group_policy_counts_only_where_its_flag_is_set():
    frame = one(ETH, ip(), UDP, VXLAN, ETH)
    assert frame.reading.tunnels[0].flags == {"group_id": None}
    policy = VXLAN | {"flag_g": "1", "flag_a": "1", "flag_d": "0"}
    (tunnel,) = one(ETH, ip(), UDP, policy, ETH).reading.tunnels
    assert tunnel.flags == {"group_id": 3, "policy_applied": 1, "dont_learn": 0}


def test_layers_are_listed_by_the_contracts_names():
    vlan = {"L": "vlan", "id": "5"}
    frame = one(ETH, vlan, ip(), UDP, VXLAN, ETH, ipv6(nxt="6"), TCP, {"L": "tls"})
    names = ("ethernet", "vlan", "ipv4", "udp", "vxlan", "ethernet", "ipv6", "tcp")
    assert frame.reading.layers == Beginning(names)
    sll = {"L": "sll", "etype": "0x0800"}
    assert one(sll, ARP).reading.layers == Beginning(("sll", "arp"))
    assert one(sll | {"ifindex": "3"}, ARP).reading.layers == Beginning(("sll2", "arp"))
    assert one({"L": "raw"}, ip(), ICMP).reading.layers == Beginning(("raw", "ipv4", "icmp"))


def test_header_that_did_not_fit_is_not_listed():
    ports_only = {"L": "udp", "srcport": "40000", "dstport": "53"}
    frame = one(ETH, ip(), ports_only)
    assert frame.reading.layers == Beginning(("ethernet", "ipv4"))
    assert frame.reading.inner == OUTER
    cut = {"L": "vxlan", "flags": "0x0800", "flag_g": "0"}
    frame = one(ETH, ip(), UDP, cut)
    assert frame.reading.layers == Beginning(("ethernet", "ipv4", "udp"))
    assert frame.reading.tunnels == ()
    assert one({"L": "raw"}).reading.layers == Beginning(())


def test_vxlan_gpe_is_found_though_its_name_is_missing():
    gpe = {"L": "vxlan", "next_proto": "1", "vni": "9"}
    layers = (ETH, ip(), UDP, gpe, ip("10.0.0.1", "10.0.0.2"), UDP)
    frame = one(*layers, protocols="eth:ethertype:ip:udp:ip:udp:data")
    assert [(t.kind, t.vni) for t in frame.reading.tunnels] == [("vxlan-gpe", 9)]
    assert frame.reading.tunnels[0].flags == {"next_protocol": 1}
    assert frame.reading.inner.source == "10.0.0.1"


def test_link_headers_inside_count_as_overhead():
    vlan = {"L": "vlan", "id": "5"}
    frame = one(ETH, ip(hdr_len="24"), UDP, VXLAN, ETH, vlan, ip(), UDP)
    assert frame.reading.tunnels[0].overhead_bytes == 24 + 8 + 8 + 14 + 4
    frame = one(ETH, ipv6(), UDP, VXLAN, ETH, ip(), UDP)
    assert frame.reading.tunnels[0].overhead_bytes == 40 + 8 + 8 + 14


def test_inner_ethernet_that_did_not_fit_counts_nothing():
    frame = one(ETH, ip(), UDP, GENEVE, protocols="eth:ethertype:ip:udp:geneve:eth")
    assert frame.reading.tunnels[0].overhead_bytes == 20 + 8 + 8 + 8


def test_header_that_the_dissector_did_not_accept_is_none():
    assert one(ETH, {"L": "ip"}).reading.inner is None
    cut = one(ETH, ip(), UDP, VXLAN, ETH, {"L": "ip", "hdr_len": "60"})
    assert cut.reading.inner == OUTER


def test_later_fragment_is_described_as_itself():
    fragment = ip(frag_offset="185", flags__mf="0")
    frame = one(ETH, fragment, UDP, VXLAN, ETH, ip("10.0.0.1", "10.0.0.2"), UDP)
    assert frame.reading.tunnels == ()
    assert frame.reading.inner == inner("192.0.2.1", "192.0.2.2", 17)
    assert frame.skipped_at is None


def test_first_fragment_takes_its_ports_from_the_frame_that_completes_it():
    first = record(1, ETH, ip(flags__mf="1"), protocols="eth:ethertype:ip:data")
    last = record(2, ETH, ip(frag_offset="185"), UDP)
    assert expect(first, last).frames[0].reading.inner == OUTER


def test_first_fragment_too_short_for_its_transport_header_has_no_ports():
    first = record(1, ETH, ip(flags__mf="1", len="27"), protocols="eth:ethertype:ip:data")
    last = record(2, ETH, ip(frag_offset="1"), UDP)
    reading = expect(first, last).frames[0].reading
    assert reading.inner == inner("192.0.2.1", "192.0.2.2", 17)


def test_first_fragment_that_is_never_completed_leaves_the_truth_silent():
    frame = one(ETH, ip(flags__mf="1"), protocols="eth:ethertype:ip:data")
    assert isinstance(frame.reading.inner.source_port, Silent)
    assert frame.skipped_at == "datagram never completed"


def test_protocol_behind_ipv6_extension_headers_is_the_next_layers():
    protocols = "eth:ethertype:ipv6:ipv6.hopopts:udp"
    frame = one(ETH, ipv6(nxt="0"), UDP, protocols=protocols)
    assert frame.reading.inner.protocol == 17
    frame = one(ETH, ipv6(nxt="44", fraghdr__offset="0"), protocols="eth:ethertype:ipv6:data")
    assert isinstance(frame.reading.inner.protocol, Silent)


@pytest.mark.parametrize(
    ("layers", "protocols", "skipped_at"),
    [
        ((ETH, {"L": "pppoes"}, {"L": "ppp"}, ip(), UDP), None, "pppoes"),
        ((ETH, {"L": "vlan"}, ip(), UDP), "eth:ethertype:vntag:ethertype:vlan:ip:udp", "vntag"),
        (({"L": "ppp"}, ip(), UDP), None, "link type: ppp"),
        ((ip(), UDP), "ipoib:ip:udp", "link type: ipoib"),
    ],
)
def test_frame_is_compared_down_to_a_layer_that_is_not_decoded(layers, protocols, skipped_at):
    frame = one(*layers, protocols=protocols)
    assert frame.skipped_at == skipped_at
    source = None if frame.reading.inner is None else frame.reading.inner.source
    assert source in (None, "192.0.2.1", "2001:db8::1")
    assert frame.reading.tunnels == ()


@pytest.mark.parametrize(
    ("above", "layers", "skipped_at"),
    [
        (({"L": "udpencap"}, {"L": "esp"}), ("udp", "esp"), None),
        (({"L": "udpencap"}, {"L": "isakmp"}), ("udp",), None),
        (({"L": "wg"},), ("udp", "wireguard"), None),
        (({"L": "teredo"}, ipv6(), UDP), ("udp",), "teredo"),
        (({"L": "gtp", "flags": "0x32", "message": "0x01"},), ("udp",), None),
        (({"L": "dns"},), ("udp",), None),
    ],
)
def test_what_udp_carries(above, layers, skipped_at):
    udp = UDP | {"dstport": "2152"}
    frame = one(ETH, ip(), udp, *above)
    assert frame.skipped_at == skipped_at
    assert frame.reading.layers == Beginning(("ethernet", "ipv4", *layers))
    assert frame.reading.inner.destination_port == 2152
    assert frame.reading.tunnels == ()


def test_an_authentication_header_is_read_through():
    frame = one(ETH, ipv6(nxt="51"), UDP, protocols="eth:ethertype:ipv6:ah:udp")
    assert frame.reading.layers == Beginning(("ethernet", "ipv6", "ah", "udp"))
    assert frame.reading.inner.protocol == 51
    frame = one(ETH, ip(proto="51"), {"L": "ah"}, ip("10.0.0.1", "10.0.0.2"), UDP)
    (tunnel,) = frame.reading.tunnels
    assert isinstance(tunnel.overhead_bytes, Silent)


def test_macsec_is_read_through():
    frame = one(ETH, {"L": "macsec", "TCI.SC": "1"}, ip(), UDP)
    assert frame.reading.layers == Beginning(("ethernet", "macsec", "ipv4", "udp"))


def test_tunnel_down_to_a_layer_that_is_not_decoded_is_compared():
    inside = ip("10.0.0.1", "10.0.0.2", proto="50"), {"L": "ipcomp"}
    frame = one(ETH, ip(), UDP, VXLAN, ETH, *inside)
    assert frame.skipped_at == "ipcomp"
    assert [t.vni for t in frame.reading.tunnels] == [7]
    assert frame.reading.inner == inner("10.0.0.1", "10.0.0.2", 50)


def test_gre_and_gtp_u_are_tunnels():
    gre = {"L": "gre", "flags_and_version": "0x2000", "proto": "0x0800", "key": "0x00000005"}
    frame = one(ETH, ip(proto="47"), gre, ip("10.0.0.1", "10.0.0.2"), UDP)
    (tunnel,) = frame.reading.tunnels
    assert (tunnel.kind, tunnel.source_port, tunnel.overhead_bytes) == ("gre", None, 28)
    assert tunnel.flags == {"key": 5}
    assert frame.reading.inner == inner("10.0.0.1", "10.0.0.2", 17, 40000, 53)

    gtp = {"L": "gtp", "flags": "0x30", "message": "0xff", "teid": "0x00000001"}
    udp = UDP | {"dstport": "2152"}
    frame = one(ETH, ip(), udp, gtp, ip("10.0.0.1", "10.0.0.2"), UDP)
    assert [(t.kind, t.flags) for t in frame.reading.tunnels] == [("gtpu", {"teid": 1})]
    assert frame.skipped_at is None


def test_ip_directly_in_ip_is_a_tunnel():
    frame = one(ETH, ip(proto="41"), ipv6(), UDP)
    assert [(t.kind, t.overhead_bytes) for t in frame.reading.tunnels] == [("ipip", 20)]
    assert frame.reading.inner.source == "2001:db8::1"


def test_nvgre_is_gre_with_a_key_around_ethernet():
    gre = {"L": "gre", "flags_and_version": "0x2000", "proto": "0x6558", "key": "0x00123456"}
    frame = one(ETH, ip(proto="47"), gre, ETH, ip("10.0.0.1", "10.0.0.2"), UDP)
    assert [(t.kind, t.vni) for t in frame.reading.tunnels] == [("nvgre", 0x1234)]
