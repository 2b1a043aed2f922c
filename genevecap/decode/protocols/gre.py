# SPDX-License-Identifier: Apache-2.0
r"""GRE: RFC 2784 section 2.1, key and sequence number RFC 2890 section 2; over UDP RFC 8086.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |C|R|K|S|s|Recur|A|  Flags  | Ver |         Protocol type         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |       Checksum (C or R)       |        Offset (C or R)        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                            Key (K)                            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      Sequence number (S)                      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

R (with source routes after the rest), s and Recur are those of RFC 1701; RFC 2784 reserves them.
Version 1 is PPTP's (RFC 2637 section 4.1): its key is a payload length and a call id, and A adds an
acknowledgment number at the end.
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop, TunnelKind
from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer
from .ethernet import type_text
from .fields import Header, hexadecimal
from .protocol import Protocol
from .walk import NO_VNI, Walk

FLAGS = 0
VERSION_BIT = 13
PROTOCOL = 2
HEADER_BYTES = PROTOCOL + 2
WORD_BYTES = 4

C_FLAG = 0x8000_0000
R_FLAG = 0x4000_0000
K_FLAG = 0x2000_0000
S_FLAG = 0x1000_0000
A_FLAG = 0x0080_0000
CHECKSUM_FLAGS = C_FLAG | R_FLAG
VERSION_MASK = 0x0007_0000
VERSION_1 = 0x0001_0000
PROTOCOL_MASK = 0xFFFF

NVGRE_MASK = 0xF007_FFFF
NVGRE = K_FLAG | 0x6558
"""RFC 7637 section 3.2: a key, neither checksum nor sequence number, and Ethernet inside."""

ERSPAN_TYPES = (0x88BE, 0x22EB)
"""Protocol types of ERSPAN I and II, and III (draft-foschiano-erspan section 4)."""

WCCP = 0x883E
"""IPv4, in WCCPv2 behind a redirect header (draft-mclaggan-wccp-v2rev1), which does
not begin with IPv4's version."""
REDIRECT_BYTES = 4

RESERVED_OVER_UDP = R_FLAG | 0x0FFF_0000
"""What must be zero where only the UDP port suggests GRE (RFC 8086 section 3): version too."""
MIN_ETHERTYPE = 0x0600

IP_VERSION = 4

ROUTE_BYTES = 4
ROUTE_LENGTH = 3
MAX_ROUTES = 8

_FIRST = Struct(">I")
# An attribute of an enum class costs 70 ns, a name of the module 10.
_GRE = TunnelKind.GRE
_NVGRE = TunnelKind.NVGRE
_ERSPAN = TunnelKind.ERSPAN


def header_bytes(first: int) -> int:
    """Return the octets of a header that begins with this word, without source routes."""
    size = HEADER_BYTES
    if first & CHECKSUM_FLAGS:
        size += WORD_BYTES
    if first & K_FLAG:
        size += WORD_BYTES
    if first & S_FLAG:
        size += WORD_BYTES
    if first & A_FLAG and first & VERSION_MASK == VERSION_1:
        size += WORD_BYTES
    return size


