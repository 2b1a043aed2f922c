# SPDX-License-Identifier: Apache-2.0
"""Geneve between two nodes as OVN-Kubernetes uses it: Open vSwitch, two logical switches.

Both logical switches (VNI 5 and VNI 70000) use the same pod addresses: only the VNI tells them
apart; the second also tags its frames with VLAN 7 inside the tunnel.
Every packet carries OVN's option; requests to port 8080 carry a second, experimental one.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tests.lab import captures, ovs, traffic
from tests.lab.topology import End, Topology, build
from tests.lab.traffic import Exchange

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.namespaces import Lab

TOOLS = ("sysctl", "dumpcap", "tcpdump", *ovs.TOOLS)
FILES = ("geneve-ovs.pcapng", "geneve-short.pcap.gz")
SHORT_SNAPLEN_BYTES = 96
PORT = 8080

# OVN's own: logical ingress and egress port, critical. Class 0xffff is experimental (RFC 8926
# section 7), its 16 octets are ours.
OPTIONS = (
    ovs.TunnelOption(option_class=0x0102, option_type=0x80, data_bytes=4),
    ovs.TunnelOption(option_class=0xFFFF, option_type=0x01, data_bytes=16),
)
_EXPERIMENTAL_DATA = b"genevecap-sample".hex()
_POD_MTU_BYTES = 1400
_VLAN_PRESENT = 0x1000
"""OpenFlow's mark in vlan_vid that there is a tag."""


def _cable(pod: str, node: str, suffix: str, address: int) -> tuple[End, End]:
    """Return the cable from a pod's eth0 to its port on the node."""
    mac = f"0a:58:0a:f4:00:{address:02x}"  # OVN derives pod MACs from the address in this way
    return (
        End(
            namespace=pod,
            name="eth0",
            mac=mac,
            addresses=(f"10.244.0.{address}/24", f"fd00:10:244::{address:x}/64"),
            mtu_bytes=_POD_MTU_BYTES,
            offloads=False,  # the userspace datapath sends what it gets, checksum and all
        ),
        End(
            namespace=node,
            name=f"pod-{suffix}",
            mac=f"0a:58:00:00:{suffix.encode().hex(':')}",
            mtu_bytes=_POD_MTU_BYTES,
            offloads=False,
        ),
    )


TOPOLOGY = Topology(
    hosts=("pod-a1", "pod-a2", "pod-b1", "pod-b2"),
    routers=("node-a", "node-b"),
    cables=(
        (
            End(namespace="node-a", name="eth0", mac="02:42:ac:12:00:02", offloads=False),
            End(namespace="node-b", name="eth0", mac="02:42:ac:12:00:03", offloads=False),
        ),
        _cable("pod-a1", "node-a", "a1", 4),
        _cable("pod-a2", "node-a", "a2", 4),
        _cable("pod-b1", "node-b", "b1", 5),
        _cable("pod-b2", "node-b", "b2", 5),
    ),
)


def _flows(
    pod: str, vni: int, ingress: int, egress: int, vlan_id: int | None = None
) -> tuple[str, ...]:
    """Return the flows of one pod: to PORT with both options, others with one; and the way back."""
    tag, tagged, untag = "", "", ""
    if vlan_id is not None:
        tag = f"push_vlan:0x8100,set_field:{_VLAN_PRESENT | vlan_id}->vlan_vid,"
        tagged, untag = f"dl_vlan={vlan_id},", "pop_vlan,"
    first = f"set_field:{vni}->tun_id,set_field:{ingress << 16 | egress:#010x}->tun_metadata0"
    second = f"set_field:0x{_EXPERIMENTAL_DATA}->tun_metadata1"
    out = f"output:{ovs.TUNNEL_PORT}"
    return (
        f"priority=2,tcp,in_port={pod},tp_dst={PORT},actions={tag}{first},{second},{out}",
        f"priority=2,tcp6,in_port={pod},tp_dst={PORT},actions={tag}{first},{second},{out}",
        f"priority=1,in_port={pod},actions={tag}{first},{out}",
        f"priority=1,in_port={ovs.TUNNEL_PORT},tun_id={vni},{tagged}actions={untag}output:{pod}",
    )


