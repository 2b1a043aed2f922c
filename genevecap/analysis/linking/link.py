# SPDX-License-Identifier: Apache-2.0
"""Link outbound legs, HBONE connections and inbound legs: all evidence, one joint assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..rows import Array
from . import likeness
from .events import HboneRecords, Kind, LegEvents, LegTable, RecordColumns
from .gates import possible
from .matching import balance
from .moments import RecordMoments
from .order import Order
from .ways import Shared, Ways

_UNRELATED = 3.0
"""An unrelated pair explains an event this much better than a pair that shares no record."""
_ALONE = 0.02
"""Weight of a leg whose partner was not captured, or that has none."""
_TEMPER = 0.85
_WAY_SURPRISE = 0.01
_MOST_LOG = 60.0
_LEAST_LOG = -7.0
"""What the events of a pair can say against it at most."""
_SURPRISE = 3e-4
"""Least probability of an event of a true pair that shares no record which was thought of."""
_SURPRISE_SHARE = 0.03
_SHARES = 0.01
_CROWD, _CROWD_NS = 4, 20_000_000
"""More connections than this, opened within so much time on either side, are a crowd."""
_NEVER_SURE = 0.9895
"""With a tenth to a half of a storm's server legs taken away, 5 in 1000 of the links that times
alone called sure (0.99) were wrong."""
_CLEAR_CONTENT = 2.0
_SURE = 0.9
_PASSES = 8
_LISTED = 16
"""Candidates that are named for one leg."""
_NEGLIGIBLE = 1e-6


@dataclass(slots=True, kw_only=True)
class Partner:
    """A candidate for a leg."""

    index: int
    probability: float
    content: int
    """Outcome of the comparison of content, see `likeness`."""


class Links:
    """Which legs belong together, as probabilities; every list has the likeliest first."""

    def __init__(self, ways: Ways) -> None:
        self.partners: dict[int, list[Partner]] = {}
        """Inbound legs by outbound leg."""
        self.outbound_of: dict[int, list[Partner]] = {}
        """Outbound legs by inbound leg."""
        self.ways: dict[int, list[tuple[int, float]]] = {}
        """HBONE connections that may have carried an outbound leg, by its index."""
        self.backs: dict[int, list[tuple[int, float]]] = {}
        """The same by inbound leg."""
        self.own_backs: dict[int, list[tuple[int, float]]] = {}
        """As `backs`, from the inbound leg's own events alone."""
        self.own_ways: dict[int, list[tuple[int, float]]] = {}
        """As `ways`, from the outbound leg's own events alone."""
        self.through: dict[tuple[int, int], list[tuple[int, float]]] = {}
        """For a pair of legs: HBONE connections, with the probability that all three are right."""
        self._ways = ways

    def columns(self, *, upward: bool) -> RecordColumns:
        """Return all records of one direction, HBONE connection after connection."""
        return self._ways.records[upward]

    def owners(self, *, upward: bool) -> Array:
        """Return the HBONE connection of each of these records."""
        return self._ways.owner[upward]

    def records_by_turn(
        self, kind: Kind, outbound: int | None, inbound: int | None, hbone: int
    ) -> dict[int, dict[int, float]]:
        """Return the records that each message of a linked pair may begin with, by message.

        One of the legs may be unknown: then times at the other tell.  Records are numbered as in
        `columns`; the probabilities of a message add up to 1.
        """
        return self._ways.records_by_turn(kind, outbound, inbound, hbone)

    def moments(self, outbound: int | None, inbound: int, hbone: int) -> RecordMoments:
        """Return when the records that a linked pair shares passed both proxies."""
        return self._ways.moments(outbound, inbound, hbone)


def link(
    outbound: Sequence[LegEvents],
    hbone: Sequence[HboneRecords],
    inbound: Sequence[LegEvents],
    *,
    slack_ns: int = 0,
) -> Links:
    """Return which legs belong together.

    slack_ns: how far the clocks of both sides may be apart beyond what was corrected.
    """
    tables = LegTable.of(outbound), LegTable.of(inbound)
    rows, columns = possible(outbound, *tables, slack_ns)
    log_content, content = likeness.log_weights(
        [leg.content for leg in outbound], [leg.content for leg in inbound], rows, columns
    )
    ways = Ways(outbound, hbone, inbound, slack_ns)
    shared = ways.join(rows, columns)
    shape = (len(outbound), len(inbound))
    surprise = np.full(len(Kind), _SURPRISE)
    triple, place = np.unique(shared.triple, return_inverse=True)
    pair, owner = triple // shared.owners, triple % shared.owners
    real = owner < len(hbone)
    order, in_order = Order(*tables, rows, columns), np.zeros(len(pair))
    for _ in range(_PASSES):
        way, none = _combine(shared, (pair, place), surprise, log_content, in_order)
        weight = np.bincount(pair, way, len(rows)) + none
        probability, _ = balance(rows, columns, weight, shape, alone=_ALONE)
        surprise = _learn_surprise(shared, probability)
        part = probability[pair] * way / weight[pair]
        in_order[real] = order.log_ratios(pair[real], owner[real], part[real])
    probability = np.minimum(probability, _ceiling(outbound, rows, log_content))
    # Events of one pair lean on the same moments of a busy proxy, and so err together: what they
    # say of the connection between the two counts in part.
    surprise = np.maximum(surprise, _WAY_SURPRISE)
    way, none = _combine(shared, (pair, place), surprise, log_content, in_order)
    top = np.zeros(len(rows))
    np.maximum.at(top, pair, way)
    tempered = (way / top[pair]) ** _TEMPER
    tempered_none = np.minimum(none / np.maximum(top, np.exp(-_MOST_LOG)), 1e9) ** _TEMPER
    share = tempered / (np.bincount(pair, tempered, len(rows)) + tempered_none)[pair]
    part = share * probability[pair]
    links = Links(ways)
    links.partners = _partners(rows, columns, probability, content)
    links.outbound_of = _partners(columns, rows, probability, content)
    pair, owner, part = pair[real], owner[real], part[real]
    own_ways, own_backs = ways.alone(0), ways.alone(1)
    links.ways = _gather(rows[pair], owner, part, own_ways, shape[0], shared.owners)
    links.backs = _gather(columns[pair], owner, part, own_backs, shape[1], shared.owners)
    links.own_backs, links.own_ways = _listed(*own_backs), _listed(*own_ways)
    for i, h, p in zip(pair.tolist(), owner.tolist(), part.tolist(), strict=True):
        if p > _NEGLIGIBLE:
            links.through.setdefault((int(rows[i]), int(columns[i])), []).append((h, p))
    for found in links.through.values():
        found.sort(key=lambda item: -item[1])
    return links


