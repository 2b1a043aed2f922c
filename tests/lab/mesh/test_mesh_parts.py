# SPDX-License-Identifier: Apache-2.0
"""The parts of the mesh that need neither root nor a network."""

from __future__ import annotations

import itertools
import json
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.mesh import checks, proxies, record, underlays, wire, workload
from tests.lab.mesh.modes import ebpf, geneve_devices, geneve_tap, in_pod, iptables_geneve
from tests.lab.mesh.scenario import MODES, UNDERLAYS, VARIANTS, scenario
from tests.lab.mesh.sightings import Sighting
from tests.lab.mesh.topology import CLIENT, ZTUNNEL_A, Mesh
from tests.lab.namespaces import LabError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "lab"
COMBINATIONS = list(itertools.product(MODES, UNDERLAYS, VARIANTS))
NO_OFFLOAD = bytes(10)

# 10.244.1.4:40000 > 10.244.2.5:15008, sequence 7, five octets of payload.
ETHERNET = bytes.fromhex("020af401ff04 020af4010004 0800")
TCP = struct.pack("!HHIIBBHHH", 40000, 15008, 7, 0, 0x50, 0x18, 0, 0, 0) + b"hello"


def ipv4(protocol: int, payload: bytes, source="0af40104", target="0af40205") -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return head + bytes.fromhex(source + target) + payload


def udp(port: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", 50000, port, 8 + len(payload), 0) + payload


SEGMENT = ETHERNET + ipv4(6, TCP)
VXLAN = ETHERNET + ipv4(17, udp(8472, bytes.fromhex("0800000000000100") + SEGMENT))
GENEVE_HEADER = bytes.fromhex("0240 6558 000005 00 0102 80 01 00010002")
GENEVE = ETHERNET + ipv4(17, udp(6081, GENEVE_HEADER + SEGMENT))
IPV6 = (
    bytes.fromhex("020af401ff04 020af4010004 86dd 60000000 0019 06 40")
    + bytes.fromhex("fd00001002440001 0000000000000004 fd00001002440002 0000000000000005")
    + TCP
)


def built(mode, underlay, variant):
    try:
        return scenario(mode, underlay, variant)
    except ValueError:
        return None


ALL = [found for one in COMBINATIONS if (found := built(*one))]
each_run = pytest.mark.parametrize(
    "chosen", ALL, ids=lambda one: f"{one.mode}-{one.underlay}-{one.variant}"
)


# --- scenarios and topology -------------------------------------------------------------------


def test_every_mode_and_underlay_has_its_standard_run_and_every_variant_some_run():
    assert {(one.mode, one.underlay) for one in ALL if one.variant == "standard"} == set(
        itertools.product(MODES, UNDERLAYS)
    )
    assert {one.variant for one in ALL} == set(VARIANTS)


@pytest.mark.parametrize(
    ("mode", "underlay", "variant", "said"),
    [
        ("sidecar", "routed", "standard", "'sidecar' is none of in-pod, iptables-geneve, ebpf"),
        ("in-pod", "routed", "all-tunnelled", "exists in mode iptables-geneve only"),
        ("in-pod", "vxlan-4789", "ipv6", "exists on routed only"),
        ("in-pod", "routed", "loss+short+hail", "'hail' is none of standard, short"),
        ("in-pod", "routed", "clocks+ipv6+loss+reordering", "reordering changes forward and"),
    ],
)
def test_what_does_not_go_together_is_refused(mode, underlay, variant, said):
    with pytest.raises(ValueError, match=said):
        scenario(mode, underlay, variant)


def test_variants_can_be_joined():
    chosen = scenario("in-pod", variant="storm+clocks")
    assert (chosen.traffic, chosen.clock_b) == ("storm", VARIANTS["clocks"].changes["clock_b"])
    assert chosen.variant == "storm+clocks"


@each_run
def test_names_fit_and_files_are_distinct(chosen):
    places = record.interfaces(chosen)
    for names in places.values():
        assert len(set(names)) == len(names)
        assert all(0 < len(name) <= 15 for name in names)
    files = record.files(chosen)
    assert len(set(files)) == len(files)
    topology = chosen.mesh.topology()
    assert set(places) == {*topology.hosts, *topology.routers}


@pytest.mark.parametrize("family", [4, 6])
def test_macs_and_pod_addresses_are_unique(family):
    cables = Mesh(family=family).topology().cables
    macs = [end.mac for cable in cables for end in cable]
    assert len(set(macs)) == len(macs)
    pods = [cable[0].addresses for cable in cables if cable[0].addresses]
    assert len(set(pods)) == len(pods) == 7


@pytest.mark.parametrize("plan", workload.PLANS)
@pytest.mark.parametrize("family", [4, 6])
def test_plans_name_everything_once(plan, family):
    connections = workload.connections(plan, family)
    names = [one.name for one in connections]
    ids = [request.id for one in connections for request in one.requests]
    assert len(set(names)) == len(names)
    assert len(set(ids)) == len(ids)
    assert json.loads(json.dumps([one.instructions() for one in connections]))


# --- the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "packet_bytes"),
    [(SEGMENT, 45), (VXLAN, 95), (GENEVE, 103)],
    ids=["plain", "vxlan", "geneve"],
)
def test_the_wire_finds_the_segment_also_inside_tunnels(frame, packet_bytes):
    assert wire.parse(NO_OFFLOAD + frame) == wire.Frame(
        is_tcp=True, flow="10.244.1.4:40000 > 10.244.2.5:15008", sequence=7, payload_bytes=5,
        packet_bytes=packet_bytes,
    )  # fmt: skip


