# SPDX-License-Identifier: Apache-2.0
"""The cluster's DNS: `python -m tests.lab.mesh.resolver ADDRESS PORT NAMES.json`.

NAMES.json is {host name: [address]}; other names do not exist.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from tests.lab.ztunnel import dns

_MESSAGE_BYTES = 4096


def serve(sock: socket.socket, names: dict[str, list[str]]) -> None:
    """Answer until the program is ended."""
    while True:
        query, client = sock.recvfrom(_MESSAGE_BYTES)
        asked = dns.question(query)
        if asked is not None:
            sock.sendto(dns.answer(query, asked, names.get(asked.host)), client)


def main() -> None:
    """Listen, say so, serve."""
    address, port, names = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, int(port)))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        serve(sock, json.loads(Path(names).read_text()))


if __name__ == "__main__":
    main()
