# SPDX-License-Identifier: Apache-2.0
r"""IPv6 with its extension headers: RFC 8200 sections 3 and 4.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version| Traffic class |              Flow label               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Payload length         |  Next header  |   Hop limit   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                  Source address (16 octets)                   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                Destination address (16 octets)                |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    Hop-by-hop options (0), routing (43), destination options (60): sections 4.3, 4.4, 4.6
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Next header  |    Length     |  options: 8 * length + 6      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    Fragment (44): section 4.5
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Next header  |   Reserved    |     Fragment offset     |Res|M|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                         Identification                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal
from .ipv4 import (
    MORE_FRAGMENTS,
    describe_length,
    describe_protocol,
    describe_traffic_class,
    next_by_protocol,
)
from .protocol import Protocol
from .walk import IpHeader, Walk

VERSION_CLASS_LABEL = 0
PAYLOAD_LENGTH = 4
NEXT_HEADER = 6
HOP_LIMIT = 7
SOURCE = 8
DESTINATION = 24
HEADER_BYTES = DESTINATION + 16
VERSION = 6

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT = 44
NO_NEXT_HEADER = 59
DESTINATION_OPTIONS = 60
EXTENSION_NAMES = {
    HOP_BY_HOP: "hop_by_hop_options",
    ROUTING: "routing_header",
    FRAGMENT: "fragment_header",
    DESTINATION_OPTIONS: "destination_options",
}
EXTENSION_SOURCES = {
    HOP_BY_HOP: "RFC 8200 section 4.3",
    ROUTING: "RFC 8200 section 4.4",
    FRAGMENT: "RFC 8200 section 4.5",
    DESTINATION_OPTIONS: "RFC 8200 section 4.6",
}
EXTENSIONS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS))
MAX_EXTENSIONS = 8

EXTENSION_LENGTH = 1
EXTENSION_BYTES = 8
"""The least, and the unit of the length field beyond it."""

MORE_FRAGMENTS_BIT = 0x0001
FRAGMENT_OFFSET_SHIFT = 3

OPTIONS = {
    1: "PadN",
    5: "router alert",
    194: "jumbo payload",
}
PAD1 = 0
OPTION_BYTES = 2

_HEADER = Struct(">IHBBQQQQ")
_FRAGMENT = Struct(">BxHI")


class Ipv6(Protocol):
    """IPv6 header and the extension headers after it."""

    layer = Layer.IPV6
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 8200 section 3"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Note the addresses, narrow the window, follow the next headers."""
        first, payload, protocol, hops, source_hi, source_lo, destination_hi, destination_lo = (
            _HEADER.unpack_from(walk.data, offset)
        )
        if first >> 28 != VERSION:
            walk.unlist()
            return walk.end(Stop.MALFORMED)
        rest = walk.frame_end - offset
        size = HEADER_BYTES + payload
        if payload == 0 or size > rest:
            size = rest
        header = (
            6,
            protocol,
            source_hi,
            source_lo,
            destination_hi,
            destination_lo,
            offset,
            size,
            hops,
            first >> 20 & 0xFF,
            0,
            0,
        )
        walk.add_ip(header)
        walk.next = end = offset + HEADER_BYTES
        owns_window = False
        if payload:
            owns_window = end + payload <= walk.window
            walk.narrow_by_ip(end + payload, None)
        if protocol in EXTENSIONS:
            return _follow_extensions(walk, header, owns_window)
        return next_by_protocol(walk, protocol) if protocol != NO_NEXT_HEADER else 0

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header and its extension headers."""
        header.bits("version", VERSION_CLASS_LABEL, 0, 4)
        describe_traffic_class(header, VERSION_CLASS_LABEL, 4)
        header.bits("flow_label", VERSION_CLASS_LABEL, 12, 20, hexadecimal(5))
        header.number("payload_length", PAYLOAD_LENGTH, 2, describe_length)
        protocol = header.number("next_header", NEXT_HEADER, 1, _name_header)
        hops = header.number("hop_limit", HOP_LIMIT, 1)
        source = header.ip("source", SOURCE, 6)
        destination = header.ip("destination", DESTINATION, 6)
        addresses = f"{source} > {destination}"
        header.summary = f"{addresses}, {_name_header(protocol)}, hop limit {hops}"
        at = HEADER_BYTES
        for _ in range(MAX_EXTENSIONS):
            if protocol not in EXTENSIONS:
                break
            protocol, size = _describe_extension(header, protocol, at)
            at += size
            header.summary = f"{addresses}, {_name_header(protocol)}, hop limit {hops}"


def _follow_extensions(walk: Walk, header: IpHeader, owns_window: bool) -> int:
    """Walk the extension headers at `walk.next`; `owns_window`: this packet set the window.

    Returns as `decode` does, and replaces the IP header by one with the protocol that was reached.
    """
    data = walk.data
    offset = walk.next
    protocol, identification, flags = header[1], 0, 0
    more_fragments = False
    stop = Stop.COMPLETE
    cut_at = 0
    count = 0
    while protocol in EXTENSIONS:
        if count == MAX_EXTENSIONS:
            stop = Stop.TOO_DEEP
            break
        count += 1
        end = offset + EXTENSION_BYTES
        if protocol != FRAGMENT and end <= walk.limit:
            end += EXTENSION_BYTES * data[offset + EXTENSION_LENGTH]
        if end > walk.limit:
            cut_at = end
            break
        if protocol == FRAGMENT:
            protocol, field, identification = _FRAGMENT.unpack_from(data, offset)
            flags = field >> FRAGMENT_OFFSET_SHIFT
            if field & MORE_FRAGMENTS_BIT:
                flags |= MORE_FRAGMENTS
                more_fragments = True
            if field >> FRAGMENT_OFFSET_SHIFT:
                stop = Stop.FRAGMENT
                break
        else:
            protocol = data[offset]
        offset = end
    whole = (*header[:1], protocol, *header[2:10], identification, flags)
    if walk.outer is header:
        walk.outer = whole
    walk.inner = whole
    walk.next = offset
    if more_fragments and owns_window:
        walk.fragment = (whole, walk.tunnels.count, walk.options.count)
    if cut_at:
        return walk.cut(cut_at)
    if stop:
        return walk.end(stop)
    return next_by_protocol(walk, protocol) if protocol != NO_NEXT_HEADER else 0


def _name_header(number: int) -> str:
    """Return a next-header number by name."""
    if number == NO_NEXT_HEADER:
        return f"no next header ({number})"
    name = EXTENSION_NAMES.get(number)
    return describe_protocol(number) if name is None else f"{name.replace('_', ' ')} ({number})"


def _describe_extension(header: Header, number: int, at: int) -> tuple[int, int]:
    """Describe the extension header at `at`. Returns the next header and its own length."""
    source = EXTENSION_SOURCES[number]
    size = EXTENSION_BYTES
    if number != FRAGMENT:
        size += EXTENSION_BYTES * header.read(at + EXTENSION_LENGTH, 1)
    with header.group(EXTENSION_NAMES[number], at, size, source=source) as group:
        following = header.number("next_header", at, 1, _name_header, source)
        if number == FRAGMENT:
            header.number("reserved", at + 1, 1, source=source)
            units = header.bits(
                "fragment_offset", at + 2, 0, 13, lambda units: f"{8 * units} octets", source
            )
            header.bits("reserved_bits", at + 2, 13, 2, source=source)
            more = header.flag("more_fragments", at + 2, 15, source)
            number = header.number("identification", at + 4, 4, hexadecimal(8), source)
            group.text = f"{number:#010x}, offset {8 * units}{', more fragments' if more else ''}"
            return following, size
        text = f"{size} octets"
        header.number("header_length", at + EXTENSION_LENGTH, 1, text, source)
        if number == ROUTING:
            routing_type = header.number("routing_type", at + 2, 1, source=source)
            left = header.number("segments_left", at + 3, 1, source=source)
            group.text = f"type {routing_type}, {left} segments left"
            header.octets("data", at + 4, size - 4, source=source)
        else:
            group.text = text
            _describe_options(header, at + OPTION_BYTES, at + size)
    return following, size


def _describe_options(header: Header, at: int, end: int) -> None:
    """Describe options (RFC 8200 section 4.2) up to `end`; a broken one ends them."""
    source = "RFC 8200 section 4.2"
    while at < end:
        kind = header.read(at, 1)
        if kind == PAD1:
            header.number("pad1", at, 1, "Pad1", source)
            at += 1
            continue
        size = OPTION_BYTES + header.read(at + 1, 1) if at + OPTION_BYTES <= end else 0
        if not size or at + size > end:
            header.octets("broken_option", at, end - at, source=source)
            return
        name = OPTIONS.get(kind, f"option {kind}")
        with header.group(name.lower().replace(" ", "_"), at, size, name, source):
            header.number("type", at, 1, hexadecimal(2), source)
            header.number("length", at + 1, 1, source=source)
            if size > OPTION_BYTES:
                header.octets("data", at + OPTION_BYTES, size - OPTION_BYTES, source=source)
        at += size
