# SPDX-License-Identifier: Apache-2.0
"""In-pod redirection: ztunnel's sockets and Istio's rules inside every pod of the mesh.

The rules are those of istio 1.24-1.31, `cni/pkg/iptables/iptables.go` (AppendInpodRules), with the
marks of `cni/pkg/config` (0x539 ztunnel's own, 0x111 its connections, mask 0xfff) and the
addresses that kubelet's probes are translated to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.mesh import topology as net
from tests.lab.mesh.proxies import (
    DNS_PORT,
    HBONE_PORT,
    OUTBOUND_PORT,
    PLAINTEXT_PORT,
    Proxy,
)

if TYPE_CHECKING:
    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.topology import Family, Pod
    from tests.lab.namespaces import Lab

TOOLS = ("iptables", "ip6tables")
HEADERS = ()

ZTUNNEL_MARK = 0x539
_OWN, _CONNECTION = f"{ZTUNNEL_MARK:#x}/0xfff", "0x111/0xfff"
PROBE_SOURCES = {4: "169.254.7.127", 6: "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"}
_LOOPBACK = {4: "127.0.0.1/32", 6: "::1/128"}
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
_IPTABLES = {4: "iptables", 6: "ip6tables"}

_CHAINS = tuple(
    (table, hook, chain)
    for table in ("mangle", "nat")
    for hook, chain in (("PREROUTING", "ISTIO_PRERT"), ("OUTPUT", "ISTIO_OUTPUT"))
)


def rules(family: Family, *, outbound: bool = True) -> tuple[tuple[str, str], ...]:
    """Return (table, rule) of a pod in order; `outbound` False leaves its own traffic alone."""
    probes, loopback = PROBE_SOURCES[family], _LOOPBACK[family]
    inbound_rules = (
        # What ztunnel sends, and the answers to it, carry its mark.
        ("mangle", f"ISTIO_PRERT -m mark --mark {_OWN} -j CONNMARK --set-xmark {_CONNECTION}"),
        ("mangle", (f"ISTIO_OUTPUT -m connmark --mark {_CONNECTION} -j CONNMARK --restore-mark"
                   " --nfmask 0xffffffff --ctmask 0xffffffff")),
        # Kubelet's probes stay plain.
        ("nat", f"ISTIO_PRERT -s {probes} -p tcp -m tcp -j ACCEPT"),
        ("nat", (f"ISTIO_PRERT ! -d {loopback} -p tcp -m tcp ! --dport {HBONE_PORT}"
                f" -m mark ! --mark {_OWN} -j REDIRECT --to-ports {PLAINTEXT_PORT}")),
        ("nat", f"ISTIO_OUTPUT -d {probes} -p tcp -m tcp -j ACCEPT"),
        *_dns_rules(loopback, outbound=outbound),
        ("nat", f"ISTIO_OUTPUT -p tcp -m mark --mark {_CONNECTION} -j ACCEPT"),
        # A pod that speaks to its own address does not need ztunnel.
        ("nat", f"ISTIO_OUTPUT ! -d {loopback} -o lo -j ACCEPT"),
    )  # fmt: skip
    redirect = ("nat", (f"ISTIO_OUTPUT ! -d {loopback} -p tcp -m mark ! --mark {_OWN}"
                       f" -j REDIRECT --to-ports {OUTBOUND_PORT}"))  # fmt: skip
    return (*inbound_rules, redirect) if outbound else inbound_rules


def _dns_rules(loopback: str, *, outbound: bool) -> tuple[tuple[str, str], ...]:
    """Return the capture of DNS, on by default since istio 1.25.

    Istio also keeps ztunnel's own queries in a conntrack zone of their own, which matters only
    where both use one source port at once.
    """
    if not outbound:
        return ()
    to = f"-m mark ! --mark {_OWN} -j REDIRECT --to-ports {DNS_PORT}"
    return (
        ("nat", f"ISTIO_OUTPUT ! -o lo -p udp -m udp --dport 53 {to}"),
        ("nat", f"ISTIO_OUTPUT ! -d {loopback} -p tcp -m tcp --dport 53 {to}"),
    )


def install(lab: Lab, scenario: Scenario) -> None:
    """Set the rules in every pod of the mesh, and the nodes' translation of probes."""
    for pod in scenario.mesh.members:
        _install_pod(lab, scenario, pod)
    for pod in scenario.mesh.members:
        # istio 1.24, cni/pkg/iptables: CreateHostRulesForHealthChecks (with an ipset).
        _iptables(lab, pod.node_name, scenario.family, "nat",
                  "-A POSTROUTING -m owner --socket-exists -p tcp"
                  f" -d {pod.address(scenario.family)}"
                  f" -j SNAT --to-source {PROBE_SOURCES[scenario.family]}")  # fmt: skip


def _install_pod(lab: Lab, scenario: Scenario, pod: Pod) -> None:
    family = scenario.family
    for table, hook, chain in _CHAINS:
        _iptables(lab, pod.name, family, table, f"-N {chain}")
        _iptables(lab, pod.name, family, table, f"-A {hook} -j {chain}")
    broken = not scenario.intercepts and pod.node == 1
    for table, rule in rules(family, outbound=not broken):
        _iptables(lab, pod.name, family, table, f"-A {rule}")
    # Answers to connections from foreign addresses (conn3) are for the pod itself.
    lab.run(pod.name, "ip", f"-{family}", "rule", "add", "fwmark", _CONNECTION, "pref", "32764",
            "lookup", "100")  # fmt: skip
    lab.run(pod.name, "ip", f"-{family}", "route", "add", "local", _EVERYTHING[family],
            "dev", "lo", "table", "100")  # fmt: skip
    lab.run(pod.name, "ip", "route", "add", PROBE_SOURCES[family],
            "via", net.gateway(pod.node, family), "dev", "eth0")  # fmt: skip


def _iptables(lab: Lab, namespace: str, family: Family, table: str, rule: str) -> None:
    lab.run(namespace, _IPTABLES[family], "-t", table, *rule.split())


def proxies(scenario: Scenario) -> tuple[Proxy, ...]:
    """Return a ztunnel per pod: its sockets are in the pod's namespace."""
    return tuple(
        Proxy(name=f"ztunnel-{pod.name}", namespace=pod.name, node=pod.node,
              original_destination="sockopt", mark=ZTUNNEL_MARK, identity=pod.identity,
              answers_dns=True)
        for pod in scenario.mesh.members
    )  # fmt: skip


def interfaces(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return the loopback of every pod in the mesh: conn1 and conn3 are only there."""
    return {pod.name: ("lo",) for pod in scenario.mesh.members}
