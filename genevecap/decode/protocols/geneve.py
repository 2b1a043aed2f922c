# SPDX-License-Identifier: Apache-2.0
r"""Geneve: RFC 8926 section 3.4, options section 3.5.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Ver|  Opt len  |O|C|    Rsvd   |         Protocol type         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      VNI                      |   Reserved    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                 Options, opt len * 4 octets                   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    Option
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Option class          |C|    Type     |R|R|R| Length  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                    Data, length * 4 octets                    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Finding, Stop, TunnelKind
from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer
from ..option_kinds import EXPERIMENTAL_CLASS, KNOWN_CRITICAL, OPTION_CRITICAL
from .ethernet import type_text
from .fields import Field, Header, printable, shorten
from .protocol import Protocol
from .udp import find_carrier
from .walk import Walk

FIRST = 0
FLAGS = 1
PROTOCOL = 2
VNI = 4
RESERVED_OCTET = 7
HEADER_BYTES = RESERVED_OCTET + 1

VERSION_MASK = 0xC0000000
OPTION_LENGTH_MASK = 0x3F000000
OAM_FLAG = 0x00800000
CRITICAL_FLAG = 0x00400000
RESERVED = 0x003F0000
PROTOCOL_MASK = 0x0000FFFF
OPTION_LENGTH_SHIFT = 24 - 2  # of words, to octets
RESERVED_LOW = 0x000000FF
"""Of the second word, below the VNI."""

OPTION_SOURCE = "RFC 8926 section 3.5"
OPTION_CLASS = 0
OPTION_TYPE = 2
OPTION_FLAGS = 3
OPTION_HEADER_BYTES = OPTION_FLAGS + 1
OPTION_LENGTH = 0x1F
"""Words of data, in the last octet of the option header."""
OPTION_RESERVED = 0xE0

PROBABLE_PROTOCOLS = (0x6558, 0x0800, 0x86DD)
"""Ethernet and IP: what a header on a tentative port must carry."""

VXLAN_FLAGS = 0x08000000
"""The first word of a VXLAN header (RFC 7348 section 5)."""

_HEADER = Struct(">II")
_OPTION = Struct(">HBB")
# An attribute of an enum class costs 70 ns, a name of the module 10.
_KIND = TunnelKind.GENEVE
_G01 = int(Finding.G01)
_G02 = int(Finding.G02)
_G03 = int(Finding.G03)
_G05 = int(Finding.G05)
_G06 = int(Finding.G06)
_G07 = int(Finding.G07)
_G08 = int(Finding.G08)
_G09 = int(Finding.G09)
_G10 = int(Finding.G10)
_G13 = int(Finding.G13)
_G14 = int(Finding.G14)
_G15 = int(Finding.G15)
_G17 = int(Finding.G17)
_G18 = int(Finding.G18)
_G19 = int(Finding.G19)


class Geneve(Protocol):
    """Geneve header with its options."""

    layer = Layer.GENEVE
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 8926 section 3.4"
    TUNNEL = True

    @staticmethod
    def partial(walk: Walk, offset: int) -> None:
        """Find G02 where the UDP payload is shorter than a Geneve header."""
        _find_short(walk, offset + HEADER_BYTES)

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether a tentative port carries Geneve: a whole and faultless header."""
        data = walk.data
        end = offset + HEADER_BYTES
        first: int
        first, low = _HEADER.unpack_from(data, offset)
        if first & (VERSION_MASK | RESERVED) or low & RESERVED_LOW:
            return False
        area_end = end + ((first & OPTION_LENGTH_MASK) >> OPTION_LENGTH_SHIFT)
        if area_end > walk.limit or first & PROTOCOL_MASK not in PROBABLE_PROTOCOLS:
            return False
        while end < area_end:
            end += OPTION_HEADER_BYTES + ((data[end + OPTION_FLAGS] & OPTION_LENGTH) << 2)
        return end == area_end

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Add the tunnel and its options; the next layer begins where OptLen says."""
        first, low = _HEADER.unpack_from(walk.data, offset)
        if first & VERSION_MASK:
            # RFC 8926 section 3.4: a transit device treats it as an unknown UDP payload.
            walk.findings |= _G01
            return walk.end(Stop.UNSUPPORTED)
        find_carrier(walk, offset, _G15, _G13, _G14)
        number = first & PROTOCOL_MASK
        if number not in PROBABLE_PROTOCOLS:
            walk.findings |= _unusual_protocol(first, low)
        options = offset + HEADER_BYTES
        walk.next = end = options + ((first & OPTION_LENGTH_MASK) >> OPTION_LENGTH_SHIFT)
        row = walk.add_tunnel(_KIND, low >> 8, offset, end, first)
        if first & (OAM_FLAG | RESERVED) or low & RESERVED_LOW:
            if first & OAM_FLAG:
                walk.findings |= _G09
            if first & RESERVED or low & RESERVED_LOW:
                walk.findings |= _G08
        if end > walk.window:
            pass  # what stands there is not options
        elif end != options:
            walk.tunnels.option_count[row] = _list_options(
                walk, options, end, first & CRITICAL_FLAG
            )
        elif first & CRITICAL_FLAG:
            walk.findings |= _G06
        if end > walk.limit:
            _find_short(walk, end)
            return walk.cut(end)
        return ETHERTYPES.get(number) or ETHERTYPE_SPACE | number

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header, and every option that is there whole."""
        version = header.bits("version", FIRST, 0, 2)
        words = header.bits("option_length", FIRST, 2, 6, lambda words: f"{4 * words} octets")
        oam = header.flag("oam", FLAGS, 0)
        critical = header.flag("critical", FLAGS, 1)
        header.bits("reserved_1", FLAGS, 2, 6)
        number = header.number("protocol_type", PROTOCOL, 2, type_text)
        vni = header.number("vni", VNI, 3)
        header.number("reserved_2", RESERVED_OCTET, 1)
        header.summary = f"VNI {vni}, {type_text(number)}"
        if version:
            header.summary = f"version {version}, unknown: the rest is not decoded"
            return
        header.summary += ", OAM" * oam + ", critical options" * critical
        if words:
            with header.group("options", HEADER_BYTES, words << 2) as group:
                count = _describe_options(header, HEADER_BYTES + (words << 2))
                group.text = f"{count} options"
                header.summary += f", {count} options"


