# SPDX-License-Identifier: Apache-2.0
"""The application that answers `client.py`: `python server.py ADDRESS PORT LOG`.

Waits X-Delay-Ms after a whole request, then answers X-Response-Bytes octets. LOG (ndjson,
CLOCK_REALTIME ns): `accept`, `request` (t_received: its first octets, t_body: its last,
t_sent: the answer goes to the kernel) and `ended`, each with the peer's address, which is
conn3's: with the request's id it ties conn1 to conn3 without asking any proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TextIO

_READ_BYTES = 1 << 16
_HEAD_LIMIT_BYTES = 1 << 14


def _shown(address: tuple[object, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


class Server:
    """Answers every connection, and logs."""

    def __init__(self, log: TextIO) -> None:
        self._log = log

    async def serve(self, address: str, port: int) -> None:
        """Listen until the program is ended."""
        server = await asyncio.start_server(
            self._connection, address, port, limit=_HEAD_LIMIT_BYTES, backlog=512
        )
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _shown(writer.get_extra_info("peername"))
        local = _shown(writer.get_extra_info("sockname"))
        self._tell("accept", peer, local=local)
        how = "fin"
        try:
            while await self._request(peer, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError) as error:
            how = type(error).__name__
        self._tell("ended", peer, local=local, how=how)
        writer.close()

    async def _request(
        self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; return whether there was one."""
        first = await reader.read(1)
        if not first:
            return False
        received_ns = time.time_ns()
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        lines = (line.split(":", 1) for line in head.split("\r\n")[1:] if line)
        # An Envoy on the way writes the names in small letters.
        fields = {name.lower(): value.strip() for name, value in lines}
        left_bytes = size_bytes = int(fields["content-length"])
        while left_bytes:
            data = await reader.read(min(left_bytes, _READ_BYTES))
            if not data:
                raise asyncio.IncompleteReadError(b"", left_bytes)
            left_bytes -= len(data)
        body_ns = time.time_ns()
        await asyncio.sleep(float(fields["x-delay-ms"]) / 1e3)
        name = fields["x-request-id"]
        answer = hashlib.shake_128(f"down {name}".encode()).digest(int(fields["x-response-bytes"]))
        sent_ns = time.time_ns()
        writer.write(
            f"HTTP/1.1 200 OK\r\nX-Request-Id: {name}\r\nContent-Length: {len(answer)}\r\n\r\n"
            .encode() + answer
        )  # fmt: skip
        await writer.drain()
        self._tell("request", peer, id=name, t_received=received_ns, t_body=body_ns,
                   t_sent=sent_ns, received_bytes=size_bytes, sent_bytes=len(answer))  # fmt: skip
        return True

    def _tell(self, event: str, peer: str, **rest: object) -> None:
        line = {"t_ns": time.time_ns(), "event": event, "peer": peer}
        self._log.write(json.dumps(line | rest) + "\n")


if __name__ == "__main__":
    with Path(sys.argv[3]).open("w", buffering=1) as log_file:
        asyncio.run(Server(log_file).serve(sys.argv[1], int(sys.argv[2])))
