# SPDX-License-Identifier: Apache-2.0
"""analysis/underlay: what tunnels show of the network that they cross, and when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from genevecap.analysis.summary import inspect
from genevecap.analysis.tables import SCATTERED_PACKETS
from genevecap.analysis.underlay import LEAST_FLOWS
from genevecap.capture.spec import CaptureSpec
from tests.build import packets as p
from tests.build.captures import pcap

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
CODES = ("U01", "U02", "U03", "U04", "U05")


def inner(port=9000, *, source_port=1000, payload=b"x", protocol="tcp"):
    """A packet of a workload in an Ethernet frame."""
    if protocol == "udp":
        octets, number = p.udp(payload, source_port, port), 17
    else:
        octets, number = p.tcp(payload, source_port=source_port, destination_port=port), 6
    return p.ethernet(p.ipv4(octets, number, "192.168.0.1", "192.168.0.2"))


def vxlan(frame, *, source=A, destination=B, source_port=50000, vni=7, port=4789):
    datagram = p.udp(p.vxlan(frame, vni), source_port, port)
    return p.ethernet(p.ipv4(datagram, 17, source, destination))


def geneve(frame, *, source=A, destination=B, source_port=50000, vni=7, options=b""):
    datagram = p.udp(p.geneve(frame, vni, 0x6558, options), source_port, 6081, check=0xBEEF)
    return p.ethernet(p.ipv4(datagram, 17, source, destination))


def esp(source=A, destination=B, sequence=1):
    payload = (5).to_bytes(4, "big") + sequence.to_bytes(4, "big") + bytes(range(40))
    return p.ethernet(p.ipv4(payload, 50, source, destination))


def findings(tmp_path: Path, *frames: bytes):
    """Return the findings about the underlay by code."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(*frames))
    result = inspect([CaptureSpec.parse(str(path))])
    return {found.code: found for found in result.findings if found.code in CODES}


# --- U01, U02: protection ------------------------------------------------------------------------


def test_plain_tunnels_say_what_was_readable(tmp_path):
    found = findings(
        tmp_path,
        vxlan(inner(9000)),
        vxlan(inner(53, protocol="udp")),
        vxlan(inner(80), source=B, destination=A),
        vxlan(inner(15008), vni=8),
    )
    assert list(found) == ["U01"]
    assert found["U01"].details == (
        f"vxlan VNI 7, {A} > {B}: tcp, dns readable",
        f"vxlan VNI 7, {B} > {A}: http readable",
    )
    assert found["U01"].packets == 3
    assert [each.frame for each in found["U01"].frames] == [1, 3]
    # Only where the same hosts have tunnels that are not meant, the VNI tells them apart.
    vni = "(geneve.vni == 7 || vxlan.vni == 7)"
    assert found["U01"].display_filter == (
        f"(ip.src == {A} && ip.dst == {B} && udp.dstport == 4789 && {vni}) || "
        f"(ip.src == {B} && ip.dst == {A} && udp.dstport == 4789)"
    )


def test_one_filter_for_all_tunnels_of_two_hosts(tmp_path):
    found = findings(tmp_path, *(vxlan(inner(9000), vni=vni) for vni in range(20)))
    assert found["U01"].display_filter == f"ip.src == {A} && ip.dst == {B} && udp.dstport == 4789"


@pytest.mark.parametrize("port", [15008, 443, 22, 6443])
def test_what_encrypts_itself_is_not_readable(port, tmp_path):
    assert findings(tmp_path, vxlan(inner(port)), geneve(inner(40000, source_port=port))) == {}


def test_neither_icmp_nor_arp_is_anyones_traffic(tmp_path):
    ping = p.ethernet(p.ipv4(p.icmp(), 1, "192.168.0.1", "192.168.0.2"))
    assert findings(tmp_path, vxlan(ping), vxlan(p.ethernet(p.arp(), 0x0806))) == {}


def test_istios_own_tunnels_never_leave_the_node(tmp_path):
    own = [geneve(inner(8080, source_port=port), vni=1001, source_port=683) for port in range(20)]
    assert findings(tmp_path, *own) == {}
    # With options it is somebody else's, whatever the VNI.
    option = p.geneve_option(0x0102, 0, bytes(4))
    assert "U01" in findings(tmp_path, geneve(inner(8080), vni=1001, options=option))


