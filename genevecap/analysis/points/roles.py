# SPDX-License-Identifier: Apache-2.0
"""What each capture point is: a pod's device, a node's end of its link, ztunnel, the wire.

Names come first where they decide (`istioout`, `flannel.1`, `veth…`), traffic where they do not:

* A pod's link carries nothing but the pod's own packets, so its address is in all of them, and its
  own packets still have the TTL that a sender begins with.
* ztunnel's link is where Geneve with Istio's VNIs ends, or where one client's HBONE goes the one
  way and its plain packets the other.
* A node's card carries tunnels between nodes, or the packets of others.
* Behind a CNI's device are the packets that are inside the tunnels of the card.

Points of one network namespace then help each other, the same packets at the same times name an
interface that has no name (SLL2 knows its index alone), and a link's two ends say which pod is on
which node.  What a manifest says goes before all of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...addresses import address_text
from ...capture.points import Point
from ...capture.roles import Role
from .interfaces import ifindex
from .places import NODE_ROLES, POD_ROLES, Place, address_words, judge_alone, judge_together
from .signs import Address, PointSample, PointSamples
from .twins import alike, resolution_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRole:
    """What one capture point is, and why that is believed."""

    index: int
    """Index of the point, as in `FrameBatch.point`."""
    name: str
    own_name: str
    """Its name without a manifest, which a manifest's patterns are matched with."""
    capture_name: str
    """NAME of its capture; a `host` that is another one was given."""
    host: str
    """Whose clock stamped it."""
    interface: str | None
    """Name of the interface, where the capture, its name or a twin says it."""
    role: Role
    addresses: tuple[str, ...]
    """Addresses of the point's network namespace (the pod's IP), or of ztunnel behind it; of a
    pod's link both ends say the pod's."""
    namespace: str
    """Captures of one network namespace have one name here (`nA` of `nA/eth0` and `nA.eth0`)."""
    node: str | None
    """Namespace of the node that it is on, where links tell; None where unknown."""
    twin_of: int | None
    """Index of the point that shows the same interface and stands for it; None where it is alone,
    or stands for others."""
    packets: int
    evidence: tuple[str, ...]
    """Sentences; the first says why the role is believed."""
    ztunnel_sends: Mapping[tuple[Address, Address], bool] = field(default_factory=dict)
    """On ztunnel's link: by source and destination whether it sends such packets, or gets them."""


class RoleSigns(PointSamples):
    """Gathers what capture points show; `result` says what they are."""

    def result(self) -> tuple[PointRole, ...]:
        """Return what each point of the run is, by point index."""
        return point_roles(self.points.points, self.samples)


def point_roles(points: Sequence[Point], samples: dict[int, PointSample]) -> tuple[PointRole, ...]:
    """Return what each point is, in their order.

    samples: of `RoleSigns`; a point without one is judged by its names.
    """
    places = [
        judge_alone(i, point, samples.get(i) or PointSample(point.link_type, 0))
        for i, point in enumerate(points)
    ]
    by_namespace: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_namespace[place.named.namespace].append(place)
    judge_together(places, by_namespace.values())
    _twins(places, samples)
    for members in by_namespace.values():
        _loopback_addresses(members)
    _nodes(places)
    return tuple(_result(place) for place in places)


# --- twins -----------------------------------------------------------------------------------


