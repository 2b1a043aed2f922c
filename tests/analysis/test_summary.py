# SPDX-License-Identifier: Apache-2.0
"""What the contract says of `genevecap inspect`, statement by statement, on frames made by hand."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from genevecap.analysis.findings import rules
from genevecap.analysis.redirects import MOST_KEPT, SynSightings
from genevecap.analysis.summary import TOP_FLOWS, inspect
from genevecap.capture.spec import CaptureSpec
from genevecap.cli.main import main
from genevecap.columns import DecodedBatch, FrameBatch
from tests.build import packets as p
from tests.build.captures import LITTLE, NANOSECONDS, pcap, pcap_header, pcap_record

OVN = p.geneve_option(0x0102, 0x80, bytes(4))
GWLB = b"".join(p.geneve_option(0x0108, kind, bytes(size)) for kind, size in
                ((1, 8), (2, 8), (3, 4)))  # fmt: skip


def inner(**changes):
    """An Ethernet frame of a workload."""
    return p.ethernet(p.ipv4(p.tcp(b"x" * 10, **changes), 6, "10.1.0.1", "10.1.0.2"))


def geneve(payload=None, vni=5, port=6081, **header):
    payload = inner() if payload is None else payload
    return p.udp(p.geneve(payload, vni, **header), 50000, port, check=0xBEEF)


def vxlan(payload=None, vni=5, port=4789):
    return p.udp(p.vxlan(inner() if payload is None else payload, vni), 50000, port)


def over4(datagram, **changes):
    return p.ethernet(p.ipv4(datagram, 17, "172.16.0.1", "172.16.0.2", **changes))


def over6(datagram):
    return p.ethernet(p.ipv6(datagram, 17, "fd00::1", "fd00::2"), 0x86DD)


def write(folder, *frames, name="a.pcap"):
    path = folder / name
    path.write_bytes(pcap(*frames, magic=NANOSECONDS))
    return str(path)


def summary(*paths):
    return inspect([CaptureSpec.parse(path) for path in paths])


def document(*arguments):
    result = CliRunner().invoke(main, ["inspect", "--format", "json", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- overhead -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "overhead"),
    [
        (over4(vxlan()), 50),
        (over6(vxlan()), 70),
        (over4(geneve()), 50),
        (over4(geneve(options=OVN, critical=1)), 58),
        (over4(geneve(p.ipv4(p.tcp(), 6), protocol=0x0800, options=GWLB)), 68),
        (over4(geneve(p.ipv6(p.tcp(), 6), protocol=0x86DD)), 36),
        (over4(vxlan(), options=bytes(8)), 58),
        (over4(vxlan(p.ethernet(p.vlan(p.ipv4(p.tcp(), 6)), 0x8100))), 54),
        (over4(vxlan(p.ethernet(p.vlan(p.vlan(p.ipv4(p.tcp(), 6)), 0x8100), 0x88A8))), 58),
        (over4(vxlan(p.ethernet(p.arp(), 0x0806))), 50),
        (p.ethernet(p.vlan(p.ipv4(vxlan())), 0x8100), 50),
        (p.ethernet(p.ipv4(p.udp(p.vxlan_gpe(p.ipv4(p.tcp(), 6), next_protocol=1), 1, 4790))), 36),
    ],
    ids=[
        "vxlan", "vxlan over IPv6", "geneve", "OVN", "AWS GWLB", "geneve of IPv6", "IPv4 options",
        "inner tag", "two inner tags", "ARP", "outer tag", "GPE",
    ],
)  # fmt: skip
def test_overhead_is_from_the_outer_ip_header_to_the_next_network_header(tmp_path, frame, overhead):
    (tunnel,) = summary(write(tmp_path, frame, frame)).tunnels
    assert (tunnel.packets, tunnel.overhead_bytes) == (2, 2 * overhead)


def test_overhead_of_nested_tunnels_is_each_levels_own(tmp_path):
    middle = p.ethernet(p.ipv4(vxlan(), 17, "192.168.0.1", "192.168.0.2"))
    outer = over4(geneve(middle, vni=9, options=OVN, critical=1))
    result = summary(write(tmp_path, outer))
    assert [
        (t.kind, t.vni, t.source, t.destination, t.port, t.depth, t.overhead_bytes)
        for t in result.tunnels
    ] == [
        ("geneve", 9, "172.16.0.1", "172.16.0.2", 6081, 0, 58),
        ("vxlan", 5, "192.168.0.1", "192.168.0.2", 4789, 1, 50),
    ]
    assert {t.wire_bytes for t in result.tunnels} == {len(outer)}


# --- tunnels, options, flows ----------------------------------------------------------------------


def test_a_packet_at_three_points_counts_three_times(tmp_path):
    octets = LITTLE.section() + b"".join(LITTLE.interface(name=f"if{i}") for i in range(3))
    octets += b"".join(LITTLE.packet(over4(vxlan()), interface=i) for i in range(3))
    path = tmp_path / "three.pcapng"
    path.write_bytes(octets)
    (tunnel,) = summary(str(path)).tunnels
    assert (tunnel.packets, tunnel.inner_flows) == (3, 1)


def test_each_direction_is_a_row(tmp_path):
    answer = p.ethernet(p.ipv4(vxlan(), 17, "172.16.0.2", "172.16.0.1"))
    result = summary(write(tmp_path, over4(vxlan()), answer, answer))
    assert [(t.source, t.packets) for t in result.tunnels] == [("172.16.0.2", 2), ("172.16.0.1", 1)]


def test_rows_differ_by_vni_and_by_port(tmp_path):
    frames = [over4(vxlan(vni=vni, port=port)) for vni in (1, 2) for port in (4789, 8472)]
    assert len(summary(write(tmp_path, *frames)).tunnels) == 4


def test_inner_flows_are_one_way_5_tuples(tmp_path):
    frames = [over4(vxlan(inner(source_port=port))) for port in (1, 2, 3, 1)]
    back = p.ethernet(p.ipv4(p.tcp(), 6, "10.1.0.2", "10.1.0.1"))
    (tunnel,) = summary(write(tmp_path, *frames, over4(vxlan(back)))).tunnels
    assert tunnel.inner_flows == 4


def test_wire_bytes_are_the_original_length(tmp_path):
    frame = over4(vxlan())
    path = tmp_path / "short.pcap"
    path.write_bytes(pcap_header() + pcap_record(frame[:60], original=65_000))
    result = summary(str(path))
    assert result.tunnels[0].wire_bytes == 65_000
    assert (result.captures[0].captured_bytes, result.captures[0].wire_bytes) == (60, 65_000)


def test_times_are_the_first_and_last_whatever_the_order(tmp_path):
    octets = LITTLE.section() + LITTLE.interface(resolution=9)
    for time_ns in (50, 10, 1_700_000_000_000_000_001, 30):
        octets += LITTLE.packet(over4(vxlan()), units=time_ns)
    path = tmp_path / "times.pcapng"
    path.write_bytes(octets)
    result = summary(str(path))
    (tunnel,), (capture,) = result.tunnels, result.captures
    assert (tunnel.first_ns, tunnel.last_ns) == (10, 1_700_000_000_000_000_001)
    assert (capture.first_ns, capture.last_ns) == (10, 1_700_000_000_000_000_001)


def test_packets_without_times_have_null_times(tmp_path):
    path = tmp_path / "simple.pcapng"
    path.write_bytes(LITTLE.section() + LITTLE.interface() + LITTLE.simple(over4(vxlan())))
    answer = document(str(path))
    assert answer["tunnels"][0]["first_ns"] is answer["tunnels"][0]["last_ns"] is None
    assert answer["captures"][0]["first_ns"] is None
    assert "C01" not in {finding["code"] for finding in answer["findings"]}


def test_options_are_by_class_type_and_size(tmp_path):
    three = OVN + OVN + p.geneve_option(0x0102, 0x80, bytes(8))
    frames = [over4(geneve(options=three, critical=1)), over4(geneve(options=OVN, critical=1))]
    options = document(write(tmp_path, *frames))["options"]
    assert [(o["class"], o["type"], o["data_bytes"], o["packets"], o["occurrences"], o["critical"])
            for o in options] == [
        (0x0102, 0x80, 4, 2, 3, True),
        (0x0102, 0x80, 8, 1, 1, True),
    ]  # fmt: skip
    assert options[0]["class_name"].startswith("Open Virtual Networking")
    assert options[1]["name"] is None


def test_top_flows_are_the_largest(tmp_path):
    frames = []
    for number in range(TOP_FLOWS + 5):
        frames += [over4(vxlan(inner(source_port=1000 + number)))] * (number + 1)
    result = summary(write(tmp_path, *frames))
    assert result.flows == TOP_FLOWS + 5
    assert [(f.source_port, f.packets) for f in result.top_flows] == [
        (1000 + n, n + 1) for n in range(TOP_FLOWS + 4, 4, -1)
    ]
    assert {(f.vni, f.protocol, f.destination_port) for f in result.top_flows} == {(5, "tcp", 80)}


def test_a_flow_outside_tunnels_has_no_vni_and_one_without_ports_none(tmp_path):
    frame = p.ethernet(p.ipv4(bytes(8), 1))
    (flow,) = document(write(tmp_path, frame))["top_flows"]
    assert (flow["vni"], flow["source_port"], flow["destination_port"]) == (None, None, None)
    assert flow["protocol"] == "icmp"


def test_arp_in_a_tunnel_has_the_outer_header_as_inner(tmp_path):
    frame = over4(vxlan(p.ethernet(p.arp(), 0x0806)))
    result = summary(write(tmp_path, frame))
    assert result.tunnels[0].inner_flows == 1
    assert [(f.source, f.protocol, f.destination_port) for f in result.top_flows] == [
        ("172.16.0.1", "udp", 4789)
    ]


# --- stops, findings, captures --------------------------------------------------------------------


def test_every_packet_stops_one_way(tmp_path):
    octets = pcap_header() + b"".join(
        (
            pcap_record(over4(vxlan())),
            pcap_record(over4(vxlan())[:40], original=200),
            pcap_record(over4(b"", total_length=10)),
            pcap_record(p.ethernet(b"", 0x88CC)),
            pcap_record(p.ethernet(p.ipv4(bytes(8), 17, fragment_offset=80))),
        )
    )
    path = tmp_path / "stops.pcap"
    path.write_bytes(octets)
    answer = document(str(path))
    assert answer["stops"] == {
        "complete": 1, "truncated": 1, "malformed": 1, "unsupported": 1, "too_deep": 0,
        "fragment": 1,
    }  # fmt: skip
    assert answer["captures"][0]["packets"] == 5


def test_what_hides_its_payload_is_complete_and_counted_by_layer(tmp_path):
    esp = p.ethernet(p.ipv4(p.esp(b"\xaa" * 20), 50))
    wireguard = p.ethernet(p.ipv4(p.udp(p.wireguard(b"\xaa" * 28), 51820, 51820)))
    macsec = p.ethernet(bytes.fromhex("0c0000000001") + bytes(40), 0x88E5)
    path = write(tmp_path, esp, esp, wireguard, macsec, inner(), name="hidden.pcap")
    result = summary(path)
    assert result.stops.complete == 5
    assert {(count.stop, count.layer, count.packets) for count in result.stop_layers} == {
        ("complete", "esp", 2),
        ("complete", "wireguard", 1),
        ("complete", "macsec", 1),
    }
    text = CliRunner().invoke(main, ["inspect", str(path)]).stdout
    assert "4 of 5 packets" in text
    assert text.count("protected: what is inside is encrypted") == 3


def test_findings_say_how_many_and_where_first(tmp_path):
    good, bad = over4(vxlan()), over4(p.udp(p.vxlan(inner(), flags=0), 50000, 4789))
    path = write(tmp_path, *([good, bad] * 10))
    finding, plain = document(path)["findings"]
    assert plain["code"] == "U01"
    assert (finding["code"], finding["severity"], finding["packets"]) == ("V01", "error", 10)
    assert finding["frames"] == [{"capture": path, "frame": n} for n in (2, 4, 6, 8, 10)]
    assert finding["display_filter"] == rules()["V01"].display_filter


def test_findings_are_ordered_by_severity(tmp_path):
    control, version = over4(geneve(oam=1)), over4(geneve(version=1))
    reserved = over4(geneve(reserved=1))
    codes = [f.code for f in summary(write(tmp_path, control, control, reserved, version)).findings]
    assert codes == ["G01", "U01", "G08", "G09"]


def test_captures_are_counted_side_by_side(tmp_path):
    one = write(tmp_path, over4(vxlan()), name="one.pcap")
    two = write(tmp_path, over4(vxlan()), over4(geneve()), name="two.pcap")
    answer = document(one, f"b={two}")
    assert [(c["path"], c["packets"]) for c in answer["captures"]] == [(one, 1), (two, 2)]
    assert [c["points"][0]["name"] for c in answer["captures"]] == ["one", "b"]
    assert [(t["kind"], t["packets"]) for t in answer["tunnels"]] == [("vxlan", 2), ("geneve", 1)]


def test_an_empty_capture_is_an_answer(tmp_path):
    answer = document(write(tmp_path))
    assert answer["schema"] == "genevecap/inspect/1"
    assert answer["captures"][0]["packets"] == 0
    assert answer["tunnels"] == answer["options"] == answer["top_flows"] == answer["findings"] == []
    assert set(answer["stops"].values()) == {0}
    assert answer["ambient"] == {"mode": "none", "evidence": []}


def test_compiled_and_readable_tables_give_one_summary(samples, monkeypatch):
    paths = [str(path) for path in sorted(samples.glob("*.pcap*"))]
    compiled = summary(*paths)
    monkeypatch.setenv("GENEVECAP_DISABLE_KERNELS", "1")
    assert summary(*paths) == compiled


# --- SYN sightings --------------------------------------------------------------------------------


def test_syn_sightings_are_bounded():
    frames, decoded, syns = FrameBatch(1), DecodedBatch(1), SynSightings()
    decoded.inner_version[0], decoded.link_destination[0] = 4, 1
    for number in range(MOST_KEPT + 1_000):
        decoded.tcp_sequence[0] = number
        syns.update(frames, decoded, [0])
    assert len(syns._seen) == MOST_KEPT
