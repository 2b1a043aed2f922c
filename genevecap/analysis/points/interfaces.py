# SPDX-License-Identifier: Apache-2.0
"""What the name of an interface says, and where captures carry such names.

A name is a hint that traffic may overrule: every pod has an `eth0`, and a node may have one too.
(No regular expressions: compiling them all takes longer than most captures.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from string import hexdigits
from typing import NamedTuple

from ...ambient import Device, modes
from ...capture.points import Point
from ...capture.roles import Role

_Rest = Callable[[str], bool]
"""Tells whether what follows a prefix may follow it."""


def _nothing(rest: str) -> bool:
    return not rest


def _number(rest: str) -> bool:
    return rest.isascii() and rest.isdecimal()


def _number_or_nothing(rest: str) -> bool:
    return _nothing(rest) or _number(rest)


def _vlan_number(rest: str) -> bool:
    """Accept `0` and `0.100`."""
    number, dot, vlan = rest.partition(".")
    return _number(number) and (_number(vlan) if dot else True)


def _slot(rest: str) -> bool:
    """Accept what systemd makes of places on buses: `3s0f1`, `5`, `1.100`."""
    return rest[:1].isdecimal() and rest.isascii() and rest.replace(".", "").isalnum()


def _word(rest: str) -> bool:
    return rest.isascii() and rest.replace("-", "").replace("_", "").isalnum()


def _ends_in_number(rest: str) -> bool:
    return rest[-1:].isdecimal() and _word(rest)


def _hex(digits: int | None = None) -> _Rest:
    def fits(rest: str) -> bool:
        return bool(rest) and set(rest) <= _LOWER_HEX and digits in {None, len(rest)}

    return fits


def _suffix(rest: str) -> bool:
    return not rest or rest[0] in _SEPARATORS


_SEPARATORS = frozenset("./:_-")
_LOWER_HEX = frozenset(hexdigits.lower())

_KNOWN: tuple[tuple[tuple[str, ...], _Rest, Role, str], ...] = (
    (("lo",), _number_or_nothing, Role.LO, "a loopback"),
    (("any",), _suffix, Role.ANY, "all interfaces of a host"),
    # CNI overlays.
    (("flannel.", "flannel-v6."), _number, Role.OVERLAY, "Flannel's VXLAN device"),
    (("vxlan.calico", "vxlan-v6.calico"), _nothing, Role.OVERLAY, "Calico's VXLAN device"),
    (("cilium_vxlan", "cilium_geneve"), _nothing, Role.OVERLAY, "Cilium's tunnel device"),
    (
        ("genev_sys_", "vxlan_sys_", "gre_sys"),
        _number_or_nothing,
        Role.OVERLAY,
        "Open vSwitch's tunnel device",
    ),
    (("ovn-k8s-mp",), _number, Role.OVERLAY, "OVN-Kubernetes' port of the node in its overlay"),
    (("antrea-gw",), _number, Role.OVERLAY, "Antrea's port of the node in its overlay"),
    (("tunl", "ip6tnl", "sit"), _number, Role.OVERLAY, "an IP-in-IP device"),
    (("cilium_wg", "wg"), _number, Role.OVERLAY, "a WireGuard device"),
    (("wireguard.cali", "wg-v6.cali"), _nothing, Role.OVERLAY, "Calico's WireGuard device"),
    (("vx-submariner",), _nothing, Role.OVERLAY, "Submariner's VXLAN device"),
    # A node's end of pods' links.
    (("veth",), _word, Role.NODE_VETH, "one end of a virtual Ethernet pair"),
    (("cali",), _hex(11), Role.NODE_VETH, "Calico's link to a pod"),
    (("lxc",), _hex(), Role.NODE_VETH, "Cilium's link to a pod"),
    (("lxc_health",), _nothing, Role.NODE_VETH, "Cilium's link to its health endpoint"),
    (("eni",), _hex(11), Role.NODE_VETH, "the AWS CNI's link to a pod"),
    (("azv",), _hex(), Role.NODE_VETH, "Azure CNI's link to a pod"),
    (("gke",), _hex(11), Role.NODE_VETH, "GKE's link to a pod"),
    # Bridges.
    (("cni", "cbr", "docker", "virbr", "lxdbr", "br"), _number, Role.BRIDGE, "a bridge"),
    (("br-",), _word, Role.BRIDGE, "a bridge"),
    (("kube-bridge",), _nothing, Role.BRIDGE, "a bridge"),
    # Network cards; eth0 is none of these, since every pod has one.
    (("eno", "ens", "enp", "en"), _slot, Role.UNDERLAY, "a network card"),
    (("enx",), _hex(12), Role.UNDERLAY, "a network card"),
    (("bond", "em", "ib", "team", "wlan"), _vlan_number, Role.UNDERLAY, "a network card"),
)

_ONLY_AS_INTERFACE: tuple[tuple[tuple[str, ...], _Rest, Role, str], ...] = (
    (("vxlan", "geneve", "gretap"), _ends_in_number, Role.OVERLAY, "a tunnel device"),
    (("",), _hex(15), Role.NODE_VETH, "OVN-Kubernetes' link to a pod"),
)
"""Names that files have as well, for other reasons: `vxlan-4789.pcap`."""

_POD_OR_CARD = ("eth", "net")
"""`eth0` of a pod or of a node, `net1` that Multus adds."""

_IFINDEX = "ifindex-"
LOOPBACK_IFINDEX = 1
"""Linux gives every network namespace its loopback first."""


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


_ZTUNNEL_PODS = "ztunnel-"
"""How the names of ztunnel's pods begin: its DaemonSet is called `ztunnel`."""


