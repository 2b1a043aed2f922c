# SPDX-License-Identifier: Apache-2.0
"""Round trips that one capture point sees by itself: a segment, and what acknowledges it.

They need no second point and no second clock.  From the point to the end that acknowledges and
back: a SYN and its SYN-ACK (`handshake`), or data and the first segment that acknowledges exactly
up to its end (`data`; a delayed acknowledgment is part of it).  What was sent twice is left out
(Karn's rule), for which of the two was acknowledged nobody knows.

Who answers has to be known to read them: the handshake of an outbound leg is answered by ztunnel,
at once, and says nothing of network or server.
"""

from __future__ import annotations

import numpy as np

from ..quantiles import QuantileTable
from ..rows import Array, find
from ..segments import mix
from .legs import Leg, Legs
from .results import RoundTrip
from .sightings import IS_ANSWER, IS_SYN, UPWARD, BatchSegments, Exchange

MOST_ROWS = 1 << 15
"""Segments that are looked at; beyond that only those of every second connection, and so on."""
_AT_ONCE = 1 << 15

_KINDS = ("data", "handshake")
_POINT_BITS = 13


class RoundTrips:
    """Counts round trips by point, leg and direction."""

    def __init__(self, legs: Legs) -> None:
        self._legs = legs
        self._numbers: dict[int, int] = {}
        self._times = QuantileTable()
        self._waiting: list[Exchange] = []
        self._rows = 0
        self._seen = 0
        self._halvings = 0

    def take(self, segments: BatchSegments, time_ns: Array) -> None:
        """Take the segments of a batch, or those of some connections."""
        rows = segments.exchange(time_ns, self._halvings)
        if len(rows):
            self._waiting.append(rows)
            self._rows += len(rows)
            self._seen += len(rows)
            if self._seen > MOST_ROWS:
                self._seen, self._halvings = 0, self._halvings + 1

    def count(self, twins: Array, *, last: bool = False) -> None:
        """Count what was taken; segments that are answered later than the next are not counted.

        twins: whether each point shows what another point shows too.
        """
        if not self._waiting or (self._rows < _AT_ONCE and not last):
            return
        rows = Exchange.concatenate(self._waiting)
        self._waiting, self._rows = [], 0
        self._legs.rename(rows)
        sent, answer = _answered(rows)
        alone = ~twins[rows.point[sent]]
        sent, answer = sent[alone], answer[alone]
        if not len(sent):
            return
        leg, forward = self._legs.describe(rows.key[sent], rows.traits[sent])
        opening = (rows.traits[sent] & IS_SYN) != 0
        code = (leg.astype(np.int64) << 2) | (forward.astype(np.int64) << 1) | opening
        code = (code << _POINT_BITS) | rows.point[sent]
        codes, which = np.unique(code, return_inverse=True)
        for value in codes.tolist():
            self._numbers.setdefault(value, len(self._numbers))
        number = np.array([self._numbers[value] for value in codes.tolist()], np.int64)[which]
        self._times.add(number, rows.time_ns[answer] - rows.time_ns[sent], len(self._numbers))

    def result(self, names: list[str]) -> tuple[RoundTrip, ...]:
        """Return them in the order of points; names: of the points."""
        found = []
        for code, number in sorted(
            self._numbers.items(), key=lambda item: (item[0] & ((1 << _POINT_BITS) - 1), item[0])
        ):
            times = self._times.of(number)
            way, point = divmod(code, 1 << _POINT_BITS)
            found.append(
                RoundTrip(
                    point=names[point],
                    leg=Leg(way >> 2).name.lower(),
                    direction="forward" if way >> 1 & 1 else "reverse",
                    kind=_KINDS[way & 1],
                    packets=times.count,
                    min_ns=times.smallest,
                    p50_ns=times.at(0.5),
                    p90_ns=times.at(0.9),
                    p99_ns=times.at(0.99),
                    max_ns=times.largest,
                    uncertainty_ns=times.median_uncertainty(),
                )
            )
        return tuple(found)


def _answered(rows: Exchange) -> tuple[Array, Array]:
    """Return segments that are answered, and the rows of their answers."""
    upward = (rows.traits & UPWARD) != 0
    place = mix(rows.key ^ (rows.point.astype(np.uint64) << np.uint64(48)))
    end = rows.end.astype(np.uint64)
    sent = np.flatnonzero(rows.length)
    answers = np.flatnonzero((rows.traits & IS_ANSWER) != 0)
    wanted = mix((place ^ upward.astype(np.uint64))[sent] + end[sent])
    given = mix(
        (place ^ (~upward).astype(np.uint64))[answers]
        + rows.acknowledgment[answers].astype(np.uint64)
    )
    _, first, count = np.unique(wanted, return_index=True, return_counts=True)
    once = first[count == 1]
    sent, wanted = sent[once], wanted[once]
    order = np.lexsort((rows.time_ns[answers], given))
    given, answers = given[order], answers[order]
    at, found = find(given, wanted)
    sent, answer = sent[found], answers[at[found]]
    later = rows.time_ns[answer] > rows.time_ns[sent]
    return sent[later], answer[later]
