# SPDX-License-Identifier: Apache-2.0
"""How long octets stay in the two proxies of a session, and requests in its server.

Upstream, an octet stays from its arrival to the departure of the TLS record that holds it;
downstream from the arrival of the segment that completes its record to its own departure, for a
TLS receiver can give out nothing before the record is whole.  A message's first record is the one
by which its legs were linked; the records of a longer message follow it, as far as their lengths
fit what is left of the message and no octet would leave before it came.  Gathered records, whose
parts cannot be told apart, end the walk: what is not measured is left out, never estimated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..connections import Half
from ..grouping import Connection
from ..hops.results import Hop
from ..hops.session_times import Times
from ..linking.events import Kind, LegEvents, Message
from ..linking.frames import FRAME_BYTES, RECORD_BYTES
from ..points.roles import PointRole
from ..rows import Array
from .draft import Draft
from .drafts import Drafts

_SURE = 0.9
_MOST_RECORDS = 4096
"""Records of one message that are followed."""
_CONTROL_BYTES = 44
"""Records up to this length are other frames than DATA, unless just that much is missing."""
_OVERHEAD = FRAME_BYTES + RECORD_BYTES


@dataclass(frozen=True, slots=True)
class _Where:
    """Which hop a time belongs to."""

    origin: int
    to: int
    leg: str
    direction: str
    kind: str
    phase: str | None


class _Octets:
    """When the octets of one direction of a leg were seen at its point."""

    def __init__(self, half: Half | None, drafts: Drafts, point: int) -> None:
        rows = np.array(half.events if half is not None else (), np.int64).reshape(-1, 4)
        self._end = np.maximum.accumulate(rows[:, 1]) if len(rows) else rows[:, 1]
        times = rows[:, 2]
        self._time = drafts.views.corrected(point, times) if len(times) else times

    def at(self, offset: int) -> int | None:
        """Return when the octet before `offset` was seen, None where it was not kept."""
        place = int(np.searchsorted(self._end, offset))
        return int(self._time[place]) if place < len(self._end) else None


class Residence:
    """Gathers times in proxies and servers from linked sessions."""

    def __init__(self, drafts: Drafts, roles: Sequence[PointRole]) -> None:
        self._drafts = drafts
        self._names = {role.index: role.name for role in roles}
        self._times: dict[_Where, list[tuple[int, int]]] = defaultdict(list)
        self._claimed: dict[bool, set[int]] = {True: set(), False: set()}

    def hops(self, sessions: Sequence[Draft]) -> list[tuple[Hop, Times]]:
        """Return the hops inside proxies and servers of these sessions, with their times."""
        linked = [draft for draft in sessions if _is_linked(draft)]
        found = [(draft, self._first_records(draft)) for draft in linked]
        for _, records in found:
            for upward, turns in records.items():
                self._claimed[upward] |= set(turns.values())
        for draft, records in found:
            for upward, turns in records.items():
                self._follow(draft, turns, upward=upward)
        for draft in sessions:
            if draft.inbound is not None:
                self._serve(draft.inbound)
        return [(self._hop(where, times), _times(times)) for where, times in self._times.items()]

    def _first_records(self, draft: Draft) -> dict[bool, dict[int, int]]:
        carrier = draft.hbone if draft.onward is None else draft.onward
        if draft.outbound is None or draft.inbound is None or carrier is None:
            return {}
        links = self._drafts.links
        return {
            kind.upward: links.records_by_turn(kind, draft.outbound, draft.inbound, carrier)
            for kind in (Kind.REQUEST, Kind.RESPONSE)
        }

    def _follow(self, draft: Draft, turns: dict[int, int], *, upward: bool) -> None:
        inputs, mesh = self._drafts.inputs, self._drafts.mesh
        if draft.outbound is None or draft.inbound is None:
            return
        outbound = mesh.outbound[draft.outbound].connection
        inbound = mesh.inbound[draft.inbound].connection
        client, server = self._octets(outbound, upward), self._octets(inbound, upward)
        events = inputs.outbound[draft.outbound]
        for turn, message in enumerate(events.up if upward else events.down):
            record = turns.get(turn)
            if record is None:
                continue
            frames = list(self._frames(record, message, client, server, upward=upward))
            for number, (record_index, end) in enumerate(frames):
                first = turn == 0 and number == 0
                self._note(draft, record_index, end, client, server, upward=upward, first=first)

    def _octets(self, connection: Connection, upward: bool) -> _Octets:
        point = self._drafts.views.point(connection)
        half = (connection.forward if upward else connection.reverse).get(point)
        return _Octets(half, self._drafts, point)

    def _frames(
        self, record: int, message: Message, client: _Octets, server: _Octets, *, upward: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield the records of a message, each with the offset at which its octets end."""
        columns = self._drafts.links.columns(upward=upward)
        owner = self._drafts.links.owners(upward=upward)
        offset, end = message.offset, message.offset + message.bytes
        sender = client if upward else server
        leaves = columns.client_first_ns if upward else columns.server_first_ns
        own = owner[record]
        for index in range(record, min(record + _MOST_RECORDS, len(owner))):
            if owner[index] != own or offset >= end:
                return
            if index != record and index in self._claimed[upward]:
                continue
            size = int(columns.length[index]) - _OVERHEAD
            if size <= 0 or (columns.length[index] <= _CONTROL_BYTES and size != end - offset):
                continue  # WINDOW_UPDATE, PING, SETTINGS, END_STREAM of this and other streams
            if size > end - offset:
                return
            came = sender.at(offset + size)
            if came is None or came > leaves[index]:
                return
            offset += size
            yield index, offset

    def _note(
        self,
        draft: Draft,
        record: int,
        end: int,
        client: _Octets,
        server: _Octets,
        *,
        upward: bool,
        first: bool,
    ) -> None:
        columns = self._drafts.links.columns(upward=upward)
        points = self._points(draft, upward=upward)
        at_client, at_server = client.at(end), server.at(end)
        phase = "first" if first else "later"
        if upward:
            near = (at_client, int(columns.client_first_ns[record]), "hbone")
            far = (int(columns.server_last_ns[record]), at_server, "inbound")
        else:
            near = (at_server, int(columns.server_first_ns[record]), "hbone")
            far = (int(columns.client_last_ns[record]), at_client, "outbound")
        direction = "forward" if upward else "reverse"
        for (begin, leave, leg), (origin, to) in zip((near, far), points, strict=True):
            if begin is None or leave is None or origin < 0 or to < 0:
                continue
            if leave >= begin - self._drafts.slack_ns:  # else the record was taken for another
                where = _Where(origin, to, leg, direction, "proxy", phase)
                self._times[where].append((draft.outbound or 0, leave - begin))

    def _points(self, draft: Draft, *, upward: bool) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (from, to) of both proxies, in the order in which octets pass them."""
        mesh, views = self._drafts.mesh, self._drafts.views
        outbound = views.point(mesh.outbound[draft.outbound or 0].connection)
        inbound = views.point(mesh.inbound[draft.inbound or 0].connection)
        carrier = draft.hbone if draft.onward is None else draft.onward
        records = self._drafts.inputs.hbone[carrier or 0]
        columns = records.up if upward else records.down
        if upward:
            return (outbound, columns.client_point), (columns.server_point, inbound)
        return (inbound, columns.server_point), (columns.client_point, outbound)

    def _serve(self, j: int) -> None:
        """Note how long a server took from the last octet of a request to its response."""
        events = self._drafts.inputs.inbound[j]
        point = self._drafts.views.point(self._drafts.mesh.inbound[j].connection)
        half = self._drafts.mesh.inbound[j].connection.forward.get(point)
        if half is None:
            return
        times = np.array(half.events, np.int64).reshape(-1, 4)[:, 2]
        asked = np.sort(self._drafts.views.corrected(point, times)) if len(times) else times
        where = _Where(point, point, "inbound", "forward", "server", None)
        for request, response in _exchanges(events):
            place = int(np.searchsorted(asked, response, "right"))
            if place and asked[place - 1] >= request:
                self._times[where].append((j, response - int(asked[place - 1])))

    def _hop(self, where: _Where, found: Sequence[tuple[int, int]]) -> Hop:
        ordered = np.sort(np.array([ns for _, ns in found], np.int64))
        return Hop(
            origin=self._names[where.origin],
            to=self._names[where.to],
            leg=where.leg,
            direction=where.direction,
            kind=where.kind,
            phase=where.phase,
            measured=True,
            packets=len(ordered),
            lost=None,
            min_ns=int(ordered[0]),
            p50_ns=_quantile(ordered, 0.5),
            p90_ns=_quantile(ordered, 0.9),
            p99_ns=_quantile(ordered, 0.99),
            max_ns=int(ordered[-1]),
            uncertainty_ns=_median_uncertainty(ordered),
            added_p50_bytes=None,
            added_max_bytes=None,
        )


def _times(found: Sequence[tuple[int, int]]) -> Times:
    return Times(
        session=np.array([session for session, _ in found], np.uint64),
        ns=np.array([ns for _, ns in found], np.int64),
        packets=len(found),
    )


def _is_linked(draft: Draft) -> bool:
    return draft.outbound is not None and draft.inbound is not None and draft.confidence >= _SURE


def _exchanges(events: LegEvents) -> Iterator[tuple[int, int]]:
    """Yield the beginnings of a request and its response, message by message."""
    for request, response in zip(events.up, events.down, strict=False):
        if request.time_ns <= response.time_ns:
            yield request.time_ns, response.time_ns


def _quantile(ordered: Array, share: float) -> int:
    return int(ordered[min(int(share * len(ordered)), len(ordered) - 1)])


def _median_uncertainty(ordered: Array) -> int:
    """Return half the width of the 95 % interval of the median, from order statistics."""
    count = len(ordered)
    reach = int(np.ceil(0.98 * np.sqrt(count)))
    low, high = max(count // 2 - reach, 0), min(count // 2 + reach, count - 1)
    return int(ordered[high] - ordered[low]) // 2
