# SPDX-License-Identifier: Apache-2.0
"""The two ends of the lab's traffic: run inside a namespace, standard library only.

`peer.py serve PORT` answers on TCP and UDP, IPv4 and IPv6, until it is ended.
`peer.py tcp|udp|ping ADDRESS PORT SEND_BYTES RECEIVE_BYTES MARK` is the client.
A TCP client says how much it sends and wants (two 32-bit numbers), sends, and reads the answer;
a UDP server, and the kernel that is pinged, return what came. Each side checks every octet.
`peer.py await ADDRESS SECONDS` pings until there is an answer.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time

_REQUEST = struct.Struct(">II")
_LIMIT_S = 5.0
_LARGEST_DATAGRAM = 65_535
_SO_MARK = getattr(socket, "SO_MARK", 36)

_ECHO = struct.Struct(">BBHHH")
"""RFC 792, RFC 4443 section 4.1: type, code, checksum, identifier, sequence number."""
_ECHO_TYPES = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
_ECHO_IDENTIFIER = 0x6763
_PING_COUNT = 2
_RETRY_S = 0.3


def text_of(size_bytes: int) -> bytes:
    """Return readable numbered lines, so that a hex view of any segment says where it is."""
    lines = (b"genevecap sample line %06d\n" % number for number in range(size_bytes // 29 + 1))
    return b"".join(lines)[:size_bytes]


def _receive(connection: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        part = connection.recv(size_bytes - len(data))
        if not part:
            raise ConnectionError(f"{len(data)} of {size_bytes} bytes, then the end")
        data += part
    return bytes(data)


def _answer(connection: socket.socket) -> None:
    with connection:
        connection.settimeout(_LIMIT_S)
        sent_bytes, wanted_bytes = _REQUEST.unpack(_receive(connection, _REQUEST.size))
        if _receive(connection, sent_bytes) == text_of(sent_bytes):
            connection.sendall(text_of(wanted_bytes))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # the client closes first, so that its port is the one in TIME_WAIT


def _serve_udp(server: socket.socket) -> None:
    while True:
        data, client = server.recvfrom(_LARGEST_DATAGRAM)
        server.sendto(data, client)


def serve(port: int) -> None:
    """Answer on TCP and UDP `port`; print `ready` when both are open."""
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))
    tcp = socket.create_server(
        ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=True
    )
    threading.Thread(target=_serve_udp, args=(udp,), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        connection, _ = tcp.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _client(
    kind: socket.SocketKind, address: str, port: int, mark: int, protocol: int = 0
) -> socket.socket:
    client = socket.socket(_family(address), kind, protocol)
    client.settimeout(_LIMIT_S)
    if mark:
        client.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
    client.connect((address, port))
    return client


def tcp_exchange(address: str, port: int, send_bytes: int, receive_bytes: int, mark: int) -> None:
    """Send and receive the given amounts over one connection and close it in good order."""
    with _client(socket.SOCK_STREAM, address, port, mark) as client:
        client.sendall(_REQUEST.pack(send_bytes, receive_bytes) + text_of(send_bytes))
        if _receive(client, receive_bytes) != text_of(receive_bytes):
            raise ConnectionError("the answer is not what was asked for")


def udp_exchange(address: str, port: int, send_bytes: int, mark: int) -> None:
    """Send one datagram and receive it back; larger ones than the MTU travel in fragments."""
    with _client(socket.SOCK_DGRAM, address, port, mark) as client:
        client.send(text_of(send_bytes))
        if client.recv(_LARGEST_DATAGRAM) != text_of(send_bytes):
            raise ConnectionError("the echo is not what was sent")


def ping_exchange(address: str, send_bytes: int, mark: int) -> None:
    """Send echo requests and receive each back."""
    with _ping_socket(address, mark) as client:
        for sequence in range(1, _PING_COUNT + 1):
            _echo(client, sequence, text_of(send_bytes))


def await_peer(address: str, limit_s: float) -> None:
    """Ping until an answer comes; raise TimeoutError after `limit_s`."""
    end_s = time.monotonic() + limit_s
    with _ping_socket(address, 0) as client:
        client.settimeout(_RETRY_S)
        while True:
            try:
                _echo(client, 0, b"")
            except OSError:  # no answer, or not even a route or neighbour yet
                if time.monotonic() > end_s:
                    raise
                time.sleep(_RETRY_S)
            else:
                return


def _ping_socket(address: str, mark: int) -> socket.socket:
    v6 = _family(address) == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    return _client(socket.SOCK_RAW, address, 0, mark, protocol)


def _echo(client: socket.socket, sequence: int, payload: bytes) -> None:
    request, reply = _ECHO_TYPES[client.family]
    message = _ECHO.pack(request, 0, 0, _ECHO_IDENTIFIER, sequence) + payload
    if client.family == socket.AF_INET:  # the kernel fills in ICMPv6's checksum itself
        checksum = _internet_checksum(message)
        message = _ECHO.pack(request, 0, checksum, _ECHO_IDENTIFIER, sequence) + payload
    client.send(message)
    while True:
        answer = client.recv(_LARGEST_DATAGRAM)
        if client.family == socket.AF_INET:  # a raw IPv4 socket gives the IP header too
            answer = answer[(answer[0] & 0x0F) * 4 :]
        kind, _, _, identifier, number = _ECHO.unpack_from(answer)
        if (kind, identifier, number) == (reply, _ECHO_IDENTIFIER, sequence):
            if answer[_ECHO.size :] != payload:
                raise ConnectionError("the echo is not what was sent")
            return


def _internet_checksum(message: bytes) -> int:
    """Return the ones' complement sum of RFC 1071."""
    padded = message + bytes(len(message) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main(arguments: list[str]) -> None:
    """Do what the module's text says."""
    kind = arguments[0]
    if kind == "serve":
        serve(int(arguments[1]))
        return
    if kind == "await":
        await_peer(arguments[1], float(arguments[2]))
        return
    address, port = arguments[1], int(arguments[2])
    send_bytes, receive_bytes, mark = map(int, arguments[3:])
    if kind == "tcp":
        tcp_exchange(address, port, send_bytes, receive_bytes, mark)
    elif kind == "udp":
        udp_exchange(address, port, send_bytes, mark)
    else:
        ping_exchange(address, send_bytes, mark)


if __name__ == "__main__":
    main(sys.argv[1:])
