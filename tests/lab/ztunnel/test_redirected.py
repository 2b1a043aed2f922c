# SPDX-License-Identifier: Apache-2.0
"""Redirection by netfilter, in a network namespace that exists for one test's thread."""

from __future__ import annotations

import ctypes
import shutil
import socket
import subprocess
import threading

import pytest

from tests.lab.ztunnel.apps import Server
from tests.lab.ztunnel.harness import CLIENT_ID, SERVER_ID, Pair, receive_all

CLONE_NEWNET = 0x4000_0000
MARK = 0x539

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("iptables") is None, reason="iptables is missing"),
]


def in_a_namespace(body):
    """Run in a thread with a network of its own; processes and threads it starts share it."""
    failures = []

    def run():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            failures.append(OSError(ctypes.get_errno(), "unshare"))
            return
        try:
            body()
        except BaseException as error:  # noqa: BLE001  raised again by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(40)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def command(line):
    subprocess.run(line.split(), check=True, capture_output=True, timeout=10)


@pytest.mark.parametrize("family", [4, 6])
def test_the_destination_before_redirection_is_the_one_that_is_served(tmp_path, family):
    client, server, virtual = (
        ("10.9.0.4", "10.9.0.5", "10.9.0.50") if family == 4 else ("fd09::4", "fd09::5", "fd09::50")
    )
    anywhere = "0.0.0.0" if family == 4 else "::"  # noqa: S104  in a namespace of its own
    tables, prefix = ("iptables", 32) if family == 4 else ("ip6tables", 128)

    def body():
        command("ip link set lo up")
        for address in (client, server, virtual):
            nodad = " nodad" if family == 6 else ""
            command(f"ip addr add {address}/{prefix} dev lo{nodad}")
        not_ours = f"-m mark ! --mark {MARK:#x}"
        for to, port, listener in ((virtual, 80, 15001), (server, 8080, 15006)):
            command(
                f"{tables} -t nat -A OUTPUT -p tcp -d {to} --dport {port} {not_ours}"
                f" -j REDIRECT --to-ports {listener}"
            )
        bracketed = server if family == 4 else f"[{server}]"
        vip = f"{virtual}:80" if family == 4 else f"[{virtual}]:80"
        options = {
            "original_destination": "sockopt",
            "mark": MARK,
            "transparent": True,
            "listen": {},
            "workloads": {
                client: {"hbone": True, "identity": CLIENT_ID, "node": "A"},
                server: {"hbone": True, "identity": SERVER_ID, "node": "B"},
            },
            "services": {vip: f"{bracketed}:8080"},
            "A": {"listen": {"outbound": [anywhere, 15001]}},
            "B": {
                "listen": {
                    "inbound_hbone": [anywhere, 15008],
                    "inbound_plaintext": [anywhere, 15006],
                }
            },
        }
        with Pair(tmp_path, options=options) as pair, Server((server, 8080)) as app:
            for to in ((virtual, 80), (server, 8080)):
                with socket.create_connection(to, 10, source_address=(client, 0)) as sock:
                    sock.sendall(b"echo\nhello")
                    sock.shutdown(socket.SHUT_WR)
                    assert b"".join(receive_all(sock)) == b"hello"
            assert app.clients == [client, client]
            pair.stop()
            assert [one["destination"] for one in pair.events("A", "accept")] == [vip]
            plain = [one["destination"] for one in pair.events("B", "accept")]
            assert plain == [f"{bracketed}:8080"]
            assert len(pair.events("B", "connect_received")) == 1

    in_a_namespace(body)
