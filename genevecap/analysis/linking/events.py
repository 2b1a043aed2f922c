# SPDX-License-Identifier: Apache-2.0
"""What linking looks at: the events of legs, and the records of HBONE connections, in columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from ..rows import Array, Rows


class Kind(IntEnum):
    """Events of a leg; each is one frame on HBONE."""

    OPEN = 0
    """SYN; CONNECT."""
    REQUEST = 1
    """A message of the client begins; DATA."""
    RESPONSE = 2
    """A message of the server begins; DATA."""
    CLOSE_UP = 3
    """The client's FIN; END_STREAM."""
    CLOSE_DOWN = 4
    """The server's FIN; END_STREAM."""
    ACCEPT = 5
    """The server's SYN-ACK; the response `200`.  Outbound legs are accepted by ztunnel itself, so
    they have no such event."""

    @property
    def upward(self) -> bool:
        """Whether its record travels from client to server."""
        return self in {Kind.OPEN, Kind.REQUEST, Kind.CLOSE_UP}


@dataclass(slots=True, kw_only=True)
class Message:
    """Where a message begins, and what of its size is known."""

    offset: int
    time_ns: int
    first_bytes: int
    """Payload of its first segment."""
    bytes: int
    """Payload up to the next message of its direction, as far as it was seen."""


@dataclass(slots=True, kw_only=True)
class LegEvents:
    """One leg, on the clock that all legs share; None is what was not captured."""

    address: int
    """Number of a group of addresses: legs and HBONE connections that may meet have one number."""
    source: int
    """Number of the client's own address within the group."""
    pools: frozenset[int] = frozenset()
    """For an outbound leg: sources of the HBONE connections that may carry it."""
    hbone: int | None = None
    """Index of the HBONE connection that carried it, where keys say so."""
    partners: frozenset[int] = frozenset()
    """For an outbound leg: sources that its inbound leg may have."""
    open_ns: int | None = None
    accept_ns: int | None = None
    up: Sequence[Message] = ()
    down: Sequence[Message] = ()
    up_bytes: int | None = None
    """Payload of the whole direction, where it was closed in the capture."""
    down_bytes: int | None = None
    close_up_ns: int | None = None
    close_down_ns: int | None = None
    last_ns: int = 0
    content: Any = None
    """What `likeness` compares."""


UNKNOWN = -1
"""A moment or number of a `LegTable` that was not captured."""


@dataclass(slots=True, kw_only=True)
class LegTable(Rows):
    """What is compared of legs, in columns; `UNKNOWN` is what was not captured."""

    address: Array
    source: Array
    open_ns: Array
    first_ns: Array
    """When it was opened or, where that is unknown, when its first message began."""
    last_ns: Array
    response_ns: Array
    close_up_ns: Array
    close_down_ns: Array
    up_bytes: Array
    down_bytes: Array

    @classmethod
    def of(cls, legs: Sequence[LegEvents]) -> LegTable:
        """Return the columns of these legs."""
        return cls(
            address=_numbers([leg.address for leg in legs]),
            source=_numbers([leg.source for leg in legs]),
            open_ns=_numbers([leg.open_ns for leg in legs]),
            first_ns=_numbers([leg.open_ns or _first_ns(leg) for leg in legs]),
            last_ns=_numbers([leg.last_ns for leg in legs]),
            response_ns=_numbers([leg.down[0].time_ns if leg.down else None for leg in legs]),
            close_up_ns=_numbers([leg.close_up_ns for leg in legs]),
            close_down_ns=_numbers([leg.close_down_ns for leg in legs]),
            up_bytes=_numbers([leg.up_bytes for leg in legs]),
            down_bytes=_numbers([leg.down_bytes for leg in legs]),
        )


def _first_ns(leg: LegEvents) -> int | None:
    moments = [message.time_ns for message in (*leg.up[:1], *leg.down[:1])]
    return min(moments, default=None)


def _numbers(values: Sequence[int | None]) -> Array:
    return np.array([UNKNOWN if value is None else value for value in values], np.int64)


@dataclass(slots=True, kw_only=True)
class RecordColumns:
    """TLS records of one direction of one HBONE connection, int64 columns of one length.

    Where the connection was captured at one end alone, the times of both ends are the same.
    """

    length: Array
    client_first_ns: Array
    """When the record's first octet passed the client's proxy."""
    client_last_ns: Array
    server_first_ns: Array
    server_last_ns: Array
    client_point: int = -1
    """Capture point of the first two times, -1 where there is none."""
    server_point: int = -1

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.length)


def no_records() -> RecordColumns:
    """Return columns without a row."""
    return RecordColumns(
        length=np.zeros(0, np.int64),
        client_first_ns=np.zeros(0, np.int64),
        client_last_ns=np.zeros(0, np.int64),
        server_first_ns=np.zeros(0, np.int64),
        server_last_ns=np.zeros(0, np.int64),
    )


@dataclass(slots=True, kw_only=True)
class HboneRecords:
    """One HBONE connection: whose legs it may carry, and its records."""

    address: int
    """See `LegEvents.address`."""
    source: int
    relayed_from: int | None = None
    """Index of the HBONE connection inside which a gateway got this one (multi-network)."""
    relayed_source: int | None = None
    """Source of that connection."""
    open_ns: int | None = None
    up: RecordColumns = field(default_factory=no_records)
    down: RecordColumns = field(default_factory=no_records)


def joined_records(
    connections: Sequence[HboneRecords], *, upward: bool
) -> tuple[RecordColumns, Array]:
    """Return the records of all connections, and whose each is."""
    parts = [c.up if upward else c.down for c in connections]

    def joined(of: Callable[[RecordColumns], Array]) -> Array:
        return np.concatenate([np.zeros(0, np.int64), *map(of, parts)])

    columns = RecordColumns(
        length=joined(lambda p: p.length),
        client_first_ns=joined(lambda p: p.client_first_ns),
        client_last_ns=joined(lambda p: p.client_last_ns),
        server_first_ns=joined(lambda p: p.server_first_ns),
        server_last_ns=joined(lambda p: p.server_last_ns),
    )
    return columns, np.repeat(np.arange(len(parts)), [len(p) for p in parts])


@dataclass(slots=True, kw_only=True)
class EventTable(Rows):
    """All events of one kind of many legs, in columns."""

    leg: Array
    """Index of the leg."""
    turn: Array
    """Which message of its direction, from 0."""
    time_ns: Array
    sizes: Array
    """Two columns: octets that the DATA frame may have; 0 where it is no DATA."""


def event_table(legs: Sequence[LegEvents], kind: Kind) -> EventTable:
    """Return the events of one kind of these legs."""
    rows: list[tuple[int, int, int, int, int]] = []
    for index, leg in enumerate(legs):
        if kind in {Kind.REQUEST, Kind.RESPONSE}:
            messages = leg.up if kind is Kind.REQUEST else leg.down
            rows.extend(
                (index, turn, m.time_ns, m.first_bytes, m.bytes) for turn, m in enumerate(messages)
            )
            continue
        moment = {
            Kind.OPEN: leg.open_ns,
            Kind.ACCEPT: leg.accept_ns,
            Kind.CLOSE_UP: leg.close_up_ns,
            Kind.CLOSE_DOWN: leg.close_down_ns,
        }[kind]
        if moment is not None:
            rows.append((index, 0, moment, 0, 0))
    table = np.array(rows, np.int64).reshape(-1, 5)
    return EventTable(leg=table[:, 0], turn=table[:, 1], time_ns=table[:, 2], sizes=table[:, 3:5])
