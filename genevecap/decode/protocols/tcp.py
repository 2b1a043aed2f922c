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
from .protocol import Protocol
from .udp import Udp
from .walk import Walk

HEADER_BYTES = 20
FLAGS_MASK = 0x01FF
"""NS (historic, RFC 8311) and the eight flags after it."""

END_OF_OPTIONS = 0
NO_OPERATION = 1
MSS = 2
WINDOW_SCALE = 3
SACK_PERMITTED = 4
TIMESTAMPS = 8
OPTION_BYTES = 2
"""Kind and length, which every option but the first two kinds begins with."""
MSS_BYTES = 4
WINDOW_SCALE_BYTES = 3
SACK_PERMITTED_BYTES = 2
TIMESTAMPS_BYTES = 10

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
    partial = Udp.partial

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Take ports, and the rest where the whole header with its options fits."""
        source, destination, sequence, acknowledgment, length_flags, window = _HEADER.unpack_from(
            walk.data, offset
        )
        walk.add_ports((source, destination))
        header_bytes = length_flags >> 12 << 2
        if header_bytes < HEADER_BYTES:
            return walk.end(Stop.MALFORMED)
        end = offset + header_bytes
        if end > walk.limit:
            return walk.cut(end)
        options = (
            _NO_OPTIONS
            if header_bytes == HEADER_BYTES
            else read_options(walk.data, offset + HEADER_BYTES, end)
        )
        walk.tcp = (length_flags & FLAGS_MASK, sequence, acknowledgment, window, *options)
        walk.add_payload(end)
        walk.next = end
        return Layer.STT if destination == STT_PORT else 0


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
