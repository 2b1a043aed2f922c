# SPDX-License-Identifier: Apache-2.0
"""TLS handshakes octet by octet (RFC 8446 section 4): hellos, and records of any length."""

from __future__ import annotations

import struct

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def record(length, content_type=23):
    return struct.pack(">BHH", content_type, 0x0303, length) + b"\xee" * length


def handshake(kind, body):
    message = struct.pack(">B", kind) + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", 22, 0x0301, len(message)) + message


def extension(kind, value):
    return struct.pack(">HH", kind, len(value)) + value


def vector(octets, size=2):
    return len(octets).to_bytes(size, "big") + octets


def client_hello(
    *, versions=(0x0304, 0x0303), alpn=(b"h2",), groups=(0x001D,), server_name=None, more=b""
):
    """As ztunnel's, with some things changed; None leaves an extension out."""
    extensions = extension(10, vector(struct.pack(">H", 0x001D)))
    if versions is not None:
        extensions += extension(43, vector(struct.pack(f">{len(versions)}H", *versions), 1))
    if groups is not None:
        shares = b"".join(struct.pack(">H", group) + vector(bytes(32)) for group in groups)
        extensions += extension(51, vector(shares))
    if alpn is not None:
        extensions += extension(16, vector(b"".join(vector(name, 1) for name in alpn)))
    if server_name is not None:
        extensions += extension(0, vector(b"\0" + vector(server_name)))
    body = struct.pack(">H", 0x0303) + bytes(range(32)) + vector(bytes(32), 1)
    body += vector(struct.pack(">HH", 0x1302, 0x1301)) + vector(b"\0", 1)
    return handshake(1, body + vector(extensions + more))


def server_hello(*, version=0x0304, group=0x001D, resumed=False, retry=False, legacy=0x0303):
    extensions = b""
    if group is not None:
        share = struct.pack(">H", group)
        extensions += extension(51, share if retry else share + vector(bytes(32)))
    if version is not None:
        extensions += extension(43, struct.pack(">H", version))
    if resumed:
        extensions += extension(41, b"\0\0")
    body = struct.pack(">H", legacy) + (RETRY if retry else bytes(range(32)))
    body += vector(bytes(32), 1) + b"\x13\x02\0"
    return handshake(2, body + (vector(extensions) if extensions else b""))


def client_opening(hello=None, *, certificate=745):
    """What ztunnel sends first, and after the server's answer: flight, SETTINGS, CONNECT."""
    flight = record(1, 20) + (b"" if certificate is None else record(certificate))
    return (client_hello() if hello is None else hello), flight + record(41) + record(253)


def server_opening(hello=None):
    """What ztunnel answers with."""
    return (server_hello() if hello is None else hello) + record(1, 20) + record(849)
