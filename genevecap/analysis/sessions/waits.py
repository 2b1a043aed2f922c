# SPDX-License-Identifier: Apache-2.0
"""Waits that have a name: handshakes, repeated SYNs, retransmissions, delayed acknowledgments.

They are read off the moments at which new octets passed the points that saw a connection.

**Retransmissions.**  A segment that was lost between two points is seen at the first, again at the
first (a duplicate there), and at the second only then.  So octets that took much longer than most
between two points, where the first saw duplicates, were retransmitted.  At a point behind the loss
alone, what came after the hole is there before what fills it.  Linux waits 200 ms at least before a
retransmission time-out (net/ipv4/tcp_timer.c, TCP_RTO_MIN); what is quicker is a fast retransmit or
a tail loss probe.

**Delayed acknowledgments.**  Linux delays an acknowledgment by 40 ms at least (TCP_DELACK_MIN),
and Nagle's algorithm holds a short segment back until it has come (RFC 9293 section 3.7.4).  Two
writes of one side that are 40 ms apart, the first less than a full segment and nothing of the other
side between them, look like that; a server that pauses for as long looks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import lt, sub
from typing import TYPE_CHECKING

import numpy as np

from ..rows import Array, find
from .results import Wait

if TYPE_CHECKING:
    from ..connections import Half
    from ..grouping import Connection
    from ..linking.events import HboneRecords

_REPEATED_NS = 900_000_000
"""A SYN is repeated after a second (TCP_TIMEOUT_INIT); one that is seen twice sooner, in a tunnel
and outside it, is the same."""
_TIMEOUT_NS = 180_000_000
"""TCP_RTO_MIN is 200 ms; timers of the kernel are coarse."""
_LATE_NS = 5_000_000
"""Octets that took less longer than the median are no retransmission."""
_DELAYED_NS = (39_000_000, 46_000_000)
_LISTED = 16
"""Waits that are named of one connection, the longest."""

Corrected = Callable[[int, Array], Array]
"""Times of a point, on the clock that all points share."""


def waits_of(
    leg: str, connection: Connection, corrected: Corrected, span_ns: tuple[int, int]
) -> list[Wait]:
    """Return the named waits of one connection that begin within a span, in order of time.

    leg: its role, for the result.
    """
    return within(all_waits(leg, connection, corrected), span_ns)


def within(found: Sequence[Wait], span_ns: tuple[int, int]) -> list[Wait]:
    """Return the waits that begin within a span, in order of time; of many the longest."""
    first, last = span_ns
    found = [wait for wait in found if first <= wait.at_ns <= last]
    longest = sorted(found, key=lambda wait: -wait.ns)[:_LISTED]
    return sorted(longest, key=lambda wait: (wait.at_ns, wait.name))


def all_waits(leg: str, connection: Connection, corrected: Corrected) -> list[Wait]:
    """Return the named waits of one connection, in no order."""
    found = [*_repeated_syns(leg, connection, corrected)]
    for side, other in (
        (connection.forward, connection.reverse),
        (connection.reverse, connection.forward),
    ):
        late = list(_late_octets(leg, side, corrected))
        found += late or _filled_holes(leg, side, corrected)
        found += _delayed(leg, side, other, corrected)
    return found


def handshake(leg: str, hbone: HboneRecords, span_ns: tuple[int, int]) -> list[Wait]:
    """Return the wait for an HBONE connection that was opened, or still opening, in a span.

    It ends with the first record that is not TLS's own: then HTTP/2 begins.
    """
    if hbone.open_ns is None or not len(hbone.up):
        return []
    ready = int(hbone.up.client_first_ns.min())
    begin = max(hbone.open_ns, span_ns[0])
    if not begin < ready <= span_ns[1]:
        return []
    return [Wait(name="hbone-handshake", leg=leg, at_ns=begin, ns=ready - begin)]


def _repeated_syns(leg: str, connection: Connection, corrected: Corrected) -> Iterator[Wait]:
    """Yield how long a connection waited for an answer to its SYN, where that was repeated."""
    for point, half in connection.forward.items():
        back = connection.reverse.get(point)
        if half.syn_ns is None or half.syn_count < 2 or back is None or back.syn_ns is None:
            continue
        begin, end = corrected(point, np.array([half.syn_ns, back.syn_ns], np.int64)).tolist()
        if end - begin >= _REPEATED_NS:
            yield Wait(name="syn-retransmission", leg=leg, at_ns=begin, ns=end - begin)
            return


def _late_octets(leg: str, side: Mapping[int, Half], corrected: Corrected) -> Iterator[Wait]:
    """Yield where octets were late between two points and the first saw duplicates."""
    if not any(half.duplicates for half in side.values()):
        return
    halves = sorted(side.values(), key=lambda half: corrected(half.point, _first(half))[0])
    for one, other in pairwise(halves):
        if not one.duplicates:
            continue
        begin, _, left = _events(one, corrected)
        begin_2, _, came = _events(other, corrected)
        order = np.argsort(begin, kind="stable")
        at, known = find(begin[order], begin_2)
        if not known.any():
            continue
        left, came = left[order][at[known]], came[known]
        late = came - left - np.median(came - left)
        for place in np.flatnonzero(late >= _LATE_NS).tolist():
            yield _retransmission(leg, int(left[place]), int(late[place]))


def _filled_holes(leg: str, side: Mapping[int, Half], corrected: Corrected) -> list[Wait]:
    """Return where octets came after later ones, at the first point that saw such a thing."""
    for half in side.values():
        # Nearly all are in order, which is seen sooner than arrays are made.
        if not any(map(lt, half.events[4::4], accumulate(half.events[1::4], max))):
            continue
        begin, end, moment = _events(half, corrected)
        before = np.maximum.accumulate(end)[:-1]
        fills = np.flatnonzero(begin[1:] < before) + 1
        found = []
        for place in fills.tolist():
            # The hole was open from when the octets behind it came.
            opened = moment[np.flatnonzero(end[:place] > begin[place])[0]]
            ns = int(moment[place] - opened)
            if ns >= _LATE_NS:
                found.append(_retransmission(leg, int(opened), ns))
        if found:
            return found
    return []


def _retransmission(leg: str, at_ns: int, ns: int) -> Wait:
    name = "retransmission-timeout" if ns >= _TIMEOUT_NS else "retransmission"
    return Wait(name=name, leg=leg, at_ns=at_ns, ns=ns)


def _delayed(
    leg: str, side: Mapping[int, Half], other: Mapping[int, Half], corrected: Corrected
) -> list[Wait]:
    """Return pauses of 40 ms between two writes, at the first point that saw both directions."""
    for point, half in side.items():
        back = other.get(point)
        if back is None or len(half.events) < 8:
            continue
        shortest, longest = _DELAYED_NS
        times = corrected(point, np.array(half.events[2::4], np.int64)).tolist()
        if not any(shortest <= pause <= longest for pause in map(sub, times[1:], times)):
            return []
        begin, end, moment = _events(half, corrected)
        pause = np.diff(moment)
        likely = (pause >= shortest) & (pause <= longest) & (begin[1:] == end[:-1])
        if half.mss:
            likely &= end[:-1] - begin[:-1] < half.mss
        answers = np.sort(_events(back, corrected)[2])
        between = np.searchsorted(answers, moment[1:]) - np.searchsorted(answers, moment[:-1])
        places = np.flatnonzero(likely & (between == 0)).tolist()
        return [
            Wait(name="delayed-ack", leg=leg, at_ns=int(moment[i]), ns=int(pause[i]))
            for i in places
        ]
    return []


def _events(half: Half, corrected: Corrected) -> tuple[Array, Array, Array]:
    """Return begin, end and time of the segments with new octets, in the order they passed."""
    table = np.array(half.events, np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1], corrected(half.point, table[:, 2])


def _first(half: Half) -> Array:
    return np.array([half.first_ns], np.int64)
