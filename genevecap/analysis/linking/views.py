# SPDX-License-Identifier: Apache-2.0
"""The best view that the captures have of each leg: from which point, and what happened there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...capture.roles import Role
from ...decode.tls_records import APPLICATION_DATA
from ..connections import Endpoint, Half
from ..grouping import Connection
from ..points.roles import PointRole
from ..rows import Array
from .events import HboneRecords, LegEvents, Message, RecordColumns
from .likeness import LegContent, StreamContent
from .segments import segments_as_records

Correction = Callable[[int, Array], Array]
"""From (point index, times by its host's clock) to the times on the common clock."""

_WAIT_NS = 10_000_000_000
"""How long the server's leg may come after the last packet that was seen of a connection that goes
on: ztunnel tries for 10 s to open HBONE, as recordings show, while the client waits."""
_FURTHEST_NS = 1 << 62
_NEAREST = (Role.LO, Role.ZTUNNEL, Role.ZTUNNEL_VETH, Role.NODE_VETH, Role.POD, Role.GATEWAY)
"""Points to look at a leg from, the nearest to ztunnel first."""


class Views:
    """Chooses from which point to look at a connection, and reads its events there."""

    def __init__(self, roles: Sequence[PointRole], correct: Correction) -> None:
        self._roles = {role.index: role.role for role in roles}
        self._correct = correct
        none_ns = np.zeros(0, np.int64)
        self._as_it_is = {r.index for r in roles if correct(r.index, none_ns) is none_ns}
        """Points whose times are returned as they are."""
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._points: dict[Connection, int] = {}

    def corrected(self, point: int, times_ns: Array) -> Array:
        """Return times of a point on the common clock."""
        return self._correct(point, times_ns)

    def at(self, point: int, moment: int) -> int:
        """Return a time of a point on the common clock."""
        if point in self._as_it_is:
            return moment
        return int(self._correct(point, np.array([moment], np.int64))[0])

    def number(self, address: tuple[int, int, int]) -> int:
        """Return the number of an address; the same address always has the same."""
        return self._numbers.setdefault(address, len(self._numbers))

    def address(self, endpoint: Endpoint) -> int:
        """Return the number of an endpoint's address."""
        return self.number(endpoint[:3])

    def point(self, connection: Connection) -> int:
        """Return the point nearest to ztunnel that saw (nearly) all of a connection."""
        point = self._points.get(connection)
        if point is None:
            point = self._points[connection] = self._nearest(connection)
        return point

    def _nearest(self, connection: Connection) -> int:
        packets = {
            point: sum(
                side[point].packets
                for side in (connection.forward, connection.reverse)
                if point in side
            )
            for point in connection.points
        }
        most = max(packets.values())
        full = [point for point, count in packets.items() if count * 10 >= most * 9]
        return min(full, key=self._distance)

    def _distance(self, point: int) -> int:
        role = self._roles.get(point, Role.UNKNOWN)
        return _NEAREST.index(role) if role in _NEAREST else len(_NEAREST)

    def events(self, connection: Connection, *, inbound: bool) -> LegEvents:
        """Return the events of an outbound or inbound leg."""
        point = self.point(connection)
        up, down = connection.forward.get(point), connection.reverse.get(point)

        def at(moment: int | None) -> int | None:
            return None if moment is None else _within(self.at(point, moment))

        last_ns = max(self.at(h.point, h.last_ns) for h in (up, down) if h)
        return LegEvents(
            address=self.address(connection.client),
            source=self.address(connection.client),
            open_ns=at(_opened_ns(up, down)),
            accept_ns=at(down.syn_ns) if down and inbound else None,
            up=self._messages(up),
            down=self._messages(down),
            up_bytes=up.total if up else None,
            down_bytes=down.total if down else None,
            close_up_ns=at(up.fin_ns) if up else None,
            close_down_ns=at(down.fin_ns) if down else None,
            last_ns=_within(last_ns) + (0 if _is_closed(up, down) else _WAIT_NS),
            content=LegContent(up=_content(up), down=_content(down)),
        )

    def _messages(self, half: Half | None) -> list[Message]:
        if half is None:
            return []
        first = dict(zip(half.events[::4], half.events[1::4], strict=True))
        whole = half.highest if half.total is None else half.total
        ends = [turn.offset for turn in half.turns[1:]]
        ends += [whole] * (len(half.turns) - len(ends))
        return [
            Message(
                offset=turn.offset,
                time_ns=_within(self.at(half.point, turn.time_ns)),
                first_bytes=first.get(turn.offset, turn.offset) - turn.offset,
                bytes=max(end - turn.offset, 0),
            )
            for turn, end in zip(half.turns, ends, strict=True)
        ]

    def hbone(self, connection: Connection) -> HboneRecords:
        """Return the records of an HBONE connection as its two ends saw them."""
        order = sorted(
            connection.forward.values() or connection.reverse.values(),
            key=lambda half: self.at(half.point, half.first_ns),
        )
        points = [half.point for half in order]
        return HboneRecords(
            address=self.address(connection.client),
            source=self.address(connection.client),
            open_ns=self.at(order[0].point, order[0].first_ns),
            up=self._records(connection.forward, points),
            down=self._records(connection.reverse, points),
        )

    def _records(self, side: dict[int, Half], points: Sequence[int]) -> RecordColumns:
        """Join the records that the points nearest to both ends read."""
        readable = []
        for point in points:
            half = side.get(point)
            if half is not None and half.records is not None:
                readable.append((half, len(half.records.rows)))
        most = max((count for _, count in readable), default=0)
        good = [half for half, count in readable if count and count * 10 >= most * 9]
        if not good:
            return segments_as_records([side[p] for p in points if p in side], self._correct)
        client, server = self._table(good[0]), self._table(good[-1])
        _, a, b = np.intersect1d(
            client[:, 2], server[:, 2], assume_unique=True, return_indices=True
        )
        data = client[a, 0] == APPLICATION_DATA
        a, b = a[data], b[data]
        return RecordColumns(
            length=client[a, 1],
            client_first_ns=client[a, 3],
            client_last_ns=client[a, 4],
            server_first_ns=server[b, 3],
            server_last_ns=server[b, 4],
            client_point=good[0].point,
            server_point=good[-1].point,
        )

    def _table(self, half: Half) -> Array:
        """Return the records of a half, five columns as in `records.Record`, times corrected."""
        rows = half.records.rows if half.records else ()
        table = np.array(rows, np.int64).reshape(-1, 5)
        if len(table):
            for column in (3, 4):
                table[:, column] = self._correct(half.point, table[:, column])
        _, first = np.unique(table[:, 2], return_index=True)
        unique: Array = table[first]
        return unique


def _within(moment_ns: int) -> int:
    """Return a moment, at most so far away that `CommonClock.slack_ns` and more can be added."""
    return max(min(moment_ns, _FURTHEST_NS), -_FURTHEST_NS)


def _opened_ns(up: Half | None, down: Half | None) -> int | None:
    """Return when a leg was opened: by its SYN, else by the answer, which comes at once."""
    return next((h.syn_ns for h in (up, down) if h is not None and h.syn_ns is not None), None)


def _is_closed(up: Half | None, down: Half | None) -> bool:
    """Tell whether a connection was seen to end, so that its last packet was its last."""
    halves = [half for half in (up, down) if half is not None]
    if any(half.rst_ns is not None for half in halves):
        return True
    return len(halves) == 2 and all(half.fin_ns is not None for half in halves)


def _content(half: Half | None) -> StreamContent:
    if half is None:
        return StreamContent()
    prefixes = {turn.offset: turn.prefix for turn in half.turns if turn.prefix is not None}
    prefix = half.prefix
    if prefix is not None and half.total == prefix[0]:
        prefixes[prefix[0]] = prefix[1]
    return StreamContent(
        prefixes=prefixes, heads={turn.offset: turn.head for turn in half.turns if turn.head}
    )
