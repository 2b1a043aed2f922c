# SPDX-License-Identifier: Apache-2.0
"""Judging capture points: each alone by its name and traffic, then those of one namespace together.

Why each rule holds is said in `roles`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..addresses import address_text
from ..ambient import modes
from ..capture.linktypes import LINUX_SLL, NULL
from ..capture.points import Point, Role
from ..columns import TUNNEL_NAMES
from .interfaces import LOOPBACK_IFINDEX, Named, ifindex, named
from .point_traffic import INITIAL_TTLS, Traffic
from .signs import Address, PointSample, Tunnel

NODE_ROLES = frozenset(
    {
        Role.NODE_VETH,
        Role.ISTIOOUT,
        Role.ISTIOIN,
        Role.ZTUNNEL_VETH,
        Role.UNDERLAY,
        Role.OVERLAY,
        Role.BRIDGE,
    }
)
"""Roles that only an interface in a node's own network namespace has."""

POD_ROLES = frozenset({Role.POD, Role.ZTUNNEL, Role.PISTIOOUT, Role.PISTIOIN, Role.GATEWAY})
"""Roles that only an interface inside a pod has."""

_WIRE_WORDS = ("wire", "tap", "mirror", "span")


@dataclass(slots=True)
class Place:
    """A point while it is found out what it is."""

    index: int
    point: Point
    named: Named
    traffic: Traffic
    role: Role = Role.UNKNOWN
    interface: str | None = None
    namespace: str = ""
    own: tuple[Address, ...] = ()
    twin_of: int | None = None
    node: str | None = None
    evidence: list[str] = field(default_factory=list)

    def decide(self, role: Role, why: str) -> None:
        """Set the role, and say why."""
        self.role = role
        self.evidence.append(why)


# --- one point alone -------------------------------------------------------------------------


def judge_alone(index: int, point: Point, sample: PointSample) -> Place:
    """Return a point with what its name and its traffic decide without any other point."""
    names = named(point)
    place = Place(index, point, names, Traffic(sample))
    place.interface, place.namespace = names.interface, names.namespace
    _by_itself(place)
    return place


def _by_itself(place: Place) -> None:
    name, traffic = place.named, place.traffic
    place.own = traffic.own
    if _is_loopback(place):
        return
    if name.role is Role.ANY or (
        place.point.link_type == LINUX_SLL and name.role is None and name.interface is None
    ):
        place.own = ()
        place.decide(Role.ANY, "Linux cooked capture without interface index")
        return
    if name.role is Role.NODE_VETH:
        place.decide(Role.NODE_VETH, f"{name.interface}: {name.what}")
        _see_ztunnel(place, Role.ZTUNNEL_VETH)
        return
    if name.role is not None and name.role is not Role.LO:
        place.own = ()
        place.decide(name.role, f"{name.interface}: {name.what}")
        return
    if traffic.empty:
        place.evidence.append("no packets to judge by")
        return
    if traffic.underlay_tunnels:
        place.own = ()
        place.decide(_card_or_wire(place), f"carries {_tunnel_words(traffic.underlay_tunnels)}")
        return
    if _see_ztunnel(place, Role.ZTUNNEL):
        return
    if place.own and not traffic.loopback:
        _by_own_address(place)


def _is_loopback(place: Place) -> bool:
    name, traffic = place.named, place.traffic
    if place.point.link_type == NULL and name.role in {None, Role.LO}:
        why = "link type of BSD loopbacks"
    elif ifindex(place.point) == LOOPBACK_IFINDEX:
        why = "interface index 1 is the loopback of a Linux network namespace"
    elif traffic.loopback and name.role in {None, Role.LO, Role.ANY}:
        why = "frames have no MAC addresses, or say loopback"
    elif name.role is Role.LO and (place.point.interface is not None or traffic.empty):
        why = f"{name.interface}: {name.what}"
    else:
        return False
    if name.role is Role.ANY and place.point.link_type == LINUX_SLL:
        return False
    place.decide(Role.LO, why)
    return True


