# SPDX-License-Identifier: Apache-2.0
"""Port 15053: a pod's DNS, captured (zt src/dns/server.rs; on by default since istio 1.25).

Names of the mesh are answered here, by UDP and TCP; all else is asked of the pod's own resolver, by
UDP, from this pod. The form of messages is RFC 1035 section 4.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tests.lab.ztunnel import addresses
from tests.lab.ztunnel.config import Address, format_address

if TYPE_CHECKING:
    from tests.lab.ztunnel.logs import EventLog
    from tests.lab.ztunnel.session import Shared

_HEADER = struct.Struct("!6H")
_POINTER_TO_QUESTION = b"\xc0\x0c"
_RECORD_TYPES = {4: 1, 6: 28}
"""A and AAAA by IP version."""
_INTERNET = 1
_ANSWER, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
_NO_SUCH_NAME = 3
_TTL_S = 30
_LIMIT_S = 5.0
_MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """What one query asks."""

    host: str
    record_type: int
    octets: bytes
    """The question section, which the answer repeats."""


def question(query: bytes) -> Question | None:
    """Return the first question of a query, None where it is none."""
    if len(query) < _HEADER.size or not _HEADER.unpack_from(query)[2]:
        return None
    labels, at = [], _HEADER.size
    while at < len(query) and query[at]:
        length = query[at]
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    end = at + 5
    if end > len(query):
        return None
    (record_type,) = struct.unpack_from("!H", query, at + 1)
    return Question(".".join(labels).lower(), record_type, query[_HEADER.size : end])


def answer(query: bytes, asked: Question, hosts: Iterable[str] | None) -> bytes:
    """Return the answer to a query: these addresses, or (None) that there is no such name."""
    number, flags, *_ = _HEADER.unpack_from(query)
    flags = _ANSWER | _AUTHORITATIVE | _RECURSION_AVAILABLE | flags & _RECURSION_DESIRED
    packed = [ip_address(host) for host in hosts or ()]
    records = [
        _POINTER_TO_QUESTION
        + struct.pack("!HHIH", asked.record_type, _INTERNET, _TTL_S, len(one.packed))
        + one.packed
        for one in packed
        if _RECORD_TYPES[one.version] == asked.record_type
    ]
    flags |= _NO_SUCH_NAME if hosts is None else 0
    head = _HEADER.pack(number, flags, 1, len(records), 0, 0)
    return head + asked.octets + b"".join(records)


class Dns:
    """Answers on one address, by UDP and TCP."""

    def __init__(self, shared: Shared) -> None:
        self._config = shared.config
        self._log: EventLog = shared.log
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, at: Address) -> None:
        """Begin to serve. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._on_datagram), local_addr=at
        )
        self._server = await asyncio.start_server(self._on_connection, *at)

    async def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_datagram(self, query: bytes, client: Address) -> None:
        async def serve() -> None:
            reply = await self._reply(query, client)
            if reply is not None and self._transport is not None:
                self._transport.sendto(reply, client)

        task = asyncio.ensure_future(serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        client = writer.get_extra_info("peername")[:2]
        try:
            while True:  # RFC 1035 section 4.2.2: a length before each message
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                reply = await self._reply(await reader.readexactly(length), client)
                if reply is None:
                    break
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _reply(self, query: bytes, client: Address) -> bytes | None:
        asked = question(query)
        if asked is None:
            return None
        known = self._config.dns_names.get(asked.host)
        self._log.write(
            "dns", client=format_address(client[:2]), host=asked.host,
            answered_by="ztunnel" if known else "resolver",
        )  # fmt: skip
        if known:
            return answer(query, asked, known)
        return await self._forward(query)

    async def _forward(self, query: bytes) -> bytes | None:
        upstream = self._config.dns_upstream
        if upstream is None:
            return None
        loop = asyncio.get_running_loop()
        with addresses.datagrams(upstream, mark=self._config.mark) as sock:
            try:
                await loop.sock_sendall(sock, query)
                async with asyncio.timeout(_LIMIT_S):
                    return await loop.sock_recv(sock, _MESSAGE_BYTES)
            except OSError:
                return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, arrived: Callable[[bytes, Address], None]) -> None:
        self._arrived = arrived

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._arrived(data, (str(addr[0]), int(addr[1])))