def test_loopback_is_no_network(tmp_path):
    assert findings(tmp_path, vxlan(inner(), source="127.0.0.1", destination="127.0.0.1")) == {}


def test_what_was_decrypted_here_was_encrypted_on_the_way(tmp_path):
    """A receiver's capture has each packet twice: as it came, and after decryption."""
    found = findings(tmp_path, esp(), vxlan(inner()), esp(), vxlan(inner()))
    assert list(found) == ["U02"]
    assert found["U02"].packets == 2
    assert found["U02"].details == (f"{A} > {B}: esp, 2 packets",)
    assert [at.frame for at in found["U02"].frames] == [1, 3]


def test_ike_on_the_same_ports_is_not_told_to_be_hidden(tmp_path):
    """RFC 3948 section 2.2: four octets of 0 are the mark of IKE."""
    hidden = p.udp((5).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes(40), 4500, 4500)
    ike = p.udp(bytes(4) + bytes(28), 4500, 4500)
    frames = [p.ethernet(p.ipv4(octets, 17, A, B)) for octets in (hidden, ike)]
    found = findings(tmp_path, *frames)
    assert found["U02"].packets == 1
    assert found["U02"].details == (f"{A} > {B}: esp, up to 2 packets",)


def test_hosts_are_named_layer_by_layer(tmp_path):
    """However many WireGuard tunnels there are with more packets."""
    data = p.wireguard(bytes(44))
    guarded = [
        p.ethernet(p.ipv4(p.udp(data, 51820, 51820), 17, A, f"10.0.1.{n}")) for n in range(1, 26)
    ]
    found = findings(tmp_path, *guarded * 2, esp())
    assert f"{A} > {B}: esp, 1 packet" in found["U02"].details
    assert found["U02"].details[-1] == "and 15 more"
    assert found["U02"].packets == 51


def test_a_tunnel_beside_the_encryption_is_in_the_clear(tmp_path):
    found = findings(tmp_path, esp(), vxlan(inner()), vxlan(inner()))
    assert found["U01"].packets == 2
    assert findings(tmp_path, esp(B, A), vxlan(inner()))["U01"].packets == 1


def test_macsec_and_wireguard_hide_too(tmp_path):
    macsec = p.ethernet(bytes.fromhex("2c000000000100112233445566770001") + bytes(32), 0x88E5)
    data = bytes.fromhex("04000000 00000001 0000000000000000") + bytes(16)
    wireguard = p.ethernet(p.ipv4(p.udp(data, 51820, 51820), 17, A, B))
    found = findings(tmp_path, macsec, wireguard)
    assert set(found) == {"U02"}
    assert found["U02"].packets == 2
    assert set(found["U02"].details) == {"macsec, 1 packet", f"{A} > {B}: wireguard, 1 packet"}


# --- U03, U04: source ports ----------------------------------------------------------------------


def test_a_flow_whose_source_port_keeps_changing(tmp_path):
    frames = [vxlan(inner(15008), source_port=50000 + n % 4) for n in range(SCATTERED_PACKETS)]
    found = findings(tmp_path, *frames)
    assert found["U03"].packets == SCATTERED_PACKETS
    # The first one with another port than the one before.
    assert [at.frame for at in found["U03"].frames] == [2]
    assert found["U03"].details == (
        f"VNI 7, tcp 192.168.0.1:1000 > 192.168.0.2:15008: {SCATTERED_PACKETS} packets",
    )
    assert found["U03"].display_filter == (
        "(geneve.vni == 7 || vxlan.vni == 7) && ip.src == 192.168.0.1 && ip.dst == 192.168.0.2 && "
        "tcp.srcport == 1000 && tcp.dstport == 15008"
    )


