# SPDX-License-Identifier: Apache-2.0
"""A small server for tests of the stand-in: it does what the first line of a connection says."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
import time
from typing import Self

RESPONSE_BYTES = 183
"""As in the recorded sets, where it shares its record with END_STREAM or has one of 209."""


class Server:
    """Serves each connection in a thread of its own.

    Commands (one line): `answer` — RESPONSE_BYTES, then FIN; `echo` — everything back once the
    client has finished; `send N` — N bytes at once; `take` — SHA-256 of what comes until the end;
    `chat` — each piece back as it comes; `abort` — a reset.
    """

    def __init__(self, at: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        self._listener = socket.create_server(at, family=family, backlog=300)
        self.clients: list[str] = []
        """Addresses that connected, in order."""
        self.ends: list[str] = []
        """How connections ended, as seen here: `fin` or the error."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except OSError:
                return
            self.clients.append(address[0])
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                self._obey(sock)
            except OSError as error:
                self.ends.append(type(error).__name__)

    def _obey(self, sock: socket.socket) -> None:
        data = b""
        while b"\n" not in data:
            piece = sock.recv(65_536)
            if not piece:
                self.ends.append("fin")
                return
            data += piece
        line, _, rest = data.partition(b"\n")
        command, *arguments = line.decode().split()
        if command == "answer":
            sock.sendall(b"a" * RESPONSE_BYTES)
        elif command == "send":
            sock.sendall(pattern(int(arguments[0])))
        elif command == "take":
            digest = hashlib.sha256(rest)
            while piece := sock.recv(65_536):
                digest.update(piece)
            sock.sendall(digest.hexdigest().encode())
        elif command == "echo":
            while piece := sock.recv(65_536):
                rest += piece
            sock.sendall(rest)
        elif command == "chat":
            sock.sendall(rest)
            while piece := sock.recv(65_536):
                sock.sendall(piece)
            self.ends.append("fin")
        elif command == "abort":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def pattern(count: int) -> bytes:
    """Return bytes in which every shift shows."""
    block = b"".join(struct.pack("!I", number) for number in range(4096))
    return (block * (count // len(block) + 1))[:count]


def reset(sock: socket.socket) -> None:
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def eventually(condition: object, limit_s: float = 20.0) -> bool:
    """Say whether a condition comes true in time."""
    assert callable(condition)
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.01)
    return False
