# SPDX-License-Identifier: Apache-2.0
"""Two stand-ins, an application on either side, on loopback: for tests, without root.

All of 127.0.0.0/8 is this machine's own, so every pod gets an address of its own and the real ports
can be used; each pair claims a /24 of its own, so that runs that go on at once do not meet.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.lab.ztunnel.certificates import Authority

CLIENT_ID = "spiffe://cluster.local/ns/default/sa/client"
SERVER_ID = "spiffe://cluster.local/ns/default/sa/server"
SERVER_PORT, REFUSED_PORT = 8080, 9999
SERVICE_HOST = "server.default.svc.cluster.local"

_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 5.0


_TRIES = 100
_claims: list[socket.socket] = []


def claim_net(nets: Iterable[str]) -> str:
    """Return the first of some /24 nets that no other process or pair has claimed; OSError if none.

    A claim is a name in Linux's abstract socket namespace: it ends with this process.
    """
    for net in nets:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0genevecap-lab-{net}")
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            return net
    raise OSError("all nets are in use")


def claim_short_net() -> str:
    """Claim a net whose addresses look as long as the recorded ones, or nearly, to HPACK."""
    nets = [f"127.2{tens}{ones}.{third}" for tens in "012" for ones in "012" for third in range(10)]
    random.shuffle(nets)
    return claim_net(nets)


@dataclass(slots=True)
class Pair:
    """ztunnel A before the clients, ztunnel B before the server.

    Clients connect from `client` (or `client2`) to port 15001 of `virtual` (the server's 8080) or
    of `refused` (a port of the server where nobody listens).
    """

    folder: Path
    version: str = "1.31"
    options: dict[str, Any] = field(default_factory=dict)
    """Keys of both configurations; those of one under "A" and "B"."""
    gateway: str | None = None
    """`ip:port` where A finds the server's HBONE, if not at the server itself."""
    east_west: bool = False
    """The server is in another network: a third proxy, G, is its gateway."""
    net: str = field(
        default_factory=lambda: claim_net(
            f"127.{random.randint(1, 254)}.{random.randint(0, 254)}" for _ in range(_TRIES)
        )
    )
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def address(self, host: int) -> str:
        """Return one of the pair's addresses."""
        return f"{self.net}.{host}"

    @property
    def client(self) -> str:
        """Address of the first client pod."""
        return self.address(4)

    @property
    def client2(self) -> str:
        """Address of the second client pod."""
        return self.address(6)

    @property
    def server(self) -> str:
        """Address of the server pod."""
        return self.address(5)

    @property
    def virtual(self) -> tuple[str, int]:
        """Where clients connect to; leads to the server."""
        return self.address(50), 15001

    @property
    def refused(self) -> tuple[str, int]:
        """Where clients connect to; leads to a closed port."""
        return self.address(51), 15001

    @property
    def outside(self) -> tuple[str, int]:
        """Where clients connect to; leads to a server outside the mesh."""
        return self.address(52), 15001

    @property
    def neighbour(self) -> tuple[str, int]:
        """Where clients connect to; leads to the second client pod's 8080."""
        return self.address(53), 15001

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = Authority(self.folder)
        tls = {name: authority.issue(name).as_json() for name in (CLIENT_ID, SERVER_ID)}
        listen_a = {f"outbound:{host}": [self.address(host), 15001] for host in (50, 51, 52, 53)}
        listen_b = {
            "inbound_hbone": [self.server, 15008],
            "inbound_plaintext": [self.address(15), 15006],
        }
        try:
            self._start("A", CLIENT_ID, tls[CLIENT_ID], listen_a)
            self._start("B", SERVER_ID, tls[SERVER_ID], listen_b)
            if self.east_west:
                own = {"inbound_hbone": [self.address(7), 15008]}
                self._start("G", SERVER_ID, tls[SERVER_ID], own)
            for side, process in zip("ABG", self._processes, strict=False):
                wait_listening(self.folder / f"{side}.ndjson", process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, side: str, identity: str, tls: dict[str, str], listen: dict[str, Any]) -> None:
        server = f"{self.server}:{SERVER_PORT}"
        told: dict[str, Any] = {
            "version": self.version, "mode": "in-pod", "name": f"zt{side}",
            "listen": listen, "transparent": False, "original_source": True,
            "original_destination": "sockname",
            "workloads": {
                self.client: {"hbone": True, "identity": CLIENT_ID, "node": "A", "name": "cli"},
                self.client2: {"hbone": True, "identity": CLIENT_ID, "node": "A", "name": "cli2"},
                self.server: {
                    "hbone": True, "identity": SERVER_ID, "node": "B", "name": "srv",
                    "gateway": self.gateway if side == "A" else None,
                },
            },
            "services": {
                f"{self.address(50)}:15001": server,
                f"{self.address(51)}:15001": f"{self.server}:{REFUSED_PORT}",
                f"{self.address(52)}:15001": f"{self.address(9)}:{SERVER_PORT}",
                f"{self.address(53)}:15001": f"{self.client2}:{SERVER_PORT}",
            },
            "identity": identity, "tls": tls,
            "keylog": str(self.folder / "keys.txt"),
            "access_log": str(self.folder / f"{side}.access.log"),
            "event_log": str(self.folder / f"{side}.ndjson"),
        }  # fmt: skip
        if self.east_west:
            told |= self._other_network(side)
        told |= {key: value for key, value in self.options.items() if key not in set("ABG")}
        told |= self.options.get(side, {})
        path = self.folder / f"{side}.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        root = Path(__file__).resolve().parents[3]
        process = subprocess.Popen([sys.executable, "-m", "tests.lab.ztunnel", str(path)], cwd=root)
        self._processes.append(process)

    def _other_network(self, side: str) -> dict[str, Any]:
        """Return what a proxy is told where the server is in another network."""
        host = f"{SERVICE_HOST}:80"
        if side == "A":
            gateway = f"{self.address(7)}:15008"
            remote = {"gateway": gateway, "host": host, "identity": SERVER_ID}
            return {"remote": {f"{self.address(50)}:15001": remote}}
        if side == "B":
            return {"hosts": {host: f"{self.server}:{SERVER_PORT}"}}
        return {"hosts": {host: f"{self.server}:15008"}, "original_source": False}

    def stop(self) -> None:
        """End both proxies, A first, which completes their logs."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def connect(
        self, to: tuple[str, int] | None = None, source: str | None = None
    ) -> socket.socket:
        """Return a connection of a client."""
        return socket.create_connection(
            to or self.virtual, timeout=15, source_address=(source or self.client, 0)
        )

    def events(self, side: str, event: str | None = None) -> list[dict[str, Any]]:
        """Return what A or B logged; complete after `stop`."""
        with (self.folder / f"{side}.ndjson").open(encoding="utf-8") as lines:
            found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [one for one in found if event in {None, one["event"]}]


def wait_listening(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once a proxy says that it listens. Raises RuntimeError if it does not."""
    end_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < end_s:
        with contextlib.suppress(FileNotFoundError):
            if '"listening"' in log.read_text(encoding="utf-8"):
                return
        if process.poll() is not None:
            raise RuntimeError(f"the proxy of {log} ended with status {process.returncode}")
        time.sleep(0.02)
    raise RuntimeError(f"the proxy of {log} did not start")


def receive_all(sock: socket.socket) -> Iterator[bytes]:
    """Yield what arrives until the end."""
    while data := sock.recv(65_536):
        yield data
