# SPDX-License-Identifier: Apache-2.0
r"""LLC: IEEE 802.2 section 3.2, with SNAP (IEEE 802 section 9.5, RFC 1042) after aa aa 03.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     DSAP      |     SSAP      |    Control    |      OUI
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
                                    |          Protocol id          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import ETHERTYPE_SPACE, ETHERTYPES, Layer
from .ethernet import type_text
from .fields import Header, hexadecimal
from .protocol import Protocol
from .walk import Walk

DSAP = 0
SSAP = 1
CONTROL = 2
HEADER_BYTES = CONTROL + 1
OUI = HEADER_BYTES
PROTOCOL = OUI + 3
SNAP_BYTES = PROTOCOL + 2

SAPS = {0x42: "spanning tree", 0xAA: "SNAP", 0xE0: "IPX", 0xF0: "NetBIOS", 0xFE: "IS-IS"}

SNAP = b"\xaa\xaa\x03"
ENCAPSULATED_ETHERNET = b"\0\0\0"
"""OUI whose protocol ids are EtherTypes."""


class Llc(Protocol):
    """LLC, and SNAP where it follows."""

    layer = Layer.LLC
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "IEEE 802.2 section 3.2"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Follow SNAP's EtherType; nothing else over LLC is decoded."""
        data = walk.data
        walk.link_end = offset + HEADER_BYTES
        if data[offset : offset + OUI] != SNAP:
            return walk.end(Stop.UNSUPPORTED)
        end = offset + SNAP_BYTES
        if end > walk.limit:
            return walk.cut(end)
        walk.next = walk.link_end = end
        if data[offset + OUI : offset + PROTOCOL] != ENCAPSULATED_ETHERNET:
            return walk.end(Stop.UNSUPPORTED)
        number = data[offset + PROTOCOL] << 8 | data[offset + PROTOCOL + 1]
        return ETHERTYPES.get(number) or ETHERTYPE_SPACE | number

    @staticmethod
    def fields(header: Header) -> None:
        """Describe LLC, and SNAP where it is."""
        dsap = header.number("dsap", DSAP, 1, SAPS)
        ssap = header.number("ssap", SSAP, 1, SAPS)
        control = header.number("control", CONTROL, 1, hexadecimal(2))
        header.summary = f"DSAP {dsap:#04x}, SSAP {ssap:#04x}, control {control:#04x}"
        if bytes((dsap, ssap, control)) == SNAP:
            source = "RFC 1042"
            oui = header.number("oui", OUI, 3, hexadecimal(6), source)
            text = type_text if oui == 0 else hexadecimal(4)
            number = header.number("protocol", PROTOCOL, 2, text, source)
            header.summary = f"SNAP, OUI {oui:#08x}, protocol {text(number)}"
