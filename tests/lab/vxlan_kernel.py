# SPDX-License-Identifier: Apache-2.0
"""VXLAN between two nodes by the Linux kernel, in the three ways it is met in clusters.

* flannel.1: VNI 1 on UDP 8472, Linux's old port, between routed pods, as flannel sets it up;
* vxlan100: VNI 100 on UDP 4789, the port of RFC 7348, its MTU left at 1500 as happens where a
  device is made without naming the underlay: full packets leave as two outer fragments;
* vxlan300: VNI 300 over IPv6, with the Group Policy extension on marked packets.

Offloads stay as the kernel likes them: what is recorded has super-packets and partial checksums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab import captures, traffic
from tests.lab.topology import End, Topology, Vxlan, build
from tests.lab.traffic import Exchange

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.namespaces import Lab

TOOLS = ("sysctl", "dumpcap", "tcpdump")
FILES = ("vxlan-kernel.pcapng", "vxlan-any-sll2.pcap")
PORT = 8080
GROUP_ID = 0x2A
RECORDED_INTERFACES = ("eth0", "pod-a", "flannel.1", "vxlan100", "vxlan300")

_POD_MTU_BYTES = 1450
_MTU_OVER_IPV6_BYTES = 1430


def _node(side: int) -> tuple[Vxlan, ...]:
    """Return the VXLAN devices of node 1 (A) or 2 (B)."""
    namespace = "node-a" if side == 1 else "node-b"
    local, remote = side + 1, 4 - side
    local_v4, remote_v4 = f"172.18.0.{local}", f"172.18.0.{remote}"
    local_v6, remote_v6 = f"fd00:172:18::{local}", f"fd00:172:18::{remote}"
    return (
        Vxlan(namespace=namespace, name="flannel.1", mac=f"02:f1:00:00:00:0{side}",
              vni=1, port=8472, mtu_bytes=_POD_MTU_BYTES,
              local=local_v4, remote=remote_v4, addresses=(f"10.244.{side}.0/32",)),
        Vxlan(namespace=namespace, name="vxlan100", mac=f"02:64:00:00:00:0{side}",
              vni=100, port=4789, mtu_bytes=1500,
              local=local_v4, remote=remote_v4,
              addresses=(f"10.100.0.{side}/24", f"fd00:100::{side}/64")),
        Vxlan(namespace=namespace, name="vxlan300", mac=f"02:2c:00:00:00:0{side}",
              vni=300, port=4789, mtu_bytes=_MTU_OVER_IPV6_BYTES,
              local=local_v6, remote=remote_v6,
              addresses=(f"10.30.0.{side}/24", f"fd00:300::{side}/64"), gbp=True),
    )  # fmt: skip


TOPOLOGY = Topology(
    hosts=("pod-a", "pod-b"),
    routers=("node-a", "node-b"),
    cables=(
        (
            End(namespace="node-a", name="eth0", mac="02:42:ac:12:00:02",
                addresses=("172.18.0.2/16", "fd00:172:18::2/64")),
            End(namespace="node-b", name="eth0", mac="02:42:ac:12:00:03",
                addresses=("172.18.0.3/16", "fd00:172:18::3/64")),
        ),
        (
            End(namespace="pod-a", name="eth0", mac="02:0a:f4:01:00:04",
                addresses=("10.244.1.4/24",), mtu_bytes=_POD_MTU_BYTES),
            End(namespace="node-a", name="pod-a", mac="02:0a:f4:01:00:01",
                addresses=("10.244.1.1/24",), mtu_bytes=_POD_MTU_BYTES),
        ),
        (
            End(namespace="pod-b", name="eth0", mac="02:0a:f4:02:00:05",
                addresses=("10.244.2.5/24",), mtu_bytes=_POD_MTU_BYTES),
            End(namespace="node-b", name="pod-b", mac="02:0a:f4:02:00:01",
                addresses=("10.244.2.1/24",), mtu_bytes=_POD_MTU_BYTES),
        ),
    ),
    vxlans=(*_node(1), *_node(2)),
    routes=(
        ("pod-a", "default via 10.244.1.1"),
        ("pod-b", "default via 10.244.2.1"),
        ("node-a", "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink"),
        ("node-b", "10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink"),
    ),
)  # fmt: skip

_POD_B, _V4, _V6 = "10.244.2.5", "10.100.0.2", "fd00:100::2"
_GBP_V4, _GBP_V6 = "10.30.0.2", "fd00:300::2"
_TARGETS = (("pod-a", _POD_B), *(("node-a", to) for to in (_V4, _V6, _GBP_V4, _GBP_V6)))

TRAFFIC = (
    Exchange(namespace="pod-a", kind="ping", target=_POD_B),
    Exchange(namespace="pod-a", kind="tcp", target=_POD_B, port=PORT, send_bytes=120,
             receive_bytes=12_000),
    Exchange(namespace="pod-a", kind="udp", target=_POD_B, port=PORT, send_bytes=100),
    Exchange(namespace="node-a", kind="ping", target=_V4),
    Exchange(namespace="node-a", kind="tcp", target=_V4, port=PORT, send_bytes=120,
             receive_bytes=12_000),
    # Larger than the device's MTU: fragments inside the tunnel.
    Exchange(namespace="node-a", kind="udp", target=_V4, port=PORT, send_bytes=3_000),
    Exchange(namespace="node-a", kind="ping", target=_V6),
    Exchange(namespace="node-a", kind="tcp", target=_V6, port=PORT, send_bytes=120,
             receive_bytes=600),
    Exchange(namespace="node-a", kind="ping", target=_GBP_V4, mark=GROUP_ID),
    Exchange(namespace="node-a", kind="tcp", target=_GBP_V4, port=PORT, send_bytes=120,
             receive_bytes=600, mark=GROUP_ID),
    Exchange(namespace="node-a", kind="ping", target=_GBP_V6, mark=GROUP_ID),
    Exchange(namespace="node-a", kind="udp", target=_GBP_V6, port=PORT, send_bytes=100,
             mark=GROUP_ID),
)  # fmt: skip

SHORT_TRAFFIC = (
    Exchange(namespace="pod-a", kind="ping", target=_POD_B),
    Exchange(namespace="pod-a", kind="tcp", target=_POD_B, port=PORT, send_bytes=120,
             receive_bytes=600),
    Exchange(namespace="pod-a", kind="udp", target=_POD_B, port=PORT, send_bytes=100),
    Exchange(namespace="node-a", kind="ping", target=_V4),
    Exchange(namespace="node-a", kind="ping", target=_V6),
    Exchange(namespace="node-a", kind="ping", target=_GBP_V4, mark=GROUP_ID),
)  # fmt: skip


def record(lab: Lab, folder: Path) -> None:
    """Build the network in `lab` and write FILES into `folder`."""
    build(lab, TOPOLOGY)
    for server in ("pod-b", "node-b"):
        traffic.start_server(lab, server, PORT)
    for client, target in _TARGETS:
        traffic.warm_up(lab, client, target)
    namespaces = (*TOPOLOGY.hosts, *TOPOLOGY.routers)

    by_interface, any_interface = (lab.folder / name for name in FILES)
    traffic.forget_neighbours(lab, namespaces)
    recording = captures.start_dumpcap(lab, "node-a", RECORDED_INTERFACES, by_interface)
    traffic.run_exchanges(lab, TRAFFIC)
    captures.stop(lab, [recording])

    traffic.forget_neighbours(lab, namespaces)
    options = ("-i", "any", "-y", "LINUX_SLL2")
    recording = captures.start_tcpdump(lab, "node-a", any_interface, *options)
    traffic.run_exchanges(lab, SHORT_TRAFFIC)
    captures.stop(lab, [recording])

    for path in (by_interface, any_interface):
        (folder / path.name).write_bytes(path.read_bytes())
