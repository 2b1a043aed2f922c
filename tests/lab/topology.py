# SPDX-License-Identifier: Apache-2.0
"""A network as data, and the one function that builds it in a `Lab`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabError, LabUnavailable

if TYPE_CHECKING:
    from tests.lab.namespaces import Lab

_OFFLOADS = Path(__file__).with_name("offloads.py")

QUIET_SYSCTLS = {
    # Pods may answer from an address that is not on the interface asked through.
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    # Only the interface that has an address answers for it: a bridge's port must not speak up for
    # the bridge, or senders learn the wrong MAC now and then.
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    # Only traffic that a sample is about: no router solicitations, no duplicate address detection.
    "net.ipv6.conf.all.disable_ipv6": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.default.router_solicitations": "0",
}
FORWARDING_SYSCTLS = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a veth pair."""

    namespace: str
    name: str
    mac: str
    addresses: tuple[str, ...] = ()
    """With prefix length, e.g. `10.244.0.4/24`."""
    mtu_bytes: int = 1500
    offloads: bool = True
    """False: checksums are filled in and super-packets cut before a packet leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vxlan:
    """One kernel VXLAN device with a single remote VTEP."""

    namespace: str
    name: str
    mac: str
    vni: int
    port: int
    local: str
    remote: str
    mtu_bytes: int
    addresses: tuple[str, ...] = ()
    gbp: bool = False
    """Carry the packet's mark as the group policy ID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything the kernel provides; what Open vSwitch adds is in `ovs`."""

    hosts: tuple[str, ...]
    """Namespaces that answer for themselves only: pods."""
    routers: tuple[str, ...]
    """Namespaces that forward: nodes."""
    cables: tuple[tuple[End, End], ...]
    vxlans: tuple[Vxlan, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    """(namespace, arguments of `ip route add`)."""


def build(lab: Lab, topology: Topology) -> None:
    """Make namespaces, cables, tunnel devices, addresses and routes, in this order."""
    for host in topology.hosts:
        _add_namespace(lab, host, QUIET_SYSCTLS)
    for router in topology.routers:
        _add_namespace(lab, router, QUIET_SYSCTLS | FORWARDING_SYSCTLS)
    for cable in topology.cables:
        _add_cable(lab, *cable)
    for vxlan in topology.vxlans:
        _add_vxlan(lab, vxlan)
    for namespace, route in topology.routes:
        lab.run(namespace, "ip", "route", "add", *route.split())


def configure(lab: Lab, namespace: str, name: str, addresses: tuple[str, ...]) -> None:
    """Give an interface its addresses and set it up."""
    for address in addresses:
        nodad = ("nodad",) if ":" in address else ()
        lab.run(namespace, "ip", "address", "add", address, "dev", name, *nodad)
    lab.run(namespace, "ip", "link", "set", name, "up")


def disable_offloads(lab: Lab, namespace: str, name: str) -> None:
    """Let the kernel finish packets before they leave by `name`."""
    lab.run(namespace, sys.executable, "-I", str(_OFFLOADS), name)


def _add_namespace(lab: Lab, name: str, sysctls: dict[str, str]) -> None:
    lab.add_namespace(name)
    lab.run(name, "sysctl", "-qw", *(f"{key}={value}" for key, value in sysctls.items()))


def _add_cable(lab: Lab, left: End, right: End) -> None:
    lab.run(
        None,
        *f"ip link add {left.name} address {left.mac} netns {lab.name(left.namespace)}".split(),
        "type",
        "veth",
        "peer",
        *f"name {right.name} address {right.mac} netns {lab.name(right.namespace)}".split(),
    )
    for end in (left, right):
        lab.run(end.namespace, "ip", "link", "set", end.name, "mtu", str(end.mtu_bytes))
        configure(lab, end.namespace, end.name, end.addresses)
        if not end.offloads:
            disable_offloads(lab, end.namespace, end.name)


def _add_vxlan(lab: Lab, vxlan: Vxlan) -> None:
    command = (
        f"ip link add {vxlan.name} address {vxlan.mac} type vxlan id {vxlan.vni}"
        f" dstport {vxlan.port} local {vxlan.local} remote {vxlan.remote}"
        f"{' gbp' if vxlan.gbp else ''}"
    )
    try:
        lab.run(vxlan.namespace, *command.split())
    except LabError as error:
        if "Unknown device type" in str(error) or "not supported" in str(error):
            raise LabUnavailable(f"the kernel has no VXLAN devices: {error}") from error
        raise
    lab.run(vxlan.namespace, "ip", "link", "set", vxlan.name, "mtu", str(vxlan.mtu_bytes))
    configure(lab, vxlan.namespace, vxlan.name, vxlan.addresses)
