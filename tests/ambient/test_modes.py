# SPDX-License-Identifier: Apache-2.0
"""Which redirect mode traffic shows: never one that is not there."""

from __future__ import annotations

import pytest

from genevecap.ambient import (
    SNAT_ADDRESSES,
    FlowSign,
    RedirectMode,
    Signs,
    ebpf,
    in_pod,
    iptables_geneve,
    modes,
    recognise,
)
from tests.build import packets as p

from .traffic import (
    ACK,
    CLIENT,
    MAC_BRIDGE,
    MAC_POD,
    MAC_ZTUNNEL,
    NODE,
    SERVER,
    SYN_ACK,
    ZTUNNEL,
    connection,
    hbone,
    in_tunnel,
    recognised,
)

OPTION = p.geneve_option(0x0102, 0x80, bytes(4))
SNAT_FOUR, SNAT_SIX = SNAT_ADDRESSES


def test_modes_are_those_of_the_contract():
    assert {name: mode.versions for name, mode in modes().items()} == {
        "ebpf": ebpf.Ebpf.versions,
        "in-pod": in_pod.InPod.versions,
        "iptables-geneve": iptables_geneve.IptablesGeneve.versions,
    }


def test_a_second_mode_of_one_name_is_refused():
    with pytest.raises(ValueError, match="redirect mode 'ebpf' is registered twice"):

        class Second(RedirectMode):
            name = "ebpf"
            versions = ""


def test_nothing_seen():
    assert recognise(Signs()) == ("none", ())


# --- iptables and Geneve --------------------------------------------------------------------------


@pytest.mark.parametrize("port", [6081, 6082, 6089])
@pytest.mark.parametrize(("vni", "device"), [(1001, "istioout"), (1000, "istioin")])
def test_iptables_geneve_by_vni_and_peers_on_any_port(tmp_path, vni, device, port):
    ambient = recognised(tmp_path, eth0=[in_tunnel(connection(), vni, port=port)])
    assert ambient.mode == "iptables-geneve"
    (line,) = ambient.evidence
    assert line.startswith(f"Geneve VNI {vni} without options, {NODE} to {ZTUNNEL}:{port}: ")
    assert line.endswith(f": 1 packets towards ztunnel ({device})")


def test_the_published_packets_of_one_connection(tmp_path):
    """AMBIENT's known answer: conn1's SYN at three points, conn2's at two, answers untunnelled."""
    conn1 = connection("10.244.1.4", "10.244.2.5", (53696, 8080), sequence=3988947338)
    conn2 = connection("10.244.1.4", "10.244.2.5", (49137, 15008), sequence=3352392907)
    answer = connection("10.244.2.5", "10.244.1.4", (15008, 49137), flags=SYN_ACK)
    ambient = recognised(
        tmp_path,
        pod=[conn1],
        istioout=[conn1],
        ztA=[in_tunnel(conn1, 1001, source="10.244.1.1", destination="10.244.1.2")],
        nodeA=[conn2],
        ztB=[in_tunnel(conn2, 1000, source="10.244.2.1", destination="10.244.2.3")],
        nodeB=[answer],
    )
    assert ambient.mode == "iptables-geneve"
    assert [line.split(",")[0] for line in ambient.evidence] == [
        "Geneve VNI 1000 without options",
        "Geneve VNI 1001 without options",
        "HBONE: 3 sightings of TCP port 15008 in 3 one-way flows",
    ]


@pytest.mark.parametrize("vni", [1000, 1001])
def test_an_underlay_with_options_is_not_istio(tmp_path, vni):
    ambient = recognised(tmp_path, eth0=[in_tunnel(connection(), vni, options=OPTION)])
    assert (ambient.mode, ambient.evidence) == ("none", ())


@pytest.mark.parametrize("others", [(5,), (999, 1002), (0, 2**24 - 1)])
def test_an_underlay_with_other_vnis_is_not_istio(tmp_path, others):
    """OVN numbers its networks as it likes, 1000 and 1001 among them."""
    tunnels = [in_tunnel(connection(), vni) for vni in (1000, 1001, *others)]
    assert recognised(tmp_path, eth0=tunnels).mode == "none"
    assert recognised(tmp_path, eth0=[*tunnels, hbone()]).mode == "unknown"


def test_an_underlay_beside_istio_hides_nothing(tmp_path):
    underlay = in_tunnel(
        hbone(), 1000, source="172.18.0.2", destination="172.18.0.3", options=OPTION
    )
    other = in_tunnel(hbone(), 7, source="172.18.0.2", destination="172.18.0.3")
    istio = in_tunnel(connection(), 1001, port=6082)
    assert recognised(tmp_path, eth0=[underlay, other], zt=[istio]).mode == "iptables-geneve"


@pytest.mark.parametrize("vni", [1000, 1001])
def test_vxlan_with_its_vnis_is_not_istio(tmp_path, vni):
    frame = in_tunnel(connection(), vni, kind="vxlan", port=4789)
    assert recognised(tmp_path, eth0=[frame]).mode == "none"


# --- eBPF -----------------------------------------------------------------------------------------


