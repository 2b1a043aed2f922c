# SPDX-License-Identifier: Apache-2.0
"""A stream of one HBONE connection as the wire of another: HBONE in HBONE (zt 1.26 and later)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from tests.lab.ztunnel.endpoint import Received, Sent

if TYPE_CHECKING:
    from tests.lab.ztunnel.config import Address
    from tests.lab.ztunnel.stream import Http2Stream
    from tests.lab.ztunnel.timestamps import Departures


class Carrier:
    """What TLS needs of a connection, on top of an HTTP/2 stream; see `endpoint.Wire`."""

    def __init__(self, stream: Http2Stream) -> None:
        self._stream = stream
        self._queue: deque[tuple[bytes, Sent | None]] = deque()
        self._queued_bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._failure: OSError | None = None
        self._closing = False

    @property
    def local(self) -> Address:
        """This end of the outer connection."""
        return self._stream.http2.channel.endpoint.local

    @property
    def peer(self) -> Address:
        """The other end of the outer connection."""
        return self._stream.http2.channel.endpoint.peer

    @property
    def departures(self) -> Departures | None:
        """Kernel stamps of the outer connection."""
        return self._stream.http2.channel.endpoint.departures

    async def receive(self, limit: int) -> Received:
        """Return the data of one frame of the stream. Raises OSError."""
        return await self._stream.receive(limit)

    def queue(self, data: bytes, sent: Sent | None = None) -> None:
        """Send `data` as one DATA frame, after what is queued."""
        if self._failure is not None or self._closing:
            return
        self._queue.append((data, sent))
        self._queued_bytes += len(data)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._queue:
                data, sent = self._queue.popleft()
                await self._stream.send(data, sent)
                self._queued_bytes -= len(data)
                self._changed.set()
        except OSError as error:
            self._failure = error
            self._queue.clear()
        finally:
            self._sending = None
            self._changed.set()
            if self._closing:
                self._stream.close()

    async def drained(self, limit: int = 0) -> None:
        """Wait until at most `limit` bytes are queued. Raises OSError if they cannot be sent."""
        while self._failure is None and self._queued_bytes > limit:
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the stream after what is queued: RST_STREAM, as ztunnel does."""
        if self._closing:
            return
        self._closing = True
        if self._sending is None:
            with contextlib.suppress(OSError):
                self._stream.close()
