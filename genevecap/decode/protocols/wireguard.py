# SPDX-License-Identifier: Apache-2.0
r"""WireGuard: https://www.wireguard.com/protocol/.  Encrypted: nothing below is decoded.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Type      |                 Reserved (0)                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    1 handshake initiation: sender 4, ephemeral 32, static 48, timestamp 28, MAC1 16, MAC2 16
    2 handshake response: sender 4, receiver 4, ephemeral 32, nothing 16, MAC1 16, MAC2 16
    3 cookie reply: receiver 4, nonce 24, cookie 32
    4 transport data: receiver 4, counter 8, packet (16 more than what it encrypts)

Indexes and counter are little-endian.
"""

from __future__ import annotations

from ..layers import Layer
from .fields import Header, hexadecimal, show
from .protocol import Protocol
from .walk import Walk

TYPE = 0
RESERVED = 1
HEADER_BYTES = RESERVED + 3
FIRST_FIELD = HEADER_BYTES

INITIATION, RESPONSE, COOKIE, TRANSPORT = 1, 2, 3, 4
TYPES = {
    INITIATION: "handshake initiation",
    RESPONSE: "handshake response",
    COOKIE: "cookie reply",
    TRANSPORT: "transport data",
}
MESSAGE_BYTES = {INITIATION: 148, RESPONSE: 92, COOKIE: 64}
TRANSPORT_BYTES = 32
"""At least: a keep-alive."""

INDEX_BYTES = 4
COUNTER_BYTES = 8
PARTS = {
    INITIATION: (
        ("ephemeral_key", 32),
        ("encrypted_static_key", 48),
        ("encrypted_timestamp", 28),
        ("mac1", 16),
        ("mac2", 16),
    ),
    RESPONSE: (("ephemeral_key", 32), ("encrypted_nothing", 16), ("mac1", 16), ("mac2", 16)),
    COOKIE: (("nonce", 24), ("encrypted_cookie", 32)),
}
"""Name and octets of what follows the indexes."""


class WireGuard(Protocol):
    """WireGuard message."""

    layer = Layer.WIREGUARD
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "https://www.wireguard.com/protocol/"

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether the octets begin like one of the four messages, and are as many."""
        if any(walk.data[offset + RESERVED : offset + HEADER_BYTES]):
            return False
        kind, size = walk.data[offset + TYPE], walk.window - offset
        if kind == TRANSPORT:
            return size >= TRANSPORT_BYTES
        return MESSAGE_BYTES.get(kind) == size

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """End here: what follows is encrypted."""
        return walk.end_opaque(offset)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the message."""
        kind = header.number("type", TYPE, 1, TYPES)
        header.summary = show(kind, TYPES)
        header.octets("reserved", RESERVED, 3)
        at = FIRST_FIELD
        if kind in (INITIATION, RESPONSE):
            header.summary += f", sender {_little_endian(header, 'sender_index', at, INDEX_BYTES)}"
            at += INDEX_BYTES
        if kind != INITIATION:
            receiver = _little_endian(header, "receiver_index", at, INDEX_BYTES)
            header.summary += f", receiver {receiver}"
            at += INDEX_BYTES
        if kind == TRANSPORT:
            counter = _little_endian(header, "counter", at, COUNTER_BYTES)
            header.summary += f", counter {int(counter, 16)}"
        for name, size in PARTS.get(kind, ()):
            header.octets(name, at, size)
            at += size


def _little_endian(header: Header, name: str, at: int, size: int) -> str:
    """Describe a little-endian number and return its text, in hexadecimal."""
    big = header.read(at, size)
    text = hexadecimal(2 * size)(int.from_bytes(big.to_bytes(size, "big"), "little"))
    header.number(name, at, size, text)
    return text
