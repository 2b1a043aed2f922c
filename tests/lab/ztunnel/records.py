# SPDX-License-Identifier: Apache-2.0
"""A relay that counts TLS records as they pass, so that sizes can be tested without a capture."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self

HANDSHAKE, APPLICATION_DATA = 22, 23
_HEADER = struct.Struct("!BHH")  # RFC 8446, section 5.1


@dataclass(frozen=True, slots=True)
class Record:
    """One TLS record."""

    up: bool
    """From the client to the server."""
    kind: int
    length: int
    """The record's length field: without the header, with tag and content type."""


@dataclass(slots=True)
class RecordParser:
    """Finds the records in one direction of a connection."""

    up: bool
    _data: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Record]:
        """Return the records that are complete now."""
        self._data += data
        found = []
        while len(self._data) >= _HEADER.size:
            kind, _, length = _HEADER.unpack_from(self._data)
            if len(self._data) < _HEADER.size + length:
                break
            del self._data[: _HEADER.size + length]
            found.append(Record(self.up, kind, length))
        return found


class RecordingRelay:
    """Listens on one address, passes everything on to another, notes the records that pass.

    `connections` lists them in the order they were opened; each is in the order of completion.
    """

    def __init__(self, at: tuple[str, int], to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(at, backlog=200)
        self._sockets: list[socket.socket] = [self._listener]
        self.connections: list[list[Record]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, address = self._listener.accept()
                server = socket.create_connection(self._to, source_address=(address[0], 0))
            except OSError:
                return
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, server]
            records: list[Record] = []
            self.connections.append(records)
            for up, source, sink in ((True, client, server), (False, server, client)):
                copying = (source, sink, RecordParser(up), records)
                threading.Thread(target=_copy, args=copying, daemon=True).start()


def _copy(
    source: socket.socket, sink: socket.socket, parser: RecordParser, records: list[Record]
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            records.extend(parser.feed(data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