def test_the_wire_reads_ipv6():
    frame = wire.parse(NO_OFFLOAD + IPV6)
    assert frame.flow == "[fd00:10:244:1::4]:40000 > [fd00:10:244:2::5]:15008"
    assert (frame.payload_bytes, frame.packet_bytes) == (5, 65)


def test_a_super_packet_is_as_large_as_its_largest_segment():
    super_packet = struct.pack("=BBHHHH", 1, 1, 54, 1448, 34, 16) + ETHERNET
    super_packet += ipv4(6, TCP[:20] + bytes(9000))
    frame = wire.parse(super_packet)
    assert (frame.payload_bytes, frame.packet_bytes) == (9000, 1488)


@given(st.sampled_from([SEGMENT, VXLAN, GENEVE, IPV6]), st.integers(0, 200), st.binary(max_size=40))
def test_the_wire_reads_any_frame(frame, size_bytes, rest):
    wire.parse(NO_OFFLOAD + frame[:size_bytes] + rest)


def test_loss_and_reordering_hit_tcp_alone_and_the_same_every_time():
    settings = wire.Direction(delay_ms=5.0, loss=0.1, reorder=0.2, hold_ms=2.0)
    segment, other = wire.parse(NO_OFFLOAD + SEGMENT), wire.parse(NO_OFFLOAD + ETHERNET + b"arp")

    def fates(frame):
        chance = random.Random("1 0")
        return [wire.fate(settings, frame, chance) for _ in range(2000)]

    assert set(fates(other)) == {("pass", 5.0)}
    assert set(fates(segment)) == {("pass", 5.0), ("drop", 0.0), ("hold", 7.0)}
    assert fates(segment) == fates(segment)
    assert 120 < sum(what == "drop" for what, _ in fates(segment)) < 280
    assert 250 < sum(what == "hold" for what, _ in fates(segment)) < 470


def test_a_black_hole_swallows_by_size():
    settings = wire.Direction(largest_packet_bytes=45)
    fits = wire.parse(NO_OFFLOAD + SEGMENT)
    large = wire.parse(NO_OFFLOAD + VXLAN)
    chance = random.Random(1)
    assert wire.fate(settings, fits, chance)[0] == "pass"
    assert wire.fate(settings, large, chance)[0] == "drop"


def test_a_firewall_drops_one_way():
    settings = wire.Direction(blocked_port=15008)
    answer = ETHERNET + ipv4(6, struct.pack("!HH", 15008, 40000) + TCP[4:])
    chance = random.Random(1)
    assert wire.fate(settings, wire.parse(NO_OFFLOAD + VXLAN), chance)[0] == "drop"
    assert wire.fate(settings, wire.parse(NO_OFFLOAD + answer), chance)[0] == "pass"


# --- the Geneve endpoint ----------------------------------------------------------------------


