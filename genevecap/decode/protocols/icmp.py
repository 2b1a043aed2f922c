# SPDX-License-Identifier: Apache-2.0
r"""ICMP: RFC 792.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Type      |     Code      |           Checksum            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         As the type says: identifier, gateway, MTU ...        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Echo data, or the header of the packet that is meant      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .fields import Header, hexadecimal, show
from .protocol import Protocol
from .walk import Walk

TYPE = 0
CODE = 1
CHECKSUM = 2
REST = 4
HEADER_BYTES = REST + 4

ECHO_REPLY = 0
UNREACHABLE = 3
REDIRECT = 5
ECHO = 8
ERRORS = (UNREACHABLE, 4, REDIRECT, 11, 12)
TOO_BIG = 4

TYPES = {
    ECHO_REPLY: "echo reply",
    UNREACHABLE: "destination unreachable",
    4: "source quench",
    REDIRECT: "redirect",
    ECHO: "echo request",
    9: "router advertisement",
    10: "router solicitation",
    11: "time exceeded",
    12: "parameter problem",
    13: "timestamp",
    14: "timestamp reply",
}
CODES = {
    UNREACHABLE: {
        0: "network unreachable",
        1: "host unreachable",
        2: "protocol unreachable",
        3: "port unreachable",
        TOO_BIG: "fragmentation needed and DF set",
        5: "source route failed",
        9: "network administratively prohibited",
        10: "host administratively prohibited",
        13: "communication administratively prohibited",
    },
    REDIRECT: {0: "for the network", 1: "for the host"},
    11: {0: "TTL exceeded in transit", 1: "fragment reassembly time exceeded"},
}
"""RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1."""


class Icmp(Protocol):
    """ICMP message."""

    layer = Layer.ICMP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 792"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note where the rest of the message is; a packet quoted there is not followed."""
        walk.add_payload(offset + HEADER_BYTES)
        return 0

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the message and the packet that an error message quotes."""
        kind = header.number("type", TYPE, 1, TYPES)
        code = header.number("code", CODE, 1, CODES.get(kind))
        header.number("checksum", CHECKSUM, 2, hexadecimal(4))
        header.summary = show(kind, TYPES)
        if kind in CODES:
            header.summary += f": {show(code, CODES[kind])}"
        if kind in (ECHO_REPLY, ECHO):
            identifier = header.number("identifier", REST, 2)
            sequence = header.number("sequence_number", REST + 2, 2)
            header.summary += f", id {identifier}, sequence {sequence}"
        elif kind == UNREACHABLE and code == TOO_BIG:
            header.number("unused", REST, 2)
            mtu = header.number("next_hop_mtu", REST + 2, 2, source="RFC 1191 section 4")
            header.summary += f", MTU {mtu}"
        elif kind == REDIRECT:
            header.summary += f", gateway {header.ip('gateway', REST, 4)}"
        else:
            header.octets("rest_of_header", REST, 4)
        if kind in ERRORS:
            header.quoted("quoted_packet", HEADER_BYTES, Layer.IPV4)
