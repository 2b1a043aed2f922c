# SPDX-License-Identifier: Apache-2.0
"""pcapng (draft-ietf-opsawg-pcapng): sections, interfaces, and every block that says something.

Enhanced packet blocks, nearly all of a file, are walked by `records`; this module reads the other
blocks one by one.  Comments, names and secrets are kept for reports.  Wireshark gives frame numbers
to custom and systemd journal blocks too: they use up a number here and make no row.

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
from ..errors import DamagedCapture, NotACapture
from .records import FULL, MAX_RECORD_BYTES, OTHER, InterfaceTable
from .stream import FormatReader, Stream

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

BYTE_ORDER_MAGIC = 0x1A2B3C4D
_NUMBERED_WITHOUT_PACKET = frozenset((SYSTEMD_JOURNAL, CUSTOM, CUSTOM_NOT_COPIED))
_MIN_BLOCK_BYTES = 12
_MIN_BODY_BYTES = {
    SECTION_HEADER: 16,
    INTERFACE_DESCRIPTION: 8,
    OBSOLETE_PACKET: 20,
    SIMPLE_PACKET: 4,
    INTERFACE_STATISTICS: 12,
    ENHANCED_PACKET: 20,
    DECRYPTION_SECRETS: 8,
}

_OPT_END = 0
_OPT_COMMENT = 1
_SHB_USERAPPL = 4
_IF_NAME = 2
_IF_TSRESOL = 9
_IF_TSOFFSET = 14
_ISB_IFDROP = 5
_ISB_OSDROP = 7
_NRB_IPV4 = 1
_NRB_IPV6 = 2

_DUMPCAP_DROPS = re.compile(rb"dumpcap:(\d{1,18})")
_SIMPLE_OFFSET_LIMIT_NS = 2**62
_MAX_KEPT = 10_000
"""Comments, names and secrets kept of one file at most: a file must not fill the memory."""


def is_pcapng(head: bytes) -> bool:
    """Tell whether a file that begins with these 4 octets is a pcapng file."""
    return head[:4] == b"\x0a\x0d\x0d\x0a"


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


class PcapngReader(FormatReader):
    """Reads one pcapng stream; see `FormatReader`."""

    format = "pcapng"

    def __init__(self, stream: Stream) -> None:
        """Check that the first block is a section header that can be believed.

        Raises NotACapture where it is not, or where the file ends inside it.
        """
        super().__init__(stream)
        self.names: dict[str, str] = {}
        """Address text → host name, from name resolution blocks."""
        self.secrets: list[tuple[int, bytes]] = []
        """(type, data) of decryption secrets blocks; 0x544c534b is a TLS key log."""
        self._section = Section()
        self._places: dict[tuple[str | int, int, int], int] = {}
        whole = stream.require(_MIN_BLOCK_BYTES) and stream.require(
            self._block_length(section_begins=True)
        )
        if not whole:
            raise NotACapture(
                stream.path, f"it ends inside its pcapng section header ({stream.end} octets)"
            )
        self._next_block()

    def fill(self) -> bool:
        """See `FormatReader`."""
        stream, frames = self.stream, self.stream.frames
        while frames.count < frames.capacity:
            first = frames.count
            stream.position, why = stream.walk.walk_pcapng(
                frames,
                self._section.table,
                self._section.order == ">",
                stream.position,
                stream.end,
                stream.next_frame,
            )
            stream.next_frame += frames.count - first
            if why == FULL:
                return True
            if why > 0:
                return stream.want(why)
            left = stream.end - stream.position
            if left < _MIN_BLOCK_BYTES:
                return stream.want(_MIN_BLOCK_BYTES)
            length = self._block_length()
            if left < length:
                return stream.want(length)
            self._next_block()
        return True

    def _block_length(self, *, section_begins: bool = False) -> int:
        """Return the octets of the block at `position`, its first 12 being there."""
        stream = self.stream
        kind = self._word(0)
        if kind == SECTION_HEADER or section_begins:
            order = self._byte_order()
        else:
            order = self._section.order
        length: int = struct.unpack_from(order + "I", stream.buffer, stream.position + 4)[0]
        least = _MIN_BLOCK_BYTES + _MIN_BODY_BYTES.get(kind, 0)
        if length < least or length & 3 or length > MAX_RECORD_BYTES:
            raise self._damage(
                f"its length {length} is not plausible", needed=max(length, least), had=0
            )
        return length

    def _byte_order(self) -> str:
        stream = self.stream
        magic = bytes(stream.buffer[stream.position + 8 : stream.position + 12])
        for order in "<>":
            if struct.unpack(order + "I", magic)[0] == BYTE_ORDER_MAGIC:
                return order
        raise self._damage("a section header without the byte-order magic", needed=4, had=0)

    def _word(self, offset: int) -> int:
        stream = self.stream
        value: int = struct.unpack_from(
            self._section.order + "I", stream.buffer, stream.position + offset
        )[0]
        return value

    def _damage(self, reason: str, *, needed: int, had: int) -> DamagedCapture:
        return DamagedCapture(
            self.stream.path,
            reason,
            record=self.stream.next_frame,
            offset=self.stream.file_offset(),
            needed=needed,
            had=had,
        )

    def _next_block(self) -> None:
        """Read the block at `position`, all of which is there, and step over it."""
        stream = self.stream
        length = self._block_length()
        kind = self._word(0)
        if kind == SECTION_HEADER:
            self._section = Section(order=self._byte_order())
        if self._word(length - 4) != length:
            raise self._damage(
                "its two lengths differ", needed=length, had=self._word(length - 4)
            )
        body = stream.position + 8
        size = length - _MIN_BLOCK_BYTES
        match kind:
            case 0x0A0D0D0A:
                self._read_section_header(body, size)
            case 1:
                self._read_interface(body, size)
            case 2 | 3 | 6:
                self._read_packet(kind, body, size)
            case 4:
                self._read_names(body, size)
            case 5:
                self._read_statistics(body, size)
            case 10:
                self._read_secrets(body, size)
            case _:
                pass
        stream.position += length
        if kind in _NUMBERED_WITHOUT_PACKET:
            stream.next_frame += 1

    def _read_section_header(self, body: int, size: int) -> None:
        major, minor = struct.unpack_from(self._section.order + "HH", self.stream.buffer, body + 4)
        if major != 1:
            raise self._damage(
                f"pcapng version {major}.{minor} is not known (1.x is)", needed=1, had=major
            )
        for code, value in self._options(body + 16, body + size):
            if code == _OPT_COMMENT:
                self._keep_comment(value)
            elif code == _SHB_USERAPPL and self.application is None:
                self.application = _text(value)

    def _read_interface(self, body: int, size: int) -> None:
        section = self._section
        link_type, _, snaplen = struct.unpack_from(
            section.order + "HHI", self.stream.buffer, body
        )
        name: str | None = None
        resolution, offset_s = 6, 0
        for code, value in self._options(body + 8, body + size):
            if code == _OPT_COMMENT:
                self._keep_comment(value)
            elif code == _IF_NAME and value:
                name = _text(value)
            elif code == _IF_TSRESOL and len(value) == 1:
                resolution = value[0]
            elif code == _IF_TSOFFSET and len(value) == 8:
                offset_s = struct.unpack(section.order + "q", value)[0]
        base = 2 if resolution & 0x80 else 10
        interface = Interface(
            place=self._place(name, link_type),
            snaplen=snaplen,
            units_per_second=base ** (resolution & 0x7F),
            offset_s=offset_s,
        )
        section.interfaces.append(interface)
        _add_to_table(section.table, interface)

    def _place(self, name: str | None, link_type: int) -> int:
        """Return the point of the section's next interface: the same as in an earlier section."""
        section = self._section
        label: str | int = len(section.interfaces) if name is None else name
        copy = section.seen.get((label, link_type), 0)
        section.seen[label, link_type] = copy + 1
        key = (label, link_type, copy)
        if key not in self._places:
            self._places[key] = self.stream.add_point(name, link_type)
        return self._places[key]

    def _read_packet(self, kind: int, body: int, size: int) -> None:
        """Make a row of a packet block that the walk left: odd times, SPB, obsolete PB."""
        order, buffer = self._section.order, self.stream.buffer
        units: int | None = None
        if kind == SIMPLE_PACKET:
            index, header = 0, 4
            (original,) = struct.unpack_from(order + "I", buffer, body)
        elif kind == OBSOLETE_PACKET:
            header = 20
            index, _, high, low, captured, original = struct.unpack_from(
                order + "HHIIII", buffer, body
            )
            units = high << 32 | low
        else:
            header = 20
            index, high, low, captured, original = struct.unpack_from(
                order + "IIIII", buffer, body
            )
            units = high << 32 | low
        known = len(self._section.interfaces)
        if index >= known:
            raise self._damage(
                f"it names interface {index}, the section describes {known}",
                needed=index + 1,
                had=known,
            )
        interface = self._section.interfaces[index]
        if kind == SIMPLE_PACKET:
            captured = min(original, interface.snaplen or original, size - header)
        padded = (captured + 3) & ~3
        if header + padded > size:
            raise self._damage(
                "the packet is longer than its block", needed=header + padded, had=size
            )
        time_ns = NO_TIME if units is None else interface.time_ns(units)
        if units is None:
            self.stream.frames.timeless.add(self.stream.frames.count)
        self._append(interface.place, time_ns, body + header, captured, original)
        options = 0 if kind == SIMPLE_PACKET else size - header - padded
        row = self.stream.frames.count - 1
        self.stream.frames.options_bytes[row] = options
        self.stream.frames.options_offset[row] = body + header + padded if options else -1

    def _append(
        self, place: int, time_ns: int, offset: int, captured: int, original: int
    ) -> None:
        frames = self.stream.frames
        row = frames.count
        frames.frame[row] = self.stream.next_frame
        frames.time_ns[row] = time_ns
        frames.offset[row] = offset
        frames.captured_bytes[row] = captured
        frames.wire_bytes[row] = original
        frames.point[row] = place
        frames.count += 1
        self.stream.next_frame += 1

    def frame_comments(self, row: int) -> list[str]:
        """See `FormatReader`."""
        frames = self.stream.frames
        begin, size = frames.options_offset[row], frames.options_bytes[row]
        if begin < 0:
            return []
        return [_text(value) for code, value in self._options(begin, begin + size)
                if code == _OPT_COMMENT]

    def _read_statistics(self, body: int, size: int) -> None:
        order = self._section.order
        (index,) = struct.unpack_from(order + "I", self.stream.buffer, body)
        if index >= len(self._section.interfaces):
            return
        dropped: int | None = None
        for code, value in self._options(body + 12, body + size):
            if code in (_ISB_IFDROP, _ISB_OSDROP) and len(value) == 8:
                dropped = (dropped or 0) + struct.unpack(order + "Q", value)[0]
            elif code == _OPT_COMMENT and (match := _DUMPCAP_DROPS.search(value)):
                point = self.stream.point(self._section.interfaces[index].place)
                point.dropped_by_dumpcap = int(match[1])
        if dropped is not None:
            self.stream.point(self._section.interfaces[index].place).dropped = dropped

    def _read_names(self, body: int, size: int) -> None:
        for code, value in self._options(body, body + size):
            width = {_NRB_IPV4: 4, _NRB_IPV6: 16}.get(code)
            if width is None or len(value) <= width or len(self.names) >= _MAX_KEPT:
                continue
            address = value[:width]
            name = _text(value[width:].split(b"\0", 1)[0])
            self.names[address.hex()] = name

    def _read_secrets(self, body: int, size: int) -> None:
        kind, length = struct.unpack_from(self._section.order + "II", self.stream.buffer, body)
        if 8 + length <= size and len(self.secrets) < _MAX_KEPT:
            self.secrets.append((kind, bytes(self.stream.buffer[body + 8 : body + 8 + length])))

    def _keep_comment(self, value: bytes) -> None:
        if len(self.comments) < _MAX_KEPT:
            self.comments.append(_text(value))

    def _options(self, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        return iter_options(self.stream.buffer, begin, end, self._section.order)


def iter_options(
    buffer: bytearray, begin: int, end: int, order: str
) -> Iterator[tuple[int, bytes]]:
    """Yield (code, value) of an option list; it ends at the first one that does not fit.

    order: `<` or `>`, the byte order of the section.
    """
    while begin + 4 <= end:
        code, length = struct.unpack_from(order + "HH", buffer, begin)
        if code == _OPT_END or begin + 4 + length > end:
            return
        yield code, bytes(buffer[begin + 4 : begin + 4 + length])
        begin += 4 + ((length + 3) & ~3)


def _add_to_table(table: InterfaceTable, interface: Interface) -> None:
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


def _text(value: bytes) -> str:
    """Return text of a block; what is not UTF-8 is shown by its octets."""
    return value.rstrip(b"\0").decode("utf-8", "backslashreplace")
