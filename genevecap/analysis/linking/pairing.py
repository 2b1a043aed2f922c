# SPDX-License-Identifier: Apache-2.0
"""Which events and records may belong together: by address, order in time, and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...kernels import load
from ..rows import Array, spread
from .events import EventTable, Kind
from .frames import FRAME_BYTES, MAX_COMPOSED_BYTES, READ_BYTES, RECORD_BYTES, Frames
from .matching import KERNEL, near

_KNOWN_SIZES = 24
_LIKELY = 0.01
"""Least weight of a pair's sizes."""
_LONG_READ_BYTES = 1 << 14
"""What ztunnel reads at once later."""
_MOST_PAIRS = 1 << 21
"""Pairs of events and records of one kind; of more, the nearest are looked at."""
_FEWEST, _MOST = 32, 200
"""Records that one event is compared with."""


@dataclass(slots=True, kw_only=True)
class Sizes:
    """What sizes say of events and records of one kind."""

    length: Array
    """TLS record lengths."""
    capacity: Array
    """Frames of this kind that each record is expected to hold, at least 1."""
    of_record: Array | None
    """Weight of each record, where it depends on its own length alone."""
    octets: Array
    """Of each event, what its DATA frame may carry: several columns."""
    frames: Frames

    @classmethod
    def of(cls, kind: Kind, table: EventTable, length: Array, frames: Frames) -> Sizes:
        """Return what sizes say of the events of a table and of records of these lengths."""
        of_record = {
            Kind.OPEN: frames.opens,
            Kind.ACCEPT: frames.oks,
            Kind.CLOSE_UP: frames.ends,
            Kind.CLOSE_DOWN: frames.ends,
        }.get(kind)
        expected = (frames.data if of_record is None else of_record)(length)
        reads = (READ_BYTES, _LONG_READ_BYTES)
        return cls(
            length=length,
            capacity=np.maximum(expected, 1),
            of_record=None if of_record is None else np.minimum(expected, 1),
            octets=np.hstack([np.minimum(table.sizes, read) for read in reads]),
            frames=frames,
        )

    def weights(self, rows: Array, columns: Array) -> Array:
        """Return the weight of each pair's sizes."""
        if self.of_record is not None:
            own: Array = self.of_record[columns]
            return own
        length = self.length[columns]
        weight = np.zeros(len(rows))
        for octets in self.octets.T:
            weight = np.maximum(weight, np.minimum(self.frames.data_of(octets[rows], length), 1))
        return np.where(length > FRAME_BYTES + RECORD_BYTES, weight, 0)

    def tables(self) -> tuple[Array, Array]:
        """Return tables of the sizes that are known, and which one each of `octets` has, or -1."""
        values, inverse = np.unique(self.octets, return_inverse=True)
        tables = [np.zeros(MAX_COMPOSED_BYTES + 1)]
        places = np.full(len(values), -1, np.int64)
        for i, value in enumerate(values.tolist()):
            table = self.frames.table(value)
            if table is not None:
                places[i] = len(tables)
                tables.append(table)
        return np.array(tables), places[inverse].reshape(self.octets.shape)


def common_sizes(tables: Sequence[EventTable]) -> list[int]:
    """Return the sizes of DATA frames that are met most."""
    sizes = np.concatenate([table.sizes.ravel() for table in tables])
    values, counts = np.unique(np.minimum(sizes[sizes > 0], READ_BYTES), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_KNOWN_SIZES]
    return [int(value) for value in values[order]]


class Pairing:
    """Finds the pairs of events and records that may belong together, of any of the events."""

    def __init__(
        self,
        events: tuple[Array, Array],
        records: tuple[Array, Array],
        sizes: Sizes,
        *,
        follows: bool,
    ) -> None:
        """events, records: (address, time) of each.

        follows: whether the record comes after the event (it leaves the proxy) or before.
        """
        of_event, event_ns = events
        of_record, record_ns = records
        self._sizes = sizes
        self._known = sizes.tables() if sizes.of_record is None else None
        self._order = np.lexsort((record_ns, of_record))
        self._begin = np.zeros(len(event_ns), np.int64)
        self._end = np.zeros(len(event_ns), np.int64)
        self._by_address: list[Array] = [np.zeros(0, np.int64)]
        first, moments = of_record[self._order], record_ns[self._order]
        in_order = np.argsort(of_event, kind="stable")
        for address in np.intersect1d(of_event, of_record):
            low, high = np.searchsorted(of_event[in_order], (address, address + 1))
            own = in_order[low:high]
            low, high = np.searchsorted(first, (address, address + 1))
            most = int(np.clip(_MOST_PAIRS // len(own), _FEWEST, _MOST))
            begin, end = near(event_ns[own], moments[low:high], record_follows=follows, most=most)
            self._begin[own], self._end[own] = begin + low, end + low
            self._by_address.append(own)

    def all(self) -> tuple[Array, Array, Array]:
        """Return the pairs of all events: event, record and weight of the sizes."""
        return self.of(np.concatenate(self._by_address))

    def of(self, events: Array) -> tuple[Array, Array, Array]:
        """Return the pairs of some events, event after event."""
        kernel = load(KERNEL)
        count = np.maximum(self._end[events] - self._begin[events], 0)
        if kernel is None:
            rows = np.repeat(events, count)
            columns = self._order[spread(self._begin[events], count)]
            weight = self._sizes.weights(rows, columns)
            likely = weight > _LIKELY
            return rows[likely], columns[likely], weight[likely]
        room = int(count.sum())
        found = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        where = (np.ascontiguousarray(events, np.int64), self._begin, self._end, self._order)
        if self._known is None:
            used = kernel.pairs_by_record(*where, self._sizes.of_record, _LIKELY, *found)
        else:
            tables, known = self._known
            octets = np.ascontiguousarray(self._sizes.octets, np.int64)
            sizes = (self._sizes.length, octets, known, tables)
            used = kernel.pairs_by_size(*where, *sizes, _LIKELY, *found)
        rows, columns, weight = found
        return rows[:used].copy(), columns[:used].copy(), weight[:used].copy()
