# SPDX-License-Identifier: Apache-2.0
"""One TCP connection: reads of a chosen size, writes in order, half close, reset, time stamps."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from tests.lab.ztunnel import addresses, timestamps
from tests.lab.ztunnel.config import Address

Sent = Callable[[int, int], None]
"""Told when the last byte was handed to the kernel (ns) and its end offset in the connection."""

_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Received:
    """What one read brought; no data is the end of the stream."""

    data: bytes
    in_ns: int
    kernel_rx_ns: int | None = None


class Wire(Protocol):
    """What carries TLS: a TCP connection, or a stream of another HBONE connection."""

    @property
    def local(self) -> Address:
        """This end's address."""

    @property
    def peer(self) -> Address:
        """The other end's."""

    @property
    def departures(self) -> timestamps.Departures | None:
        """Where departure stamps come from, if there are any."""

    async def receive(self, limit: int) -> Received:
        """Return what arrived; no data is the end. Raises OSError."""

    def queue(self, data: bytes, sent: Sent | None = None) -> None:
        """Send after what is queued."""

    async def drained(self, limit: int = 0) -> None:
        """Wait until at most `limit` bytes are queued. Raises OSError if they cannot be sent."""

    def close(self) -> None:
        """Close both directions."""


class Endpoint:
    """A connected, non-blocking socket of the running event loop."""

    def __init__(self, sock: socket.socket, *, stamps: bool) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self.local: Address = sock.getsockname()[:2]
        self.peer: Address = sock.getpeername()[:2]
        self.departures: timestamps.Departures | None = None
        if stamps and timestamps.stamp_both(sock):
            self.departures = timestamps.Departures(sock)
        self._ancillary_bytes = timestamps.ANCILLARY_BYTES if self.departures else 0
        self._queue: deque[tuple[memoryview, Sent | None]] = deque()
        self._queued_bytes = 0
        self._sent_bytes = 0
        self._readable: asyncio.Future[None] | None = None
        self._drained: list[tuple[int, asyncio.Future[None]]] = []
        self._failure: OSError | None = None
        self.closed = False
        self.accepted_ns = 0

    @classmethod
    async def connect(
        cls, to: Address, *, source: str | None, mark: int, stamps: bool, limit_s: float
    ) -> Self:
        """Open a connection. Raises OSError (TimeoutError after limit_s)."""
        sock = addresses.outgoing(to, source=source, mark=mark)
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.get_running_loop().sock_connect(sock, to)
            return cls(sock, stamps=stamps)
        except BaseException:
            sock.close()
            raise

    # --- reading -----------------------------------------------------------------------------

    async def receive(self, limit: int) -> Received:
        """Read at most `limit` bytes, once there are any. Raises OSError on a reset."""
        while True:
            found = self._read_now(limit)
            if found is not None:
                return found
            await self._wait_readable()

    def _read_now(self, limit: int) -> Received | None:
        if self.closed:
            raise ConnectionAbortedError("closed on this side")
        try:
            data, ancillary, _, _ = self._sock.recvmsg(limit, self._ancillary_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        return Received(data, time.time_ns(), timestamps.received_ns(ancillary))

    async def _wait_readable(self) -> None:
        # A report on the error queue makes a socket ready too, until it is taken away.
        if self.departures is not None:
            self.departures.discard()
        self._readable = self._loop.create_future()
        self._loop.add_reader(self._sock, self._on_readable)
        try:
            await self._readable
        finally:
            self._readable = None
            if not self.closed:
                self._loop.remove_reader(self._sock)

    def _on_readable(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    # --- writing -----------------------------------------------------------------------------

    def queue(self, data: bytes, sent: Sent | None = None) -> None:
        """Send `data` by one call of `send` where the kernel has room, after what is queued."""
        if self.closed or self._failure is not None:
            return
        self._queue.append((memoryview(data), sent))
        self._queued_bytes += len(data)
        if len(self._queue) == 1:
            self._send_queued()

    async def send(self, data: bytes, sent: Sent | None) -> None:
        """Send and wait until the kernel has it all. Raises OSError."""
        self.queue(data, sent)
        await self.drained()

    async def drained(self, limit: int = 0) -> None:
        """Wait until at most `limit` bytes are queued. Raises OSError if they cannot be sent."""
        if self._failure is None and self._queued_bytes > limit:
            waiter = self._loop.create_future()
            self._drained.append((limit, waiter))
            await waiter
        if self._failure is not None:
            raise self._failure

    def _send_queued(self) -> None:
        while self._queue:
            data, sent = self._queue[0]
            out_ns = time.time_ns()
            try:
                count = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._sock, self._on_writable)
                return
            except OSError as error:
                self._fail(error)
                return
            self._sent_bytes += count
            self._queued_bytes -= count
            if count < len(data):
                self._queue[0] = (data[count:], sent)
                continue
            self._queue.popleft()
            if sent is not None:
                sent(out_ns, self._sent_bytes)
                if self.departures is not None:
                    self.departures.collect()
        self._wake_writers()

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._sock)
        if self.departures is not None:
            self.departures.discard()
        self._send_queued()
        self._wake_writers()

    def _wake_writers(self) -> None:
        waiting, self._drained = self._drained, []
        for limit, waiter in waiting:
            if waiter.done():
                continue
            if self._failure is not None or self._queued_bytes <= limit:
                waiter.set_result(None)
            else:
                self._drained.append((limit, waiter))

    def _fail(self, error: OSError) -> None:
        self._failure = error
        self._queue.clear()
        self._queued_bytes = 0
        self._wake_writers()

    # --- ends --------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Send a FIN after what is queued; reading goes on."""
        with contextlib.suppress(OSError):
            await self.drained()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with an RST."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.close()

    def close(self) -> None:
        """Close; whoever waits is told that the connection was aborted."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        if self.departures is not None:
            self.departures.give_up()
        self._sock.close()
        self._on_readable()
        self._fail(ConnectionAbortedError("closed on this side"))
