# SPDX-License-Identifier: Apache-2.0
"""Requests that a waypoint passed on: which stream they came in, and which one they went on in.

A waypoint ends a client's tunnel, reads HTTP and sends each request on in whatever stream to the
server is free.  Envoy puts no header on an onward CONNECT that would name its client, so with keys
too the link has to be made request by request.  Two things tell:

* **Time.**  A request goes on after it came, and its response goes back after it came: the one
  exchange lies inside the other.  A stream of HTTP/1 holds one exchange at a time.
* **Content.**  An Envoy adds and removes a few header lines and leaves the others alone.  A line
  that few requests have (an identifier, a date, a path) says much, one that all have says nothing.
  Of each line a digest is kept, with a key of this run's; the line itself is not.

Where a message of HTTP/2 or of something else is inside, time alone is left.  All exchanges of a
waypoint are then assigned jointly, one to one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from ..hbone.results import ConnectionId, DataPiece, StreamId
from ..linking.matching import balance

MOST_EXCHANGES = 1 << 16
"""Exchanges that are kept; of later ones nothing is said."""

_HEAD_BYTES = 16_384
_MOST_LINES = 48
_CANDIDATES = 32
_MOST_LOG = 12.0
_ALONE = 0.02
_LEAST_SCALE_NS = 200_000
_TEMPER = 0.7
"""What times say counts in part: those of one waypoint lean on the same busy moments."""
_ONCE = 3.0
"""What a line that one request has, and one onward request, says more than that it is rare."""
_LISTED = 8
_NEGLIGIBLE = 1e-3

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request and its response in one stream, by the clock of the point that was read."""

    request_ns: int
    """When its first octets passed."""
    response_ns: int | None = None
    """When the first octets of the response passed, None where there was none."""
    lines: frozenset[int] = frozenset()
    """Digests of its header lines, and of the response's."""


@dataclass(slots=True)
class _Stream:
    """One stream while it is read."""

    exchanges: list[Exchange] = field(default_factory=list)
    answered: bool = True
    """Whether octets of the response were seen, so that the next ones begin an exchange."""
    head: bytearray | None = None
    """Beginning of a message, until its head is whole."""


class Exchanges:
    """Gathers exchanges from opened HBONE; give `take` to `open_hbone`."""

    def __init__(self, wanted: Callable[[ConnectionId], bool], most: int = MOST_EXCHANGES) -> None:
        """wanted: connections that are looked into; most: exchanges that are kept."""
        self._wanted = wanted
        self._left = most
        self._streams: dict[StreamId, _Stream] = {}

    def of(self, stream: StreamId) -> Sequence[Exchange]:
        """Return the exchanges of a stream, in their order."""
        found = self._streams.get(stream)
        return () if found is None else found.exchanges

    def take(self, piece: DataPiece) -> None:
        """Take in one DATA frame."""
        stream = self._streams.get(piece.stream)
        if stream is None:
            if not self._wanted(piece.stream.connection) or self._left <= 0:
                return
            stream = self._streams[piece.stream] = _Stream()
        if piece.upward and stream.answered:
            if self._left <= 0:
                return
            self._left -= 1
            stream.exchanges.append(Exchange(request_ns=piece.time_ns))
            stream.answered, stream.head = False, bytearray()
        elif not piece.upward and not stream.exchanges:
            return  # the server speaks first: no request
        elif not piece.upward and not stream.answered:
            stream.exchanges[-1].response_ns = piece.time_ns
            stream.answered, stream.head = True, bytearray()
        if stream.head is not None:
            _read_head(stream, stream.head, piece.payload)


def _read_head(stream: _Stream, head: bytearray, payload: bytes) -> None:
    """Keep the beginning of a message until its head is whole; then keep digests of its lines."""
    head += payload[: _HEAD_BYTES - len(head)]
    end = head.find(b"\r\n\r\n")
    if end < 0 and len(head) < _HEAD_BYTES:
        return
    if end >= 0:
        exchange = stream.exchanges[-1]
        first, *lines = bytes(head[:end]).split(b"\r\n", _MOST_LINES)
        if b"HTTP/1." in first:
            found = {hash(first)} | {hash(_canonical(line)) for line in lines[:_MOST_LINES]}
            exchange.lines |= found
    stream.head = None


