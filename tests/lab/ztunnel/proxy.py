# SPDX-License-Identifier: Apache-2.0
"""One proxy process: listeners, what they have in common, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.lab.ztunnel import addresses, timestamps
from tests.lab.ztunnel.config import DNS_LISTENER, Address, Config, format_address
from tests.lab.ztunnel.contention import Contention
from tests.lab.ztunnel.dns import Dns
from tests.lab.ztunnel.endpoint import Endpoint
from tests.lab.ztunnel.inbound import Inbound
from tests.lab.ztunnel.logs import AccessLog, EventLog
from tests.lab.ztunnel.outbound import Outbound
from tests.lab.ztunnel.pool import Pool
from tests.lab.ztunnel.session import Shared

_ACCEPTS = 64
_FLUSH_S = 0.1

Handler = Callable[[Endpoint, Address], Awaitable[None]]


class Proxy:
    """`run` listens until `stop` is called or a signal comes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._log = EventLog(Path(config.event_log))
        self._access = AccessLog(config.access_log, config)
        self._pool = Pool(config, self._log)
        shared = Shared(
            config=config,
            log=self._log,
            access=self._access,
            contention=Contention(
                config.reorder_mean_s, config.reorder_workers, config.reorder_seed
            ),
            numbers=itertools.count(1),
        )
        self._inbound = Inbound(shared)
        self._outbound = Outbound(shared, self._pool)
        self._dns = Dns(shared)
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve. Raises OSError if a listener cannot be made."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(number, self.stop)
        try:
            self._listen()
            for name, to in self._config.listen.items():
                if name == DNS_LISTENER:
                    await self._dns.listen(to)
            self._log.write(
                "listening",
                name=self._config.name,
                listen={name: list(to) for name, to in self._config.listen.items()},
                ignored=sorted(self._config.extra),
            )
            while not self._stopped.is_set():
                self._log.flush()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), _FLUSH_S)
        finally:
            await self._close()

    def _listen(self) -> None:
        handlers: dict[str, Handler] = {
            "outbound": self._outbound.handle,
            "inbound_hbone": self._inbound.handle_hbone,
            "inbound_plaintext": self._inbound.handle_plaintext,
        }
        for name, to in self._config.listen.items():
            if name == DNS_LISTENER:
                continue
            sock = addresses.listener(
                to, transparent=self._config.transparent, mark=self._config.mark
            )
            kind = name.partition(":")[0]
            self._listeners.append(sock)
            if self._config.kernel_timestamps:
                timestamps.stamp_reception(sock)
            handler = handlers[kind]
            asyncio.get_running_loop().add_reader(sock, self._accept, sock, kind, handler)

    def _accept(self, listener: socket.socket, name: str, handler: Handler) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            accepted_ns = time.time_ns()
            redirected = self._config.redirected and name != "inbound_hbone"
            try:
                destination = addresses.original_destination(sock, redirected=redirected)
                endpoint = Endpoint(sock, stamps=self._config.kernel_timestamps)
            except OSError:  # reset before it was accepted
                sock.close()
                continue
            endpoint.accepted_ns = accepted_ns
            task = asyncio.ensure_future(self._serve(handler, endpoint, destination))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, handler: Handler, endpoint: Endpoint, destination: Address) -> None:
        try:
            await handler(endpoint, destination)
        except Exception as error:  # noqa: BLE001  one connection must not end the proxy
            self._log.write("error", client=format_address(endpoint.peer), error=repr(error))
        finally:
            endpoint.close()

    async def _close(self) -> None:
        for sock in self._listeners:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        await self._dns.close()
        await self._pool.close()
        self._inbound.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._log.close()
        self._access.close()
