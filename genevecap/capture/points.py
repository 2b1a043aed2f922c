# SPDX-License-Identifier: Apache-2.0
"""Capture points: every interface of every file, under a name that is its own.

A point is called `NAME/INTERFACE`, or `NAME` where the file names no interface; an SLL2 `any`
capture gives `NAME/ifindex-N`.  A name that is taken gets `~2`, `~3`…
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import StrEnum

from .spec import CaptureSpec, default_name


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


@dataclass(slots=True, kw_only=True)
class Point:
    """One capture point; counts grow while its file is read."""

    name: str
    host: str
    """Whose clock stamped it."""
    interface: str | None
    link_type: int
    capture: int
    """Index of the input it belongs to."""
    capture_name: str
    """NAME of that input."""
    file_name: str
    """What NAME would be by default: the name of the file without its suffixes."""
    dropped: int | None = None
    """Drops of kernel and interface, as the last interface statistics block says."""
    dropped_by_dumpcap: int | None = None
    packets: int = 0


class PointTable:
    """All points of a run; a point's index is what `FrameBatch.point` holds."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.link_types = array("i")
        """Link type by point index, for the decoders."""
        self._taken: set[str] = set()
        self._copies: dict[str, int] = {}
        """The last number that a wanted name got, so that many of one name cost no search each."""

    @property
    def names(self) -> list[str]:
        """Return the full names, by point index."""
        return [point.name for point in self.points]

    def add(self, spec: CaptureSpec, capture: int, interface: str | None, link_type: int) -> int:
        """Make a point and return its index."""
        wanted = spec.name if interface is None else f"{spec.name}/{interface}"
        name, copy = wanted, self._copies.get(wanted, 1)
        while name in self._taken:
            copy += 1
            name = f"{wanted}~{copy}"
        self._copies[wanted] = copy
        self._taken.add(name)
        self.points.append(
            Point(
                name=name,
                host=spec.host,
                interface=interface,
                link_type=link_type,
                capture=capture,
                capture_name=spec.name,
                file_name=default_name(spec.path),
            )
        )
        self.link_types.append(link_type)
        return len(self.points) - 1

    def of_capture(self, capture: int) -> list[Point]:
        """Return the points of one input, in the order they were met."""
        return [point for point in self.points if point.capture == capture]