def test_geneve_by_hand():
    packet = geneve_tap.encapsulate(SEGMENT, 1001, 6081, "10.244.1.1", "10.244.1.2")
    assert packet[:4] == bytes.fromhex("4500") + struct.pack("!H", 20 + 8 + 8 + len(SEGMENT))
    assert packet[8:10] == bytes([64, 17])
    assert packet[12:20] == bytes([10, 244, 1, 1, 10, 244, 1, 2])
    assert packet[22:24] == struct.pack("!H", 6081)
    assert packet[26:28] == b"\0\0"  # no UDP checksum
    assert packet[28:36] == bytes.fromhex("00006558 0003e9 00")  # RFC 8926 section 3.4
    assert geneve_tap.decapsulate(packet[28:]) == (1001, SEGMENT)


def test_a_flow_keeps_its_outer_source_port_and_another_has_another():
    more = ETHERNET + ipv4(6, TCP[:4] + bytes(16) + b"later")
    other = ETHERNET + ipv4(6, struct.pack("!H", 40001) + TCP[2:])
    assert geneve_tap.source_port(SEGMENT) == geneve_tap.source_port(more) >= 1024
    assert geneve_tap.source_port(SEGMENT) != geneve_tap.source_port(other)


@pytest.mark.parametrize(
    "datagram",
    [b"", bytes(7), bytes.fromhex("4000655800000100"), bytes.fromhex("0000080000000100")],
)
def test_what_is_not_geneve_over_ethernet_is_dropped(datagram):
    assert geneve_tap.decapsulate(datagram) is None


def test_options_are_skipped():
    assert geneve_tap.decapsulate(GENEVE_HEADER + SEGMENT) == (5, SEGMENT)


class FakeLab:
    """Notes what is asked of it; refuses what holds `refused`."""

    def __init__(self, refused: str = "", said: str = "") -> None:
        self.refused, self.said, self.commands = refused, said, []

    def run(self, namespace, *command, **rest):
        self.commands.append(" ".join(command))
        if self.refused and self.refused in self.commands[-1]:
            raise LabError(self.said)
        return ""


ENDPOINT = geneve_devices.Endpoint(
    namespace="node-a", local="10.244.1.1", remote="10.244.1.2", port=6082, mtu_bytes=1400,
    devices=(
        geneve_devices.Geneve(name="istioin", vni=1000, mac="02:6e:01:00:03:e8",
                              address="192.168.126.1/30"),
    ),
)  # fmt: skip


def test_the_kernels_geneve_devices_are_used_where_it_has_them(monkeypatch):
    monkeypatch.setattr(geneve_devices.programs, "start", None)
    lab = FakeLab()
    geneve_devices.add(lab, ENDPOINT)
    assert lab.commands == [
        (
            "ip link add istioin address 02:6e:01:00:03:e8 type geneve id 1000"
            " remote 10.244.1.2 dstport 6082 noudpcsum"
        ),
        "ip link set istioin mtu 1400",
        "ip address add 192.168.126.1/30 dev istioin",
        "ip link set istioin up",
    ]


def test_elsewhere_the_endpoint_in_user_space_is_started(monkeypatch):
    started = []
    monkeypatch.setattr(geneve_devices.programs, "start", lambda *told: started.append(told[3:]))
    geneve_devices.add(FakeLab("type geneve", "exit 2: Unknown device type."), ENDPOINT)
    assert started == [("6082", "10.244.1.1", "10.244.1.2", "istioin:1000:02:6e:01:00:03:e8")]


def test_another_failure_is_not_taken_for_a_kernel_without_geneve():
    with pytest.raises(LabError, match="File exists"):
        geneve_devices.add(FakeLab("type geneve", "exit 2: File exists"), ENDPOINT)


# --- redirect modes ---------------------------------------------------------------------------


def recorded_rules(name: str, namespace: str, chains: str) -> list[str]:
    script = SHARED / name / "setup.sh"
    if not script.exists():
        pytest.skip("the shared material is not beside the checkout")
    marker = f"ip netns exec {namespace} iptables -t "
    lines = [line.partition(marker)[2] for line in script.read_text().splitlines()]
    return [line.split(" -A ", 1)[1] for line in lines if f" -A {chains}" in line]


def test_rules_of_a_geneve_node_are_those_that_were_recorded():
    recorded = recorded_rules("iptables-geneve", "gl-nA", "ztunnel-")
    ours = iptables_geneve.node_rules(ZTUNNEL_A, (6081,))
    alike = [rule.replace("veth-ztunnel", "veth08baa690").replace("0x040", "0x40") for rule in ours]
    # The same tests; ours also have the rule for what the node itself sends.
    assert {frozenset(rule.split()) for rule in recorded} == {
        frozenset(rule.split()) for rule in alike if not rule.startswith("ztunnel-OUTPUT")
    }
    assert [r.split()[-1] for r in recorded if "PREROUTING" in r] == [
        r.split()[-1] for r in alike if "PREROUTING" in r
    ]