def _combine(
    shared: Shared,
    triples: tuple[Array, Array],
    surprise: Array,
    log_content: Array,
    in_order: Array,
) -> tuple[Array, Array]:
    """Return (weight of each triple, weight of each pair if it shares no record at all).

    triples: the pair of each, and the triple of each shared event; in_order: what the order of legs
    says of each triple.
    """
    pair, place = triples
    least = surprise[shared.kind]
    log_ratio = np.bincount(place, np.log((shared.shared + least) / least), len(pair))
    apart = -shared.events.sum(axis=1) * np.log(_UNRELATED)
    # However many events share no record: the records may be of a form that was not thought of.
    way = np.maximum(log_ratio + in_order + apart[pair], _LEAST_LOG) + log_content[pair]
    none = np.maximum(apart, _LEAST_LOG) + log_content
    return (
        np.exp(np.clip(way, -_MOST_LOG, _MOST_LOG)),
        np.exp(np.clip(none, -_MOST_LOG, _MOST_LOG)),
    )


def _ceiling(outbound: Sequence[LegEvents], rows: Array, log_content: Array) -> Array:
    """Return the most that each pair's probability may be.

    In a crowd a stranger now and then has all the right moments, and where the true partner was not
    captured nothing speaks against it.  Times alone are never sure there; content is.
    """
    opened = np.array([-1 if leg.open_ns is None else leg.open_ns for leg in outbound], np.int64)
    moments = np.sort(opened)
    near = np.searchsorted(moments, opened + _CROWD_NS, "right")
    near -= np.searchsorted(moments, opened - _CROWD_NS)
    crowded = near[rows] > _CROWD
    return np.where(crowded & (log_content < _CLEAR_CONTENT), _NEVER_SURE, 1.0)


def _learn_surprise(shared: Shared, probability: Array) -> Array:
    """Return, by kind, how often the events of pairs that are sure share no record.

    Some programs gather frames in ways that were not thought of; then a kind of event says less.
    """
    pair = shared.triple // shared.owners
    found = np.zeros((len(probability), len(Kind)))
    np.add.at(found, (pair, shared.kind), shared.shared > _SHARES)
    sure = probability > _SURE
    had = shared.events[sure].sum(axis=0)
    missed = had - np.minimum(found[sure], shared.events[sure]).sum(axis=0)
    learnt: Array = (missed * _SURPRISE_SHARE + 1e-3) / (had + 1.0)
    return np.clip(learnt, _SURPRISE, 0.1)


def _partners(
    legs: Array, others: Array, probability: Array, content: Array
) -> dict[int, list[Partner]]:
    """Return the candidates of each leg, the likeliest first."""
    result: dict[int, list[Partner]] = {}
    likely = np.flatnonzero(probability > _NEGLIGIBLE)
    order = likely[np.lexsort((-probability[likely], legs[likely]))]
    for i in order.tolist():
        found = result.setdefault(int(legs[i]), [])
        if len(found) < _LISTED:
            found.append(
                Partner(
                    index=int(others[i]),
                    probability=min(float(probability[i]), 1.0),
                    content=int(content[i]),
                )
            )
    return result


def _gather(
    legs: Array, owners: Array, part: Array, alone: tuple[Array, Array, Array], n: int, size: int
) -> dict[int, list[tuple[int, float]]]:
    """Return the HBONE connections of each leg: by its partners, else by its own events."""
    matched = np.bincount(legs, part, n)
    own_leg, own_owner, own_part = alone
    rest = np.clip(1 - matched, 0, 1)
    keys = np.concatenate([legs * size + owners, own_leg * size + own_owner])
    values = np.concatenate([part, own_part * rest[own_leg]])
    unique, inverse = np.unique(keys, return_inverse=True)
    total = np.bincount(inverse, values, len(unique))
    return _listed(unique // size, unique % size, total)


def _listed(legs: Array, owners: Array, probability: Array) -> dict[int, list[tuple[int, float]]]:
    """Return (HBONE connection, probability) by leg, the likeliest first."""
    result: dict[int, list[tuple[int, float]]] = {}
    rows = zip(legs.tolist(), owners.tolist(), probability.tolist(), strict=True)
    for leg, owner, value in rows:
        if value > _NEGLIGIBLE:
            result.setdefault(leg, []).append((owner, min(value, 1.0)))
    for found in result.values():
        found.sort(key=lambda item: -item[1])
    return result
