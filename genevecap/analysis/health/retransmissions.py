# SPDX-License-Identifier: Apache-2.0
"""Segments of HBONE that were sent again, as one point saw them, and for how long others waited.

A segment that begins before the furthest octet seen is one of three things:

* it was **sent again**: its octets passed here before (the loss was behind this point), or they
  are missing here (it was before), and a round trip or more has gone by since;
* it was **overtaken**: its octets are missing, but not for long;
* it is **the same packet** once more, where a point shows packets twice.

What tells them apart is time: nobody can know of a loss sooner than a round trip after it, and the
handshake says how long that takes from this point.  Probes of idle connections bring no octets, or
one that passed before (`records`), and an HTTP/2 PING is payload like any other.

Each point is judged by itself: a segment that is sent once passes every point once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate

from ..connections import Half
from ..grouping import Connection
from ..records import Repeat

_ROUND_TRIP_NS = 200_000
"""Where the handshake was not seen: no network takes less, and to see a packet twice takes less."""
_HANDSHAKE_IS_SLOW = 4
"""So many times as long as other round trips a handshake's may take."""
_TWICE = 0.25
"""Share of packets that come again at once from which on a point is taken to show them twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retransmissions:
    """What was sent again in one direction of a connection, at one point."""

    half: Half
    packets: int
    """Exact up to `records.MAX_REPEATS`; what came beyond that counts as what came before did."""
    frames: tuple[int, ...]
    waits: tuple[tuple[int, int], ...]
    """(begin, end) by the point's clock: from what was sent first, or noticed to be missing, to
    what was sent again."""


def retransmissions(
    connection: Connection, *, forward: bool, without: Collection[int] = ()
) -> Retransmissions | None:
    """Return what was sent again in a direction, at the point that saw most; None without any.

    without: points that show packets of several places.
    """
    side = connection.forward if forward else connection.reverse
    found = [
        _at_point(half, _round_trip_ns(connection, half.point))
        for half in side.values()
        if half.point not in without and half.records is not None and half.records.repeat_count
    ]
    best = max(found, key=lambda each: each.packets, default=None)
    return best if best is not None and best.packets else None


def _round_trip_ns(connection: Connection, point: int) -> int:
    """Return the round trip between both ends, as a point's share of the handshake says it."""
    up, down = connection.forward.get(point), connection.reverse.get(point)
    if up is None or down is None or up.syn_ns is None or down.syn_ns is None:
        return _ROUND_TRIP_NS
    there = down.syn_ns - up.syn_ns if up.syn_count == 1 else 0
    back = up.handshake - down.syn_ns if up.handshake is not None else 0
    return max(there, 0) + max(back, 0)


def _at_point(half: Half, round_trip_ns: int) -> Retransmissions:
    repeats = half.records.repeats() if half.records is not None else []
    passed = _Passed(half)
    least_ns = round_trip_ns // _HANDSHAKE_IS_SLOW
    sure: list[tuple[Repeat, int | None]] = []
    open_to_doubt: list[Repeat] = []
    at_once = 0
    for repeat in repeats:
        since = passed.since(repeat)
        if since is None:
            open_to_doubt.append(repeat)
        elif repeat.time_ns - since >= least_ns:
            sure.append((repeat, since))
        else:
            at_once += not repeat.new
    if at_once + sum(not r.new for r in open_to_doubt) <= half.packets * _TWICE:
        sure += [(repeat, None) for repeat in open_to_doubt]
    count = half.records.repeat_count if half.records is not None else 0
    beyond = (count - len(repeats)) * len(sure) // max(len(repeats), 1)
    return Retransmissions(
        half=half,
        packets=len(sure) + beyond,
        frames=tuple(repeat.frame for repeat, _ in sure),
        waits=tuple((since, repeat.time_ns) for repeat, since in sure if since is not None),
    )


class _Passed:
    """When octets of a direction passed a point for the first time, as far as that was kept."""

    def __init__(self, half: Half) -> None:
        rows = self._rows = sorted(
            (half.events[i], half.events[i + 2]) for i in range(0, len(half.events), 4)
        )
        self._begins = [begin for begin, _ in rows]
        times = accumulate((time_ns for _, time_ns in reversed(rows)), min)
        self._behind = list(times)[::-1]
        """The earliest time of this segment and all that begin behind it."""

    def since(self, repeat: Repeat) -> int | None:
        """Return when its octets passed first, or were noticed to be missing."""
        if not repeat.new:
            begin = bisect_right(self._begins, repeat.begin_offset) - 1
            return (
                self._rows[bisect_left(self._begins, self._begins[begin])][1]
                if begin >= 0
                else None
            )
        place = bisect_left(self._begins, repeat.end_offset)
        if place == len(self._begins) or self._behind[place] > repeat.time_ns:
            return None
        return self._behind[place]
