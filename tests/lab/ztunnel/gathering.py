# SPDX-License-Identifier: Apache-2.0
"""Which HTTP/2 frames share one TLS record.

Frames that wait when the connection gets its turn go out together, except that a DATA frame of 256
bytes and more ends its record (CHAIN_THRESHOLD in h2, src/codec/framed_write.rs). A real ztunnel's
connection runs beside its streams and rarely finds frames of two of them: in the recorded
sets records of several streams are about 1 %, even in bursts. An event loop would gather
a whole burst, so here another stream's frame mostly starts a new record.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tests.lab.ztunnel.endpoint import Sent

CHAINED_BYTES = 256
_RECORD_BYTES = 16 * 1024 - 265
_SHARED_BY_STREAMS = 0.04


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames that were produced together."""

    data: bytes
    stream: int = 0
    """0 for the connection's own."""
    ends_record: bool = False
    sent: Sent | None = None


class Gathering:
    """Pieces that wait to be sent."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._random = random.Random()
        self.waiting_bytes = 0

    def add(self, piece: Piece) -> None:
        """Add a piece at the end."""
        self._pieces.append(piece)
        self.waiting_bytes += len(piece.data)

    def records(self) -> Iterator[tuple[bytes, Sent | None]]:
        """Take everything, record by record, with whom to tell when it has left."""
        while self._pieces:
            record, notes, stream = bytearray(), [], 0
            while self._pieces and len(record) < _RECORD_BYTES:
                piece = self._pieces[0]
                if self._starts_record(stream, piece.stream):
                    break
                self._pieces.popleft()
                stream = piece.stream or stream
                record += piece.data
                if piece.sent is not None:
                    notes.append(piece.sent)
                if piece.ends_record:
                    break
            self.waiting_bytes -= len(record)
            yield bytes(record), _all(notes)

    def _starts_record(self, before: int, stream: int) -> bool:
        another = before != 0 and stream not in {0, before}
        return another and self._random.random() >= _SHARED_BY_STREAMS


def _all(notes: list[Sent]) -> Sent | None:
    if len(notes) < 2:
        return notes[0] if notes else None

    def sent(out_ns: int, end_offset: int) -> None:
        for note in notes:
            note(out_ns, end_offset)

    return sent