def test_a_flow_may_change_its_source_port_now_and_then(tmp_path):
    """Linux does after a timeout; a SYN that is repeated has another port every time."""
    frames = [vxlan(inner(15008), source_port=50000 + n // 5) for n in range(100)]
    assert findings(tmp_path, *frames) == {}
    assert findings(tmp_path, *(vxlan(inner(15008), source_port=50000 + n) for n in range(7))) == {}


def test_flows_with_a_port_each(tmp_path):
    frames = [
        vxlan(inner(15008, source_port=1000 + n), source_port=50000 + n)
        for _ in range(40)
        for n in range(20)
    ]
    assert findings(tmp_path, *frames) == {}


def test_many_flows_from_one_source_port(tmp_path):
    flows = [inner(15008, source_port=1000 + n) for n in range(LEAST_FLOWS)]
    found = findings(tmp_path, *map(vxlan, flows))
    assert found["U04"].packets == LEAST_FLOWS
    assert found["U04"].details == (f"vxlan VNI 7, {A} > {B}: {LEAST_FLOWS} flows from port 50000",)
    assert findings(tmp_path, *map(vxlan, flows[1:])) == {}
    assert findings(tmp_path, *map(vxlan, flows), vxlan(flows[0], source_port=50001)) == {}


def test_one_flow_has_one_source_port(tmp_path):
    assert findings(tmp_path, *[vxlan(inner(15008))] * 100) == {}


def test_of_nested_tunnels_the_outermost_is_looked_at(tmp_path):
    numbers = range(SCATTERED_PACKETS)
    outside = [vxlan(geneve(inner(15008)), source_port=50000 + n) for n in numbers]
    found = findings(tmp_path, *outside)
    assert list(found) == ["U03"]
    assert (found["U03"].packets, found["U03"].frames[0].frame) == (SCATTERED_PACKETS, 2)
    inside = [vxlan(geneve(inner(15008), source_port=50000 + n)) for n in numbers]
    assert findings(tmp_path, *inside) == {}
    found = findings(tmp_path, *(vxlan(geneve(inner(15008)), source=each) for each in (A, C, A)))
    assert list(found) == ["U05"]
    assert found["U05"].packets == 2


# --- U05: endpoints ------------------------------------------------------------------------------


def sent_by(*senders, vni=7):
    return [vxlan(inner(15008), source=sender, destination=B, vni=vni) for sender in senders]


def test_two_endpoints_send_one_flow_in_turn(tmp_path):
    found = findings(tmp_path, *sent_by(A, C, A, A, C))
    assert found["U05"].packets == 3
    assert found["U05"].details == (f"VNI 7: {A} and {C}",)
    assert found["U05"].frames[0].frame == 2
    assert found["U05"].display_filter == (
        f"(geneve.vni == 7 || vxlan.vni == 7) && (ip.src == {A} || ip.src == {C})"
    )


def test_a_workload_moves_once(tmp_path):
    assert findings(tmp_path, *sent_by(A, A, C, C)) == {}


def test_two_workloads_that_change_places_move_once_each(tmp_path):
    def sent(source_port, *senders):
        return [vxlan(inner(15008, source_port=source_port), source=each) for each in senders]

    frames = [*sent(1, A, A, C, C), *sent(2, C, C, A, A)]
    assert findings(tmp_path, *frames) == {}
    found = findings(tmp_path, *frames, *sent(1, A))
    assert found["U05"].packets == 3


def test_the_same_addresses_in_another_vni_are_another_workload(tmp_path):
    frames = [*sent_by(A, vni=7), *sent_by(C, vni=8)] * 3
    assert findings(tmp_path, *frames) == {}


def test_many_endpoints_of_a_vni_are_normal(tmp_path):
    """Floods go to every endpoint, and each endpoint has its own workloads."""
    frames = [vxlan(inner(15008), source=A, destination=each) for each in (B, C, B, C)]
    frames += [vxlan(inner(15008, source_port=n), source=f"10.0.0.{n}") for n in range(3, 9)] * 2
    assert findings(tmp_path, *frames) == {}


def test_a_packet_that_is_passed_on_is_not_sent_twice(tmp_path):
    onward = [vxlan(inner(15008), source=A, destination=B)]
    onward += [vxlan(inner(15008), source=B, destination=C)]
    assert findings(tmp_path, *onward * 3) == {}
