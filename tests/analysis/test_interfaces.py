# SPDX-License-Identifier: Apache-2.0
"""What names of interfaces, captures and files say."""

from __future__ import annotations

import pytest

from genevecap.analysis.points.interfaces import ifindex, is_ztunnel_pod, known_interface, named
from genevecap.capture.points import PointTable
from genevecap.capture.spec import CaptureSpec


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("lo", "lo"),
        ("any", "any"),
        ("istioin", "istioin"),
        ("istioout", "istioout"),
        ("pistioin", "pistioin"),
        ("pistioout", "pistioout"),
        ("flannel.1", "overlay"),
        ("vxlan.calico", "overlay"),
        ("cilium_geneve", "overlay"),
        ("genev_sys_6081", "overlay"),
        ("ovn-k8s-mp0", "overlay"),
        ("vxlan100", "overlay"),
        ("veth7a81c12c", "node-veth"),
        ("cali0123456789a", "node-veth"),
        ("lxc12ab34cd56ef", "node-veth"),
        ("eni0a1b2c3d4e5", "node-veth"),
        ("0a1b2c3d4e5f607", "node-veth"),
        ("cni0", "bridge"),
        ("br-ex", "bridge"),
        ("ens5", "underlay"),
        ("enp3s0f1", "underlay"),
        ("eno1.100", "underlay"),
        ("bond0", "underlay"),
        ("eth0", None),
        ("net1", None),
    ],
)
def test_names_of_interfaces(name, role):
    known = known_interface(name)
    assert known is not None
    assert known[0] == role


@pytest.mark.parametrize("name", ["wA", "", "istioinx", "ethernet", "loop", "cali1", "eni12"])
def test_unknown_names(name):
    assert known_interface(name) is None


def point(capture: str, interface: str | None):
    table = PointTable()
    return table.points[table.add(CaptureSpec.parse(capture), 0, interface, 1)]


@pytest.mark.parametrize(
    ("capture", "interface", "namespace", "name"),
    [
        ("nA.pcapng", "eth0", "nA", "eth0"),
        ("nA.pcapng", "wA", "nA", "wA"),
        ("nA.eth0.pcap.gz", None, "nA", "eth0"),
        ("nA.flannel.1.pcap", None, "nA", "flannel.1"),
        ("node-1_vxlan.calico.pcap", None, "node-1", "vxlan.calico"),
        ("nA.any-sll2.pcap", "ifindex-3", "nA", None),
        ("nA-any.pcap", "ifindex-3", "nA", None),
        ("nA.any-dumpcap.pcapng", "any", "nA", "any"),
        ("nA.eth0.pcapng", "eth0", "nA", "eth0"),
        ("nA-wA.pcapng", "wA", "nA", "wA"),
        ("wire.wA.pcap", None, "wire.wA", None),
        ("eth0.pcap", None, "eth0", "eth0"),
        ("vxlan-4789.pcap", None, "vxlan-4789", None),
        ("a=cli.eth0.pcap", None, "a", "eth0"),
        ("cli.eth0@host=x.pcap", None, "cli", "eth0"),
    ],
)
def test_where_a_point_is(capture, interface, namespace, name):
    found = named(point(capture, interface))
    assert (found.namespace, found.interface) == (namespace, name)


def test_interface_indexes():
    assert ifindex(point("x.pcap", "ifindex-12")) == 12
    assert ifindex(point("x.pcap", "eth0")) is None
    assert ifindex(point("x.pcap", None)) is None


@pytest.mark.parametrize(
    ("capture", "interface", "is_one"),
    [
        ("ztunnel-x7k2p.pcap", None, True),
        ("ztunnel-x7k2p.pcapng", "eth0", True),
        ("ztunnel-x7k2p.pcapng", "lo", False),
        ("ztunnel-x7k2p.pcapng", "pistioout", False),
        ("my-ztunnel-x7k2p.pcap", None, False),
        ("ztunnel.pcap", None, False),
    ],
)
def test_ztunnels_pods_are_known_by_their_names(capture, interface, is_one):
    assert is_ztunnel_pod(named(point(capture, interface))) is is_one