def _see_ztunnel(place: Place, role: Role) -> bool:
    """Decide whether ztunnel's link is here; its address is then the point's."""
    traffic = place.traffic
    tunnels = traffic.ztunnel_tunnels
    if tunnels:
        place.own = tuple(sorted({tunnel.destination for tunnel in tunnels}))
        why = f"{_tunnel_words(tunnels)} ends at {address_words(place.own)}"
        sent = any(talk.sent == 1 for talk in traffic.sample.talks if talk.destination in place.own)
        known = any(talk.sent >= 0 for talk in traffic.sample.talks)
    elif traffic.proxied is not None:
        place.own = ()
        client = address_text(*traffic.proxied)
        why = f"HBONE of {client} goes the other way than its plain packets"
        sent = any(
            talk.sent == 0
            for talk in traffic.sample.talks
            if talk.hbone and talk.source == traffic.proxied
        )
        known = False
    else:
        return False
    if known:
        role = Role.ZTUNNEL_VETH if sent else Role.ZTUNNEL
    place.decide(role, why)
    return True


def _by_own_address(place: Place) -> None:
    """Decide by the one address that all packets come from or go to."""
    why = f"every packet is from or to {address_words(place.own)}, whose TTL is a sender's"
    sent = place.traffic.way(place.own)
    if sent is None:
        place.decide(Role.POD, why)
    elif sent:
        place.decide(Role.POD, f"{why}, and the captured host sends them")
    else:
        place.decide(Role.NODE_VETH, f"{why}, and the captured host receives them")


def _card_or_wire(place: Place) -> Role:
    """Tell a node's card from a place between nodes, for a point that others' packets pass."""
    words = place.point.capture_name.lower()
    if place.named.interface is None and ifindex(place.point) is None:
        on_wire = any(word in words for word in _WIRE_WORDS)
    else:
        # Whatever `wA` is, it is no name of a card, and the node's side of pods' links shows the
        # packets of one pod.
        on_wire = place.named.interface is not None and not place.named.what
    return Role.WIRE if on_wire else Role.UNDERLAY


# --- points of one namespace -----------------------------------------------------------------


def judge_together(places: Sequence[Place], namespaces: Iterable[list[Place]]) -> None:
    """Decide what points say of each other, first all, then those of each network namespace."""
    _underlay_addresses(places)
    for members in namespaces:
        _by_neighbours(members)


def _by_neighbours(members: list[Place]) -> None:
    """Decide what points of one network namespace say of each other."""
    _node_has_no_pod_device(members)
    inside: dict[Role, set[tuple[Address, Address]]] = defaultdict(set)
    for member in members:
        for tunnel in member.traffic.underlay_tunnels:
            inside[Role.OVERLAY] |= member.traffic.sample.inner[tunnel]
        for tunnel in member.traffic.ztunnel_tunnels:
            inner = member.traffic.sample.inner[tunnel]
            if member.role in {Role.ZTUNNEL, Role.ZTUNNEL_VETH}:
                inside[_device_role(tunnel, member.role)] |= inner
    for member in members:
        if member.role is not Role.UNKNOWN or member.traffic.empty:
            continue
        pairs = member.traffic.pairs
        for role in (Role.ISTIOOUT, Role.ISTIOIN, Role.PISTIOOUT, Role.PISTIOIN, Role.OVERLAY):
            if pairs and pairs <= inside[role]:
                member.decide(role, "its packets are those inside the tunnels next to it")
                break
        else:
            _others_packets(member)


def _device_role(tunnel: Tunnel, role: Role) -> Role:
    """Return the role of the device that a tunnel of a redirect mode belongs to."""
    names = [d.name for mode in modes().values() for d in mode.devices if d.vni == tunnel.vni]
    inside_pod = role is Role.ZTUNNEL
    return next(Role(name) for name in names if name.startswith("p") == inside_pod)