def is_ztunnel_pod(name: Named) -> bool:
    """Tell whether a point is a ztunnel pod's own device: kubectl names captures after pods."""
    in_pod = name.namespace.lower().startswith(_ZTUNNEL_PODS)
    return in_pod and name.interface in {None, "eth0"}


@cache
def _istio_devices() -> dict[str, Device]:
    return {device.name: device for mode in modes().values() for device in mode.devices}


@lru_cache(maxsize=1024)
def known_interface(name: str, *, in_file_name: bool = False) -> tuple[Role | None, str] | None:
    """Return (role or None, what it is) of an interface name, None for a name of no known kind.

    in_file_name: it is only a part of a capture's name, so that less is believed.
    """
    device = _istio_devices().get(name)
    if device is not None:
        return Role(device.name), f"Istio's device for VNI {device.vni}"
    for prefixes, fits, role, what in _KNOWN if in_file_name else (*_KNOWN, *_ONLY_AS_INTERFACE):
        if name.startswith(prefixes) and any(
            fits(name.removeprefix(prefix)) for prefix in prefixes if name.startswith(prefix)
        ):
            return role, what
    for prefix in _POD_OR_CARD:
        if name.startswith(prefix) and _vlan_number(name.removeprefix(prefix)):
            return None, "a pod's device or a network card"
    return None


def ifindex(point: Point) -> int | None:
    """Return the interface index of a point that an SLL2 capture was split into."""
    interface = point.interface or ""
    number = interface.removeprefix(_IFINDEX)
    return int(number) if number != interface and _number(number) and len(number) <= 10 else None


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
    begins = [0, *(i for i, char in enumerate(name, 1) if char in _SEPARATORS)]
    for begin in begins:
        known = known_interface(name[begin:], in_file_name=True)
        if known is not None:
            interface = "any" if known[0] is Role.ANY else name[begin:]
            return name[: max(begin - 1, 0)] or name, interface, *known
    return None


def _without(name: str, interface: str) -> str:
    """Return a capture's NAME without an interface that it ends in."""
    head = name.removesuffix(interface)
    return head[:-1] if head != name and len(head) > 1 and head[-1] in _SEPARATORS else name