def _twins(places: list[Place], samples: dict[int, PointSample]) -> None:
    """Find interfaces that were captured twice, and let names of the one serve the other."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (a, b), likeness in alike(samples).items():
        if _may_be_twins(places[a], places[b], likeness.both_ways):
            found[a].append((likeness.spread_ns, b))
            found[b].append((likeness.spread_ns, a))
    order = sorted(found, key=lambda index: _preference(places[index]))
    standing: set[int] = set()
    for index in order:
        twins = [(spread, other) for spread, other in found[index] if other in standing]
        if not twins:
            standing.add(index)
            continue
        place, first = places[index], places[min(twins)[1]]
        place.twin_of = first.index
        if place.interface is None and first.interface is not None:
            place.interface, place.namespace = first.interface, first.namespace
            if not place.role_given:
                place.role, place.own = first.role, first.own
            place.evidence.append(f"is {first.point.name}: the same packets at the same times")
        else:
            place.evidence.append(f"the same packets at the same times as {first.point.name}")


def _may_be_twins(a: Place, b: Place, both_ways: bool) -> bool:
    if Role.ANY in {a.role, b.role}:
        return False
    if a.interface is not None and b.interface is not None:
        return a.interface == b.interface and (both_ways or a.named.namespace == b.named.namespace)
    if _full_name(a) == _full_name(b):
        return True
    one_side = POD_ROLES if a.role in NODE_ROLES else NODE_ROLES if a.role in POD_ROLES else ()
    same_place = a.named.namespace == b.named.namespace
    return b.role not in one_side and (both_ways or same_place)


def _full_name(place: Place) -> str:
    """Return NAME and interface in one form, however the file is named: `wire.wA`."""
    if ifindex(place.point) is not None:
        return place.point.own_name
    return place.point.own_name.replace("/", ".")


def _preference(place: Place) -> tuple[bool, bool, int, int, int, int]:
    """Order points of one interface: named, whole frames, fine times, many packets."""
    sample = place.traffic.sample
    return (
        place.interface is None,
        place.point.interface is None,
        sample.cut,
        resolution_ns(sample),
        -place.point.packets,
        place.index,
    )


# --- addresses and nodes ---------------------------------------------------------------------


def _loopback_addresses(members: list[Place]) -> None:
    """Say whose loopback it is: by other points of the namespace, or by what ztunnel redirects."""
    own = {a for m in members if m.role in {Role.POD, Role.GATEWAY} for a in m.own}
    for member in members:
        if member.role is not Role.LO or member.addresses_given:
            continue
        candidates = set(member.traffic.candidates)
        sample = member.traffic.sample
        # What ztunnel takes from this pod, and what it delivers to it (istio in-pod redirection).
        taken, delivered = candidates & set(sample.redirected), candidates & set(sample.called)
        found = own & candidates or taken or delivered
        if not found and len(candidates) == 1:
            found = candidates
        member.own = tuple(sorted(found))


def _nodes(places: list[Place]) -> None:
    """Say which points are on which node, by the links that join a pod's namespace to a node's."""
    by_namespace: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_namespace[place.namespace].append(place)
    ends: dict[frozenset[int], set[str]] = defaultdict(set)
    owners: dict[Address, set[str]] = defaultdict(set)
    nodes = {
        namespace
        for namespace, members in by_namespace.items()
        if any(m.role in NODE_ROLES for m in members)
    }
    for namespace in nodes:
        for member in by_namespace[namespace]:
            if member.role in {Role.NODE_VETH, Role.ZTUNNEL_VETH}:
                if member.traffic.macs:
                    ends[member.traffic.macs].add(namespace)
                for address in member.own:
                    owners[address].add(namespace)
    for namespace, members in by_namespace.items():
        node, why = _node_of(members, ends, owners)
        if namespace in nodes:
            node, why = namespace, ""
        for member in members:
            member.node = node
            if why:
                member.evidence.append(why)


def _node_of(
    members: list[Place],
    ends: dict[frozenset[int], set[str]],
    owners: dict[Address, set[str]],
) -> tuple[str | None, str]:
    for member in members:
        if member.role in POD_ROLES:
            found = ends.get(member.traffic.macs, set())
            if len(found) == 1:
                (node,) = found
                return node, f"the link of this namespace ends in {node}"
    addresses = {a for m in members if m.role in POD_ROLES | {Role.LO} for a in m.own}
    found = {node for address in addresses for node in owners.get(address, ())}
    if len(found) == 1:
        (node,) = found
        return node, f"{node} has the link of {address_words(tuple(sorted(addresses)))}"
    return None, ""


def _result(place: Place) -> PointRole:
    return PointRole(
        index=place.index,
        name=place.point.name,
        own_name=place.point.own_name,
        capture_name=place.point.capture_name,
        host=place.point.host,
        interface=place.interface,
        role=place.role,
        addresses=tuple(address_text(*address) for address in place.own),
        namespace=place.namespace,
        node=(place.point.given and place.point.given.node) or place.node,
        twin_of=place.twin_of,
        packets=place.point.packets,
        evidence=tuple(place.evidence),
        ztunnel_sends=place.traffic.plain_ways(inside=place.role is Role.ZTUNNEL)
        if place.role in {Role.ZTUNNEL, Role.ZTUNNEL_VETH}
        else {},
    )
