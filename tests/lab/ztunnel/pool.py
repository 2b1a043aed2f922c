# SPDX-License-Identifier: Apache-2.0
"""HBONE connections to other ztunnels, shared by streams (zt src/proxy/pool.rs).

Attempts for one key wait for each other, so an unreachable peer fails them one after the other.
A connection that has reached its limit of streams is retired: it serves those it has and takes no
more.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field

from tests.lab.ztunnel.config import MAX_STREAMS, Address, Config, format_address
from tests.lab.ztunnel.endpoint import Endpoint, Wire
from tests.lab.ztunnel.http2 import Http2
from tests.lab.ztunnel.logs import EventLog
from tests.lab.ztunnel.nested import Carrier
from tests.lab.ztunnel.stream import Headers, Http2Stream
from tests.lab.ztunnel.tls import TlsChannel, context

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a stream needs: from whom, to whom."""

    source: str
    """IP address of the client."""
    source_identity: str
    identity: str
    """Of the destination."""
    target: Address
    """What the CONNECT names: an address, or host name and port."""
    gateway: Address
    """The peer's port 15008."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream just opened."""

    stream: Http2Stream
    reused: bool
    """Its connection had streams before."""


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    http2: Http2 | None = None
    release: asyncio.TimerHandle | None = None


class Pool:
    """The HBONE connections of one proxy."""

    def __init__(self, config: Config, log: EventLog) -> None:
        self._config = config
        self._log = log
        self._entries: dict[Key, _Entry] = {}
        self._alone = itertools.count()
        self._running: dict[asyncio.Task[None], Http2] = {}

    async def open_stream(self, wanted: Wanted, headers: Headers) -> Opened:
        """Send a CONNECT, on a connection that has room or on a new one.

        Raises OSError: TimeoutError where 15008 does not answer, ssl.SSLError, ConnectionError.
        """
        entry = self._entries.setdefault(self._key(wanted), _Entry())
        async with entry.lock:
            http2 = entry.http2
            reused = http2 is not None and not http2.draining and not http2.closed.is_set()
            if http2 is None or not reused:
                http2 = entry.http2 = await self._connect(wanted)
            stream = http2.open_stream(headers)
            full = len(http2.streams) >= min(MAX_STREAMS, http2.peer_max_streams)
            if full or not self._config.behaviour.pools:
                entry.http2 = None
                http2.retire()
            else:
                self._plan_release(entry, http2)
        return Opened(stream, reused)

    def _key(self, wanted: Wanted) -> Key:
        if not self._config.behaviour.pools:
            return (next(self._alone),)
        if self._config.pool_per_source:
            return wanted.source, wanted.source_identity, wanted.identity, wanted.gateway
        return wanted.source_identity, wanted.identity, wanted.target, wanted.gateway

    async def _connect(self, wanted: Wanted) -> Http2:
        config, told = self._config, format_address(wanted.gateway)
        started_ns = time.time_ns()
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                endpoint = await Endpoint.connect(
                    wanted.gateway,
                    source=wanted.source if config.original_source else None,
                    mark=config.mark,
                    stamps=config.kernel_timestamps,
                    limit_s=config.connect_timeout_s,
                )
                conn2 = {"client": format_address(endpoint.local), "destination": told}
                self._log.write_at(started_ns, "pool_connect", conn2=conn2)
                self._log.write("pool_connected", conn2=conn2)
                return await self._secure(endpoint, wanted, conn2)
        except OSError as error:
            self._log.write("pool_failed", destination=told, error=str(error) or "timed out")
            raise

    async def open_inner(self, outer: Http2Stream, wanted: Wanted) -> Http2:
        """Open an HBONE connection of its own inside a stream. Raises OSError."""
        async with asyncio.timeout(self._config.connect_timeout_s):
            return await self._shake_hands(Carrier(outer), wanted)

    async def _secure(self, endpoint: Endpoint, wanted: Wanted, conn2: dict[str, str]) -> Http2:
        http2 = await self._shake_hands(endpoint, wanted)
        self._log.write("pool_ready", conn2=conn2)
        return http2

    async def _shake_hands(self, wire: Wire, wanted: Wanted) -> Http2:
        """Return an HTTP/2 connection over TLS over a wire, running."""
        config = self._config
        files = config.tls_of(wanted.source_identity)
        channel = TlsChannel(wire, context(files, config.keylog, server=False), server=False)
        try:
            await channel.open()
            _check_identity(channel.peer_identity, wanted.identity)
        except BaseException:
            wire.close()
            raise
        http2 = Http2(channel, client=True)
        http2.start()
        task = asyncio.create_task(http2.run(config.ping_interval_s))
        self._running[task] = http2
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return http2

    def _plan_release(self, entry: _Entry, http2: Http2) -> None:
        """Close the connection once it has been unused for long."""
        if entry.release is not None:
            entry.release.cancel()

        def release() -> None:
            if http2.streams:
                self._plan_release(entry, http2)
            elif entry.http2 is http2:
                entry.http2 = None
                http2.retire()

        loop = asyncio.get_running_loop()
        entry.release = loop.call_later(self._config.pool_release_s, release)

    async def close(self) -> None:
        """Close all connections."""
        for entry in self._entries.values():
            if entry.release is not None:
                entry.release.cancel()
        tasks = list(self._running)
        for http2 in list(self._running.values()):
            http2.go_away()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*tasks, return_exceptions=True)


def _check_identity(found: str, wanted: str) -> None:
    if wanted and found != wanted:
        raise ConnectionError(f"the peer is {found!r}, wanted is {wanted!r}")
