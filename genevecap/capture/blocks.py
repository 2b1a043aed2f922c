# SPDX-License-Identifier: Apache-2.0
"""What pcapng blocks are made of: numbers, options, interfaces and sections.

::

    block:  type (4)  total length (4)  body …  total length (4)
    option: code (2)  length (2)  value, padded to 4 …  0 0 ends the list
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..columns import NO_TIME
from .records import InterfaceTable

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
OBSOLETE_PACKET = 2
SIMPLE_PACKET = 3
NAME_RESOLUTION = 4
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
SYSTEMD_JOURNAL = 9
DECRYPTION_SECRETS = 10
CUSTOM = 0x00000BAD
CUSTOM_NOT_COPIED = 0x40000BAD
SYSDIG_EVENTS = (0x204, 0x216, 0x221)

BYTE_ORDER_MAGIC = 0x1A2B3C4D
NUMBERED_WITHOUT_PACKET = frozenset((SYSTEMD_JOURNAL, CUSTOM, CUSTOM_NOT_COPIED, *SYSDIG_EVENTS))
"""Blocks that are frames to Wireshark and hold no packet."""
MIN_BLOCK_BYTES = 12
MIN_BODY_BYTES = {
    SECTION_HEADER: 16,
    INTERFACE_DESCRIPTION: 8,
    OBSOLETE_PACKET: 20,
    SIMPLE_PACKET: 4,
    INTERFACE_STATISTICS: 12,
    ENHANCED_PACKET: 20,
    DECRYPTION_SECRETS: 8,
    CUSTOM: 4,
    CUSTOM_NOT_COPIED: 4,
}

OPT_END = 0
OPT_COMMENT = 1
SHB_USERAPPL = 4
IF_NAME = 2
IF_TSRESOL = 9
IF_TSOFFSET = 14
ISB_IFDROP = 5
ISB_OSDROP = 7
TLS_KEY_LOG = 0x544C534B
"""Type of the secrets in a decryption secrets block; the other types are not of use here."""
NRB_IPV4 = 1
NRB_IPV6 = 2

DUMPCAP_DROPS = re.compile(rb"dumpcap:(\d{1,18})")
_SIMPLE_OFFSET_LIMIT_NS = 2**62

MAX_KEPT_BYTES = 1 << 22
"""Of comments, names and secrets kept of one file: a file must not fill the memory."""
KEPT_OVERHEAD_BYTES = 100
"""What Python needs for one more of them, about."""
MAX_NAME_BYTES = 255
"""Of an interface name; Linux has 15, Windows some 60."""
MAX_INTERFACES = 1 << 14
"""Interfaces that are told apart in one file; a node has some hundreds."""


@dataclass(slots=True, kw_only=True)
class Interface:
    """One interface of the current section."""

    place: int
    """Its point, as `Stream.add_point` gave it."""
    snaplen: int
    units_per_second: int
    offset_s: int

    def time_ns(self, units: int) -> int:
        """Return the time of a time stamp in this interface's units, or NO_TIME outside int64."""
        time_ns = units * 10**9 // self.units_per_second + self.offset_s * 10**9
        return time_ns if -(2**63) < time_ns < 2**63 else NO_TIME


@dataclass(slots=True)
class Section:
    """What holds until the next section header."""

    order: str = "<"
    interfaces: list[Interface] = field(default_factory=list)
    table: InterfaceTable = field(default_factory=InterfaceTable)
    seen: dict[tuple[str | int, int], int] = field(default_factory=dict)
    """How often (name or id, link type) was met in this section."""
    dropped_before: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Drops, and dumpcap's, that earlier sections reported for a point, by its place."""


def iter_options(
    buffer: bytearray, begin: int, end: int, order: str
) -> Iterator[tuple[int, bytes]]:
    """Yield (code, value) of an option list; it ends at the first one that does not fit.

    order: `<` or `>`, the byte order of the section.
    """
    while begin + 4 <= end:
        code, length = struct.unpack_from(order + "HH", buffer, begin)
        if code == OPT_END or begin + 4 + length > end:
            return
        yield code, bytes(buffer[begin + 4 : begin + 4 + length])
        begin += 4 + ((length + 3) & ~3)


def add_to_table(table: InterfaceTable, interface: Interface) -> None:
    """Describe an interface to the walk; one whose times are not simple gets multiplier 0."""
    units = interface.units_per_second
    offset_ns = interface.offset_s * 10**9
    multiplier, divisor = 0, 1
    if abs(offset_ns) < _SIMPLE_OFFSET_LIMIT_NS:
        if 10**9 % units == 0:
            multiplier = 10**9 // units
        elif units % 10**9 == 0 and units // 10**9 < 2**62:
            multiplier, divisor = 1, units // 10**9
    table.point.append(interface.place)
    table.multiplier.append(multiplier)
    table.divisor.append(divisor)
    table.offset_ns.append(offset_ns if multiplier else 0)


def text_of(value: bytes) -> str:
    """Return text of a block; what is not UTF-8 is shown by its octets."""
    return value.rstrip(b"\0").decode("utf-8", "backslashreplace")
