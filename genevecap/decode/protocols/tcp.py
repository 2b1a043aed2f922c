# SPDX-License-Identifier: Apache-2.0
r"""TCP: RFC 9293 section 3.1; window scale and time stamps RFC 7323, SACK RFC 2018.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Source port          |       Destination port        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                        Sequence number                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                    Acknowledgment number                      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |DOffset| Rsv |N|C|E|U|A|P|R|S|F|            Window             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           Checksum            |         Urgent pointer        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                  Options, to data offset * 4                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop, TcpOption
from ..layers import Layer
from ..settings import STT_PORT
from .fields import Header, hexadecimal
from .protocol import PROTOCOLS, Protocol
from .udp import Udp
from .walk import Walk

SOURCE_PORT = 0
DESTINATION_PORT = 2
SEQUENCE = 4
ACKNOWLEDGMENT = 8
FLAGS = 12
WINDOW = 14
CHECKSUM = 16
URGENT_POINTER = 18
HEADER_BYTES = URGENT_POINTER + 2

FLAG_NAMES = ("ns", "cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin")
_NS_SOURCE = "RFC 3540 section 9"
FLAGS_MASK = 0x01FF
"""NS (historic, RFC 8311) and the eight flags after it."""

END_OF_OPTIONS = 0
NO_OPERATION = 1
MSS = 2
WINDOW_SCALE = 3
SACK_PERMITTED = 4
SACK = 5
TIMESTAMPS = 8
OPTION_BYTES = 2
"""Kind and length, which every option but the first two kinds begins with."""
MSS_BYTES = 4
WINDOW_SCALE_BYTES = 3
SACK_PERMITTED_BYTES = 2
SACK_BLOCK_BYTES = 8
TIMESTAMPS_BYTES = 10

OPTION_NAMES = {
    MSS: ("mss", "RFC 9293 section 3.7.1"),
    WINDOW_SCALE: ("window_scale", "RFC 7323 section 2.2"),
    SACK_PERMITTED: ("sack_permitted", "RFC 2018 section 2"),
    SACK: ("sack", "RFC 2018 section 3"),
    TIMESTAMPS: ("timestamps", "RFC 7323 section 3.2"),
}

USUAL_BYTES = 32
USUAL_OPTIONS = b"\x01\x01\x08\x0a"
"""What nearly every segment of a Linux connection carries: two no-operations and time stamps."""

# Plain numbers: an IntFlag costs a microsecond for every `|`.
_MSS_BIT = int(TcpOption.MSS)
_WINDOW_SCALE_BIT = int(TcpOption.WINDOW_SCALE)
_SACK_PERMITTED_BIT = int(TcpOption.SACK_PERMITTED)
_TIMESTAMPS_BIT = int(TcpOption.TIMESTAMPS)

_HEADER = Struct(">HHIIHH")
_TIMESTAMPS = Struct(">II")

Options = tuple[int, int, int, int, int]
"""Which there were, MSS, window scale, TSval, TSecr."""
_NO_OPTIONS: Options = (0, 0, 0, 0, 0)


class Tcp(Protocol):
    """TCP header with its options."""

    layer = Layer.TCP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 9293 section 3.1"
    partial = Udp.partial

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Take the fixed part, and the options where all of them are there."""
        source, destination, sequence, acknowledgment, length_flags, window = _HEADER.unpack_from(
            walk.data, offset
        )
        walk.add_ports((source, destination))
        header_bytes = length_flags >> 12 << 2
        fixed = (length_flags & FLAGS_MASK, sequence, acknowledgment, window)
        if header_bytes < HEADER_BYTES:
            walk.tcp = (*fixed, *_NO_OPTIONS)
            return walk.end(Stop.MALFORMED)
        end = offset + header_bytes
        if end <= walk.window:
            walk.add_payload(end)
        if end > walk.limit:
            walk.tcp = (*fixed, *_NO_OPTIONS)
            return walk.cut(end)
        if header_bytes == HEADER_BYTES:
            walk.tcp = (*fixed, *_NO_OPTIONS)
        else:
            walk.tcp = (*fixed, *read_options(walk.data, offset + HEADER_BYTES, end))
        walk.next = end
        if destination != STT_PORT or header_bytes != HEADER_BYTES:
            return 0
        return Layer.STT if PROTOCOLS[Layer.STT].fits(walk, end) else 0

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header with its options."""
        source = header.number("source_port", SOURCE_PORT, 2)
        destination = header.number("destination_port", DESTINATION_PORT, 2)
        header.summary = f"{source} > {destination}"
        sequence = header.number("sequence_number", SEQUENCE, 4)
        acknowledgment = header.number("acknowledgment_number", ACKNOWLEDGMENT, 4)
        length = header.bits("data_offset", FLAGS, 0, 4, lambda words: f"{4 * words} octets") << 2
        header.bits("reserved", FLAGS, 4, 3)
        with header.flags("flags", FLAGS, 7, 9) as group:
            names = [
                name.upper()
                for bit, name in enumerate(FLAG_NAMES, 16 - len(FLAG_NAMES))
                if header.flag(name, FLAGS, bit, _NS_SOURCE if name == "ns" else "")
            ]
            group.text = ", ".join(names) or "none"
        window = header.number("window", WINDOW, 2)
        header.number("checksum", CHECKSUM, 2, hexadecimal(4))
        header.number("urgent_pointer", URGENT_POINTER, 2)
        header.summary += (
            f" [{' '.join(names)}] seq {sequence}, ack {acknowledgment}, window {window}"
        )
        if length > HEADER_BYTES:
            with header.group("options", HEADER_BYTES, length - HEADER_BYTES):
                _describe_options(header, length)


def read_options(data: bytes | bytearray, offset: int, end: int) -> Options:
    """Return what the columns want of the options between `offset` and `end`.

    The first broken option (shorter than 2 octets, or past the end) ends them.  One of a known
    kind with another length than its RFC gives is passed over, as Linux does.
    """
    if end - offset == USUAL_BYTES - HEADER_BYTES and data[offset : offset + 4] == USUAL_OPTIONS:
        return (_TIMESTAMPS_BIT, 0, 0, *_TIMESTAMPS.unpack_from(data, offset + 4))
    seen = mss = scale = timestamp = echo = 0
    while offset < end:
        kind = data[offset]
        if kind == NO_OPERATION:
            offset += 1
            continue
        if kind == END_OF_OPTIONS or offset + OPTION_BYTES > end:
            break
        length = data[offset + 1]
        if length < OPTION_BYTES or offset + length > end:
            break
        if kind == TIMESTAMPS and length == TIMESTAMPS_BYTES:
            timestamp, echo = _TIMESTAMPS.unpack_from(data, offset + OPTION_BYTES)
            seen |= _TIMESTAMPS_BIT
        elif kind == MSS and length == MSS_BYTES:
            mss = data[offset + 2] << 8 | data[offset + 3]
            seen |= _MSS_BIT
        elif kind == WINDOW_SCALE and length == WINDOW_SCALE_BYTES:
            scale = data[offset + 2]
            seen |= _WINDOW_SCALE_BIT
        elif kind == SACK_PERMITTED and length == SACK_PERMITTED_BYTES:
            seen |= _SACK_PERMITTED_BIT
        offset += length
    return seen, mss, scale, timestamp, echo


def _describe_options(header: Header, length: int) -> None:
    """Describe the options up to `length`; a broken one ends them."""
    at = HEADER_BYTES
    while at < length:
        kind = header.read(at, 1)
        if kind == END_OF_OPTIONS:
            header.octets("end_of_options", at, length - at, "end of options")
            return
        if kind == NO_OPERATION:
            header.number("no_operation", at, 1, "no operation")
            at += 1
            continue
        size = header.read(at + 1, 1) if at + OPTION_BYTES <= length else 0
        if size < OPTION_BYTES or at + size > length:
            header.octets("broken_option", at, length - at)
            return
        _describe_option(header, kind, at, size)
        at += size


def _describe_option(header: Header, kind: int, at: int, size: int) -> None:
    """Describe one option; of one that has another length than its RFC gives, only the octets."""
    name, source = OPTION_NAMES.get(kind, (f"option_{kind}", header.source))
    with header.group(name, at, size, source=source) as group:
        header.number("kind", at, 1, source=source)
        header.number("length", at + 1, 1, source=source)
        at += OPTION_BYTES
        if kind == MSS and size == MSS_BYTES:
            group.text = str(header.number("mss", at, 2, source=source))
        elif kind == WINDOW_SCALE and size == WINDOW_SCALE_BYTES:
            shift = header.number("shift", at, 1, source=source)
            group.text = f"{shift} bits"
        elif kind == SACK_PERMITTED and size == SACK_PERMITTED_BYTES:
            group.text = "permitted"
        elif kind == SACK and size % SACK_BLOCK_BYTES == OPTION_BYTES:
            group.text = _describe_blocks(header, at, size - OPTION_BYTES, source)
        elif kind == TIMESTAMPS and size == TIMESTAMPS_BYTES:
            value = header.number("tsval", at, 4, source=source)
            echo = header.number("tsecr", at + 4, 4, source=source)
            group.text = f"TSval {value}, TSecr {echo}"
        elif size > OPTION_BYTES:
            header.octets("data", at, size - OPTION_BYTES, source=source)


def _describe_blocks(header: Header, at: int, size: int, source: str) -> str:
    blocks = []
    for number in range(size // SACK_BLOCK_BYTES):
        left = header.number(f"left_edge_{number + 1}", at, 4, source=source)
        right = header.number(f"right_edge_{number + 1}", at + 4, 4, source=source)
        blocks.append(f"{left}-{right}")
        at += SACK_BLOCK_BYTES
    return ", ".join(blocks)
