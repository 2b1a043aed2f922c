# SPDX-License-Identifier: Apache-2.0
"""Ports 15008 and 15006: what reaches a pod (zt src/proxy/inbound.rs, inbound_passthrough.rs)."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from tests.lab.ztunnel import naming
from tests.lab.ztunnel.config import Address, ConfigError, format_address, parse_address
from tests.lab.ztunnel.endpoint import Endpoint
from tests.lab.ztunnel.http2 import Http2
from tests.lab.ztunnel.relay import Side
from tests.lab.ztunnel.session import Session, Shared
from tests.lab.ztunnel.stream import Http2Stream
from tests.lab.ztunnel.tls import TlsChannel, context


class Inbound:
    """Handles conn2 and plain text from outside the mesh."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self._connections: set[Http2] = set()

    def close(self) -> None:
        """End all connections."""
        for http2 in list(self._connections):
            http2.go_away()

    async def handle_plaintext(self, arrived: Endpoint, destination: Address) -> None:
        """Serve one connection that came without HBONE."""
        session = Session(self._shared, outbound=False, client=arrived.peer)
        session.destination = destination
        session.workload = self._config.workloads.get(destination[0])
        self._shared.log.write_at(
            arrived.accepted_ns, "accept", connection=session.number,
            listener="inbound_plaintext", client=format_address(arrived.peer),
            destination=format_address(destination),
        )  # fmt: skip
        try:
            if self._config.is_own("inbound_plaintext", destination):
                raise ConnectionRefusedError(errno.ECONNREFUSED, "the proxy was called by itself")
            async with self._shared.contention.opening():
                onward = await session.dial(destination, arrived.peer[0])
        except OSError as error:
            session.write("refused")
            arrived.reset()
            session.complete(f"connection failed: {error}")
            return
        await session.relay(Side(end=arrived, wire=arrived), Side(end=onward, wire=onward))

    async def handle_hbone(self, conn2: Endpoint, destination: Address) -> None:
        """Serve one HBONE connection and the streams on it."""
        config, log = self._config, self._shared.log
        told = {
            "client": format_address(conn2.peer),
            "destination": format_address(destination),
        }
        workload = config.workloads.get(destination[0])
        files = config.tls_of(workload.identity if workload else config.identity)
        channel = TlsChannel(conn2, context(files, config.keylog, server=True), server=True)
        try:
            await channel.open()
        except OSError as error:
            log.write("hbone_failed", conn2=told, error=str(error))
            return
        log.write_at(
            time.time_ns(), "hbone_accept", conn2=told, identity=channel.peer_identity,
            accepted_ns=conn2.accepted_ns,
        )  # fmt: skip

        async def serve(stream: Http2Stream, headers: dict[str, str]) -> None:
            try:
                await self._serve(http2, stream, headers, destination)
            except Exception as error:  # noqa: BLE001  one stream must not end the others
                log.write("error", conn2=told, stream=stream.number, error=repr(error))
                stream.close()

        http2 = Http2(channel, client=False, on_request=serve)
        http2.start()
        self._connections.add(http2)
        try:
            await http2.run(config.ping_interval_s)
        finally:
            self._connections.discard(http2)

    async def _serve(
        self, http2: Http2, stream: Http2Stream, headers: dict[str, str], gateway: Address
    ) -> None:
        conn2 = http2.channel.endpoint
        identity = http2.channel.peer_identity
        session = Session(self._shared, outbound=False, client=conn2.peer)
        session.destination = gateway
        session.source_identity = identity
        session.hbone_address = headers.get(":authority", "")
        session.write(
            "connect_received",
            conn2={"client": format_address(conn2.peer), "destination": format_address(gateway)},
            stream=stream.number,
            authority=session.hbone_address,
            forwarded=headers.get("forwarded"),
            traceparent=headers.get("traceparent"),
        )
        try:
            named = self._config.hosts.get(session.hbone_address)
            target = named or parse_address(session.hbone_address)
        except ConfigError:
            self._answer(session, stream, 400)
            session.complete("invalid authority")
            return
        session.workload = self._config.workloads.get(target[0])
        if not identity or identity in self._config.deny:
            self._answer(session, stream, 401)
            session.write("denied", identity=identity)
            session.complete("connection closed due to policy rejection: explicitly denied")
            return
        try:
            async with self._shared.contention.opening():
                conn3 = await session.dial(target, conn2.peer[0])
        except OSError as error:
            self._answer(session, stream, 503)
            session.write("refused", error=str(error))
            session.complete(_failure(error))
            return
        self._answer(session, stream, 200)
        await session.relay(Side(end=stream, wire=conn2), Side(end=conn3, wire=conn3))

    def _answer(self, session: Session, stream: Http2Stream, status: int) -> None:
        headers = naming.response_headers(status, session.workload, self._config)
        stream.http2.respond(stream, headers, end=status != 200)
        if status != 200:
            with contextlib.suppress(OSError):
                stream.http2.forget(stream)
        session.write("response_sent", status=status)


def _failure(error: OSError) -> str:
    """Word an error as Rust's standard library does, for the access log."""
    if error.errno is None:
        return "connection failed: deadline has elapsed"
    return f"connection failed: {os.strerror(error.errno)} (os error {error.errno})"
