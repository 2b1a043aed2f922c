# SPDX-License-Identifier: Apache-2.0
"""The two-node mesh as data, and the network that follows from it.

    cli   10.244.1.4  ─┐                                            ┌─ srv    10.244.2.5
    cli2  10.244.1.6  ─┤ node-a 172.18.0.2 ─ wire ─ 172.18.0.3 node-b ├─ plain  10.244.2.9
    out   10.244.1.8  ─┤                                            └─ ztunnel-b 10.244.2.3
    ztunnel-a 10.244.1.2 ┘        Service 10.96.0.50:80 → 10.244.2.5:8080

cli, cli2 and srv are in the mesh; out (a client) and plain (a server) are not. cli2 serves as well,
so that cli has somebody on its own node to talk to. Every interface of the mesh is named here.
A run may have one hop more, an Envoy in a pod of its own: waypoint or eastwest 10.244.2.7 (reached
by the Service 10.96.0.51), or ingress 10.244.1.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.lab.topology import End, Topology

Family = Literal[4, 6]

SERVER_PORT = 8080
REFUSED_PORT = 9999
"""Nobody listens here."""
SERVICE_PORT = 80
DNS_PORT = 53
NODE_INTERFACE = "eth0"
WIRE = "wire"
WIRE_ENDS = ("wa", "wb")
HOST_B = ("node-b", "ztunnel-b", "srv", "plain", "waypoint", "eastwest")
"""Namespaces that share host B's clock."""

_GENEVE_BYTES = 50
"""IPv4, UDP, Geneve without options and the inner Ethernet header."""
_V4_GATEWAY, _V6_GATEWAY = "10.244.{}.1", "fd00:10:244:{}::1"


def identity(account: str) -> str:
    """Return the SPIFFE ID of a service account."""
    return f"spiffe://cluster.local/ns/default/sa/{account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod: its namespace is its name, its interface `eth0`, the node's end `veth-NAME`."""

    name: str
    node: int
    """1 (A) or 2 (B)."""
    host: int
    """Last part of its address."""
    account: str = "default"
    """Its service account: pods of one may share connections between ztunnels."""
    in_mesh: bool = True
    serves: bool = False
    is_ztunnel: bool = False
    is_envoy: bool = False
    """It speaks HBONE by itself; nothing it sends or gets is redirected."""

    @property
    def node_name(self) -> str:
        """Namespace of its node."""
        return f"node-{'ab'[self.node - 1]}"

    @property
    def veth(self) -> str:
        """Name of the node's end of its cable."""
        return "veth-ztunnel" if self.is_ztunnel else f"veth-{self.name}"

    @property
    def mac(self) -> str:
        """MAC address of its eth0."""
        return f"02:0a:f4:{self.node:02x}:00:{self.host:02x}"

    @property
    def veth_mac(self) -> str:
        """MAC address of the node's end."""
        return f"02:0a:f4:{self.node:02x}:ff:{self.host:02x}"

    @property
    def identity(self) -> str:
        """SPIFFE ID of its service account."""
        return identity(self.account)

    def address(self, family: Family = 4) -> str:
        """Return its IP address."""
        if family == 4:
            return f"10.244.{self.node}.{self.host}"
        return f"fd00:10:244:{self.node}::{self.host:x}"


CLIENT = Pod(name="cli", node=1, host=4, account="client")
SECOND_CLIENT = Pod(name="cli2", node=1, host=6, account="client", serves=True)
OUTSIDE_CLIENT = Pod(name="out", node=1, host=8, in_mesh=False)
SERVER = Pod(name="srv", node=2, host=5, account="server", serves=True)
PLAIN_SERVER = Pod(name="plain", node=2, host=9, in_mesh=False, serves=True)
ZTUNNEL_A = Pod(name="ztunnel-a", node=1, host=2, in_mesh=False, is_ztunnel=True)
ZTUNNEL_B = Pod(name="ztunnel-b", node=2, host=3, in_mesh=False, is_ztunnel=True)
PODS = (CLIENT, SECOND_CLIENT, OUTSIDE_CLIENT, SERVER, PLAIN_SERVER)
ZTUNNELS = (ZTUNNEL_A, ZTUNNEL_B)
WAYPOINT = Pod(name="waypoint", node=2, host=7, account="waypoint", in_mesh=False, is_envoy=True)
EAST_WEST = Pod(name="eastwest", node=2, host=7, account="eastwest", in_mesh=False, is_envoy=True)
INGRESS = Pod(name="ingress", node=1, host=9, account="ingress", in_mesh=False, is_envoy=True)
HOPS = {pod.name: pod for pod in (WAYPOINT, EAST_WEST, INGRESS)}
NODES = ("node-a", "node-b")


def node_address(node: int, family: Family = 4) -> str:
    """Return the address of node 1 (A) or 2 (B) on the underlay."""
    return f"172.18.0.{node + 1}" if family == 4 else f"fd00:172:18::{node + 1}"


