# SPDX-License-Identifier: Apache-2.0
"""One HTTP/2 stream, used as one end of a relayed connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from tests.lab.ztunnel.endpoint import Received, Sent

if TYPE_CHECKING:
    from tests.lab.ztunnel.http2 import Http2

Headers = list[tuple[str, str]]


class StreamFailed(ConnectionError):
    """A stream was reset or its connection ended."""


class Http2Stream:
    """Made by Http2; the peer's frames arrive through the `on_…` methods."""

    def __init__(self, http2: Http2, number: int) -> None:
        self.http2 = http2
        self.number = number
        self.reset_by_peer: int | None = None
        """The error code of the peer's RST_STREAM."""
        self._response: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._response.add_done_callback(_retrieve)
        self._arrived: deque[tuple[Received, int]] = deque()
        self._ended = False
        self._finished = False
        self._failure: StreamFailed | None = None
        self._changed = asyncio.Event()

    # --- what the connection reports ---------------------------------------------------------

    def on_response(self, headers: dict[str, str]) -> None:
        """HEADERS arrived on a client's stream."""
        if not self._response.done():
            self._response.set_result(headers)

    def on_data(self, data: bytes, flow_bytes: int, stamp: int | None) -> None:
        """DATA arrived; `flow_bytes` of window are held until it is read."""
        self._arrived.append((Received(data, time.time_ns(), stamp), flow_bytes))
        self.wake()

    def on_end(self) -> None:
        """END_STREAM arrived."""
        self._ended = True
        self._forget_if_over()
        self.wake()

    def on_reset(self, code: int | None) -> None:
        """RST_STREAM arrived."""
        self.reset_by_peer = int(code or 0)
        self.fail(StreamFailed(f"the stream was reset, error code {self.reset_by_peer}"))

    def fail(self, error: StreamFailed) -> None:
        """Nothing can be sent any more, and nothing will arrive."""
        if self._failure is None:
            self._failure = error
        if not self._response.done():
            self._response.set_exception(error)
        self.http2.forget(self)
        self.wake()

    def wake(self) -> None:
        """Something changed: data, a window, an end."""
        self._changed.set()

    # --- what the relay uses -----------------------------------------------------------------

    async def response(self) -> dict[str, str]:
        """Return the response's headers. Raises StreamFailed."""
        return await self._response

    async def receive(self, limit: int) -> Received:
        """Return the data of one frame, whatever its size and the limit; none is the end.

        Raises StreamFailed after the data that arrived before the failure.
        """
        while not self._arrived:
            if self._ended:
                return Received(b"", time.time_ns())
            if self._failure is not None:
                raise self._failure
            await self._wait()
        found, flow_bytes = self._arrived.popleft()
        if flow_bytes:
            self.http2.release(self, flow_bytes)
        if not found.data:  # an empty frame is no end
            return await self.receive(limit)
        return found

    async def send(self, data: bytes, sent: Sent | None) -> None:
        """Send data as one DATA frame, or several where the peer's window is small."""
        rest = data
        while rest:
            if self._failure is not None:
                raise self._failure
            room = self.http2.room(self)
            if room <= 0:
                await self._wait()
                continue
            part, rest = rest[:room], rest[room:]
            self.http2.send_data(self, part, None if rest else sent)
            await self.http2.drained()

    async def finish(self) -> None:
        """Send END_STREAM; receiving goes on."""
        if not self._finished and self._failure is None:
            self._finished = True
            self.http2.end_stream(self)
            self._forget_if_over()

    def close(self) -> None:
        """Nobody is interested any more: RST_STREAM unless both ends have finished."""
        if self._failure is None and not (self._ended and self._finished):
            self.http2.reset_stream(self)
        self.http2.forget(self)

    def _forget_if_over(self) -> None:
        if self._ended and self._finished:
            self.http2.forget(self)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _retrieve(response: asyncio.Future[dict[str, str]]) -> None:
    """Look at a failure that nobody waits for (servers have no response)."""
    if not response.cancelled():
        response.exception()
