# SPDX-License-Identifier: Apache-2.0
"""iptables and Geneve redirection, as istio 1.18-1.20 sets it up.

Source: istio 1.18, `cni/pkg/ambient/net_linux.go` (CreateRulesOnNode and
CreateRulesWithinNodeProxyNS), `cni/pkg/ambient/constants/constants.go`. Marks, priorities, tables,
device names, VNIs and addresses are Istio's.

A pod's SYN gets the mark of outbound traffic and so the way into `istioout`. ztunnel answers from
the pod's destination address; its answer leaves a mark on the connection, and with it the pod's
further packets go to ztunnel's veth directly. Where `all_tunnelled` is set that short cut is for
answers only, so that everything in the first direction goes through Geneve: a stand-in for the
branch before 1.18, which had no such mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.mesh import topology as net
from tests.lab.mesh import underlays
from tests.lab.mesh.modes import geneve_devices
from tests.lab.mesh.proxies import HBONE_PORT, OUTBOUND_PORT, PLAINTEXT_PORT, Proxy

if TYPE_CHECKING:
    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.topology import Pod
    from tests.lab.namespaces import Lab

TOOLS = ("iptables", "ipset", "sysctl")
HEADERS = ()

INBOUND_VNI, OUTBOUND_VNI = 1000, 1001
_PODS_SET = "ztunnel-pods-ips"

_SKIP, _CONN_SKIP = "0x200/0x200", "0x220/0x220"
_OUTBOUND, _PROXY, _PROXY_RETURN = "0x100/0x100", "0x210/0x210", "0x040/0x040"
_TPROXY, _ORIGINAL_SOURCE_RETURN = "0x400/0xfff", "0x4d3/0xfff"
_INBOUND_TABLE, _OUTBOUND_TABLE, _PROXY_TABLE = "100", "101", "102"

# (node's device, ztunnel's device, VNI, node's address, ztunnel's address)
_TUNNELS: tuple[tuple[str, str, int, str, str], ...] = (
    ("istioin", "pistioin", INBOUND_VNI, "192.168.126.1", "192.168.126.2"),
    ("istioout", "pistioout", OUTBOUND_VNI, "192.168.127.1", "192.168.127.2"),
)


def node_rules(
    ztunnel: Pod, ports: tuple[int, ...], *, all_tunnelled: bool = False
) -> tuple[str, ...]:
    """Return the rules of a node's mangle table, in order.

    ports: of UDP tunnels whose packets must not be marked, because the kernel copies the mark to
    what it unwraps. Istio names its own port; where the underlay is VXLAN in the same kernel, its
    port needs the same, else the wrapped packets count as UDP and bypass redirection.
    """
    veth, pre = ztunnel.veth, "ztunnel-PREROUTING"
    answers = "-m conntrack --ctdir REPLY " if all_tunnelled else ""
    proxied = f"-m connmark --mark {_PROXY}"
    kept = tuple(
        f"{chain} -m mark --mark {mark} -j CONNMARK --save-mark --nfmask {bits} --ctmask {bits}"
        for chain in ("ztunnel-INPUT", "ztunnel-FORWARD")
        for mark in (_CONN_SKIP, _PROXY)
        for bits in (mark.split("/")[0],)
    )
    return (
        # What comes out of the tunnels is routed normally.
        f"{pre} -i istioin -j MARK --set-mark {_SKIP}",
        f"{pre} -i istioin -j RETURN",
        f"{pre} -i istioout -j MARK --set-mark {_SKIP}",
        f"{pre} -i istioout -j RETURN",
        *(f"{pre} -p udp -m udp --dport {port} -j RETURN" for port in ports),
        f"{pre} -m connmark --mark {_CONN_SKIP} -j MARK --set-mark {_SKIP}",
        f"{pre} -m mark --mark {_SKIP} -j RETURN",
        # Packets of a connection that ztunnel holds under a pod's address go to ztunnel's veth.
        f"{pre} ! -i {veth} {answers}{proxied} -j MARK --set-mark {_PROXY_RETURN}",
        f"{pre} -m mark --mark {_PROXY_RETURN} -j RETURN",
        # ztunnel under a foreign address: remember the connection.
        f"{pre} -i {veth} ! -s {ztunnel.address()} -j MARK --set-mark {_PROXY}",
        f"{pre} -m mark --mark {_SKIP} -j RETURN",
        # ztunnel under its own address: leave the connection alone.
        f"{pre} -i {veth} -j MARK --set-mark {_CONN_SKIP}",
        f"{pre} -p udp -j MARK --set-mark {_CONN_SKIP}",
        f"{pre} -m mark --mark {_SKIP} -j RETURN",
        f"{pre} -p tcp -m set --match-set {_PODS_SET} src -j MARK --set-mark {_OUTBOUND}",
        *kept,
        # What the node itself sends: probes, and its ICMP errors.
        f"ztunnel-OUTPUT -s {net.gateway(ztunnel.node)} -j MARK --set-mark {_CONN_SKIP}",
    )


# ztunnel knows the Services: kube-proxy must not translate what goes to it.
NODE_NAT_RULES = tuple(
    f"ztunnel-{hook} -m mark --mark {_OUTBOUND} -j ACCEPT" for hook in ("PREROUTING", "POSTROUTING")
)


def node_routes(ztunnel: Pod, members: tuple[Pod, ...], *, tunnels: bool) -> tuple[str, ...]:
    """Return the routes of the three tables; `tunnels` False: istioin and istioout are missing."""
    address, veth = ztunnel.address(), ztunnel.veth
    direct = tuple(
        f"table {table} {address} dev {veth} scope link"
        for table in (_INBOUND_TABLE, _OUTBOUND_TABLE, _PROXY_TABLE)
    )
    direct += (f"table {_PROXY_TABLE} 0.0.0.0/0 via {address} dev {veth} onlink",)
    if not tunnels:
        return direct
    return (
        *direct,
        f"table {_OUTBOUND_TABLE} 0.0.0.0/0 via 192.168.127.2 dev istioout",
        # istio 1.18, cni/pkg/ambient/net.go, AddPodToMesh: one route a pod.
        *(
            f"table {_INBOUND_TABLE} {pod.address()}/32 via 192.168.126.2 dev istioin"
            f" src {net.gateway(pod.node)}"
            for pod in members
        ),
    )


NODE_POLICY = (
    f"priority 100 fwmark {_SKIP} goto 32766",
    f"priority 101 fwmark {_OUTBOUND} lookup {_OUTBOUND_TABLE}",
    f"priority 102 fwmark {_PROXY_RETURN} lookup {_PROXY_TABLE}",
    f"priority 103 lookup {_INBOUND_TABLE}",
)


def ztunnel_rules(ztunnel: Pod) -> tuple[str, ...]:
    """Return the rules of the mangle table in ztunnel's pod, in order."""
    to = f"--on-ip 127.0.0.1 --tproxy-mark {_TPROXY}"
    return (
        (
            f"PREROUTING -i pistioin -p tcp -m tcp --dport {HBONE_PORT} -j TPROXY"
            f" --on-port {HBONE_PORT} {to}"
        ),
        f"PREROUTING -i pistioout -p tcp -j TPROXY --on-port {OUTBOUND_PORT} {to}",
        f"PREROUTING -i pistioin -p tcp -j TPROXY --on-port {PLAINTEXT_PORT} {to}",
        # What comes untunnelled for a foreign address belongs to a connection ztunnel has.
        (
            f"PREROUTING -i eth0 -p tcp ! -d {ztunnel.address()} -j MARK"
            f" --set-mark {_ORIGINAL_SOURCE_RETURN}"
        ),
    )