class Gre(Protocol):
    """GRE header, of version 0 or PPTP's."""

    layer = Layer.GRE
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 2784 section 2.1"
    TUNNEL = True

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether a UDP port that suggests GRE carries it."""
        first: int = _FIRST.unpack_from(walk.data, offset)[0]
        return not first & RESERVED_OVER_UDP and first & PROTOCOL_MASK >= MIN_ETHERTYPE

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Add the tunnel (of the kind that flags and protocol type say), follow the type."""
        first: int = _FIRST.unpack_from(walk.data, offset)[0]
        kind = _GRE
        protocol = first & PROTOCOL_MASK
        if first & NVGRE_MASK == NVGRE:
            kind = _NVGRE
            walk.relabel(Layer.NVGRE)
        elif protocol in ERSPAN_TYPES:
            kind = _ERSPAN
        version = first & VERSION_MASK
        if version > VERSION_1:
            return walk.end(Stop.UNSUPPORTED)
        walk.next = end = offset + header_bytes(first)
        if end > walk.limit:
            return walk.cut(end)
        if first & R_FLAG and not _pass_routes(walk):
            return 0
        if protocol == WCCP and not _pass_redirect(walk):
            return 0
        key, vni = 0, NO_VNI
        if first & K_FLAG and not version:
            at = offset + HEADER_BYTES + (WORD_BYTES if first & CHECKSUM_FLAGS else 0)
            key = _FIRST.unpack_from(walk.data, at)[0]
            if kind is _NVGRE:
                vni = key >> 8
        if kind is _ERSPAN:
            walk.add_tunnel(kind, vni, offset, walk.next, first)
            return Layer.ERSPAN
        walk.add_tunnel(kind, vni, offset, walk.next, first, key)
        if protocol == WCCP:
            return Layer.IPV4
        return ETHERTYPES.get(protocol) or ETHERTYPE_SPACE | protocol

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header with what its flags announce."""
        first = header.read(FLAGS, 2) << 16
        with header.flags("flags", FLAGS, 0, 13) as group:
            names = [name for name in _describe_flags(header, first) if name]
            group.text = ", ".join(names) or "none"
        version = header.bits("version", FLAGS, VERSION_BIT, 3, _VERSIONS)
        protocol = header.number("protocol_type", PROTOCOL, 2, type_text)
        header.summary = type_text(protocol)
        at = HEADER_BYTES
        if first & CHECKSUM_FLAGS:
            header.number("checksum", at, 2, hexadecimal(4))
            name, source = ("offset", _RFC_1701) if first & R_FLAG else ("reserved", "")
            header.number(name, at + 2, 2, source=source)
            at += WORD_BYTES
        if first & K_FLAG:
            if version:
                header.number("payload_length", at, 2, source=_RFC_2637)
                call = header.number("call_id", at + 2, 2, source=_RFC_2637)
                header.summary += f", call {call}"
            elif (first | protocol) & NVGRE_MASK == NVGRE:
                vsid = header.number("virtual_subnet_id", at, 3, source=_RFC_7637)
                header.number("flow_id", at + 3, 1, source=_RFC_7637)
                header.summary += f", VSID {vsid}"
            else:
                key = header.number("key", at, 4, hexadecimal(8), _RFC_2890)
                header.summary += f", key {key:#010x}"
            at += WORD_BYTES
        if first & S_FLAG:
            number = header.number("sequence_number", at, 4, source=_RFC_2890)
            header.summary += f", sequence {number}"
            at += WORD_BYTES
        if first & A_FLAG and version == 1:
            header.number("acknowledgment_number", at, 4, source=_RFC_2637)
            at += WORD_BYTES
        if first & R_FLAG:
            at = _describe_routes(header, at)
        if protocol == WCCP and header.read(at, 1) >> 4 != IP_VERSION:
            with header.group("redirect_header", at, REDIRECT_BYTES, source=_WCCP):
                header.bits("reserved", at, 0, 5, source=_WCCP)
                header.flag("contents_ignored", at, 5, _WCCP)
                header.flag("alternative_bucket_used", at, 6, _WCCP)
                header.flag("dynamic_service", at, 7, _WCCP)
                header.number("service_id", at + 1, 1, source=_WCCP)
                header.number("alternative_bucket", at + 2, 1, source=_WCCP)
                header.number("primary_bucket", at + 3, 1, source=_WCCP)


_RFC_1701 = "RFC 1701"
_RFC_2637 = "RFC 2637 section 4.1"
_RFC_2890 = "RFC 2890 section 2"
_RFC_7637 = "RFC 7637 section 3.2"
_WCCP = "draft-mclaggan-wccp-v2rev1"
_VERSIONS = {0: "GRE", 1: "PPTP"}


def _pass_routes(walk: Walk) -> bool:
    """Move `walk.next` past the source routes of RFC 1701; tells whether that could be done."""
    at = walk.next
    for _ in range(MAX_ROUTES):
        end = at + ROUTE_BYTES
        if end <= walk.limit:
            end += walk.data[at + ROUTE_LENGTH]
        if end > walk.limit:
            walk.cut(end)
            return False
        last = not any(walk.data[at : at + 2]) and end == at + ROUTE_BYTES
        walk.next = at = end
        if last:
            return True
    walk.end(Stop.TOO_DEEP)
    return False


def _pass_redirect(walk: Walk) -> bool:
    """Move `walk.next` past a redirect header of WCCPv2; tells whether that could be done."""
    end = walk.next + 1
    if end <= walk.limit and walk.data[walk.next] >> 4 != IP_VERSION:
        end = walk.next + REDIRECT_BYTES
        walk.next = end
    if end > walk.limit:
        walk.cut(end)
        return False
    return True


def _describe_flags(header: Header, first: int) -> tuple[str, ...]:
    """Describe the 13 bits before the version, and name those that are set."""
    checksum = header.flag("checksum_present", FLAGS, 0)
    routing = header.flag("routing_present", FLAGS, 1, _RFC_1701)
    key = header.flag("key_present", FLAGS, 2, _RFC_2890)
    sequence = header.flag("sequence_number_present", FLAGS, 3, _RFC_2890)
    strict = header.flag("strict_source_route", FLAGS, 4, _RFC_1701)
    header.bits("recursion_control", FLAGS, 5, 3, source=_RFC_1701)
    acknowledgment = 0
    if first & VERSION_MASK == VERSION_1:
        acknowledgment = header.flag("acknowledgment_present", FLAGS, 8, _RFC_2637)
        header.bits("reserved", FLAGS, 9, 4, source=_RFC_2637)
    else:
        header.bits("reserved", FLAGS, 8, 5)
    return (
        "checksum" * checksum,
        "routing" * routing,
        "key" * key,
        "sequence number" * sequence,
        "strict source route" * strict,
        "acknowledgment" * acknowledgment,
    )


def _describe_routes(header: Header, at: int) -> int:
    """Describe the source routes and return where they end: one of no family and no length."""
    for number in range(1, MAX_ROUTES + 1):
        size = header.read(at + ROUTE_LENGTH, 1)
        with header.group(f"source_route_{number}", at, ROUTE_BYTES + size, source=_RFC_1701):
            family = header.number("address_family", at, 2, hexadecimal(4), _RFC_1701)
            header.number("offset", at + 2, 1, source=_RFC_1701)
            header.number("length", at + ROUTE_LENGTH, 1, source=_RFC_1701)
            if size:
                header.octets("routing_information", at + ROUTE_BYTES, size, source=_RFC_1701)
        at += ROUTE_BYTES + size
        if not family and not size:
            break
    return at