def _node_has_no_pod_device(members: list[Place]) -> None:
    """Let a namespace with a node's interfaces, or with links of several pods, be a node's."""
    sure = [m for m in members if m.named.role in NODE_ROLES or m.role is Role.ZTUNNEL_VETH]
    owners = {m.own for m in members if m.role is Role.NODE_VETH and m.own}
    if not sure and len(owners) < 2 and not _links_of_several(members):
        return
    for member in members:
        cooked = member.traffic.way(member.traffic.candidates) is not None
        if member.role is Role.UNKNOWN and cooked and not member.own:
            member.own = member.traffic.chosen(sent=False)
            if member.own:
                member.decide(
                    Role.NODE_VETH,
                    f"every packet is from or to {address_words(member.own)}, received from it",
                )
        elif member.role in {Role.POD, Role.ZTUNNEL}:
            _correct(member)


def _links_of_several(members: list[Place]) -> bool:
    """Tell whether unnamed interfaces of one capture are links of different pods."""
    unnamed = [m for m in members if ifindex(m.point) is not None and m.role is not Role.LO]
    return len([m for m in unnamed if not m.traffic.empty]) > 1 and any(
        m.role in NODE_ROLES or m.role is Role.UNKNOWN for m in unnamed
    )


def _correct(member: Place) -> None:
    """Take back what looked like a pod's device in a namespace that is a node's."""
    if member.named.interface is None and ifindex(member.point) is None:
        return
    if member.role is Role.ZTUNNEL:
        if ifindex(member.point) is not None:
            member.decide(Role.ZTUNNEL_VETH, "other interfaces of this namespace are a node's")
        return
    member.decide(Role.UNDERLAY, "other interfaces of this namespace are a node's")


def _others_packets(member: Place) -> None:
    """Decide for a point that packets of several others pass."""
    if member.traffic.loopback or not member.traffic.frames:
        return
    if member.traffic.candidates and any(
        member.traffic.sample.talks[talk] and talk.ttl in INITIAL_TTLS
        for talk in member.traffic.sample.talks
        if talk.source in member.traffic.candidates
    ):
        member.evidence.append("two addresses are in every packet: which is its own is open")
        return
    member.own = ()
    member.decide(_card_or_wire(member), "packets of others pass it, each routed before")


def _underlay_addresses(places: Sequence[Place]) -> None:
    """Correct what looks like a pod and has an address that tunnels between nodes end at."""
    tunnelled = [place for place in places if place.traffic.underlay_tunnels]
    ends = {
        end
        for place in tunnelled
        for tunnel in place.traffic.underlay_tunnels
        for end in (tunnel.source, tunnel.destination)
    }
    for place in places:
        guessed = place.named.role is None and place.role in {
            Role.POD,
            Role.NODE_VETH,
            Role.UNKNOWN,
        }
        if guessed and ends & set(place.traffic.candidates):
            place.own = ()
            why = "tunnels between nodes end at an address that is in every packet"
            card = next((other for other in tunnelled if other.namespace == place.namespace), None)
            if card is None:
                place.decide(_card_or_wire(place), why)
            else:
                place.decide(Role.BRIDGE, f"{why}; the tunnels themselves are at {card.point.name}")


# --- words -----------------------------------------------------------------------------------


def _tunnel_words(tunnels: Sequence[Tunnel]) -> str:
    kinds = sorted({(TUNNEL_NAMES[tunnel.kind], tunnel.vni) for tunnel in tunnels})
    words = [name if vni < 0 else f"{name} VNI {vni}" for name, vni in kinds[:3]]
    return ", ".join(words) + (f" and {len(kinds) - 3} more" if len(kinds) > 3 else "")


def address_words(addresses: Sequence[Address]) -> str:
    """Return addresses as text, with commas."""
    return ", ".join(address_text(*address) for address in addresses)
