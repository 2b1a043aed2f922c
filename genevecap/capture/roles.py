# SPDX-License-Identifier: Apache-2.0
"""Roles of capture points: words only; what has which role is found out by the analysis."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a capture point is on the way of a packet; the words that people and programs see."""

    POD = "pod"
    """A pod's own network device, captured inside the pod (its `eth0`)."""
    LO = "lo"
    """The loopback of a pod or a node; in-pod redirection happens on a pod's."""
    NODE_VETH = "node-veth"
    """The node's end of a pod's link (veth, cali, lxc, eni…)."""
    ISTIOOUT = "istioout"
    """The node's Geneve device towards ztunnel, outbound: packets before encapsulation."""
    ISTIOIN = "istioin"
    """The node's Geneve device towards ztunnel, inbound."""
    PISTIOOUT = "pistioout"
    """ztunnel's end of `istioout`: packets after decapsulation."""
    PISTIOIN = "pistioin"
    """ztunnel's end of `istioin`."""
    ZTUNNEL = "ztunnel"
    """The `eth0` of a ztunnel pod that traffic is redirected to."""
    ZTUNNEL_VETH = "ztunnel-veth"
    """The node's end of that pod's link."""
    UNDERLAY = "underlay"
    """A node's network card: what leaves it is on the way to another node."""
    OVERLAY = "overlay"
    """A device of the CNI behind which packets get its tunnel (flannel.1, genev_sys_6081…)."""
    BRIDGE = "bridge"
    """A bridge of a node (cni0, br-ex): its members show the same packets."""
    WIRE = "wire"
    """Between nodes, on none of them: a mirror port, a tap."""
    GATEWAY = "gateway"
    """A pod that opens or ends HBONE itself (waypoint, ingress, east-west).  Never guessed: on its
    `eth0` it looks like any pod in the mesh, so only a manifest says it."""
    ANY = "any"
    """All interfaces at once without telling which (SLL v1): a packet is sighted repeatedly."""
    UNKNOWN = "unknown"
    """Nothing says what it is."""
