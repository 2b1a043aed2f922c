# SPDX-License-Identifier: Apache-2.0
"""How long octets stay in the two proxies of a session, and requests in its server.

Upstream, octets stay from their arrival to the departure of the TLS record that holds them;
downstream from the arrival of the segment that completes their record to their own departure, for
a TLS receiver can give out nothing before the record is whole.  Of each record the last octet is
timed.  With keys it is known which octets each record holds (`data_frames`), without them lengths
and times tell it (`passages`).  Where they leave several records, each counts by how likely it is:
to count what is clear alone would prefer what passed quickly, since delays are what makes it clear.
For the same reason legs whose partner is not clear count by themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..clock import UNKNOWN_NS
from ..grouping import Connection
from ..hops.results import Hop
from ..hops.session_times import Times
from ..linking.events import LegEvents, Message
from ..points.roles import PointRole
from .data_frames import DataFrames, RecordTimes
from .draft import Draft
from .drafts import Drafts
from .keys import OpenStream
from .octets import Octets
from .passages import Carried, Passage, Walk, least_frames
from .stays import Stay, Stays

_SURE = 0.9
_CARRIED = frozenset({"hbone", "multi-network", "waypoint", "unlinked"})
_NOT_CARRIED = frozenset({"refused", "denied", "unreachable"})


@dataclass(frozen=True, slots=True)
class _Where:
    """Which hop a time belongs to."""

    origin: int
    to: int
    leg: str
    direction: str
    kind: str
    phase: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Legs, as far as they are sure, and the connection that carried them."""

    outbound: int | None
    inbound: int | None
    hbone: int
    stream: OpenStream | None = None


