# SPDX-License-Identifier: Apache-2.0
"""Connections while packets are matched: which addresses are one, which end opened it, which leg.

A destination NAT (a Service's address that becomes a pod's) and in-pod redirection give one
connection several pairs of endpoints; on a pod's `lo` the two directions differ: forward
`C:p1 > 127.0.0.1:15001`, back `D:port > C:p1`.  What no NAT changes is the handshake: the SYN's
sequence number and time stamp come back as the SYN-ACK's acknowledgment and echo.  So endpoints
whose handshakes agree in both are one connection, at most `MAX_NAMES` of them.  Without time stamps
32 bits remain, and generated traffic often begins every connection with the same number; then the
endpoints must also share one end, and no point may have seen two of them open.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from ..rows import Array, find, starts
from ..segments import mix
from .sightings import HBONE, OUTBOUND, TOWARDS_SERVER, UPWARD, Exchange, Openings, Sightings

MAX_NAMES = 4
"""Pairs of endpoints that one connection can have: more that open alike are strangers."""

END_AT_ZTUNNEL, END_ON_LO = 1, 2
"""What `Legs.classify` is told of the points at the ends of a way."""

_MAX_ALIKE = 16
"""Handshakes without time stamps that begin with one number: of more, none is told from others."""

_DOWN = np.uint64(0xA5A5_5A5A_C3C3_3C3C)


class Leg(IntEnum):
    """Which part of a client's way a connection is; CONTRACT's words in lower case."""

    OUTBOUND = 0
    HBONE = 1
    INBOUND = 2
    WAYPOINT = 3


class Legs:
    """What is known of connections; grows with their number, by some 20 octets each."""

    def __init__(self, recent_ns: int) -> None:
        """recent_ns: how far apart the handshakes of one connection may be seen."""
        self._recent_ns = recent_ns
        self._recent: Openings | None = None
        self._keys = np.zeros(0, np.uint64)
        self._upward = np.zeros(0, bool)
        """Whether the client's segments of that key are the upward ones."""
        self._leg = np.zeros(0, np.uint8)
        self._parent: dict[int, int] = {}
        self._renamed = np.zeros(0, np.uint64)
        self._names = np.zeros(0, np.uint64)

    def learn(self, opened: Openings) -> None:
        """Take handshakes, in any order."""
        if not len(opened):
            return
        self._learn_direction(opened)
        recent = opened if self._recent is None else Openings.concatenate([self._recent, opened])
        self._recent = recent.take(recent.time_ns >= recent.time_ns.max() - self._recent_ns)
        self._learn_names(recent)

    def settle(self, rows: Sightings) -> None:
        """Give sightings their connection: one key and one meaning of upward, in place."""
        self.rename(rows)
        upward = (rows.traits & UPWARD) != 0
        rows.content = mix(rows.content ^ rows.key ^ np.where(upward, np.uint64(0), _DOWN))

    def rename(self, rows: Sightings | Exchange) -> None:
        """Give all endpoints of one connection one key, and one meaning of upward, in place."""
        if not len(self._renamed):
            return
        at, found = find(self._renamed, rows.key)
        renamed = np.flatnonzero(found)
        names = self._names[at[renamed]]
        same = self._client_is_upward(rows.key[renamed]) == self._client_is_upward(names)
        upward = (rows.traits[renamed] & UPWARD) != 0
        others = rows.traits[renamed] & ~np.uint8(UPWARD)
        rows.traits[renamed] = others | ((upward == same) * np.uint8(UPWARD))
        rows.key[renamed] = names

    def describe(self, keys: Array, traits: Array) -> tuple[Array, Array]:
        """Return leg (uint8) and whether it is the client's direction (bool) of settled rows."""
        forward = (traits & TOWARDS_SERVER) != 0
        leg = np.zeros(len(keys), np.uint8)
        if len(self._keys):
            at, known = find(self._keys, keys)
            forward = np.where(known, ((traits & UPWARD) != 0) == self._upward[at], forward)
            leg = np.where(known, self._leg[at], leg)
        return np.where((traits & HBONE) != 0, np.uint8(Leg.HBONE), leg), forward

    def classify(self, keys: Array, traits: Array, first: Array, last: Array) -> None:
        """Learn the legs of connections from the way of their SYNs.

        first, last: bits of the points where the SYN was seen first and last: END_AT_ZTUNNEL where
        it is ztunnel's own interface, END_ON_LO where it is a pod's `lo`.
        """
        outbound = (traits & OUTBOUND) != 0
        inbound = (first & END_AT_ZTUNNEL) != 0
        inbound |= ((first & last & END_ON_LO) != 0) & ~outbound
        at, found = find(self._keys, keys[inbound])
        self._leg[at[found]] = Leg.INBOUND

    def _client_is_upward(self, keys: Array) -> Array:
        """Look up keys that are known."""
        return self._upward[np.searchsorted(self._keys, keys)]

    def _learn_direction(self, opened: Openings) -> None:
        keys, where = np.unique(opened.key, return_index=True)
        _, known = find(self._keys, keys)
        if known.all():
            return
        keys, where = keys[~known], where[~known]
        at = np.searchsorted(self._keys, keys)
        self._keys = np.insert(self._keys, at, keys)
        upward = opened.upward[where] != opened.is_answer[where]
        self._upward = np.insert(self._upward, at, upward)
        self._leg = np.insert(self._leg, at, np.uint8(Leg.OUTBOUND))

    def _learn_names(self, recent: Openings) -> None:
        """Find keys whose handshakes agree and give them one name."""
        order = np.lexsort((recent.key, recent.opening))
        opening, key = recent.opening[order], recent.key[order]
        together = opening[1:] == opening[:-1]
        several = together & (key[1:] != key[:-1])
        if not several.any():
            return
        start = starts(opening)
        end = np.append(start[1:], len(order))
        for group in np.unique(np.searchsorted(start, np.flatnonzero(several), side="right") - 1):
            self._join(recent.take(order[start[group] : end[group]]))
        names = {key: self._name(key) for key in self._parent}
        self._renamed = np.array(sorted(names), np.uint64)
        self._names = np.array([names[key] for key in sorted(names)], np.uint64)

    def _join(self, group: Openings) -> None:
        """Give one name to the endpoints of handshakes that agree."""
        if group.stamped.all():
            if len(np.unique(group.key)) <= MAX_NAMES:
                self._rename(group)
        elif len(np.unique(group.key)) <= _MAX_ALIKE:
            for part in _sharing_an_end(group):
                if part.any() and _opened_once(group.take(part)):
                    self._rename(group.take(part))

    def _rename(self, group: Openings) -> None:
        first = int(group.key[np.argmin(group.time_ns)])
        for key in np.unique(group.key).tolist():
            if self._name(key) != self._name(first):
                self._parent[self._name(key)] = self._name(first)
                self._parent.setdefault(self._name(first), self._name(first))

    def _name(self, key: int) -> int:
        while self._parent.get(key, key) != key:
            key = self._parent[key]
        return key


def _sharing_an_end(group: Openings) -> list[Array]:
    """Return masks of handshakes that are linked by common endpoints, at most MAX_NAMES of them."""
    parts: list[Array] = []
    left = np.ones(len(group), bool)
    while left.any():
        part = np.zeros(len(group), bool)
        part[np.flatnonzero(left)[0]] = True
        size = 0
        while part.sum() != size:
            size = int(part.sum())
            part |= np.isin(group.ends, group.ends[part]).any(axis=1)
        left &= ~part
        parts.append(part if len(np.unique(group.key[part])) <= MAX_NAMES else part & False)
    return parts


def _opened_once(group: Openings) -> bool:
    """Tell whether no point saw the handshake of two of the endpoints' names."""
    seen: dict[tuple[int, bool], int] = {}
    return all(
        seen.setdefault((point, answer), key) == key
        for point, answer, key in zip(
            group.point.tolist(), group.is_answer.tolist(), group.key.tolist(), strict=True
        )
    )