def gateway(node: int, family: Family = 4) -> str:
    """Return the node's address as its pods see it."""
    return (_V4_GATEWAY if family == 4 else _V6_GATEWAY).format(node)


def pod_range(node: int, family: Family = 4) -> str:
    """Return the addresses of a node's pods, with prefix length."""
    return f"10.244.{node}.0/24" if family == 4 else f"fd00:10:244:{node}::/64"


def service_address(family: Family = 4) -> str:
    """Return the virtual IP of the Service in front of srv."""
    return "10.96.0.50" if family == 4 else "fd00:10:96::50"


def service_host(name: str) -> str:
    """Return the host name of a Service."""
    return f"{name}.default.svc.cluster.local"


def dns_address(family: Family = 4) -> str:
    """Return the virtual IP of the cluster's DNS, which runs in the pod `plain`."""
    return "10.96.0.10" if family == 4 else "fd00:10:96::10"


def hop_service_address(family: Family = 4) -> str:
    """Return the virtual IP of the Service that is reached through a waypoint or gateway."""
    return "10.96.0.51" if family == 4 else "fd00:10:96::51"


def with_port(address: str, port: int) -> str:
    """Return `address:port`, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What of the mesh exists in one run."""

    family: Family = 4
    ztunnel_pods: bool = True
    """False: ztunnel's sockets are in the pods themselves (in-pod redirection)."""
    tunnels_to_ztunnel: bool = False
    """Geneve runs over ztunnel's cable: it carries a pod's largest packet and what wraps it."""
    hop: str = ""
    """The Envoy there is: a key of HOPS, or none."""
    pod_mtu_bytes: int = 1500
    node_offloads: bool = True
    """False: packets are finished before they leave a node, so that tunnels can carry them."""

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods, ztunnels last."""
        hops = (HOPS[self.hop],) if self.hop else ()
        return (*PODS, *hops, *(ZTUNNELS if self.ztunnel_pods else ()))

    @property
    def members(self) -> tuple[Pod, ...]:
        """The pods in the mesh."""
        return tuple(pod for pod in self.pods if pod.in_mesh)

    def members_of(self, node: int) -> tuple[Pod, ...]:
        """Return the pods in the mesh on node 1 (A) or 2 (B)."""
        return tuple(pod for pod in self.members if pod.node == node)

    def topology(self) -> Topology:
        """Return namespaces, cables, addresses and the routes between node and pods."""
        return Topology(
            hosts=(*(pod.name for pod in self.pods), WIRE),
            routers=NODES,
            cables=(*(self._pod_cable(pod) for pod in self.pods), *self._wire_cables()),
            routes=tuple(route for pod in self.pods for route in self._pod_routes(pod)),
        )

    def interfaces(self) -> dict[str, tuple[str, ...]]:
        """Return the interfaces of each namespace that packets pass, as they are set up here."""
        found: dict[str, list[str]] = {pod.name: ["eth0"] for pod in self.pods}
        for number, node in enumerate(NODES, start=1):
            found[node] = [pod.veth for pod in self.pods if pod.node == number]
            found[node].append(NODE_INTERFACE)
        found[WIRE] = list(WIRE_ENDS)
        return {namespace: tuple(names) for namespace, names in found.items()}

    def _prefix(self, address: str) -> str:
        return f"{address}/{32 if self.family == 4 else 128}"

    def _pod_cable(self, pod: Pod) -> tuple[End, End]:
        wraps = self.tunnels_to_ztunnel and pod.is_ztunnel
        mtu_bytes = self.pod_mtu_bytes + (_GENEVE_BYTES if wraps else 0)
        return (
            End(namespace=pod.name, name="eth0", mac=pod.mac, mtu_bytes=mtu_bytes,
                addresses=(self._prefix(pod.address(self.family)),)),
            End(namespace=pod.node_name, name=pod.veth, mac=pod.veth_mac,
                mtu_bytes=mtu_bytes,
                addresses=(self._prefix(gateway(pod.node, self.family)),)),
        )  # fmt: skip

    def _pod_routes(self, pod: Pod) -> tuple[tuple[str, str], ...]:
        """Return routes as point-to-point CNI plug-ins set them: all through the node."""
        node, everything = (
            gateway(pod.node, self.family),
            "0.0.0.0/0" if self.family == 4 else "::/0",
        )
        return (
            (pod.name, f"{node} dev eth0 scope link"),
            (pod.name, f"{everything} via {node} dev eth0 mtu {self.pod_mtu_bytes}"),
            (pod.node_name, f"{pod.address(self.family)} dev {pod.veth} scope link"),
        )

    def _wire_cables(self) -> tuple[tuple[End, End], ...]:
        return tuple(
            (
                End(namespace=name, name=NODE_INTERFACE, mac=f"02:42:ac:12:00:{node + 1:02x}",
                    offloads=self.node_offloads),
                End(namespace=WIRE, name=WIRE_ENDS[node - 1], mac=f"02:00:00:00:ff:{node:02x}"),
            )
            for node, name in enumerate(NODES, start=1)
        )  # fmt: skip