class Residence:
    """Gathers times in proxies and servers from linked sessions."""

    def __init__(
        self,
        drafts: Drafts,
        roles: Sequence[PointRole],
        frames: DataFrames,
        uncertainty_ns: Callable[[int, int], int],
    ) -> None:
        """frames: of opened streams; uncertainty_ns: of times of two points against each other."""
        self._drafts = drafts
        self._names = {role.index: role.name for role in roles}
        self._frames = frames
        self._uncertainty_ns = uncertainty_ns
        self._records = RecordTimes(drafts.mesh, drafts.inputs, drafts.views)
        self._stays: dict[_Where, list[Stay]] = defaultdict(list)
        self._seen: dict[tuple[Connection, bool], Octets] = {}
        """Octets of the direction that is being looked at."""
        self._missing: Counter[tuple[int, bool, str]] = Counter()
        """Frames that were not followed, by point of their leg, whether upward, and phase."""

    def hops(self, sessions: Sequence[Draft]) -> list[tuple[Hop, Times]]:
        """Return the hops inside proxies and servers of these sessions, with their times."""
        ways = list(self._ways(sessions))
        opened = [way for way in ways if way.stream is not None]
        walked = [way for way in ways if way.stream is None]
        for upward in (True, False):
            for way in opened:
                self._pass_opened(way, upward=upward)
            self._walk(walked, upward=upward)
            self._seen.clear()
        self._miss_unclear(sessions, ways)
        for draft in sessions:
            if draft.inbound is not None:
                self._serve(draft.inbound)
        found = [(where, Stays(stays)) for where, stays in self._stays.items() if stays]
        return [
            (
                self._hop(where, stays),
                stays.times(self._uncertainty_ns(where.origin, where.to)),
            )
            for where, stays in found
        ]

    def _ways(self, sessions: Sequence[Draft]) -> Iterator[_Way]:
        """Yield what carried the legs of sessions, each leg once."""
        used: set[int] = set()
        for draft in sessions:
            sure = draft.confidence >= _SURE
            inbound = draft.inbound if sure else None
            if inbound is not None:
                used.add(inbound)
            carrier = draft.hbone if draft.onward is None else draft.onward
            if draft.stream is not None and draft.onward is None:
                yield _Way(
                    outbound=draft.outbound,
                    inbound=inbound,
                    hbone=draft.stream.hbone,
                    stream=draft.stream,
                )
            elif sure and carrier is not None:
                # What a gateway passed on came to it in a stream of another connection.
                outbound = draft.outbound if draft.onward is None else None
                yield _Way(outbound=outbound, inbound=inbound, hbone=carrier)
            elif draft.outbound is not None and draft.kind in _CARRIED:
                yield from self._alone(self._drafts.own_ways(draft.outbound), draft.outbound, None)
        for j, found in self._drafts.links.backs.items():
            if j not in used:
                yield from self._alone(found, None, j)

    def _alone(
        self, found: Sequence[tuple[int, float]], outbound: int | None, inbound: int | None
    ) -> Iterator[_Way]:
        """Yield the way of a leg whose partner is not clear, if its own connection is."""
        if found and found[0][1] >= _SURE:
            hbone = found[0][0]
            mesh = self._drafts.mesh
            if outbound is None or mesh.hbone[hbone].connection.server[:3] not in mesh.gateways:
                yield _Way(outbound=outbound, inbound=inbound, hbone=hbone)

    def _pass_opened(self, way: _Way, *, upward: bool) -> None:
        if way.stream is None:
            return
        frames = self._frames.of(way.stream.id, upward=upward)
        passages = list(self._records.passages(way.hbone, frames, upward=upward))
        self._note(way, passages, len(frames), upward=upward)

    def _walk(self, ways: Sequence[_Way], *, upward: bool) -> None:
        """Note the stays of sessions whose HBONE was not opened."""
        found = [
            (way, carried)
            for way in ways
            if (carried := self._carried(way, upward=upward)) is not None
        ]
        walk = Walk(self._drafts.links, upward=upward)
        passages = walk.passages([carried for _, carried in found])
        for (way, carried), own in zip(found, passages, strict=True):
            frames = sum(map(least_frames, carried.messages))
            self._note(way, own, frames, upward=upward)

    def _carried(self, way: _Way, *, upward: bool) -> Carried | None:
        mesh = self._drafts.mesh
        at_client = at_server = None
        if way.inbound is not None:
            at_server = self._octets(mesh.inbound[way.inbound].connection, upward=upward)
        if way.outbound is not None:
            at_client = self._octets(mesh.outbound[way.outbound].connection, upward=upward)
        messages = self._messages(way, upward=upward)
        if messages is None:
            return None
        return Carried(
            hbone=way.hbone,
            outbound=way.outbound,
            inbound=way.inbound,
            messages=messages,
            sender=at_client if upward else at_server,
            receiver=at_server if upward else at_client,
        )

    def _messages(self, way: _Way, *, upward: bool) -> Sequence[Message] | None:
        inputs = self._drafts.inputs
        if way.outbound is not None:
            events = inputs.outbound[way.outbound]
        elif way.inbound is not None:
            events = inputs.inbound[way.inbound]
        else:
            return None
        return events.up if upward else events.down

    def _octets(self, connection: Connection, *, upward: bool) -> Octets:
        found = self._seen.get((connection, upward))
        if found is None:
            point = self._drafts.views.point(connection)
            half = (connection.forward if upward else connection.reverse).get(point)
            found = self._seen[connection, upward] = Octets(half, self._drafts.views)
        return found

    def _note(self, way: _Way, passages: Sequence[Passage], frames: int, *, upward: bool) -> None:
        """Note the stays in both proxies, of those whose legs are known.

        frames: how many there are at least, of which passages were looked for.
        """
        mesh, records = self._drafts.mesh, self._drafts.inputs.hbone[way.hbone]
        columns = records.up if upward else records.down
        if way.outbound is not None:
            connection = mesh.outbound[way.outbound].connection
            self._stay(way.outbound, connection, columns.client_point, passages, "outbound", upward)
            self._miss(connection, passages, frames, upward=upward)
        if way.inbound is not None:
            connection = mesh.inbound[way.inbound].connection
            session = len(mesh.outbound) + way.inbound if way.outbound is None else way.outbound
            self._stay(session, connection, columns.server_point, passages, "inbound", upward)
            self._miss(connection, passages, frames, upward=upward)

    def _miss(
        self, connection: Connection, passages: Sequence[Passage], frames: int, *, upward: bool
    ) -> None:
        """Note how many frames of a leg, of so many, were not found."""
        point = self._drafts.views.point(connection)
        found = Counter(first for _, first in {(p.end, p.first) for p in passages})
        first = min(frames, 1)
        self._missing[point, upward, "first"] += max(first - found[True], 0)
        self._missing[point, upward, "later"] += max(frames - first - found[False], 0)

    def _miss_unclear(self, sessions: Sequence[Draft], ways: Sequence[_Way]) -> None:
        """Note the frames of legs for which nothing clear was found."""
        inputs, mesh = self._drafts.inputs, self._drafts.mesh
        out = {way.outbound for way in ways}
        into = {way.inbound for way in ways} | {
            draft.inbound for draft in sessions if draft.kind == "plaintext-inbound"
        }
        legs = [
            (mesh.outbound[draft.outbound].connection, inputs.outbound[draft.outbound])
            for draft in sessions
            if draft.outbound is not None
            and draft.outbound not in out
            and draft.kind in _CARRIED
            and draft.outcome not in _NOT_CARRIED
        ]
        legs += [
            (mesh.inbound[j].connection, inputs.inbound[j])
            for j, found in self._drafts.links.backs.items()
            if found and j not in into
        ]
        for connection, events in legs:
            for upward, messages in ((True, events.up), (False, events.down)):
                self._miss(connection, (), sum(map(least_frames, messages)), upward=upward)

    def _stay(
        self,
        session: int,
        connection: Connection,
        at_record: int,
        passages: Iterable[Passage],
        leg: str,
        upward: bool,
    ) -> None:
        """Note stays in the proxy between a leg and the records."""
        at_leg = self._drafts.views.point(connection)
        octets = self._octets(connection, upward=upward)
        into_record = (leg == "outbound") == upward
        origin, to = (at_leg, at_record) if into_record else (at_record, at_leg)
        if origin < 0 or to < 0:
            return
        kept: dict[bool, list[Stay]] = {}
        for passage in passages:
            record_ns = passage.client_ns if leg == "outbound" else passage.server_ns
            octet_ns = octets.came(passage.end) if into_record else octets.left(passage.end)
            if octet_ns is None:
                continue
            stay_ns = record_ns - octet_ns if into_record else octet_ns - record_ns
            if stay_ns < -self._drafts.slack_ns:  # the record was taken for another
                continue
            stay = Stay(session, session << 40 | passage.end, stay_ns, passage.share)
            kept.setdefault(passage.first, []).append(stay)
        direction = "forward" if upward else "reverse"
        for first, stays in kept.items():
            phase = "first" if first else "later"
            where = _Where(origin, to, "hbone" if into_record else leg, direction, "proxy", phase)
            self._stays[where] += stays

    def _serve(self, j: int) -> None:
        """Note how long a server took from the last octet of a request to its response."""
        events = self._drafts.inputs.inbound[j]
        point = self._drafts.views.point(self._drafts.mesh.inbound[j].connection)
        half = self._drafts.mesh.inbound[j].connection.forward.get(point)
        if half is None:
            return
        times = np.array(half.events[2::4], np.int64)
        asked = sorted(self._drafts.views.corrected(point, times).tolist())
        stays = self._stays[_Where(point, point, "inbound", "forward", "server", None)]
        for request, response in _exchanges(events):
            place = bisect_right(asked, response)
            if place and asked[place - 1] >= request:
                stays.append(Stay(j, len(stays), response - asked[place - 1], 1.0))

    def _hop(self, where: _Where, stays: Stays) -> Hop:
        upward = where.direction == "forward"
        # Octets pass from a leg into a record, or out of one into a leg.
        at_leg = where.origin if where.leg == "hbone" else where.to
        uncertainty_ns = stays.uncertainty_ns(self._missing[at_leg, upward, where.phase or ""])
        of_clocks_ns = self._uncertainty_ns(where.origin, where.to)
        if uncertainty_ns is not None:
            known = of_clocks_ns < UNKNOWN_NS
            uncertainty_ns = uncertainty_ns + of_clocks_ns if known else None
        return Hop(
            origin=self._names[where.origin],
            to=self._names[where.to],
            leg=where.leg,
            direction=where.direction,
            kind=where.kind,
            phase=where.phase,
            measured=True,
            packets=len(stays),
            lost=None,
            min_ns=stays.least_ns,
            p50_ns=stays.quantile(0.5),
            p90_ns=stays.quantile(0.9),
            p99_ns=stays.quantile(0.99),
            max_ns=stays.most_ns,
            uncertainty_ns=uncertainty_ns,
            added_p50_bytes=None,
            added_max_bytes=None,
        )


def _exchanges(events: LegEvents) -> Iterator[tuple[int, int]]:
    """Yield the beginnings of each request and the first response behind it.

    What a server says before it was asked answers nothing, nor does a second response.
    """
    turns = sorted(
        [(message.time_ns, False) for message in events.up]
        + [(message.time_ns, True) for message in events.down]
    )
    for (asked_ns, one), (answered_ns, other) in pairwise(turns):
        if other and not one:
            yield asked_ns, answered_ns
