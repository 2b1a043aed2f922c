# SPDX-License-Identifier: Apache-2.0
r"""IPv4: RFC 791 section 3.1.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version|  IHL  |   DSCP    |ECN|          Total length         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Identification        |R|D|M|     Fragment offset     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Time to live |    Protocol   |        Header checksum        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Source address                         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      Destination address                      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                   Options, (IHL - 5) * 4 octets               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import IP_PROTOCOL_SPACE, IP_PROTOCOLS, Layer, protocol_name
from .fields import Header, hexadecimal, internet_checksum
from .protocol import Protocol
from .walk import Walk

VERSION_IHL = 0
TOS = 1
TOTAL_LENGTH = 2
IDENTIFICATION = 4
FLAGS = 6
TTL = 8
PROTOCOL = 9
CHECKSUM = 10
SOURCE = 12
DESTINATION = 16
HEADER_BYTES = DESTINATION + 4

MIN_VERSION_IHL = 0x45
MAX_VERSION_IHL = 0x4F
IHL_MASK = 0x0F
FLAGS_MASK = 0x7FFF
"""Flags and fragment offset without the reserved bit."""
MORE_FRAGMENTS = 0x2000
FRAGMENT_OFFSET_MASK = 0x1FFF

OPTIONS = {
    0: "end of options",
    1: "no operation",
    7: "record route",
    68: "timestamp",
    130: "security",
    131: "loose source route",
    136: "stream id",
    137: "strict source route",
    148: "router alert",
}
END_OF_OPTIONS = 0
NO_OPERATION = 1
ROUTES = (7, 131, 137)
ROUTER_ALERT = 148
OPTION_BYTES = 2
"""Type and length, which every option but the first two begins with."""

ECN = {0: "not ECN-capable", 1: "ECT(1)", 2: "ECT(0)", 3: "congestion experienced"}

_HEADER = Struct(">BBHHHBBHII")

NEXT_LAYER = tuple(
    int(IP_PROTOCOLS.get(number, IP_PROTOCOL_SPACE | number)) for number in range(256)
)
"""Layer code by IP protocol."""

IP_LAYERS = frozenset((int(Layer.IPV4), int(Layer.IPV6)))


def next_by_protocol(walk: Walk, protocol: int) -> int:
    """Return the layer that an IP protocol number announces at `walk.next`.

    IP directly in IP is a tunnel without a header of its own (RFC 2003, RFC 2473, RFC 4213).
    """
    code = NEXT_LAYER[protocol]
    return walk.add_ip_in_ip(code) if code in IP_LAYERS else code


class Ipv4(Protocol):
    """IPv4 header with its options."""

    layer = Layer.IPV4
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 791 section 3.1"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note the addresses, narrow the window, follow the protocol."""
        protocol: int
        version_ihl, tos, total, identification, flags, ttl, protocol, _, source, destination = (
            _HEADER.unpack_from(walk.data, offset)
        )
        if not MIN_VERSION_IHL <= version_ihl <= MAX_VERSION_IHL:
            walk.unlist()
            return walk.end(Stop.MALFORMED)
        rest = walk.frame_end - offset
        header = (
            4,
            protocol,
            0,
            source,
            0,
            destination,
            offset,
            total if 0 < total < rest else rest,
            ttl,
            tos,
            identification,
            flags & FLAGS_MASK,
        )
        walk.add_ip(header)
        header_bytes = (version_ihl & IHL_MASK) << 2
        walk.next = end = offset + header_bytes
        if 0 < total < header_bytes:
            return walk.end(Stop.MALFORMED)  # however much of it was captured
        if end > walk.limit:
            return walk.cut(end)
        if total:
            first = (
                (header, walk.tunnels.count, walk.options.count) if flags & MORE_FRAGMENTS else None
            )
            walk.narrow_by_ip(offset + total, first)
        if flags & FRAGMENT_OFFSET_MASK:
            return walk.end(Stop.FRAGMENT)
        return next_by_protocol(walk, protocol)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header with its options."""
        header.bits("version", VERSION_IHL, 0, 4)
        length = header.bits("ihl", VERSION_IHL, 4, 4, lambda words: f"{4 * words} octets") << 2
        describe_traffic_class(header, TOS, 0)
        header.number("total_length", TOTAL_LENGTH, 2, describe_length)
        header.number("identification", IDENTIFICATION, 2, hexadecimal(4))
        with header.flags("flags", FLAGS, 0, 3) as group:
            header.flag("reserved", FLAGS, 0)
            dont = header.flag("dont_fragment", FLAGS, 1)
            more = header.flag("more_fragments", FLAGS, 2)
            group.text = ", ".join(
                text for bit, text in ((dont, "don't fragment"), (more, "more fragments")) if bit
            )
        header.bits("fragment_offset", FLAGS, 3, 13, lambda units: f"{8 * units} octets")
        ttl = header.number("ttl", TTL, 1)
        protocol = header.number("protocol", PROTOCOL, 1, describe_protocol)
        header.number("header_checksum", CHECKSUM, 2, _judge_checksum(header, length))
        source = header.ip("source", SOURCE, 4)
        destination = header.ip("destination", DESTINATION, 4)
        header.summary = f"{source} > {destination}, {describe_protocol(protocol)}, TTL {ttl}"
        if length > HEADER_BYTES:
            with header.group("options", HEADER_BYTES, length - HEADER_BYTES):
                _describe_options(header, length)


def describe_protocol(number: int) -> str:
    """Return an IP protocol by name and number."""
    name = protocol_name(number)
    return name if name == str(number) else f"{name} ({number})"


def describe_length(octets: int) -> str:
    """Return the text of a length field, in which 0 is a super-packet."""
    return str(octets) if octets else "0 (the rest of the frame: BIG TCP or segmentation offload)"


def describe_traffic_class(header: Header, at: int, bit: int) -> None:
    """Describe DSCP and ECN, `bit` bits after the octet at `at`."""
    header.bits("dscp", at, bit, 6, source="RFC 2474 section 3")
    header.bits("ecn", at, bit + 6, 2, ECN, source="RFC 3168 section 5")


def _judge_checksum(header: Header, length: int) -> str:
    start = header.offset
    number = int.from_bytes(header.data[start + CHECKSUM : start + CHECKSUM + 2], "big")
    if length < HEADER_BYTES or header.rest(0) < length:
        return f"{number:#06x}"
    octets = bytes(header.data[start : start + length])
    right = internet_checksum(octets) == 0
    return f"{number:#06x} ({'correct' if right else 'wrong, or left to the network card'})"


def _describe_options(header: Header, length: int) -> None:
    """Describe the options up to `length`; a broken one ends them."""
    at = HEADER_BYTES
    while at < length:
        kind = header.read(at, 1)
        name = OPTIONS.get(kind, f"option {kind}")
        if kind == END_OF_OPTIONS:
            header.octets("end_of_options", at, length - at, name)
            return
        if kind == NO_OPERATION:
            header.number("no_operation", at, 1, name)
            at += 1
            continue
        size = header.read(at + 1, 1) if at + OPTION_BYTES <= length else 0
        if size < OPTION_BYTES or at + size > length:
            header.octets("broken_option", at, length - at)
            return
        with header.group(name.replace(" ", "_"), at, size, name):
            header.number("type", at, 1, OPTIONS)
            header.number("length", at + 1, 1)
            _describe_option(header, kind, at + OPTION_BYTES, size - OPTION_BYTES)
        at += size


def _describe_option(header: Header, kind: int, at: int, size: int) -> None:
    if kind in ROUTES and size:
        header.number("pointer", at, 1)
        hops, left = divmod(size - 1, 4)
        for hop in range(hops):
            header.ip(f"address_{hop + 1}", at + 1 + 4 * hop, 4)
        at, size = at + 1 + 4 * hops, left
    elif kind == ROUTER_ALERT and size == 2:
        header.number("value", at, 2, source="RFC 2113 section 2.1")
        size = 0
    if size:
        header.octets("data", at, size)
