# SPDX-License-Identifier: Apache-2.0
"""What the name of an interface says, and where captures carry such names.

A name is a hint that traffic may overrule: every pod has an `eth0`, and a node may have one too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..ambient import modes
from ..capture.points import Point, Role

_ROLES: tuple[tuple[str, Role, str], ...] = (
    (r"lo\d?", Role.LO, "a loopback"),
    (r"any(?:[._-].*)?", Role.ANY, "all interfaces of a host"),
    # CNI overlays.
    (r"flannel(?:-v6)?\.\d+", Role.OVERLAY, "Flannel's VXLAN device"),
    (r"vxlan(?:-v6)?\.calico", Role.OVERLAY, "Calico's VXLAN device"),
    (r"cilium_(?:vxlan|geneve)", Role.OVERLAY, "Cilium's tunnel device"),
    (r"(?:genev|vxlan|gre)_sys(?:_\d+)?", Role.OVERLAY, "Open vSwitch's tunnel device"),
    (r"ovn-k8s-mp\d+", Role.OVERLAY, "OVN-Kubernetes' port of the node in its overlay"),
    (r"antrea-gw\d+", Role.OVERLAY, "Antrea's port of the node in its overlay"),
    (r"(?:tunl|ip6tnl|sit)\d+", Role.OVERLAY, "an IP-in-IP device"),
    (r"(?:cilium_)?wg\d+|wireguard(?:-v6)?\.cali", Role.OVERLAY, "a WireGuard device"),
    (r"vx-submariner", Role.OVERLAY, "Submariner's VXLAN device"),
    # A node's end of pods' links.
    (r"veth[\w-]+", Role.NODE_VETH, "one end of a virtual Ethernet pair"),
    (r"cali[0-9a-f]{11}", Role.NODE_VETH, "Calico's link to a pod"),
    (r"lxc(?:[0-9a-f]+|_health)", Role.NODE_VETH, "Cilium's link to a pod"),
    (r"eni[0-9a-f]{11}", Role.NODE_VETH, "the AWS CNI's link to a pod"),
    (r"azv[0-9a-f]+", Role.NODE_VETH, "Azure CNI's link to a pod"),
    (r"gke[0-9a-f]{11}", Role.NODE_VETH, "GKE's link to a pod"),
    # Bridges.
    (r"(?:cni|cbr|docker|virbr|lxdbr)\d+|kube-bridge|br-[\w-]+|br\d+", Role.BRIDGE, "a bridge"),
    # Network cards; eth0 is none of these, since every pod has one.
    (r"en(?:o\d+|s\d+|p\d+|x[0-9a-f]{12}|\d+)\w*(?:\.\d+)?", Role.UNDERLAY, "a network card"),
    (r"(?:bond|em|ib|team|wlan)\d+(?:\.\d+)?|p\d+p\d+", Role.UNDERLAY, "a network card"),
)

_ONLY_AS_INTERFACE: tuple[tuple[str, Role, str], ...] = (
    (r"(?:vxlan|geneve|gretap)[\w-]*\d", Role.OVERLAY, "a tunnel device"),
    (r"[0-9a-f]{15}", Role.NODE_VETH, "OVN-Kubernetes' link to a pod"),
)
"""Names that files have as well, for other reasons: `vxlan-4789.pcap`."""

_POD_OR_CARD = re.compile(r"(?:eth|net)\d+(?:\.\d+)?")
"""`eth0` of a pod or of a node, `net1` that Multus adds."""

_IFINDEX = re.compile(r"ifindex-(\d+)")
LOOPBACK_IFINDEX = 1
"""Linux gives every network namespace its loopback first."""

_SEPARATORS = re.compile(r"[./:_-]")


class Named(NamedTuple):
    """Where a point is, as far as names tell."""

    namespace: str
    """NAME without the interface: points of one are of one network namespace."""
    interface: str | None
    """Name of the interface, None where nothing names it."""
    role: Role | None
    """Role that the name says, None where it does not decide."""
    what: str
    """What the name is, for people; empty where it is not known."""


@lru_cache(maxsize=1024)
def known_interface(name: str, *, in_file_name: bool = False) -> tuple[Role | None, str] | None:
    """Return (role or None, what it is) of an interface name, None for a name of no known kind.

    in_file_name: it is only a part of a capture's name, so that less is believed.
    """
    for mode in modes().values():
        for device in mode.devices:
            if name == device.name:
                return Role(device.name), f"Istio's device for VNI {device.vni}"
    for pattern, role, what in _ROLES if in_file_name else (*_ROLES, *_ONLY_AS_INTERFACE):
        if re.fullmatch(pattern, name):
            return role, what
    if _POD_OR_CARD.fullmatch(name):
        return None, "a pod's device or a network card"
    return None


def ifindex(point: Point) -> int | None:
    """Return the interface index of a point that an SLL2 capture was split into."""
    match = _IFINDEX.fullmatch(point.interface or "")
    return None if match is None else int(match[1])


def named(point: Point) -> Named:
    """Return what the names of a point, its capture and its file say."""
    split = _split(point.capture_name)
    namespace = point.capture_name if split is None else split[0]
    split = split or _split(point.file_name)
    if point.interface is not None and ifindex(point) is None:
        known = known_interface(point.interface)
        if split is None or split[1] not in {point.interface, "any"}:
            namespace = _without(point.capture_name, point.interface)
        return Named(namespace, point.interface, *(known or (None, "")))
    if split is None:
        return Named(namespace, None, None, "")
    _, interface, role, what = split
    if ifindex(point) is not None:
        return Named(namespace, None, None, "")
    return Named(namespace, interface, role, what)


def _split(name: str) -> tuple[str, str, Role | None, str] | None:
    """Return (namespace, interface, role, what) of a name such as `node-a.flannel.1`."""
    begins = [0, *(match.end() for match in _SEPARATORS.finditer(name))]
    for begin in begins:
        known = known_interface(name[begin:], in_file_name=True)
        if known is not None:
            interface = "any" if known[0] is Role.ANY else name[begin:]
            return name[: max(begin - 1, 0)] or name, interface, *known
    return None


def _without(name: str, interface: str) -> str:
    """Return a capture's NAME without an interface that it ends in."""
    head = name.removesuffix(interface)
    return head[:-1] if head != name and len(head) > 1 and _SEPARATORS.match(head[-1]) else name
