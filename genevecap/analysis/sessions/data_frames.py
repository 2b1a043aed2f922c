# SPDX-License-Identifier: Apache-2.0
"""In which TLS records the octets of opened streams passed: keys say it of every DATA frame."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np

from ..connections import Half
from ..hbone.results import DataPiece, StreamId
from ..linking.views import Views
from ..rows import Array, find
from .mesh import LinkInputs, Mesh
from .passages import Passage

MOST_FRAMES = 1 << 21
"""DATA frames that are kept, of all streams; of later ones nothing is said."""


class DataFrames:
    """Gathers where DATA frames end in their stream, and where their records begin."""

    def __init__(self, most: int = MOST_FRAMES) -> None:
        """most: frames that are kept."""
        self._left = most
        self._rows: dict[tuple[StreamId, bool], array[int]] = {}

    def take(self, piece: DataPiece) -> None:
        """Take in one DATA frame."""
        if self._left <= 0:
            return
        self._left -= 1
        rows = self._rows.setdefault((piece.stream, piece.upward), array("q"))
        rows.extend((piece.offset + len(piece.payload), piece.record_offset))

    def of(self, stream: StreamId, *, upward: bool) -> Array:
        """Return (end in the stream, begin of its record) of each frame, in order."""
        return np.array(self._rows.get((stream, upward), ()), np.int64).reshape(-1, 2)


class RecordTimes:
    """When records of HBONE connections passed both proxies, by where they begin."""

    def __init__(self, mesh: Mesh, inputs: LinkInputs, views: Views) -> None:
        self._mesh = mesh
        self._inputs = inputs
        self._views = views
        self._tables: dict[tuple[int, bool], tuple[Array, Array]] = {}

    def passages(self, hbone: int, frames: Array, *, upward: bool) -> Iterator[Passage]:
        """Yield the passages of a stream's frames (see `DataFrames.of`)."""
        tables = self._tables.get((hbone, upward))
        if tables is None:
            tables = self._tables[hbone, upward] = self._read(hbone, upward=upward)
        (client, seen_at_client), (server, seen_at_server) = (
            (table, find(table[:, 0], frames[:, 1])) for table in tables
        )
        for number in range(len(frames)):
            if seen_at_client[1][number] and seen_at_server[1][number]:
                yield Passage(
                    end=int(frames[number, 0]),
                    client_ns=int(client[seen_at_client[0][number], 1]),
                    server_ns=int(server[seen_at_server[0][number], 1]),
                    share=1.0,
                    first=number == 0,
                )

    def _read(self, hbone: int, *, upward: bool) -> tuple[Array, Array]:
        connection = self._mesh.hbone[hbone].connection
        records = self._inputs.hbone[hbone]
        columns = records.up if upward else records.down
        side = connection.forward if upward else connection.reverse
        client, server = (
            self._table(side.get(point)) for point in (columns.client_point, columns.server_point)
        )
        return client, server

    def _table(self, half: Half | None) -> Array:
        """Return (begin, when it was seen whole) of the records of a half, sorted."""
        if half is None or half.records is None or half.isn is None:
            return np.zeros((0, 2), np.int64)
        rows = np.array(half.records.rows, np.int64).reshape(-1, 5)[:, (2, 4)]
        if len(rows):
            rows[:, 1] = self._views.corrected(half.point, rows[:, 1])
        return rows[np.argsort(rows[:, 0], kind="stable")]
