# SPDX-License-Identifier: Apache-2.0
"""pcapng (draft-ietf-opsawg-pcapng): sections, interfaces, and every block that says something.

Enhanced packet blocks, nearly all of a file, are walked by `records`; this module reads the other
blocks one by one.  Comments, names and secrets are kept for reports.  Wireshark gives frame numbers
to custom, systemd journal and sysdig blocks too: they use up a number here and make no row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..columns import NO_TIME
from ..errors import DamagedCapture, NotACapture
from .blocks import (
    BYTE_ORDER_MAGIC,
    DUMPCAP_DROPS,
    IF_NAME,
    IF_TSOFFSET,
    IF_TSRESOL,
    ISB_IFDROP,
    ISB_OSDROP,
    KEPT_OVERHEAD_BYTES,
    MAX_INTERFACES,
    MAX_KEPT_BYTES,
    MAX_NAME_BYTES,
    MIN_BLOCK_BYTES,
    MIN_BODY_BYTES,
    NRB_IPV4,
    NRB_IPV6,
    NUMBERED_WITHOUT_PACKET,
    OBSOLETE_PACKET,
    OPT_COMMENT,
    SECTION_HEADER,
    SHB_USERAPPL,
    SIMPLE_PACKET,
    TLS_KEY_LOG,
    Interface,
    Section,
    add_to_table,
    iter_options,
    text_of,
)
from .records import FULL, MAX_RECORD_BYTES
from .stream import FormatReader, Stream


def is_pcapng(head: bytes) -> bool:
    """Tell whether a file that begins with these 4 octets is a pcapng file."""
    return head[:4] == b"\x0a\x0d\x0d\x0a"


class PcapngReader(FormatReader):
    """Reads one pcapng stream; see `FormatReader`."""

    format = "pcapng"

    def __init__(self, stream: Stream) -> None:
        """Check that the first block is a section header that can be believed.

        Raises DamagedCapture where it is not, NotACapture where the file ends inside it.
        """
        super().__init__(stream)
        self.names: dict[bytes, str] = {}
        """Address, 4 or 16 octets → host name, from name resolution blocks."""
        self._section = Section()
        self._orders: list[tuple[int, str]] = []
        """(first row, byte order) of the sections that have rows in the batch."""
        self._kept_bytes = 0
        self._places: dict[tuple[str | int, int, int], int] = {}
        whole = stream.require(MIN_BLOCK_BYTES) and stream.require(
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
        self._orders = [(0, self._section.order)]
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
            if left < MIN_BLOCK_BYTES:
                return stream.want(MIN_BLOCK_BYTES)
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
        least = MIN_BLOCK_BYTES + MIN_BODY_BYTES.get(kind, 0)
        whole = max(length + 3 & ~3, least)
        if length != whole or length > MAX_RECORD_BYTES:
            raise self._damage(
                f"its length of {length} octets is not plausible",
                needed=whole,
                had=length if length <= MAX_RECORD_BYTES else stream.octets_left(),
            )
        return length

    def _byte_order(self) -> str:
        stream = self.stream
        magic = bytes(stream.buffer[stream.position + 8 : stream.position + 12])
        for order in "<>":
            if struct.unpack(order + "I", magic)[0] == BYTE_ORDER_MAGIC:
                return order
        raise self._damage(
            "a section header without the byte-order magic", needed=MIN_BLOCK_BYTES, had=0
        )

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
            self._orders.append((stream.frames.count, self._section.order))
        if self._word(length - 4) != length:
            raise self._damage("its two lengths differ", needed=length, had=self._word(length - 4))
        body = stream.position + 8
        size = length - MIN_BLOCK_BYTES
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
        if kind in NUMBERED_WITHOUT_PACKET:
            stream.next_frame += 1

    def _read_section_header(self, body: int, size: int) -> None:
        major, minor = struct.unpack_from(self._section.order + "HH", self.stream.buffer, body + 4)
        if major != 1:
            raise self._damage(
                f"pcapng version {major}.{minor} is not known (1.x is)",
                needed=size + MIN_BLOCK_BYTES,
                had=0,
            )
        for code, value in self._options(body + 16, body + size):
            if code == OPT_COMMENT:
                self._keep_comment(value)
            elif code == SHB_USERAPPL and self.application is None:
                self.application = text_of(value)

    def _read_interface(self, body: int, size: int) -> None:
        section = self._section
        link_type, _, snaplen = struct.unpack_from(section.order + "HHI", self.stream.buffer, body)
        name: str | None = None
        resolution, offset_s = 6, 0
        for code, value in self._options(body + 8, body + size):
            if code == OPT_COMMENT:
                self._keep_comment(value)
            elif code == IF_NAME and value:
                name = text_of(value[:MAX_NAME_BYTES])
            elif code == IF_TSRESOL and len(value) == 1:
                resolution = value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                offset_s = struct.unpack(section.order + "q", value)[0]
        base = 2 if resolution & 0x80 else 10
        interface = Interface(
            place=self._place(name, link_type),
            snaplen=snaplen,
            units_per_second=base ** (resolution & 0x7F),
            offset_s=offset_s,
        )
        section.interfaces.append(interface)
        add_to_table(section.table, interface)

    def _place(self, name: str | None, link_type: int) -> int:
        """Return the point of the section's next interface: the same as in an earlier section."""
        section = self._section
        label: str | int = len(section.interfaces) if name is None else name
        copy = section.seen.get((label, link_type), 0)
        section.seen[label, link_type] = copy + 1
        key = (label, link_type, copy)
        if key not in self._places:
            if len(self._places) >= MAX_INTERFACES:
                raise self._damage(
                    f"it describes more than {MAX_INTERFACES} interfaces",
                    needed=self._block_length(),
                    had=0,
                )
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
            index, high, low, captured, original = struct.unpack_from(order + "IIIII", buffer, body)
            units = high << 32 | low
        known = len(self._section.interfaces)
        if index >= known:
            raise self._damage(
                f"it names interface {index}, the section describes {known}",
                needed=size + MIN_BLOCK_BYTES,
                had=0,
            )
        interface = self._section.interfaces[index]
        if kind == SIMPLE_PACKET:
            captured = min(original, interface.snaplen or original, size - header)
        padded = (captured + 3) & ~3
        if header + padded > size:
            raise self._damage(
                "the packet is longer than its block",
                needed=header + padded + MIN_BLOCK_BYTES,
                had=size + MIN_BLOCK_BYTES,
            )
        time_ns = NO_TIME if units is None else interface.time_ns(units)
        if units is None:
            self.stream.frames.timeless.add(self.stream.frames.count)
        self._append(interface.place, time_ns, body + header, captured, original)
        options = 0 if kind == SIMPLE_PACKET else size - header - padded
        row = self.stream.frames.count - 1
        self.stream.frames.options_bytes[row] = options
        self.stream.frames.options_offset[row] = body + header + padded if options else -1

    def _append(self, place: int, time_ns: int, offset: int, captured: int, original: int) -> None:
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
        order = next(order for first, order in reversed(self._orders) if first <= row)
        options = iter_options(frames.buffer, begin, begin + size, order)
        return [text_of(value) for code, value in options if code == OPT_COMMENT]

    def _read_statistics(self, body: int, size: int) -> None:
        section = self._section
        (index,) = struct.unpack_from(section.order + "I", self.stream.buffer, body)
        if index >= len(section.interfaces):
            return
        dropped: int | None = None
        by_dumpcap: int | None = None
        for code, value in self._options(body + 12, body + size):
            if code in {ISB_IFDROP, ISB_OSDROP} and len(value) == 8:
                dropped = (dropped or 0) + struct.unpack(section.order + "Q", value)[0]
            elif code == OPT_COMMENT and (match := DUMPCAP_DROPS.search(value)):
                by_dumpcap = int(match[1])
        if dropped is None and by_dumpcap is None:
            return
        # A section counts from its own beginning, and its last block holds for all of it.
        place = section.interfaces[index].place
        point = self.stream.point(place)
        before, by_dumpcap_before = section.dropped_before.setdefault(
            place, (point.dropped or 0, point.dropped_by_dumpcap or 0)
        )
        if dropped is not None:
            point.dropped = before + dropped
        if by_dumpcap is not None:
            point.dropped_by_dumpcap = by_dumpcap_before + by_dumpcap

    def _read_names(self, body: int, size: int) -> None:
        for code, value in self._options(body, body + size):
            width = {NRB_IPV4: 4, NRB_IPV6: 16}.get(code)
            if width is not None and len(value) > width and self._may_keep(len(value)):
                self.names[value[:width]] = text_of(value[width:].split(b"\0", 1)[0])

    def _read_secrets(self, body: int, size: int) -> None:
        kind, length = struct.unpack_from(self._section.order + "II", self.stream.buffer, body)
        if kind == TLS_KEY_LOG and 8 + length <= size and self._may_keep(length):
            self.key_logs.append(bytes(self.stream.buffer[body + 8 : body + 8 + length]))

    def _keep_comment(self, value: bytes) -> None:
        if self._may_keep(len(value)):
            self.comments.append(text_of(value))

    def _may_keep(self, size: int) -> bool:
        """Tell whether `size` octets more may be kept, and count them."""
        if self._kept_bytes + size > MAX_KEPT_BYTES:
            return False
        self._kept_bytes += size + KEPT_OVERHEAD_BYTES
        return True

    def _options(self, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        return iter_options(self.stream.buffer, begin, end, self._section.order)
