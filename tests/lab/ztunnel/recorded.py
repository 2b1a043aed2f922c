# SPDX-License-Identifier: Apache-2.0
"""Record two stand-ins on loopback with traffic like that of the recorded ztunnel sets."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.lab.ztunnel.apps import Server, reset
from tests.lab.ztunnel.dissection import CannotDissect
from tests.lab.ztunnel.harness import (
    CLIENT_ID,
    SERVER_PORT,
    SERVICE_HOST,
    Pair,
    claim_short_net,
    receive_all,
)

_START_S = 5.0
_BUFFERED_S = 1.2
"""The kernel hands a block of packets to tcpdump after a second at the latest."""


def record(folder: Path, version: str) -> tuple[Path, Path]:
    """Return capture and key log. Raises CannotDissect where tcpdump cannot be used."""
    capture = folder / "ours.pcap"
    # Addresses nearly as long as those of the recorded sets: headers hold them.
    pair = Pair(folder, version=version, net=claim_short_net())
    pair.options = {
        "ping_interval_s": 1.0,
        "service_names": {f"{pair.refused[0]}:15001": SERVICE_HOST},
    }
    dumping = subprocess.Popen(
        ["tcpdump", "-i", "lo", "-s", "0", "-U", "-B", "65536", "-w", str(capture),
         f"tcp port 15008 and net {pair.address(0)}/24"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(capture, dumping)
        with pair, Server((pair.server, SERVER_PORT)):
            _talk(pair)
        denying = Pair(folder / "denying", version=version, net=pair.net)
        denying.options = {"B": {"deny": [CLIENT_ID]}, "keylog": str(folder / "keys.txt")}
        with denying:
            for _ in range(2):
                _expect_reset(denying, denying.virtual)
        time.sleep(_BUFFERED_S)
    finally:
        dumping.terminate()
        dumping.wait(5)
    return capture, folder / "keys.txt"


def _wait_for(capture: Path, dumping: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + _START_S
    while not capture.exists() or not capture.stat().st_size:
        if dumping.poll() is not None or time.monotonic() > end_s:
            raise CannotDissect("tcpdump cannot capture here: it needs root")
        time.sleep(0.02)


def _talk(pair: Pair) -> None:
    """New connections, a burst, large transfers, keep-alive, an abort, a refusal, idleness."""
    for _ in range(10):
        _ask(pair, b"answer\n" + b"x" * 110)
        time.sleep(0.01)
    burst = [threading.Thread(target=_ask, args=(pair, b"answer\n")) for _ in range(28)]
    for thread in burst:
        thread.start()
    for thread in burst:
        thread.join(10)
    _ask(pair, b"send 250000\n")
    _ask(pair, b"take\n" + b"x" * 250_000, finish=True)
    with pair.connect() as sock:
        sock.sendall(b"chat\n")
        for size in (20, 300, 900):
            sock.sendall(b"x" * size)
            sock.recv(2000)
        time.sleep(1.5)
    sock = pair.connect()
    sock.sendall(b"chat\nx")
    sock.recv(10)
    reset(sock)
    for _ in range(2):
        _expect_reset(pair, pair.refused)


def _ask(pair: Pair, text: bytes, *, finish: bool = False) -> None:
    with pair.connect() as sock:
        sock.sendall(text)
        if finish:
            sock.shutdown(socket.SHUT_WR)
        for _ in receive_all(sock):
            pass


def _expect_reset(pair: Pair, to: tuple[str, int]) -> None:
    try:
        # The reset may be there before the connection is known to be open.
        with pair.connect(to) as sock:
            sock.recv(1)
    except ConnectionResetError:
        return
    raise AssertionError("the connection was not reset")
