# SPDX-License-Identifier: Apache-2.0
"""Halves that are one TCP connection, wherever they were captured: see `connections`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..addresses import is_loopback
from ..ambient import OUTBOUND_PORT
from .connections import Endpoint, Half

_LINGER_NS = 120_000_000_000
"""How long after its last packet a connection without handshake still takes halves of its
endpoints."""

_TRIED = 256
"""Connections of the same endpoints that such a half is compared with, the last ones."""


class Connection:
    """One TCP connection: its two directions at each point that saw it."""

    __slots__ = ("forward", "reverse")

    def __init__(self) -> None:
        self.forward: dict[int, Half] = {}
        """From the end that opened it, by point index."""
        self.reverse: dict[int, Half] = {}

    def halves(self) -> Iterator[Half]:
        """Yield all halves."""
        yield from self.forward.values()
        yield from self.reverse.values()

    @property
    def points(self) -> list[int]:
        """Return the points that saw it, the first to see it first."""
        first: dict[int, int] = {}
        for half in self.halves():
            first[half.point] = min(half.first_ns, first.get(half.point, half.first_ns))
        return sorted(first, key=lambda point: (first[point], point))

    @property
    def client(self) -> Endpoint:
        """Return the client's endpoint as the client itself sees it: where replies go to."""
        some = next(iter(self.reverse.values()), None)
        return some.destination if some else next(iter(self.forward.values())).source

    @property
    def server(self) -> Endpoint:
        """Return the endpoint that the client called: where replies come from."""
        some = next(iter(self.reverse.values()), None)
        return some.source if some else next(iter(self.forward.values())).destination

    @property
    def first_ns(self) -> int:
        """Return when its first packet was seen."""
        return min(half.first_ns for half in self.halves())

    @property
    def last_ns(self) -> int:
        """Return when its last packet was seen."""
        return max(half.last_ns for half in self.halves())


def group(halves: Iterable[Half]) -> list[Connection]:
    """Return the connections that these halves are of, in the order of their first halves."""
    grouping = _Grouping()
    rest = [half for half in halves if not grouping.add(half)]
    redirects = _Redirects(grouping.connections if rest else ())
    for half in rest:
        connection = redirects.other_side(half)
        if connection is None:
            redirects.add(grouping.add_without_handshake(half))
        else:
            _place(connection, half)
    return grouping.connections


class _Grouping:
    """Connections by what identifies them."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self._by_pair: dict[tuple[int, int], Connection] = {}
        self._by_client: dict[tuple[int, Endpoint], Connection] = {}
        self._by_key: dict[int, list[Connection]] = {}

    def add(self, half: Half) -> bool:
        """Add a half of which a SYN was seen; tell whether it was one."""
        if half.isn is None:
            return False
        client: int | None
        server: int | None
        if half.is_client:
            client, server, endpoint = half.isn, half.peer_isn, half.source
        else:
            client, server, endpoint = half.peer_isn, half.isn, half.destination
        connection = None
        if client is not None and server is not None:
            connection = self._by_pair.get((client, server))
        if connection is None and client is not None:
            # A point that saw the SYN alone, or not the ACK that completes the handshake: the
            # client's own endpoint has to tell.
            connection = self._by_client.get((client, endpoint))
        if connection is None:
            connection = self._new(half.key)
        if client is not None:
            self._by_client.setdefault((client, endpoint), connection)
            if server is not None:
                self._by_pair.setdefault((client, server), connection)
        _place(connection, half)
        return True

    def add_without_handshake(self, half: Half) -> Connection:
        """Add a half to the connection of its endpoints that it overlaps, else to a new one."""
        found = self._by_key.get(half.key, [])
        for connection in reversed(found[-_TRIED:]):
            if _is_near(connection, half):
                break
        else:
            connection = self._new(half.key)
        if half.is_client is None:
            half.is_client = _is_client(connection, half)
        _place(connection, half)
        return connection

    def _new(self, key: int) -> Connection:
        connection = Connection()
        self.connections.append(connection)
        self._by_key.setdefault(key, []).append(connection)
        return connection


class _Redirects:
    """Connections redirected inside a pod of which a point has one direction alone.

    Redirection gives the two directions different endpoints, and where the SYN or the SYN-ACK was
    not captured only the client's own tells that they are one.
    """

    def __init__(self, connections: Iterable[Connection]) -> None:
        self._sides: dict[tuple[int, Endpoint, bool], list[Connection]] = {}
        """By point, client's endpoint, and whether it is the client's direction that is there."""
        for connection in connections:
            self.add(connection)

    def add(self, connection: Connection) -> None:
        """Take a connection that may lack a direction at some point."""
        for side, other, forward in (
            (connection.forward, connection.reverse, True),
            (connection.reverse, connection.forward, False),
        ):
            for point, half in side.items():
                if point in other or (forward and not is_redirected_half(half)):
                    continue
                client = half.source if forward else half.destination
                self._sides.setdefault((point, client, forward), []).append(connection)

    def other_side(self, half: Half) -> Connection | None:
        """Return the connection whose other direction a half without handshake is, and say so."""
        forward = is_redirected_half(half)
        client = half.source if forward else half.destination
        found = self._sides.get((half.point, client, not forward), [])
        for connection in reversed(found[-_TRIED:]):
            missing = connection.forward if forward else connection.reverse
            if half.point not in missing and _is_near(connection, half):
                half.is_client = forward
                return connection
        return None


def is_redirected_half(half: Half) -> bool:
    """Tell whether a half goes from a client to its ztunnel's port on the loopback."""
    to = half.destination
    return to.port == OUTBOUND_PORT and is_loopback(*to[:3])


def _is_near(connection: Connection, half: Half) -> bool:
    """Tell whether a half came while a connection lasted, or not long before or after."""
    return connection.first_ns - _LINGER_NS <= half.first_ns <= connection.last_ns + _LINGER_NS


def _is_client(connection: Connection, half: Half) -> bool:
    """Guess which end of a connection without handshake opened it: the one with the higher port."""
    for other in connection.halves():
        if other.key == half.key and other.is_client is not None:
            return other.is_client if other.upward == half.upward else not other.is_client
    return half.source.port >= half.destination.port


def _place(connection: Connection, half: Half) -> None:
    """Put a half where it belongs; of two of one point and direction the fuller one stays."""
    side = connection.forward if half.is_client else connection.reverse
    present = side.get(half.point)
    if present is None or present.packets < half.packets:
        side[half.point] = half


def points_of(connections: Sequence[Connection]) -> set[int]:
    """Return all points that saw any of these."""
    return {half.point for connection in connections for half in connection.halves()}
