# SPDX-License-Identifier: Apache-2.0
"""An application in a pod: connections, requests and DNS lookups as a plan says, each logged.

`python client.py PLAN.json LOG`. PLAN.json is {"connections", "lookups"}. A lookup is {"name",
"host", "record_type", "resolver": [address, port], "start_ms"}, a connection {"name", "kind",
"target": [address, port], "start_ms", "source_port" (0: any), "requests": [{"id", "send_bytes",
"receive_bytes", "delay_ms", "gap_ms"}], "end": "close" | "abort", "end_after_ms"}.
`abort` resets the connection that long after the last request was sent, without its answer.

LOG (ndjson, CLOCK_REALTIME ns): `connected`, `request` (t_send, t_first, t_done), `error`, `ended`,
`lookup` (t_send, t_answer, addresses), each with the connection's name and its local address;
`t_ns` is when the event was known.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, TextIO

_LIMIT_S = 45.0
_CONNECT_LIMIT_S = 6.0
_ANSWER_LIMIT_S = 12.0
"""Beyond both, a client gives up and says so (TimeoutError)."""
_READ_BYTES = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_HEAD_END = b"\r\n\r\n"


def body(name: str, size_bytes: int) -> bytes:
    """Return that many octets that no other name has."""
    return hashlib.shake_128(name.encode()).digest(size_bytes)


def request_bytes(request: dict[str, Any], host: str) -> bytes:
    """Return one request as it goes over the wire."""
    head = (
        f"POST /{request['id']} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {request['id']}\r\n"
        f"X-Delay-Ms: {request['delay_ms']}\r\nX-Response-Bytes: {request['receive_bytes']}\r\n"
        f"Content-Length: {request['send_bytes']}\r\n\r\n"
    )
    return head.encode() + body(f"up {request['id']}", request["send_bytes"])


class Connection:
    """One connection of the plan."""

    def __init__(self, plan: dict[str, Any], log: TextIO) -> None:
        self._plan = plan
        self._log = log
        self._local = ""
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in plan["target"][0] else socket.AF_INET, socket.SOCK_STREAM
        )
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Do all of it; what goes wrong is logged."""
        await asyncio.sleep(self._plan["start_ms"] / 1e3)
        try:
            await self._connect()
            for request in self._plan["requests"]:
                await asyncio.sleep(request["gap_ms"] / 1e3)
                await self._request(request)
            await self._end()
        except (OSError, EOFError) as error:
            self._tell("error", error=type(error).__name__)
        finally:
            self._socket.close()

    def _tell(self, event: str, **rest: object) -> None:
        plan = self._plan
        line = {"t_ns": time.time_ns(), "event": event, "name": plan["name"], "local": self._local}
        self._log.write(json.dumps(line | rest) + "\n")

    async def _connect(self) -> None:
        address, port = self._plan["target"]
        if self._plan["source_port"]:
            # Two connections to different destinations may share it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("", self._plan["source_port"]))
        began_ns = time.time_ns()
        connecting = self._loop.sock_connect(self._socket, (address, port))
        await asyncio.wait_for(connecting, _CONNECT_LIMIT_S)
        host, own_port = self._socket.getsockname()[:2]
        self._local = f"[{host}]:{own_port}" if ":" in host else f"{host}:{own_port}"
        self._tell("connected", kind=self._plan["kind"], target=self._plan["target"],
                   t_connect=began_ns, t_connected=time.time_ns())  # fmt: skip

    async def _request(self, request: dict[str, Any]) -> None:
        sent_ns = time.time_ns()
        wants_answer = self._plan["end"] != "abort" or request is not self._plan["requests"][-1]
        data = request_bytes(request, str(self._plan["target"][0]))
        await asyncio.wait_for(self._loop.sock_sendall(self._socket, data), _ANSWER_LIMIT_S)
        if not wants_answer:
            self._tell("request", id=request["id"], t_send=sent_ns, t_first=None, t_done=None,
                       send_bytes=request["send_bytes"], receive_bytes=0)  # fmt: skip
            return
        first_ns, received_bytes = await self._answer()
        self._tell("request", id=request["id"], t_send=sent_ns, t_first=first_ns,
                   t_done=time.time_ns(), send_bytes=request["send_bytes"],
                   receive_bytes=received_bytes)  # fmt: skip

    async def _answer(self) -> tuple[int, int]:
        """Read one response; return when its first octet came and the size of its body."""
        data = await self._read()
        first_ns = time.time_ns()
        while _HEAD_END not in data:
            data += await self._read()
        head, _, rest = data.partition(_HEAD_END)
        size_bytes = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        received_bytes = len(rest)
        while received_bytes < size_bytes:
            received_bytes += len(await self._read())
        return first_ns, received_bytes

    async def _read(self) -> bytes:
        reading = self._loop.sock_recv(self._socket, _READ_BYTES)
        data = await asyncio.wait_for(reading, _ANSWER_LIMIT_S)
        if not data:
            raise EOFError
        return data

    async def _end(self) -> None:
        await asyncio.sleep(self._plan["end_after_ms"] / 1e3)
        how = self._plan["end"]
        if how == "abort":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._tell("ended", how=how)


def dns_query(host: str, record_type: int) -> bytes:
    """Return a query for the addresses of a host (RFC 1035 section 4.1)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in host.split("."))
    number = int.from_bytes(hashlib.sha256(host.encode()).digest()[:2])
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack(
        "!BHH", 0, record_type, 1
    )  # fmt: skip


def dns_addresses(answer: bytes, query: bytes) -> list[str]:
    """Return the addresses of an answer whose records all point at the question's name."""
    count, at = struct.unpack_from("!H", answer, 6)[0], len(query)
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from("!H", answer, at + 10)
        family = socket.AF_INET if length == 4 else socket.AF_INET6
        found.append(socket.inet_ntop(family, answer[at + 12 : at + 12 + length]))
        at += 12 + length
    return found


async def look_up(plan: dict[str, Any], log: TextIO) -> None:
    """Ask DNS once; what came is logged, null where nothing did."""
    await asyncio.sleep(plan["start_ms"] / 1e3)
    loop, query = asyncio.get_running_loop(), dns_query(plan["host"], plan["record_type"])
    address, port = plan["resolver"]
    with socket.socket(
        socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        host, own_port = sock.getsockname()[:2]
        began_ns, found = time.time_ns(), None
        try:
            await loop.sock_sendall(sock, query)
            answer = await asyncio.wait_for(loop.sock_recv(sock, _READ_BYTES), _ANSWER_LIMIT_S)
            found = dns_addresses(answer, query)
        except OSError:  # TimeoutError is one
            pass
    now_ns = time.time_ns()
    line = {"t_ns": now_ns, "event": "lookup", "name": plan["name"], "host": plan["host"],
            "local": f"[{host}]:{own_port}" if ":" in host else f"{host}:{own_port}",
            "t_send": began_ns, "t_answer": now_ns if found is not None else None,
            "addresses": found}  # fmt: skip
    log.write(json.dumps(line) + "\n")


async def run(plan: dict[str, list[dict[str, Any]]], log: TextIO) -> None:
    """Run all connections and lookups of a plan side by side."""
    running = [Connection(one, log).run() for one in plan["connections"]]
    running += [look_up(one, log) for one in plan["lookups"]]
    await asyncio.wait_for(asyncio.gather(*running), _LIMIT_S)


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w", buffering=1) as log_file:
        asyncio.run(run(json.loads(Path(sys.argv[1]).read_text()), log_file))
