# SPDX-License-Identifier: Apache-2.0
"""Judging capture points: each alone by its name and traffic, then those of one namespace together.

Why each rule holds is said in `roles`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ...addresses import address_text, parse_address
from ...ambient import modes
from ...capture.linktypes import LINUX_SLL, NULL
from ...capture.points import Point
from ...capture.roles import Role
from ...columns import TUNNEL_NAMES
from .interfaces import LOOPBACK_IFINDEX, Named, ifindex, is_ztunnel_pod, named
from .signs import UNKNOWN_WAY, Address, Passage, PointSample, Tunnel
from .traffic import Traffic

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


class Place:
    """A point while it is found out what it is."""

    def __init__(self, index: int, point: Point, sample: PointSample) -> None:
        self.index = index
        self.point = point
        self.named: Named = named(point)
        self.traffic = Traffic(sample)
        self.role = Role.UNKNOWN
        self.interface = self.named.interface
        self.namespace = self.named.namespace
        self.own: tuple[Address, ...] = self.traffic.own
        self.twin_of: int | None = None
        self.node: str | None = None
        self.evidence: list[str] = []

    @property
    def role_given(self) -> bool:
        """Whether a manifest says its role."""
        return self.point.given is not None and self.point.given.role is not None

    @property
    def addresses_given(self) -> bool:
        """Whether a manifest says its addresses."""
        return self.point.given is not None and self.point.given.addresses is not None

    @property
    def open(self) -> bool:
        """Whether nothing is known of its role so far."""
        return self.role is Role.UNKNOWN and not self.role_given

    def guessed(self, *roles: Role) -> bool:
        """Tell whether its role is one of these, and neither its name nor a manifest says so."""
        return self.role in roles and self.named.role is None and not self.role_given

    def decide(self, role: Role, why: str) -> None:
        """Set the role, and say why before everything else."""
        self.role = role
        self.evidence.insert(0, why)


# --- one point alone -------------------------------------------------------------------------


def judge_alone(index: int, point: Point, sample: PointSample) -> Place:
    """Return a point with what its name and its traffic decide without any other point.

    A role that a manifest gives is left as it is, here and later.
    """
    place = Place(index, point, sample)
    _by_itself(place)
    if (given := point.given) is not None:
        if given.role is not None:
            place.evidence.clear()
            place.decide(given.role, "the manifest says so")
        if given.addresses is not None:
            place.own = tuple(parse_address(text) for text in given.addresses)
    return place


def _by_itself(place: Place) -> None:
    name, traffic = place.named, place.traffic
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
    if is_ztunnel_pod(name):
        place.decide(Role.ZTUNNEL, f"{name.namespace}: a ztunnel pod, by its name")
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
    inside = _inside_tunnels(members)
    node = _is_node(members)
    for member in members:
        if member.traffic.empty or not member.guessed(
            Role.UNKNOWN, Role.POD, Role.NODE_VETH, Role.ZTUNNEL
        ):
            continue
        if (role := _behind_tunnels(member, inside)) is not None:
            member.own = ()
            member.decide(role, "its packets are those inside the tunnels next to it")
        elif node:
            _on_a_node(member)
        if member.open:
            _others_packets(member)


def _inside_tunnels(members: list[Place]) -> dict[Role, set[Passage]]:
    """Return what is inside the tunnels of a namespace, by the role of the device behind them."""
    inside: dict[Role, set[Passage]] = defaultdict(set)
    for member in members:
        inner = member.traffic.sample.inner
        for tunnel in member.traffic.underlay_tunnels:
            inside[Role.OVERLAY] |= inner[tunnel]
        for tunnel in member.traffic.ztunnel_tunnels:
            role = _device_role(tunnel, member.role)
            if role is not None:
                inside[role] |= inner[tunnel]
    return inside


def _behind_tunnels(member: Place, inside: dict[Role, set[Passage]]) -> Role | None:
    """Return the role of a device behind tunnels; None where its packets are not those inside.

    A pod whose packets all go into the tunnel shows the same ones, but receives what the tunnel
    sends; where the link type does not say which way, only packets that were routed before count.
    """
    passages = member.traffic.passages
    directed = all(passage.sent != UNKNOWN_WAY for passage in passages)
    if not passages or not (directed or not member.traffic.senders):
        return None
    devices = (Role.ISTIOOUT, Role.ISTIOIN, Role.PISTIOOUT, Role.PISTIOIN, Role.OVERLAY)
    return next((role for role in devices if passages <= inside[role]), None)


def _device_role(tunnel: Tunnel, link: Role) -> Role | None:
    """Return the role of the device behind a redirect mode's tunnel, at this end of the link."""
    for mode in modes().values():
        for device in mode.devices:
            end = Role.ZTUNNEL if device.in_ztunnel else Role.ZTUNNEL_VETH
            if device.vni == tunnel.vni and link is end:
                return Role(device.name)
    return None


def _is_node(members: list[Place]) -> bool:
    """Tell a node's namespace: by interfaces that only nodes have, or links of several pods."""
    # Tunnel devices do not tell: a pod may have one of its own, and Linux makes some everywhere.
    # That tunnels are carried beside pods' packets does.
    sure = any(
        m.named.role in NODE_ROLES - {Role.OVERLAY} or m.role is Role.ZTUNNEL_VETH for m in members
    )
    carried = len(members) > 1 and any(m.traffic.underlay_tunnels for m in members)
    owners = {m.own for m in members if m.role is Role.NODE_VETH and m.own}
    return sure or carried or len(owners) > 1 or _links_of_several(members)


def _links_of_several(members: list[Place]) -> bool:
    """Tell whether unnamed interfaces of one capture are links of different pods."""
    unnamed = [m for m in members if ifindex(m.point) is not None and m.role is not Role.LO]
    return len([m for m in unnamed if not m.traffic.empty]) > 1 and any(
        m.role in NODE_ROLES or m.role is Role.UNKNOWN for m in unnamed
    )


def _on_a_node(member: Place) -> None:
    """Decide for a point in a node's namespace what cannot be a pod's device then."""
    name, traffic = member.named, member.traffic
    if name.interface is None and ifindex(member.point) is None:
        return
    why = "other interfaces of this namespace are a node's"
    if member.role is Role.ZTUNNEL:
        member.decide(Role.ZTUNNEL_VETH, why)
    elif member.role is Role.POD:
        # `eth0` of a node; any other name of an interface that shows one pod is its link.
        member.decide(Role.UNDERLAY if name.what or name.interface is None else Role.NODE_VETH, why)
    elif member.open and traffic.way(traffic.candidates) is not None:
        member.own = traffic.chosen(sent=False)
        if member.own:
            words = address_words(member.own)
            member.decide(Role.NODE_VETH, f"every packet is from or to {words}, received from it")
    elif member.open and traffic.senders and name.interface is not None and not name.what:
        words = address_words(traffic.senders)
        member.decide(Role.NODE_VETH, f"every packet is from or to one of {words}")
    if member.role is Role.UNDERLAY:
        member.own = ()


def _others_packets(member: Place) -> None:
    """Decide for a point that packets of several others pass."""
    traffic = member.traffic
    if traffic.loopback or not traffic.frames:
        return
    if traffic.senders:
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
        guessed = place.guessed(Role.POD, Role.NODE_VETH, Role.UNKNOWN)
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