def test_ebpf_is_another_mac_at_the_same_ttl(tmp_path):
    ambient = recognised(
        tmp_path,
        veth1=[connection(mac=MAC_POD)],
        veth2=[connection(mac=MAC_ZTUNNEL), hbone()],
    )
    assert ambient.mode == "ebpf"
    assert ambient.evidence[0] == (
        "1 SYNs at two points with the same TTL and another destination MAC, no tunnel between: "
        "10.244.1.4:40000 to 10.244.2.5:8080 at traffic/veth1 (02:00:00:00:00:01) and "
        "traffic/veth2 (02:00:00:00:00:02)"
    )


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"mac": MAC_POD}, "a bridge forwards the frame as it is"),
        ({"mac": MAC_ZTUNNEL, "ttl": 63}, "a router rewrites the MAC and lowers the TTL"),
        ({"mac": MAC_ZTUNNEL, "sequence": 8}, "another connection on the same ports"),
        ({"mac": MAC_ZTUNNEL, "flags": ACK}, "not a SYN"),
        ({"mac": MAC_ZTUNNEL, "flags": SYN_ACK}, "an answer"),
        ({"mac": MAC_ZTUNNEL, "ports": (40002, 8080)}, "another connection"),
    ],
)
def test_what_is_not_ebpf_redirection(tmp_path, second, why):
    first = {key: value for key, value in second.items() if key == "flags"}
    ambient = recognised(
        tmp_path, veth1=[connection(mac=MAC_POD, **first)], veth2=[connection(**second), hbone()]
    )
    assert ambient.mode == "unknown", why


def test_a_mac_that_moves_at_one_point_is_not_redirection(tmp_path):
    frames = [connection(mac=MAC_POD), connection(mac=MAC_BRIDGE), hbone()]
    assert recognised(tmp_path, veth1=frames).mode == "unknown"


def test_a_mac_that_changes_without_hbone_is_no_ambient(tmp_path):
    """A gateway that changes hands, as with VRRP."""
    ambient = recognised(
        tmp_path, veth1=[connection(mac=MAC_POD)], veth2=[connection(mac=MAC_ZTUNNEL)]
    )
    assert ambient.mode == "none"


# --- in the pod -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "loopback"), [(CLIENT, "127.0.0.1"), ("fd00::4", "::1")], ids=["ipv4", "ipv6"]
)
def test_in_pod_by_the_redirection_on_lo(tmp_path, source, loopback):
    frame = connection(source, loopback, (40000, 15001), six=":" in source)
    ambient = recognised(tmp_path, lo=[frame])
    assert ambient.mode == "in-pod"
    assert ambient.evidence == (
        f"1 flows redirected to {loopback}:15001 inside a pod, the first from {source}",
    )


@pytest.mark.parametrize(
    ("source", "destination"),
    [(SNAT_FOUR, SERVER), (SERVER, SNAT_FOUR), (SNAT_SIX, "fd00::5")],
)
def test_in_pod_by_translated_probes(tmp_path, source, destination):
    frame = connection(source, destination, six=":" in source)
    ambient = recognised(tmp_path, veth=[frame])
    assert ambient.mode == "in-pod"
    assert f"({source} to {destination})" in ambient.evidence[0]


@pytest.mark.parametrize(
    "frame",
    [
        connection(CLIENT, SERVER, (40000, 15001)),
        connection(CLIENT, "127.0.0.1", (15001, 40000)),
        connection(CLIENT, "127.0.0.1", (40000, 15006)),
        connection("169.254.7.126", SERVER),
        p.ethernet(p.ipv4(p.udp(b"", 40000, 15001), 17, CLIENT, "127.0.0.1")),
    ],
    ids=["not lo", "from 15001", "inbound", "other link-local", "udp"],
)
def test_what_is_not_in_pod(tmp_path, frame):
    assert recognised(tmp_path, lo=[frame]).mode == "none"


# --- none, unknown, mixed -------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [hbone(), connection(SERVER, CLIENT, (15008, 40001))])
def test_hbone_alone_is_unknown(tmp_path, frame):
    ambient = recognised(tmp_path, eth0=[frame])
    assert ambient.mode == "unknown"
    assert ambient.evidence == ("HBONE: 1 sightings of TCP port 15008 in 1 one-way flows",)


def test_hbone_inside_an_underlay_is_hbone(tmp_path):
    frame = in_tunnel(hbone(), 1, kind="vxlan", port=8472)
    assert recognised(tmp_path, eth0=[frame]).mode == "unknown"


@pytest.mark.parametrize(
    "frame",
    [
        p.ethernet(p.ipv4(p.udp(b"", 40000, 15008))),
        connection(ports=(15008, 443)),
        connection(ports=(443, 15008)),
        connection(),
    ],
    ids=["udp", "client port", "its answer", "other port"],
)
def test_what_is_not_hbone(tmp_path, frame):
    assert recognised(tmp_path, eth0=[frame]).mode == "none"


def test_very_many_hbone_flows_are_counted_as_at_least(tmp_path):
    frames = [connection(ports=(2000 + i, 15008)) for i in range(1_200)]
    ambient = recognised(tmp_path, eth0=frames)
    assert ambient.evidence == (
        "HBONE: at least 1000 sightings of TCP port 15008 in at least 1000 one-way flows",
    )


def test_two_modes_are_mixed(tmp_path):
    ambient = recognised(
        tmp_path,
        lo=[connection(CLIENT, "127.0.0.1", (40000, 15001))],
        zt=[in_tunnel(connection(), 1001)],
    )
    assert ambient.mode == "mixed"
    assert len(ambient.evidence) == 2


def test_a_flow_without_ports_is_no_sign():
    flow = FlowSign(
        vni=None, source=CLIENT, destination=SERVER, source_port=None, destination_port=None,
        packets=1,
    )  # fmt: skip
    assert recognise(Signs(flows=(flow,))) == ("none", ())
