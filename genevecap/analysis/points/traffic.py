# SPDX-License-Identifier: Apache-2.0
"""What a point's traffic alone says of it: own addresses, ztunnel, other people's packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, cached_property

from ...addresses import is_loopback, parse_address
from ...ambient import SNAT_ADDRESSES, modes
from ...columns import TunnelKind
from .signs import TUNNELLED, UNKNOWN_WAY, Address, Passage, PointSample, Talk, Tunnel

INITIAL_TTLS = frozenset({64, 128, 255})
"""TTLs that senders begin with (Linux 64, Windows 128, IPv6 neighbour discovery 255)."""

_SNAT = frozenset(parse_address(text) for text in SNAT_ADDRESSES)
"""A node's, towards pods."""

_ALL = 0.98
"""Share that counts as all: a stray frame is no counter-evidence."""
_MOST = 0.9
_SHARE_OF_UNDERLAY = 0.05

Side = tuple[int, int]
"""Which way a frame went: (link source, UNKNOWN_WAY), or (0, sent) where the link type says it."""


class _Heard:
    """What was heard of one address."""

    __slots__ = ("frames", "initial", "sent", "sides")

    def __init__(self) -> None:
        self.frames = 0
        self.sent = 0
        """Frames that it is the source of."""
        self.initial = 0
        """Of them: with a TTL that a sender begins with."""
        self.sides: Counter[Side] = Counter()
        """Ways that its own frames went."""