def _find_short(walk: Walk, end: int) -> None:
    """Find G02 where a Geneve header ends beyond the UDP payload."""
    if end > walk.window and walk.fragment is None:
        walk.findings |= _G02


def _unusual_protocol(first: int, low: int) -> int:
    """Return the finding about a protocol type that is neither Ethernet nor IP."""
    if first & PROTOCOL_MASK:
        return _G10
    # On a port that is taken for Geneve, VXLAN's flags are an option length and no protocol.
    return _G19 if first == VXLAN_FLAGS and not low & RESERVED_LOW else _G18


def _list_options(walk: Walk, offset: int, area_end: int, critical_flag: int) -> int:
    """Add the options between `offset` and `area_end` that were captured whole. Returns how many.

    Findings about them are added: G03, G05, G06, G07, G08, G17.
    """
    data = walk.data
    table = walk.options
    limit = walk.limit
    whole = area_end <= limit
    if whole:
        limit = area_end
    start = row = table.count
    critical = findings = 0
    while offset + OPTION_HEADER_BYTES <= limit:
        option_class, option_type, length = _OPTION.unpack_from(data, offset)
        data_bytes = (length & OPTION_LENGTH) << 2
        offset += OPTION_HEADER_BYTES
        if offset + data_bytes > limit:
            if offset + data_bytes > area_end:
                findings |= _G03
            break
        if length & OPTION_RESERVED:
            findings |= _G08
        if option_type & OPTION_CRITICAL:
            critical = option_type
            if option_class << 8 | option_type not in KNOWN_CRITICAL:
                findings |= _G07
        if option_class >= EXPERIMENTAL_CLASS:
            findings |= _G17
        table.option_class[row] = option_class
        table.option_type[row] = option_type
        table.data_offset[row] = offset
        table.data_bytes[row] = data_bytes
        row += 1
        offset += data_bytes
    table.count = row
    if critical:
        if not critical_flag:
            findings |= _G05
    elif critical_flag and whole and not findings & _G03:
        findings |= _G06
    walk.findings |= findings
    return row - start


def _describe_options(header: Header, area_end: int) -> int:
    """Describe the options up to `area_end`. Returns how many were there whole."""
    count = 0
    at = HEADER_BYTES
    while at < area_end:
        if at + OPTION_HEADER_BYTES > area_end:  # cannot happen while both count words
            header.octets("left_over", at, area_end - at, source=OPTION_SOURCE)
            break
        size = OPTION_HEADER_BYTES + ((header.read(at + OPTION_FLAGS, 1) & OPTION_LENGTH) << 2)
        if at + size > area_end:
            header.octets("broken_option", at, area_end - at, source=OPTION_SOURCE)
            break
        _describe_option(header, at, size)
        count += 1
        at += size
    return count


def _describe_option(header: Header, at: int, size: int) -> None:
    from ..options import class_name, option_name  # 10 ms, and only the field tree asks

    source = OPTION_SOURCE
    with header.group("option", at, size, source=source) as group:
        option_class = header.number(
            "class", at + OPTION_CLASS, 2, lambda n: f"{class_name(n)} ({n:#06x})", source
        )
        with header.flags("type", at + OPTION_TYPE, 0, 8, source) as whole:
            critical = header.flag("critical", at + OPTION_TYPE, 0, source)
            option_type = header.read(at + OPTION_TYPE, 1)
            whole.text = f"{option_type:#04x}"
        header.bits("reserved", at + OPTION_FLAGS, 0, 3, source=source)
        header.bits("length", at + OPTION_FLAGS, 3, 5, lambda n: f"{4 * n} octets", source)
        data_bytes = size - OPTION_HEADER_BYTES
        name = option_name(option_class, option_type, data_bytes) or "unknown option"
        group.text = (
            f"{name}, {class_name(option_class)}, type {option_type:#04x}"
            f"{', critical' if critical else ''}, {data_bytes} octets"
        )
        if data_bytes:
            _describe_data(header, at + OPTION_HEADER_BYTES, option_class, option_type, data_bytes)


def _describe_data(
    header: Header, at: int, option_class: int, option_type: int, data_bytes: int
) -> None:
    """Describe the data of an option by the layout that the registry has for it."""
    from ..options import decode_option  # 10 ms, and only the field tree asks

    start = header.need(at, data_bytes)
    data = bytes(header.data[start : start + data_bytes])
    parts = []
    for field in decode_option(option_class, option_type, data):
        first, bit = divmod(field.bit_offset, 8)
        length = (bit + field.bit_length + 7) // 8
        whole = bit == 0 and field.bit_length % 8 == 0
        parts.append(
            Field(
                field.name,
                field.value,
                printable(field.text),
                start + first,
                length,
                OPTION_SOURCE,
                None if whole else bit,
                None if whole else field.bit_length,
            )
        )
    header.append(
        Field("data", data, shorten(data), start, data_bytes, OPTION_SOURCE, children=tuple(parts))
    )