def install(lab: Lab, scenario: Scenario) -> None:
    """Set up tunnels, sets, rules and routes on both nodes and in both ztunnel pods."""
    for ztunnel in net.ZTUNNELS:
        broken = not scenario.intercepts and ztunnel.node == 1
        if not broken:
            _install_tunnels(lab, scenario, ztunnel)
        _install_node(lab, scenario, ztunnel, tunnels=not broken)
        _install_ztunnel(lab, ztunnel, tunnels=not broken)


def _install_tunnels(lab: Lab, scenario: Scenario, ztunnel: Pod) -> None:
    """Make istioin and istioout on the node, pistioin and pistioout in ztunnel's pod."""
    node = net.gateway(ztunnel.node)
    sides = ((ztunnel.node_name, node), (ztunnel.name, ztunnel.address()))
    for side, (namespace, local) in enumerate(sides):
        devices = tuple(
            geneve_devices.Geneve(
                name=(tunnel[0], tunnel[1])[side],
                vni=tunnel[2],
                mac=f"02:6e:0{ztunnel.node}:0{side}:{tunnel[2] >> 8:02x}:{tunnel[2] & 255:02x}",
                address=f"{(tunnel[3], tunnel[4])[side]}/30",
            )
            for tunnel in _TUNNELS
        )
        geneve_devices.add(lab, geneve_devices.Endpoint(
            namespace=namespace, local=local, remote=sides[1 - side][1],
            port=scenario.geneve_port, mtu_bytes=scenario.mesh.pod_mtu_bytes, devices=devices,
        ))  # fmt: skip