class Traffic:
    """Conclusions from one point's sample."""

    def __init__(self, sample: PointSample) -> None:
        self.sample = sample
        self.frames = 0
        """Unicast frames with an IP header."""
        self._heard: dict[Address, _Heard] = {}
        self._by_version: Counter[int] = Counter()
        for talk, count in sample.talks.items():
            if talk.ttl != TUNNELLED and is_unicast(talk.source) and is_unicast(talk.destination):
                self._hear(talk, count)

    def _hear(self, talk: Talk, count: int) -> None:
        self.frames += count
        self._by_version[talk.source[0]] += count
        source = self._heard.setdefault(talk.source, _Heard())
        source.frames += count
        source.sent += count
        source.initial += count if talk.ttl in INITIAL_TTLS else 0
        source.sides[_side(talk)] += count
        if talk.destination != talk.source:
            self._heard.setdefault(talk.destination, _Heard()).frames += count

    @property
    def empty(self) -> bool:
        """Whether there is nothing to conclude from."""
        return not self.frames and not self.sample.tunnels

    @property
    def loopback(self) -> bool:
        """Whether frames went through a loopback."""
        return 0 < self.sample.frames * _MOST <= self.sample.loopback

    # --- own addresses ---

    @cached_property
    def candidates(self) -> tuple[Address, ...]:
        """Addresses that every frame (of that IP version) comes from or goes to."""
        return tuple(
            address
            for address, heard in sorted(self._heard.items())
            if heard.frames >= _ALL * self._by_version[address[0]]
            and not is_loopback(*address)
            and address not in _SNAT
        )

    @cached_property
    def own(self) -> tuple[Address, ...]:
        """Addresses of the namespace, where the traffic decides: at most one of each version."""
        found = (self._own_of(version) for version in sorted(self._by_version))
        return tuple(address for address in found if address is not None)

    def _own_of(self, version: int) -> Address | None:
        common = [address for address in self.candidates if address[0] == version]
        senders = [address for address in self.senders if address[0] == version]
        if len(senders) == 1:
            return senders[0]
        if not senders:
            silent = [a for a in common if not self._heard[a].sent]
            return silent[0] if len(silent) == 1 and len(common) > 1 else None
        mac = self._only_mac
        at_mac = [a for a in senders if mac and set(self._heard[a].sides) == {(mac, UNKNOWN_WAY)}]
        return at_mac[0] if len(at_mac) == 1 else None

    @cached_property
    def senders(self) -> tuple[Address, ...]:
        """Candidates whose frames come as their sender made them."""
        return tuple(address for address in self.candidates if self._is_first_sender(address))

    def _is_first_sender(self, address: Address) -> bool:
        """Tell whether frames of an address come as their sender made them: no router between."""
        heard = self._heard[address]
        return heard.sent > 0 and heard.initial >= _MOST * heard.sent

    @cached_property
    def _only_mac(self) -> int:
        """The one MAC address that every frame comes from or goes to, 0 where there is none."""
        macs: Counter[int] = Counter()
        frames = 0
        for talk, count in self.sample.talks.items():
            if talk.ttl != TUNNELLED and is_unicast(talk.destination):
                frames += count
                macs.update({talk.link_source: count})
                if talk.link_destination != talk.link_source:
                    macs.update({talk.link_destination: count})
        common = [mac for mac, count in macs.items() if mac and count >= _ALL * frames]
        return common[0] if len(common) == 1 else 0

    def chosen(self, sent: bool) -> tuple[Address, ...]:
        """Return the candidates whose frames the captured host sent (or those it received)."""
        return tuple(a for a in self.senders if set(self._heard[a].sides) == {(0, int(sent))})

    def way(self, addresses: Iterable[Address]) -> bool | None:
        """Tell whether frames of these were sent by the captured host; None where unknown."""
        sides: Counter[Side] = Counter()
        for address in addresses:
            if address in self._heard:
                sides += self._heard[address].sides
        ways = {sent for _, sent in sides}
        return ways == {1} if ways and UNKNOWN_WAY not in ways else None

    # --- ztunnel ---

    @cached_property
    def ztunnel_tunnels(self) -> tuple[Tunnel, ...]:
        """Tunnels of a redirect mode: its VNIs, no options, one way, nothing else to that end."""
        mine = [t for t in self.sample.tunnels if _is_redirect(t)]
        ends = {t.destination for t in mine}
        others = [t for t in self.sample.tunnels if not _is_redirect(t)]
        not_ztunnel = {end for t in others for end in (t.source, t.destination)}
        not_ztunnel |= {t.source for t in mine}
        return tuple(t for t in mine if t.destination in ends - not_ztunnel)

    @cached_property
    def proxied(self) -> Address | None:
        """An address that HBONE comes from on one side, and all else on the other.

        Only a proxy between the two makes that: it takes the client's address for its own.
        """
        if self.loopback:
            return None
        hbone: dict[Address, Counter[bool]] = {}
        plain: dict[Address, Counter[bool]] = {}
        for talk, count in self.sample.talks.items():
            if talk.ttl != TUNNELLED:
                ways = (hbone if talk.hbone else plain).setdefault(talk.source, Counter())
                ways[self._way(_side(talk))] += count
        for address, ways in sorted(hbone.items(), key=lambda item: -item[1].total()):
            others = plain.get(address, Counter())
            enough = min(ways.total(), others.total()) > 1
            if enough and len(ways) == len(others) == 1 and set(ways) != set(others):
                return address
        return None

    def plain_ways(self, *, inside: bool) -> dict[tuple[Address, Address], bool]:
        """Return for pairs (source, destination) whether ztunnel sends such packets, or gets them.

        On ztunnel's link every frame comes from its MAC address or goes to it.  Pairs that go both
        ways, and HBONE, are left out.  inside: whether the point is on ztunnel's side of the link.
        """
        ways: dict[tuple[Address, Address], set[bool]] = {}
        for talk in self.sample.talks:
            mac, sent = _side(talk)
            if talk.ttl == TUNNELLED or talk.hbone or (mac and not self._only_mac):
                continue
            by_ztunnel = mac == self._only_mac if mac else bool(sent) == inside
            ways.setdefault((talk.source, talk.destination), set()).add(by_ztunnel)
        return {pair: found.pop() for pair, found in ways.items() if len(found) == 1}

    def _way(self, side: Side) -> bool:
        """Tell the two directions of a link apart."""
        mac, sent = side
        return bool(sent) if mac == 0 else mac == (self._only_mac or self._lower_mac)

    @cached_property
    def _lower_mac(self) -> int:
        """One of the two ends of the link, always the same one."""
        return min((mac for mac, _ in self.sides()), default=0)

    def sides(self) -> set[Side]:
        """Return all ways that frames went."""
        return {side for heard in self._heard.values() for side in heard.sides}

    # --- other hosts ---

    @cached_property
    def underlay_tunnels(self) -> tuple[Tunnel, ...]:
        """Tunnels that are no redirect mode's, where they are a good part of the traffic."""
        found = [t for t in self.sample.tunnels if t not in self.ztunnel_tunnels]
        share = sum(self.sample.tunnels[t] for t in found)
        enough = share >= _SHARE_OF_UNDERLAY * max(self.sample.frames, 1)
        return tuple(found) if enough else ()

    @cached_property
    def passages(self) -> frozenset[Passage]:
        """Who talks to whom, outside tunnels."""
        return frozenset(
            Passage(talk.source, talk.destination, talk.sent)
            for talk in self.sample.talks
            if talk.ttl != TUNNELLED and is_unicast(talk.source) and is_unicast(talk.destination)
        )

    @cached_property
    def macs(self) -> frozenset[int]:
        """MAC addresses of unicast frames."""
        return frozenset(
            mac
            for talk in self.sample.talks
            if is_unicast(talk.destination)
            for mac in (talk.link_source, talk.link_destination)
            if mac
        )


def _side(talk: Talk) -> Side:
    return (0, talk.sent) if talk.sent != UNKNOWN_WAY else (talk.link_source, UNKNOWN_WAY)


def _is_redirect(tunnel: Tunnel) -> bool:
    known = tunnel.kind == TunnelKind.GENEVE and tunnel.vni in _redirect_vnis()
    return known and not tunnel.has_options


@cache
def _redirect_vnis() -> frozenset[int]:
    return frozenset(vni for mode in modes().values() for vni in mode.vnis)


def is_unicast(address: Address) -> bool:
    """Tell whether an address is one host's, and not of its link alone (IPv6 fe80::/10)."""
    version, hi, lo = address
    if version == 4:
        return 0 < lo >> 24 < 224
    return hi >> 56 != 0xFF and hi >> 54 != 0x3FA and (hi, lo) != (0, 0)
