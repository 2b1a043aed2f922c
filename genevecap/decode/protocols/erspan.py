# SPDX-License-Identifier: Apache-2.0
r"""ERSPAN, types I to III: draft-foschiano-erspan section 4.  Part of the GRE tunnel before it.

Type I has no header: a GRE header of type 0x88be without sequence number is followed by the
mirrored frame.  Types II and III::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | Ver 1 |         VLAN          | COS |En |T|    Session ID     |  type II
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |       Reserved        |                 Index                 |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | Ver 2 |         VLAN          | COS |BSO|T|    Session ID     |  type III
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                           Timestamp                           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |              SGT              |P|   FT    |   HW ID   |D|Gra|O|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |         Platform-specific subheader (O): 8 octets             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Stop
from ..layers import Layer
from .fields import Header, hexadecimal
from .gre import S_FLAG
from .protocol import Protocol
from .raw import VERSIONS
from .walk import Walk

FIRST = 0
RESERVED_INDEX = 4
TIMESTAMP = 4
SECURITY_GROUP_TAG = 8
FRAME_TYPE = 10
FLAGS = 11
TYPE_2_BYTES = 8
TYPE_3_BYTES = 12
SUBHEADER_BYTES = 8

TYPE_1 = 0x88BE
"""With the S flag clear."""
TYPE_1_MASK = S_FLAG | 0xFFFF

VERSION_2, VERSION_3 = 1, 2
"""What the version field of type II and III holds."""
O_FLAG = 0x01
FRAME_TYPE_SHIFT = 2
FRAME_TYPE_MASK = 0x1F
ETHERNET_FRAME, IP_PACKET = 0, 2

VERSION_NAMES = {VERSION_2: "type II", VERSION_3: "type III"}
FRAME_TYPES = {ETHERNET_FRAME: "Ethernet", IP_PACKET: "IP"}
ENCAPSULATIONS = {0: "untagged", 1: "ISL", 2: "802.1Q", 3: "VLAN tag preserved"}
INTEGRITY = {0: "good", 1: "short", 2: "oversized", 3: "error"}
GRANULARITIES = {0: "100 us", 1: "100 ns", 2: "IEEE 1588", 3: "user-defined"}

_FIRST = Struct(">I")


class Erspan(Protocol):
    """ERSPAN header, which types II and III have."""

    layer = Layer.ERSPAN
    HEADER_BYTES = 0  # type I; the others look for themselves
    SOURCE = "draft-foschiano-erspan section 4"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Lengthen the GRE tunnel by this header and go on with the mirrored frame."""
        walk.next = offset
        tunnels, row = walk.tunnels, walk.open_tunnel
        if tunnels.flags[row] & TYPE_1_MASK == TYPE_1:
            return Layer.ETHERNET
        end = offset + TYPE_2_BYTES
        if end > walk.limit:
            walk.unlist()
            return walk.cut(end)
        first: int = _FIRST.unpack_from(walk.data, offset)[0]
        version = first >> 28
        if version not in VERSION_NAMES:
            return walk.end(Stop.UNSUPPORTED)
        tunnels.identifier[row] = first
        if version == VERSION_3:
            end = offset + TYPE_3_BYTES
            if end <= walk.limit and walk.data[offset + FLAGS] & O_FLAG:
                end += SUBHEADER_BYTES
        if end > walk.limit:
            return walk.cut(end)
        walk.next = walk.link_end = end
        if version == VERSION_2:
            return Layer.ETHERNET
        return _next_by_frame_type(walk, walk.data[offset + FRAME_TYPE])

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header of type II or III; type I has none."""
        if not header.rest(0):
            header.summary = "type I"
            return
        version = header.bits("version", FIRST, 0, 4, VERSION_NAMES)
        header.bits("vlan", FIRST, 4, 12)
        header.bits("class_of_service", FIRST, 16, 3)
        if version == VERSION_3:
            header.bits("frame_integrity", FIRST, 19, 2, INTEGRITY)
        else:
            header.bits("encapsulation", FIRST, 19, 2, ENCAPSULATIONS)
        header.flag("truncated", FIRST, 21)
        session = header.bits("session_id", FIRST, 22, 10)
        header.summary = f"{VERSION_NAMES.get(version, f'version {version}')}, session {session}"
        if version == VERSION_3:
            _describe_type_3(header)
        elif version == VERSION_2:
            header.bits("reserved", RESERVED_INDEX, 0, 12, hexadecimal(3))
            header.bits("index", RESERVED_INDEX, 12, 20)


def _next_by_frame_type(walk: Walk, octet: int) -> int:
    frame_type = octet >> FRAME_TYPE_SHIFT & FRAME_TYPE_MASK
    if frame_type == ETHERNET_FRAME:
        return Layer.ETHERNET
    if frame_type != IP_PACKET:
        return walk.end(Stop.UNSUPPORTED)
    if walk.next + 1 > walk.limit:
        return walk.cut(walk.next + 1)
    return VERSIONS.get(walk.data[walk.next] >> 4) or walk.end(Stop.MALFORMED)


def _describe_type_3(header: Header) -> None:
    header.number("timestamp", TIMESTAMP, 4)
    header.number("security_group_tag", SECURITY_GROUP_TAG, 2)
    header.flag("ethernet_frame", FRAME_TYPE, 0)
    header.bits("frame_type", FRAME_TYPE, 1, 5, FRAME_TYPES)
    header.bits("hardware_id", FRAME_TYPE, 6, 6)
    header.flag("egress", FLAGS, 4)
    header.bits("timestamp_granularity", FLAGS, 5, 2, GRANULARITIES)
    if header.flag("subheader_present", FLAGS, 7):
        with header.group("platform_specific_subheader", TYPE_3_BYTES, SUBHEADER_BYTES):
            header.bits("platform_id", TYPE_3_BYTES, 0, 6)
            header.bits("platform_specific_info", TYPE_3_BYTES, 6, 58, hexadecimal(15))
