# SPDX-License-Identifier: Apache-2.0
"""Events of legs matched with HBONE records, and joined where two legs have one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..rows import Array, find, numbers, spread
from .events import (
    EventTable,
    HboneRecords,
    Kind,
    LegEvents,
    RecordColumns,
    event_table,
    joined_records,
)
from .frames import READ_BYTES, Frames, length_sorts
from .many import matched
from .matched import Joined, Matched, join_at_records
from .matching import Pairs, match
from .moments import RecordMoments
from .pairing import Pairing, Sizes, common_sizes

_SURPRISE = 3e-3
"""Probability of an event of one leg that has no record which was thought of."""

_EVER, _NEVER = -(2**62), 2**62
_CLEAR = 0.7
"""Share of the belief that a record needs to be the one."""
_POSSIBLE = 0.01
"""Share of the belief that is worth a thought."""
_FIRST_OF_MANY = 0.05
_LEAST = 1e-4
"""Beliefs below are dropped when events are joined at their records."""

_SHARED = tuple(kind for kind in Kind if kind is not Kind.ACCEPT)
"""Events that both legs have."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """What pairs of legs have in common."""

    triple: Array
    """Number of the pair times `owners`, plus that of the HBONE connection."""
    kind: Array
    """Kind of the event that was shared; one row for each event."""
    shared: Array
    """Probability that both legs mean the same record."""
    owners: int
    """HBONE connections, and one more that stands for none."""
    events: Array
    """For each pair and kind (columns): events that both legs have."""


class Ways:
    """Events of all legs matched with the records of all HBONE connections."""

    def __init__(
        self,
        outbound: Sequence[LegEvents],
        hbone: Sequence[HboneRecords],
        inbound: Sequence[LegEvents],
        slack_ns: int = 0,
    ) -> None:
        self._legs = (outbound, inbound)
        self._hbone = hbone
        self._slack_ns = slack_ns
        self._matched: dict[tuple[Kind, int], Matched] = {}
        self._frames: dict[bool, Frames] = {}
        self._address = tuple(
            np.array([leg.address for leg in legs], np.int64) for legs in self._legs
        )
        self._address_of_hbone = np.array([h.address for h in hbone], np.int64)
        self._source_of_hbone = np.array([h.source for h in hbone], np.int64)
        self._relayed = np.array(
            [-1 if h.relayed_source is None else h.relayed_source for h in hbone], np.int64
        )
        self._first_heard_ns = np.array(
            [int(h.up.server_last_ns.min()) if len(h.up) else _EVER for h in hbone], np.int64
        )
        self._opened_ns = np.array(
            [_NEVER if leg.open_ns is None else leg.open_ns + slack_ns for leg in inbound], np.int64
        )
        self._known = np.array([-1 if o.hbone is None else o.hbone for o in outbound], np.int64)
        self._source_of_outbound = np.array([leg.source for leg in outbound], np.int64)
        self._source_of_inbound = np.array([leg.source for leg in inbound], np.int64)
        self.owner = {upward: joined_records(hbone, upward=upward)[1] for upward in (True, False)}
        records = {upward: joined_records(hbone, upward=upward)[0] for upward in (True, False)}
        self.records = records
        self._owner_of = {upward: numbers(owner) for upward, owner in self.owner.items()}
        self._left_ns = {upward: numbers(r.client_first_ns) for upward, r in records.items()}
        tables = {(k, s): event_table(self._legs[s], k) for k in Kind for s in (0, 1)}
        for upward in (True, False):
            message = Kind.REQUEST if upward else Kind.RESPONSE
            frames = Frames(common_sizes([tables[message, 0], tables[message, 1]]), upward=upward)
            for kind in Kind:
                if kind.upward == upward:
                    for side in (0, 1) if kind in _SHARED else (1,):
                        table = tables[kind, side]
                        if kind is Kind.REQUEST and side == 0:
                            # The first request waits for HBONE to open: its time says little of
                            # its record's.
                            table = table.take(table.turn > 0)
                        self._matched[kind, side] = self._match(
                            kind, side, table, records[upward], frames
                        )
            self._frames[upward] = frames

    @cached_property
    def _first_requests(self) -> Matched:
        """First requests of outbound legs, by how long HBONE takes to open and its `200` to come.

        That may be learnt where requests are few; where the inbound leg is known it tells more.
        """
        table = event_table(self._legs[0], Kind.REQUEST)
        table = table.take(table.turn == 0)
        return self._match(Kind.REQUEST, 0, table, self.records[True], self._frames[True])

    def _match(
        self, kind: Kind, side: int, table: EventTable, records: RecordColumns, frames: Frames
    ) -> Matched:
        follows = (side == 0) == kind.upward
        record_ns = {
            (0, True): records.client_first_ns,
            (0, False): records.client_last_ns,
            (1, True): records.server_first_ns,
            (1, False): records.server_last_ns,
        }[side, follows]
        of_event = self._address[side][table.leg]
        of_record = self._address_of_hbone[self.owner[kind.upward]]
        sizes = Sizes.of(kind, table, records.length, frames)
        events, of_records = (of_event, table.time_ns), (of_record, record_ns)
        pairing = Pairing(events, of_records, sizes, follows=follows)
        moments = (table.time_ns, record_ns)
        sort = length_sorts(records.length) if kind is Kind.OPEN and len(records) else None
        rows, columns, belief = matched(pairing, moments, sizes.capacity, sort)
        kept = belief > _LEAST
        return Matched(table, rows[kept], columns[kept], belief[kept])

    def join(self, rows: Array, columns: Array) -> Shared:
        """Return what the pairs (rows[i], columns[i]) have in common; they are sorted."""
        pair_keys = rows * (len(self._legs[1]) + 1) + columns
        owners = len(self._hbone) + 1
        events = np.zeros((len(rows), len(Kind)))
        triples: list[Array] = [np.zeros(0, np.int64)]
        kinds: list[Array] = [np.zeros(0, np.int64)]
        values: list[Array] = [np.zeros(0)]

        def add(kind: Kind, triple: Array, turn: Array, belief: Array) -> None:
            # One number for the triple and the message, to add up what several records give.
            most = int(turn.max(initial=0)) + 1
            unique, inverse = np.unique(triple * most + turn, return_inverse=True)
            triples.append(unique // most)
            kinds.append(np.full(len(unique), int(kind)))
            values.append(np.bincount(inverse, belief, len(unique)))

        bare = self._without_records(rows)
        for kind in _SHARED:
            one, other = self._matched[kind, 0], self._matched[kind, 1]
            events[:, kind] = np.minimum(
                np.bincount(one.table.leg, minlength=len(self._legs[0]))[rows],
                np.bincount(other.table.leg, minlength=len(self._legs[1]))[columns],
            )
            parts = [
                self._possible(kind, joined, pair_keys) for joined in join_at_records(one, other)
            ]
            if parts:
                place, owner, turn, belief = (
                    np.concatenate(column) for column in zip(*parts, strict=True)
                )
                add(kind, place * owners + owner, turn, belief)
            if len(bare):
                place, turn, belief = self._directly(kind, bare, rows, columns)
                add(kind, place * owners + owners - 1, turn, belief)
        return Shared(
            triple=np.concatenate(triples),
            kind=np.concatenate(kinds),
            shared=np.concatenate(values),
            owners=owners,
            events=events,
        )

    def _possible(
        self, kind: Kind, joined: Joined, pair_keys: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Return (pair, HBONE connection, turn, belief) of what all that must hold allows."""
        leg, partner, record, turn, belief = joined
        key = leg * (len(self._legs[1]) + 1) + partner
        place, fits = find(pair_keys, key)
        leg, partner, owner = leg[fits], partner[fits], self.owner[kind.upward][record[fits]]
        place, turn, belief = place[fits], turn[fits], belief[fits]
        fits = self._source_of_hbone[owner] == self._source_of_inbound[partner]
        relayed = self._relayed[owner]
        fits &= (relayed < 0) | (relayed == self._source_of_outbound[leg])
        # A leg cannot have been asked for by a connection that had said nothing yet.
        fits &= self._first_heard_ns[owner] <= self._opened_ns[partner]
        known = self._known[leg]
        fits &= (known < 0) | (known == owner) | (relayed >= 0)
        return place[fits], owner[fits], turn[fits], belief[fits]

    def _without_records(self, rows: Array) -> Array:
        """Return the pairs between whose legs no HBONE records were captured."""
        recorded = {h.address for h in self._hbone if len(h.up) or len(h.down)}
        bare = np.array([leg.address not in recorded for leg in self._legs[0]], bool)
        return np.flatnonzero(bare[rows]) if len(rows) else np.zeros(0, np.int64)

    def _directly(
        self, kind: Kind, bare: Array, rows: Array, columns: Array
    ) -> tuple[Array, Array, Array]:
        """Match events of two legs with each other; return (pair, message, belief)."""
        one, other = self._matched[kind, 0].table, self._matched[kind, 1].table
        begin, count = _places(one, len(self._legs[0]))
        begin_2, count_2 = _places(other, len(self._legs[1]))
        common = np.minimum(count[rows[bare]], count_2[columns[bare]])
        pair = np.repeat(bare, common)
        row = spread(begin[rows[bare]], common)
        column = spread(begin_2[columns[bare]], common)
        delay = other.time_ns[column] - one.time_ns[row]
        if not kind.upward:
            delay = -delay
        possible = delay >= 0
        pair, row, column = pair[possible], row[possible], column[possible]
        belief = match(
            Pairs(
                row=row,
                column=column,
                weight=np.ones(len(row)),
                event_ns=one.time_ns,
                record_ns=other.time_ns,
                capacity=np.ones(len(other.time_ns)),
            )
        )
        return pair, one.turn[row], belief

    def alone(self, side: int) -> tuple[Array, Array, Array]:
        """Return (leg, HBONE connection, probability) from the events of one side's legs alone.

        side: 0 for the outbound legs, 1 for the inbound ones.
        """
        owners = len(self._hbone) + 1
        legs = self._legs[side]
        keys = self._possible_ways(side, owners)
        score = np.zeros(len(keys))
        for kind in Kind:
            found = self._matched.get((kind, side))
            if found is None:
                continue
            leg, turn = found.table.leg[found.row], found.table.turn[found.row]
            most = int(found.table.turn.max(initial=0)) + 1
            owner = self.owner[kind.upward][found.column]
            unique, inverse = np.unique((leg * owners + owner) * most + turn, return_inverse=True)
            total = np.bincount(inverse, found.belief, len(unique))
            known = np.isin(unique // most, keys)
            place = np.searchsorted(keys, unique[known] // most)
            gain = np.log((total[known] + _SURPRISE) / (_SURPRISE))
            score += np.bincount(place, gain, len(keys))
        leg = keys // owners
        top = np.full(len(legs), -np.inf)
        np.maximum.at(top, leg, score)
        weight = np.exp(score - top[leg])
        total = np.bincount(leg, weight, len(legs))
        return leg, keys % owners, weight / total[leg]

    def _possible_ways(self, side: int, owners: int) -> Array:
        """Return leg times `owners` plus connection, for all that the sources allow, sorted."""
        by_source: dict[int, list[int]] = {}
        for index, connection in enumerate(self._hbone):
            by_source.setdefault(connection.source, []).append(index)
        keys = [
            leg_index * owners + index
            for leg_index, leg in enumerate(self._legs[side])
            for source in (leg.pools if side == 0 else (leg.source,))
            for index in by_source.get(source, ())
            if leg.hbone in {None, index}
            and (side == 0 or self._first_heard_ns[index] <= self._opened_ns[leg_index])
        ]
        return np.array(sorted(keys), np.int64)

    def records_by_turn(
        self, kind: Kind, outbound: int | None, inbound: int | None, hbone: int
    ) -> dict[int, dict[int, float]]:
        """See `link.Links.records_by_turn`."""
        legs = (outbound, inbound)
        sides = [
            self._matched[kind, side].by_turn(leg)
            for side, leg in enumerate(legs)
            if leg is not None
        ]
        if outbound is not None and inbound is None and kind is Kind.REQUEST:
            sides[0] |= self._first_requests.by_turn(outbound)
        owner, left_ns = self._owner_of[kind.upward], self._left_ns[kind.upward]
        # What passed before the client's SYN is of other sessions, however well it would fit.
        opened = None if outbound is None else self._legs[0][outbound].open_ns
        opened_ns = _EVER if opened is None else opened - self._slack_ns
        result = {}
        for turn in sides[-1]:
            found = [side[turn] for side in sides if turn in side]
            first_request = inbound is not None and kind is Kind.REQUEST and turn == 0
            if len(found) < len(sides) and not first_request:
                continue
            first, *more = (
                {r: p for r, p in one.items() if owner[r] == hbone and left_ns[r] >= opened_ns}
                for one in reversed(found)
            )
            own = _both(first, more[0]) if more else first
            if first_request:  # it has no time of its own at the client's proxy
                accepted_ns = self._accepted_ns(inbound, hbone)
                own = {r: p for r, p in own.items() if left_ns[r] >= accepted_ns} or own
            possible = _possible(own)
            if not possible:
                continue
            best = max(possible.values())
            if best < _CLEAR and self._is_long(kind, legs, turn):
                # The first of many records that are alike; the others follow it.
                least = min(_FIRST_OF_MANY, best / 2)
                possible = {min(r for r, p in possible.items() if p > least): 1.0}
            result[turn] = possible
        return result

    def _is_long(self, kind: Kind, legs: tuple[int | None, int | None], turn: int) -> bool:
        """Tell whether a message is longer than what a proxy reads at once."""
        for side, leg in enumerate(legs):
            if leg is not None:
                messages = self._legs[side][leg].up if kind.upward else self._legs[side][leg].down
                # A request may be known from one leg alone: see `records_by_turn`.
                if turn < len(messages) and messages[turn].bytes > READ_BYTES:
                    return True
        return False

    def _accepted_ns(self, inbound: int | None, hbone: int) -> int:
        """Return when the client's proxy may first have had the `200` of an inbound leg."""
        if inbound is None:
            return _EVER
        owner, at_client_ns = self._owner_of[False], self.records[False].client_last_ns
        belief = self._matched[Kind.ACCEPT, 1].records_of(inbound)
        own = _possible({record: p for record, p in belief.items() if owner[record] == hbone})
        return min((int(at_client_ns[record]) for record in own), default=_EVER)

    def moments(self, outbound: int | None, inbound: int, hbone: int) -> RecordMoments:
        """Return when the records these legs most likely share passed both proxies."""
        found: dict[Kind, tuple[int, int, int, int]] = {}
        for kind in Kind:
            belief: dict[int, float] = {}
            for side, leg in ((0, outbound), (1, inbound)):
                matched = self._matched.get((kind, side))
                if matched is None or leg is None:
                    continue
                if side == 0 and kind is Kind.REQUEST:
                    continue  # the first request has no time of its own at the client's proxy
                own = matched.records_of(leg)
                if not own and kind in _SHARED:
                    continue
                belief = own if not belief else _both(belief, own)
            chosen = self._best(kind, belief, hbone)
            if chosen is not None:
                found[kind] = chosen
        return RecordMoments(found)

    def _best(
        self, kind: Kind, belief: dict[int, float], hbone: int
    ) -> tuple[int, int, int, int] | None:
        owner, records = self._owner_of[kind.upward], self.records[kind.upward]
        own = {record: p for record, p in belief.items() if owner[record] == hbone}
        if not own:
            return None
        record = max(own, key=lambda r: (own[r], -r))
        return (
            int(records.client_first_ns[record]),
            int(records.client_last_ns[record]),
            int(records.server_first_ns[record]),
            int(records.server_last_ns[record]),
        )


def _both(one: dict[int, float], other: dict[int, float]) -> dict[int, float]:
    """Return the records that both sides may mean, with the product of their beliefs."""
    return {record: p * other[record] for record, p in one.items() if record in other} or one


def _possible(belief: dict[int, float]) -> dict[int, float]:
    """Return the records that are worth a thought, their probabilities made to add up to 1."""
    least = _POSSIBLE * sum(belief.values())
    kept = {record: p for record, p in belief.items() if p > least}
    total = sum(kept.values())
    return {record: p / total for record, p in kept.items()}


def _places(table: EventTable, legs: int) -> tuple[Array, Array]:
    """Return where each leg's events begin in the table, and how many it has."""
    count = np.bincount(table.leg, minlength=legs)
    return np.cumsum(count) - count, count