def _install_node(lab: Lab, scenario: Scenario, ztunnel: Pod, *, tunnels: bool) -> None:
    node, members = ztunnel.node_name, scenario.mesh.members_of(ztunnel.node)
    devices = (ztunnel.veth, *(("istioin", "istioout") if tunnels else ()))
    lab.run(node, "sysctl", "-qw", *(f"net.ipv4.conf.{name}.accept_local=1" for name in devices))
    lab.run(node, "ipset", "create", _PODS_SET, "hash:ip")
    for pod in members:
        lab.run(node, "ipset", "add", _PODS_SET, pod.address())
    for hook in ("PREROUTING", "POSTROUTING", "INPUT", "OUTPUT", "FORWARD"):
        for table in ("mangle", *(("nat",) if hook.endswith("ROUTING") else ())):
            _iptables(lab, node, table, f"-N ztunnel-{hook}")
            _iptables(lab, node, table, f"-I {hook} -j ztunnel-{hook}")
    ports = (scenario.geneve_port, *underlays.kernel_tunnel_ports(scenario.underlay))
    rules = node_rules(ztunnel, ports, all_tunnelled=scenario.all_tunnelled)
    for rule in rules:
        _iptables(lab, node, "mangle", f"-A {rule}")
    for rule in NODE_NAT_RULES:
        _iptables(lab, node, "nat", f"-A {rule}")
    for route in node_routes(ztunnel, members, tunnels=tunnels):
        lab.run(node, "ip", "route", "add", *route.split())
    for rule in NODE_POLICY:
        lab.run(node, "ip", "rule", "add", *rule.split())


def _install_ztunnel(lab: Lab, ztunnel: Pod, *, tunnels: bool) -> None:
    for mark, priority in ((_TPROXY, "20000"), (_ORIGINAL_SOURCE_RETURN, "20003")):
        lab.run(ztunnel.name, "ip", "rule", "add", "priority", priority, "fwmark", mark,
                "lookup", "100")  # fmt: skip
    lab.run(ztunnel.name, "ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "table", "100")
    for rule in ztunnel_rules(ztunnel):
        if tunnels or "-i pistio" not in rule:
            _iptables(lab, ztunnel.name, "mangle", f"-A {rule}")


def _iptables(lab: Lab, namespace: str, table: str, rule: str) -> None:
    lab.run(namespace, "iptables", "-t", table, *rule.split())


def proxies(scenario: Scenario) -> tuple[Proxy, ...]:
    """Return a ztunnel per node, in its own pod."""
    return tuple(
        Proxy(name=pod.name, namespace=pod.name, node=pod.node,
              original_destination="sockname", same_node_in_memory=True,
              identity=scenario.mesh.members_of(pod.node)[0].identity)
        for pod in net.ZTUNNELS
    )  # fmt: skip


def interfaces(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return the tunnels' devices."""
    found = {}
    for ztunnel in net.ZTUNNELS:
        if scenario.intercepts or ztunnel.node == 2:
            found[ztunnel.node_name] = tuple(tunnel[0] for tunnel in _TUNNELS)
            found[ztunnel.name] = tuple(tunnel[1] for tunnel in _TUNNELS)
    return found
