# SPDX-License-Identifier: Apache-2.0
r"""GTP-U: 3GPP TS 29.281 section 5.1, extension headers section 5.2.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | Ver |T|R|E|S|N|  Message type |            Length             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |               Tunnel endpoint identifier (TEID)               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Sequence number        | N-PDU number  | Next extension|  with E, S or N
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    Extension header, while the next type is not 0: 4 * length octets
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |    Length     |           Content             | Next extension|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

A G-PDU (message type 255) carries a user's packet; what kind is not said, but IP shows its version.
The other messages are between the tunnel's ends.
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop, TunnelKind
from ..layers import Layer
from .fields import Header, hexadecimal, show
from .protocol import Protocol
from .raw import VERSIONS
from .walk import NO_VNI, Walk

FLAGS = 0
MESSAGE_TYPE = 1
LENGTH = 2
TEID = 4
HEADER_BYTES = TEID + 4
SEQUENCE = 8
N_PDU_NUMBER = 10
NEXT_EXTENSION = 11
OPTIONAL_END = NEXT_EXTENSION + 1

VERSION_TYPE_MASK = 0xF0
VERSION_TYPE = 0x30
"""Version 1, protocol type 1 (GTP, not GTP')."""
E_FLAG = 0x0400_0000
OPTIONAL_FLAGS = 0x0700_0000
TYPE_MASK = 0x00FF_0000
G_PDU = 0x00FF_0000
LENGTH_MASK = 0xFFFF

MAX_EXTENSIONS = 8
EXTENSION_UNIT = 4

MESSAGE_TYPES = {
    1: "echo request",
    2: "echo response",
    26: "error indication",
    31: "supported extension headers",
    253: "tunnel status",
    254: "end marker",
    255: "G-PDU",
}
EXTENSIONS = {
    0x01: "MBMS support indication",
    0x02: "MS info change reporting",
    0x03: "long PDCP PDU number (future)",
    0x20: "service class indicator",
    0x40: "UDP port",
    0x81: "RAN container",
    0x82: "long PDCP PDU number",
    0x83: "Xw RAN container",
    0x84: "NR RAN container",
    0x85: "PDU session container",
    0xC0: "PDCP PDU number",
}
"""Figure 5.2.1-3."""
UDP_PORT = 0x40
PDU_SESSION = 0x85
PDU_TYPES = {0: "downlink", 1: "uplink"}

_EXTENSION_SOURCE = "3GPP TS 29.281 section 5.2.1"
_SESSION_SOURCE = "3GPP TS 38.415 section 5.5.2"

_HEADER = Struct(">II")
_KIND = TunnelKind.GTPU


class Gtpu(Protocol):
    """GTP-U header with its extension headers."""

    layer = Layer.GTPU
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "3GPP TS 29.281 section 5.1"
    TUNNEL = True

    @staticmethod
    def fits(walk: Walk, offset: int) -> bool:
        """Return whether the octets look like GTP-U version 1."""
        return walk.data[offset + FLAGS] & VERSION_TYPE_MASK == VERSION_TYPE

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Add the tunnel of a G-PDU and follow it by its version; signalling ends here."""
        first, teid = _HEADER.unpack_from(walk.data, offset)
        end = offset + HEADER_BYTES
        walk.narrow(end + (first & LENGTH_MASK))
        if first & TYPE_MASK != G_PDU:
            return 0
        walk.add_tunnel(_KIND, NO_VNI, offset, end, first, teid)
        if first & OPTIONAL_FLAGS:
            end = offset + OPTIONAL_END
            if end > walk.limit:
                return walk.cut(end)
            walk.link_end = end
            if first & E_FLAG and not _pass_extensions(walk, end):
                return 0
            end = walk.link_end
        if end + 1 > walk.limit:
            return walk.cut(end + 1)
        walk.next = end
        return VERSIONS.get(walk.data[end] >> 4) or walk.end(Stop.UNSUPPORTED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header with its extension headers."""
        header.bits("version", FLAGS, 0, 3)
        header.flag("protocol_type", FLAGS, 3)
        header.bits("reserved", FLAGS, 4, 1)
        extended = header.flag("extension_header_flag", FLAGS, 5)
        sequenced = header.flag("sequence_number_flag", FLAGS, 6)
        numbered = header.flag("n_pdu_number_flag", FLAGS, 7)
        kind = header.number("message_type", MESSAGE_TYPE, 1, MESSAGE_TYPES)
        header.number("length", LENGTH, 2)
        teid = header.number("teid", TEID, 4, hexadecimal(8))
        header.summary = f"{show(kind, MESSAGE_TYPES)}, TEID {teid:#010x}"
        if not (extended or sequenced or numbered):
            return
        ignored = "not used"
        header.number("sequence_number", SEQUENCE, 2, None if sequenced else ignored)
        header.number("n_pdu_number", N_PDU_NUMBER, 1, None if numbered else ignored)
        following = header.number(
            "next_extension_header", NEXT_EXTENSION, 1, name_extension if extended else ignored
        )
        at = OPTIONAL_END
        for _ in range(MAX_EXTENSIONS if extended else 0):
            size = EXTENSION_UNIT * header.read(at, 1) if following else 0
            if not size:
                break
            following = _describe_extension(header, following, at, size)
            at += size


def name_extension(number: int) -> str:
    """Return the type of an extension header by name and number; 0 says that there is none."""
    return "none" if number == 0 else f"{EXTENSIONS.get(number, 'unknown')} ({number:#04x})"


def _pass_extensions(walk: Walk, at: int) -> bool:
    """Move `walk.link_end` past the extension headers at `at`; tells whether that could be done."""
    data = walk.data
    following = data[at - 1]
    for _ in range(MAX_EXTENSIONS):
        if not following:
            return True
        end = at + 1
        if end <= walk.limit:
            end = at + EXTENSION_UNIT * data[at]
            if end == at:
                walk.end(Stop.MALFORMED)
                return False
        if end > walk.limit:
            walk.cut(end)
            return False
        following = data[end - 1]
        walk.link_end = at = end
    if following:
        walk.end(Stop.TOO_DEEP)
    return not following


def _describe_extension(header: Header, kind: int, at: int, size: int) -> int:
    """Describe the extension header of `size` octets at `at`. Returns the type of the next."""
    source = _EXTENSION_SOURCE
    with header.group("extension_header", at, size, name_extension(kind), source):
        header.number("length", at, 1, f"{size} octets", source)
        if kind == UDP_PORT and size == EXTENSION_UNIT:
            header.number("udp_port", at + 1, 2, source="3GPP TS 29.281 section 5.2.2.1")
        elif kind == PDU_SESSION and size == EXTENSION_UNIT:
            header.bits("pdu_type", at + 1, 0, 4, PDU_TYPES, _SESSION_SOURCE)
            header.bits("flags", at + 1, 4, 4, source=_SESSION_SOURCE)
            header.bits("paging_and_reflective", at + 2, 0, 2, source=_SESSION_SOURCE)
            header.bits("qos_flow_identifier", at + 2, 2, 6, source=_SESSION_SOURCE)
        else:
            header.octets("content", at + 1, size - 2, source=source)
        return header.number("next_extension_header", at + size - 1, 1, name_extension, source)
