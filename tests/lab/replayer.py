# SPDX-License-Identifier: Apache-2.0
"""Somebody on the wire who sends packets again: run inside a namespace, standard library only.

`replayer.py INTERFACE PORT...` sends every third frame that leaves by the interface to one of these
UDP ports over IPv4 once more, and says a line of it each time.
"""

from __future__ import annotations

import socket
import sys

ALL_PROTOCOLS = 3
OUTGOING = 4
LARGEST_BYTES = 1514
"""A super-packet cannot be sent like that."""


def main(interface: str, *ports: str) -> None:
    """Send packets again until ended."""
    wanted = {int(port) for port in ports}
    known: set[bytes] = set()
    count = 0
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    with wire:
        wire.bind((interface, 0))
        print("ready", flush=True)
        while True:
            frame, address = wire.recvfrom(65_535)
            if address[2] != OUTGOING or frame in known or len(frame) > LARGEST_BYTES:
                continue
            is_whole_udp = frame[12:15] == b"\x08\x00\x45" and frame[23] == socket.IPPROTO_UDP
            if not is_whole_udp or int.from_bytes(frame[36:38], "big") not in wanted:
                continue
            count += 1
            if count % 3 == 0:
                known.add(frame)
                wire.send(frame)
                print("again", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