def _canonical(line: bytes) -> bytes:
    """Return a header line as it is wherever it passes: names have no case (RFC 9110 5.1)."""
    name, _, value = line.partition(b":")
    return name.strip().lower() + b":" + value.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward(Generic[Key]):
    """A stream that a request may have gone on in."""

    stream: Key
    exchange: int
    """Which one of the stream."""
    probability: float
    shared_lines: int
    """Header lines that both have and not all have."""


def pass_on(
    inside: Mapping[Key, Sequence[Exchange]],
    onward: Mapping[Key, Sequence[Exchange]],
    *,
    slack_ns: int = 0,
) -> dict[tuple[Key, int], list[Onward[Key]]]:
    """Return where each request went on: by (stream, number of its exchange), the likeliest first.

    inside, onward: exchanges of the streams that lead to one waypoint, and of those it opened, on
    one clock.  slack_ns: by how much their times may be wrong against each other.
    """
    rows = [(key, n, one) for key, found in inside.items() for n, one in enumerate(found)]
    columns = sorted(
        ((key, n, one) for key, found in onward.items() for n, one in enumerate(found)),
        key=lambda column: column[2].request_ns,
    )
    pairs = _candidates([row[2] for row in rows], [column[2] for column in columns], slack_ns)
    if not pairs:
        return {}
    weights, shared = _weigh(pairs, [row[2] for row in rows], [column[2] for column in columns])
    row_of, column_of = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    shape = (len(rows), len(columns))
    scaled, _ = balance(row_of, column_of, weights, shape, alone=_ALONE)
    result: dict[tuple[Key, int], list[Onward[Key]]] = {}
    for (r, c), probability, lines in zip(pairs, scaled.tolist(), shared, strict=True):
        if probability >= _NEGLIGIBLE:
            result.setdefault(rows[r][:2], []).append(
                Onward(
                    stream=columns[c][0],
                    exchange=columns[c][1],
                    probability=min(probability, 1.0),
                    shared_lines=lines,
                )
            )
    for found in result.values():
        found.sort(key=lambda one: -one.probability)
        del found[_LISTED:]
    return result


def _candidates(
    rows: Sequence[Exchange], columns: Sequence[Exchange], slack_ns: int
) -> list[tuple[int, int]]:
    """Return the pairs of which the one exchange lies inside the other."""
    begins = [column.request_ns for column in columns]
    pairs = []
    for r, row in enumerate(rows):
        place = bisect_left(begins, row.request_ns - slack_ns)
        for c in range(place, min(place + _CANDIDATES, len(columns))):
            column = columns[c]
            if row.response_ns is not None:
                if column.request_ns > row.response_ns + slack_ns:
                    break
                if column.response_ns is None or column.response_ns > row.response_ns + slack_ns:
                    continue
            pairs.append((r, c))
    return pairs


def _weigh(
    pairs: Sequence[tuple[int, int]], rows: Sequence[Exchange], columns: Sequence[Exchange]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], list[int]]:
    """Return the weight of each pair, and how many telling lines its two exchanges share."""
    often = Counter(line for column in columns for line in column.lines)
    once = {
        line for line, n in Counter(line for row in rows for line in row.lines).items() if n == 1
    }
    telling = {
        line: math.log(len(columns) / count) + (_ONCE if count == 1 and line in once else 0)
        for line, count in often.items()
    }
    spent = np.array(
        [
            sum(abs(delay) for delay in _delays(rows[r], columns[c]))
            for r, c in pairs
        ],
        np.float64,
    )  # fmt: skip
    row_of = np.array([r for r, _ in pairs], np.int64)
    least = np.full(len(rows), np.inf)
    np.minimum.at(least, row_of, spent)
    scale = max(float(np.median(least[np.isfinite(least)])), _LEAST_SCALE_NS)
    log_weight = -_TEMPER * (spent - least[row_of]) / scale
    tells = [{line: telling[line] for line in row.lines if telling.get(line)} for row in rows]
    of_row = [sum(lines.values()) for lines in tells]
    shared = []
    for index, (r, c) in enumerate(pairs):
        both = [tells[r][line] for line in tells[r].keys() & columns[c].lines]
        shared.append(len(both))
        log_weight[index] += 2 * sum(both) - of_row[r]
    return np.exp(np.clip(log_weight, -_MOST_LOG, _MOST_LOG)), shared


def _delays(row: Exchange, column: Exchange) -> tuple[int, ...]:
    """Return how long the waypoint had the request, and the response."""
    request = column.request_ns - row.request_ns
    if row.response_ns is None or column.response_ns is None:
        return (request,)
    return request, row.response_ns - column.response_ns
