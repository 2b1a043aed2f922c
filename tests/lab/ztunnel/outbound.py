# SPDX-License-Identifier: Apache-2.0
"""Port 15001: what leaves a pod (zt src/proxy/outbound.rs).

conn1 is not read before the answer to the CONNECT has come; it is reset where there is none or a
bad one.
"""

from __future__ import annotations

import errno
import http
from dataclasses import replace

from tests.lab.ztunnel import naming
from tests.lab.ztunnel.config import Address, Remote, Workload, format_address, parse_address
from tests.lab.ztunnel.endpoint import Endpoint
from tests.lab.ztunnel.pool import Opened, Pool, Wanted
from tests.lab.ztunnel.relay import Side
from tests.lab.ztunnel.session import TIMED_OUT, Session, Shared
from tests.lab.ztunnel.stream import Headers, Http2Stream, StreamFailed


class Outbound:
    """Handles conn1."""

    def __init__(self, shared: Shared, pool: Pool) -> None:
        self._shared = shared
        self._config = shared.config
        self._pool = pool

    async def handle(self, conn1: Endpoint, destination: Address) -> None:
        """Serve one connection until it has ended."""
        config = self._config
        session = Session(self._shared, outbound=True, client=conn1.peer)
        self._shared.log.write_at(
            conn1.accepted_ns, "accept", connection=session.number, listener="outbound",
            client=format_address(conn1.peer), destination=format_address(destination),
        )  # fmt: skip
        told = format_address(destination)
        session.service = config.service_names.get(told, "")
        if told in config.remote:
            await self._tunnel_twice(session, conn1, config.remote[told])
            return
        waypoint = config.waypoint.get(told)
        target = destination if waypoint else config.services.get(told, destination)
        workload = config.workloads.get(waypoint[0] if waypoint else target[0])
        session.workload = workload
        source = config.workloads.get(conn1.peer[0])
        hbone = waypoint is not None or (workload is not None and workload.hbone)
        if not hbone or (source is not None and not source.hbone):
            session.destination = target
            await self._pass_through(session, conn1, target)
        elif workload and not waypoint and self._is_local(source, workload):
            session.destination = target
            session.source_identity = source.identity if source else ""
            await self._pass_in_memory(session, conn1, target, source)
        else:
            own = workload.gateway if workload else None
            gateway = waypoint or own or (target[0], config.hbone_port)
            await self._tunnel(session, conn1, target, gateway, workload)

    def _is_local(self, source: Workload | None, target: Workload) -> bool:
        """Before in-pod redirection a ztunnel served both pods of its node by itself."""
        return (
            self._config.same_node_in_memory
            and source is not None
            and bool(source.node)
            and source.node == target.node
        )

    # --- without a tunnel --------------------------------------------------------------------

    async def _pass_in_memory(
        self, session: Session, conn1: Endpoint, target: Address, source: Workload | None
    ) -> None:
        if source is not None and source.identity in self._config.deny:
            session.write("denied", identity=source.identity)
            conn1.reset()
            session.complete("connection closed due to policy rejection: explicitly denied")
            return
        await self._pass_through(session, conn1, target)

    async def _pass_through(self, session: Session, conn1: Endpoint, target: Address) -> None:
        try:
            if self._config.is_own("outbound", target):
                raise ConnectionRefusedError(errno.ECONNREFUSED, "the proxy was called by itself")
            async with self._shared.contention.opening():
                onward = await session.dial(target, conn1.peer[0])
        except OSError as error:
            session.write("unreachable" if isinstance(error, TimeoutError) else "refused")
            conn1.reset()
            session.complete(f"connection failed: {error}")
            return
        await session.relay(Side(end=conn1, wire=conn1), Side(end=onward, wire=onward))

    # --- HBONE -------------------------------------------------------------------------------

    async def _tunnel(
        self,
        session: Session,
        conn1: Endpoint,
        target: Address,
        gateway: Address,
        workload: Workload | None,
    ) -> None:
        wanted = self._wanted(session, target, gateway, workload.identity if workload else "")
        headers = self._headers(session, format_address(target))
        stream = await self._open(session, conn1, wanted, headers)
        if stream is None:
            return
        await session.relay(
            Side(end=conn1, wire=conn1), Side(end=stream, wire=stream.http2.channel.endpoint)
        )

    async def _tunnel_twice(self, session: Session, conn1: Endpoint, remote: Remote) -> None:
        """Reach a service of another network: HBONE to its gateway, and inside it to the server.

        Both CONNECTs are alike; the outer connection is shared, the inner one is conn1's own.
        """
        gateway = self._config.workloads.get(remote.gateway[0])
        target = parse_address(remote.host)
        outer = self._wanted(session, target, remote.gateway, gateway.identity if gateway else "")
        headers = self._headers(session, remote.host)
        stream = await self._open(session, conn1, outer, headers)
        if stream is None:
            return
        try:
            http2 = await self._pool.open_inner(stream, replace(outer, identity=remote.identity))
            inner = http2.open_stream(headers)
        except OSError as error:
            stream.close()
            self._give_up(session, conn1, error)
            return
        try:
            session.write("inner_connect_sent", stream=inner.number)
            if await self._answered(session, conn1, inner, "inner_connect_response"):
                await session.relay(
                    Side(end=conn1, wire=conn1), Side(end=inner, wire=http2.channel.endpoint)
                )
        finally:
            http2.go_away()

    def _wanted(self, session: Session, target: Address, gateway: Address, identity: str) -> Wanted:
        """Return what a stream needs, and note for the access log where it leads."""
        source = self._config.workloads.get(session.client[0])
        session.source_identity = source.identity if source else self._config.identity
        session.destination = gateway
        session.hbone_address = format_address(target)
        return Wanted(
            source=session.client[0],
            source_identity=session.source_identity,
            identity=identity,
            target=target,
            gateway=gateway,
        )

    def _headers(self, session: Session, authority: str) -> Headers:
        config = self._config
        return naming.connect_headers(
            authority,
            config.workloads.get(session.client[0]),
            naming.forwarded(session.client, session.service, config),
            naming.traceparent(),
            config.cluster,
        )

    async def _open(
        self, session: Session, conn1: Endpoint, wanted: Wanted, headers: Headers
    ) -> Http2Stream | None:
        """Open a stream and wait for its `200`; None where there was none, and conn1 was reset."""
        try:
            async with self._shared.contention.opening():
                opened = await self._connect(session, wanted, headers)
        except OSError as error:
            self._give_up(session, conn1, error)
            return None
        answered = await self._answered(session, conn1, opened.stream, "connect_response")
        return opened.stream if answered else None

    async def _answered(
        self, session: Session, conn1: Endpoint, stream: Http2Stream, event: str
    ) -> bool:
        """Wait for the answer to a CONNECT; where it is no `200`, reset conn1 and return False."""
        try:
            status = (await stream.response()).get(":status", "")
        except OSError as error:
            self._give_up(session, conn1, error)
            return False
        session.write(event, status=int(status) if status.isdecimal() else None)
        if status != "200":
            self._refuse(session, conn1, status)
            stream.close()
            return False
        return True

    async def _connect(self, session: Session, wanted: Wanted, headers: Headers) -> Opened:
        opened = await self._pool.open_stream(wanted, headers)
        endpoint = opened.stream.http2.channel.endpoint
        told = dict(headers)
        session.write(
            "connect_sent",
            conn2={
                "client": format_address(endpoint.local),
                "destination": format_address(wanted.gateway),
            },
            stream=opened.stream.number,
            reused=opened.reused,
            authority=told[":authority"],
            forwarded=told["forwarded"],
            traceparent=told["traceparent"],
        )
        return opened

    def _give_up(self, session: Session, conn1: Endpoint, error: OSError) -> None:
        if isinstance(error, TimeoutError):
            session.write("unreachable")
            text = TIMED_OUT
        else:
            session.write(
                "reset" if isinstance(error, StreamFailed) else "refused", side="upstream"
            )
            text = f"connection failed: {error}"
        conn1.reset()
        session.complete(text)

    def _refuse(self, session: Session, conn1: Endpoint, status: str) -> None:
        session.write("denied" if status == "401" else "refused", status=status)
        conn1.reset()
        try:
            phrase = http.HTTPStatus(int(status)).phrase
        except ValueError:
            phrase = ""
        session.complete(f"http status: {status} {phrase}".rstrip())