SWITCHES = (
    ovs.Switch(
        namespace="node-a",
        underlay_interface="eth0",
        underlay_mac="02:42:ac:12:01:02",
        underlay_address="172.18.0.2/16",
        remote_address="172.18.0.3",
        pod_interfaces=("pod-a1", "pod-a2"),
        options=OPTIONS,
        flows=(
            *_flows("pod-a1", 5, 3, 5),
            *_flows("pod-a2", 70000, 1, 2, vlan_id=7),
        ),
    ),
    ovs.Switch(
        namespace="node-b",
        underlay_interface="eth0",
        underlay_mac="02:42:ac:12:01:03",
        underlay_address="172.18.0.3/16",
        remote_address="172.18.0.2",
        pod_interfaces=("pod-b1", "pod-b2"),
        options=OPTIONS,
        flows=(
            *_flows("pod-b1", 5, 5, 3),
            *_flows("pod-b2", 70000, 2, 1, vlan_id=7),
        ),
    ),
)

_V4, _V6 = "10.244.0.5", "fd00:10:244::5"

TRAFFIC = (
    Exchange(namespace="pod-a1", kind="ping", target=_V4),
    Exchange(namespace="pod-a1", kind="tcp", target=_V4, port=PORT, send_bytes=120,
             receive_bytes=600),
    Exchange(namespace="pod-a1", kind="tcp", target=_V4, port=PORT, send_bytes=200,
             receive_bytes=24_000),
    Exchange(namespace="pod-a1", kind="udp", target=_V4, port=PORT, send_bytes=100),
    # Larger than the pod's MTU: fragments inside the tunnel.
    Exchange(namespace="pod-a1", kind="udp", target=_V4, port=PORT, send_bytes=3_000),
    Exchange(namespace="pod-a1", kind="ping", target=_V6),
    Exchange(namespace="pod-a1", kind="tcp", target=_V6, port=PORT, send_bytes=120,
             receive_bytes=3_000),
    Exchange(namespace="pod-a1", kind="udp", target=_V6, port=PORT, send_bytes=100),
    Exchange(namespace="pod-a2", kind="ping", target=_V4),
    Exchange(namespace="pod-a2", kind="tcp", target=_V4, port=PORT, send_bytes=120,
             receive_bytes=600),
)  # fmt: skip


def record(lab: Lab, folder: Path) -> None:
    """Build the network in `lab` and write FILES into `folder`."""
    build(lab, TOPOLOGY)
    for switch in SWITCHES:
        ovs.start_switch(lab, switch)
    for server in ("pod-b1", "pod-b2"):
        traffic.start_server(lab, server, PORT)
    for client in ("pod-a1", "pod-a2"):
        traffic.warm_up(lab, client, _V4)
        traffic.warm_up(lab, client, _V6)
    traffic.forget_neighbours(lab, TOPOLOGY.hosts)

    whole, short = (lab.folder / name for name in ("whole.pcapng", "short.pcap"))
    recordings = [
        captures.start_dumpcap(lab, "node-a", ("eth0", "pod-a1", "pod-a2"), whole),
        captures.start_tcpdump(
            lab, "node-a", short, "-i", "eth0", snaplen_bytes=SHORT_SNAPLEN_BYTES
        ),
    ]
    traffic.run_exchanges(lab, TRAFFIC)
    captures.stop(lab, recordings)

    (folder / FILES[0]).write_bytes(whole.read_bytes())
    # No time stamp in the gzip header: the same packets give the same file.
    (folder / FILES[1]).write_bytes(gzip.compress(short.read_bytes(), mtime=0))
