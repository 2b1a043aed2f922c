# SPDX-License-Identifier: Apache-2.0
"""What carries packets from node to node: routes, kernel VXLAN, or Open vSwitch Geneve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab import ovs
from tests.lab.mesh.topology import (
    DNS_PORT,
    NODE_INTERFACE,
    NODES,
    PLAIN_SERVER,
    SERVER,
    SERVER_PORT,
    SERVICE_PORT,
    dns_address,
    node_address,
    pod_range,
    service_address,
    with_port,
)
from tests.lab.topology import End, Topology, Vxlan, build, configure

if TYPE_CHECKING:
    from tests.lab.mesh.scenario import Scenario
    from tests.lab.namespaces import Lab

# flannel's device and VNI on Linux's old port, and Calico's on the port of RFC 7348.
_VXLAN_DEVICES = {"vxlan-8472": ("flannel.1", 1, 8472), "vxlan-4789": ("vxlan.calico", 4096, 4789)}
_PREFIX_BITS = {4: 16, 6: 64}

OVS_TOOLS = ovs.TOOLS
_OVS_VNI = 5
_OVS_PORT = "ovn-k8s-mp0"
"""The node's own end of its cable into the switch, named as OVN-Kubernetes does."""
_OVS_PORT_PEER = "mp0-ovs"
# OVN's logical ports, critical (RFC 8926 section 3.5), on everything; Antrea's class, 16 octets, on
# what goes to HBONE's port.
_OVS_OPTIONS = (
    ovs.TunnelOption(option_class=0x0102, option_type=0x80, data_bytes=4),
    ovs.TunnelOption(option_class=0x0104, option_type=0x01, data_bytes=16),
)
_OVS_HBONE_DATA = b"genevecap-lab-15".hex()
_HBONE_PORT = 15008


def tools(underlay: str) -> tuple[str, ...]:
    """Return the programs an underlay needs."""
    return OVS_TOOLS if underlay == "ovs-geneve" else ()


def kernel_tunnel_ports(underlay: str) -> tuple[int, ...]:
    """Return the UDP ports that the nodes' kernels unwrap."""
    return (_VXLAN_DEVICES[underlay][2],) if underlay in _VXLAN_DEVICES else ()


def interfaces(underlay: str) -> dict[str, tuple[str, ...]]:
    """Return the interfaces that the underlay adds, by node."""
    if underlay in _VXLAN_DEVICES:
        return dict.fromkeys(NODES, (_VXLAN_DEVICES[underlay][0],))
    return dict.fromkeys(NODES, (_OVS_PORT,)) if underlay == "ovs-geneve" else {}


def install(lab: Lab, scenario: Scenario) -> None:
    """Give the nodes underlay addresses, routes to each other's pods, and the Service."""
    _install_service(lab, scenario)
    if scenario.underlay == "ovs-geneve":
        _install_ovs(lab)
        return
    for node, name in enumerate(NODES, start=1):
        address = f"{node_address(node, scenario.family)}/{_PREFIX_BITS[scenario.family]}"
        configure(lab, name, NODE_INTERFACE, (address,))
    if scenario.underlay == "routed":
        for node, name in enumerate(NODES, start=1):
            other = 3 - node
            way = f"via {node_address(other, scenario.family)} dev {NODE_INTERFACE}"
            _route(lab, name, pod_range(other, scenario.family), way)
    else:
        _install_vxlan(lab, scenario.underlay)


def _install_service(lab: Lab, scenario: Scenario) -> None:
    """Translate the addresses of the Service and of DNS on the nodes, as kube-proxy does."""
    family = scenario.family
    program = "iptables" if family == 4 else "ip6tables"
    target = with_port(SERVER.address(family), SERVER_PORT)
    service = f"-d {service_address(family)} -p tcp --dport {SERVICE_PORT}"
    resolver = with_port(PLAIN_SERVER.address(family), DNS_PORT)
    dns = f"-d {dns_address(family)} -p udp --dport {DNS_PORT}"
    for node in NODES:
        for what, to in ((service, target), (dns, resolver)):
            rule = f"-t nat -A PREROUTING {what} -j DNAT --to {to}"
            lab.run(node, program, *rule.split())


def _route(lab: Lab, node: str, target: str, way: str) -> None:
    lab.run(node, "ip", "route", "add", target, *way.split())


def _install_vxlan(lab: Lab, underlay: str) -> None:
    device, vni, port = _VXLAN_DEVICES[underlay]
    build(lab, Topology(hosts=(), routers=(), cables=(), vxlans=tuple(
        Vxlan(namespace=name, name=device, mac=f"02:f1:00:00:00:0{node}", vni=vni, port=port,
              local=node_address(node), remote=node_address(3 - node), mtu_bytes=1450,
              addresses=(f"10.244.{node}.0/32",))
        for node, name in enumerate(NODES, start=1)
    )))  # fmt: skip
    for node, name in enumerate(NODES, start=1):
        _route(lab, name, pod_range(3 - node), f"via 10.244.{3 - node}.0 dev {device} onlink")


def _install_ovs(lab: Lab) -> None:
    """Put a switch between each node's routes and its underlay interface."""
    build(lab, Topology(hosts=(), routers=(), cables=tuple(
        (
            # The switch sends on what it gets: packets must be finished when they enter it.
            End(namespace=name, name=_OVS_PORT, mac=f"0a:58:64:40:00:0{node}", mtu_bytes=1400,
                addresses=(f"100.64.0.{node}/24",), offloads=False),
            End(namespace=name, name=_OVS_PORT_PEER, mac=f"0a:58:64:40:01:0{node}",
                mtu_bytes=1400, offloads=False),
        )
        for node, name in enumerate(NODES, start=1)
    )))  # fmt: skip
    for node, name in enumerate(NODES, start=1):
        ovs.start_switch(lab, _switch(node, name))
        _route(lab, name, pod_range(3 - node), f"via 100.64.0.{3 - node} dev {_OVS_PORT} onlink")


def _switch(node: int, name: str) -> ovs.Switch:
    into_tunnel = (
        f"set_field:{_OVS_VNI}->tun_id,set_field:{0x10000 * node + 3 - node:#x}->tun_metadata0"
    )
    return ovs.Switch(
        namespace=name,
        underlay_interface=NODE_INTERFACE,
        underlay_mac=f"0a:58:ac:12:00:0{node + 1}",
        underlay_address=f"{node_address(node)}/{_PREFIX_BITS[4]}",
        remote_address=node_address(3 - node),
        pod_interfaces=(_OVS_PORT_PEER,),
        options=_OVS_OPTIONS,
        flows=(
            (
                f"priority=20,in_port={_OVS_PORT_PEER},tcp,tcp_dst={_HBONE_PORT},"
                f"actions={into_tunnel},set_field:0x{_OVS_HBONE_DATA}->tun_metadata1,"
                f"output:{ovs.TUNNEL_PORT}"
            ),
            f"priority=10,in_port={_OVS_PORT_PEER},actions={into_tunnel},output:{ovs.TUNNEL_PORT}",
            f"priority=10,in_port={ovs.TUNNEL_PORT},tun_id={_OVS_VNI},actions=output:{_OVS_PORT_PEER}",
        ),
    )