def test_rules_of_a_pod_are_those_that_were_recorded_with_the_real_ztunnel():
    recorded = {
        frozenset(rule.split()) for rule in recorded_rules("ztunnel-1.31", "gl-srv", "ISTIO_")
    }
    assert {frozenset(rule.split()) for _, rule in in_pod.rules(4)} == recorded


def test_broken_interception_lacks_the_redirection_and_nothing_else():
    whole, broken = in_pod.rules(4), in_pod.rules(4, outbound=False)
    missing = [rule for rule in whole if rule not in broken]
    assert [rule[1].split()[-1] for rule in missing] == ["15053", "15053", "15001"]
    assert whole[-1][1].endswith("-j REDIRECT --to-ports 15001")
    routes = iptables_geneve.node_routes(ZTUNNEL_A, (CLIENT,), tunnels=False)
    assert not any("istio" in route for route in routes)


def test_definitions_of_the_tc_programs():
    macros = ebpf.definitions(ZTUNNEL_A, (CLIENT,), {"veth-cli": 7, "veth-ztunnel": 9})
    assert macros == (
        "HOST_IP=0x0af40101",
        "ZTUNNEL_IFINDEX=9",
        "ZTUNNEL_MAC=0x02,0x0a,0xf4,0x01,0x00,0x02",
        "PODS(POD)=POD(0x0af40104,7,0x02,0x0a,0xf4,0x01,0x00,0x04)",
    )


def test_the_kernels_vxlan_port_is_kept_from_marking_what_it_unwraps():
    ports = (6081, *underlays.kernel_tunnel_ports("vxlan-8472"))
    rules = iptables_geneve.node_rules(ZTUNNEL_A, ports)
    exempt = rules.index("ztunnel-PREROUTING -p udp -m udp --dport 8472 -j RETURN")
    assert exempt < rules.index("ztunnel-PREROUTING -p udp -j MARK --set-mark 0x220/0x220")


def test_listening_ports():
    table = (
        "  sl  local_address rem_address   st tx_queue\n"
        "   0: 00000000:3A99 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000\n"
    )
    assert proxies.listening_ports(table) == {15001}


# --- checks -----------------------------------------------------------------------------------


SECOND_SYN = {Sighting("node-b", "veth-ztunnel"), Sighting("ztunnel-b", "eth0")}
"""Without Geneve, because the answer that was lost had marked the connection."""


@pytest.mark.parametrize(
    ("more", "lost", "fits"),
    [
        (set(), [], True),
        (SECOND_SYN, [], False),
        (SECOND_SYN, ["10.244.2.5:15008 > 10.244.1.4:2000"], True),
        (SECOND_SYN, ["10.244.1.4:2000 > 10.244.2.5:15008"], False),
        ({Sighting("plain", "eth0")}, ["10.244.2.5:15008 > 10.244.1.4:2000"], False),
    ],
)
def test_a_leg_is_seen_where_the_mode_puts_it_and_nowhere_else(more, lost, fits):
    flow = {
        "session_kind": "hbone", "name": "cli-001",
        "conn1": {"pod": "cli", "client": "10.244.1.4:1000", "dst": "10.244.2.5:8080"},
        "conn2": {"client": "10.244.1.4:2000", "dst": "10.244.2.5:15008"},
        "conn3": {"client": "10.244.1.4:3000", "dst": "10.244.2.5:8080"},
    }  # fmt: skip
    found = {
        "mode": "iptables-geneve", "family": 4, "addresses": {"srv": "10.244.2.5"},
        "flows": [flow], "wire_events": [{"event": "drop", "flow": one} for one in lost],
    }  # fmt: skip
    seen = {
        (flow[leg]["client"], flow[leg]["dst"]): checks.expected("iptables-geneve", leg, "cli")
        for leg in ("conn1", "conn2", "conn3")
    }
    seen["10.244.1.4:2000", "10.244.2.5:15008"] |= more
    if fits:
        checks.check_places(found, seen)
    else:
        with pytest.raises(AssertionError, match="15008"):
            checks.check_places(found, seen)
