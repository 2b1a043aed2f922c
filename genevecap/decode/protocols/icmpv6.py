# SPDX-License-Identifier: Apache-2.0
r"""ICMPv6: RFC 4443 section 2.1; neighbour discovery RFC 4861 section 4.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Type      |     Code      |           Checksum            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Message body                          |
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
BODY = 4
HEADER_BYTES = BODY
QUOTED = BODY + 4
"""Where an error message quotes the packet that it is about."""

TOO_BIG = 2
PARAMETER_PROBLEM = 4
ERRORS = (1, TOO_BIG, 3, PARAMETER_PROBLEM)
ECHOES = (128, 129)
NEIGHBOUR_SOLICITATION = 135
NEIGHBOURS = (NEIGHBOUR_SOLICITATION, 136)

TYPES = {
    1: "destination unreachable",
    TOO_BIG: "packet too big",
    3: "time exceeded",
    PARAMETER_PROBLEM: "parameter problem",
    128: "echo request",
    129: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    132: "multicast listener done",
    133: "router solicitation",
    134: "router advertisement",
    NEIGHBOUR_SOLICITATION: "neighbour solicitation",
    136: "neighbour advertisement",
    137: "redirect",
    143: "multicast listener report, version 2",
}
CODES = {
    1: {
        0: "no route to destination",
        1: "administratively prohibited",
        2: "beyond scope of source address",
        3: "address unreachable",
        4: "port unreachable",
        5: "source address failed policy",
        6: "reject route to destination",
    },
    3: {0: "hop limit exceeded in transit", 1: "fragment reassembly time exceeded"},
    PARAMETER_PROBLEM: {
        0: "erroneous header field",
        1: "unrecognised next header",
        2: "unrecognised IPv6 option",
    },
}
"""RFC 4443 section 3."""


class Icmpv6(Protocol):
    """ICMPv6 message."""

    layer = Layer.ICMPV6
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 4443 section 2.1"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note where the body is; a packet quoted there is not followed."""
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
        if kind in ERRORS:
            if kind == TOO_BIG:
                mtu = header.number("mtu", BODY, 4, source="RFC 4443 section 3.2")
                header.summary += f", MTU {mtu}"
            elif kind == PARAMETER_PROBLEM:
                header.number("pointer", BODY, 4, source="RFC 4443 section 3.4")
            else:
                header.octets("unused", BODY, 4)
            header.quoted("quoted_packet", QUOTED, Layer.IPV6)
        elif kind in ECHOES:
            source = "RFC 4443 section 4"
            identifier = header.number("identifier", BODY, 2, source=source)
            sequence = header.number("sequence_number", BODY + 2, 2, source=source)
            header.summary += f", id {identifier}, sequence {sequence}"
        elif kind in NEIGHBOURS:
            source = (
                "RFC 4861 section 4.3" if kind == NEIGHBOUR_SOLICITATION else "RFC 4861 section 4.4"
            )
            header.octets("flags_and_reserved", BODY, 4, source=source)
            header.summary += f", {header.ip('target', QUOTED, 6, source)}"
