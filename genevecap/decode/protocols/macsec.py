# SPDX-License-Identifier: Apache-2.0
r"""MACsec: IEEE 802.1AE-2018 section 9.3, the SecTAG behind EtherType 0x88e5.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |V|S|C|B|E|c|AN |0 0|Short len. |         Packet number         :
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    :         Packet number         |                               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+       SCI (with SC): system   +
    |            identifier, 6 octets, and port, 2 octets           |
    +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                               |  user data, from its EtherType
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

V version, S end station (ES), C explicit SCI (SC), B single copy broadcast (SCB), E encryption, c
changed text (C), AN association number.  With E or C the user data cannot be read.  With neither it
is the frame as it was, its EtherType first; the ICV of 16 octets (section 14.5) ends it.
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .ethernet import describe_type, next_by_type
from .fields import Header, hexadecimal
from .protocol import Protocol
from .walk import Walk

FLAGS = 0
SHORT_LENGTH = 1
PACKET_NUMBER = 2
SYSTEM_IDENTIFIER = 6
PORT_IDENTIFIER = 12
HEADER_BYTES = PACKET_NUMBER + 4
SCI_BYTES = 8
TYPE_BYTES = 2
ICV_BYTES = 16
"""Of every cipher suite that the standard has."""

V_BIT = 0x80
SC_BIT = 0x20
OPAQUE_BITS = 0x0C
SHORT_LENGTH_MASK = 0x3F

FLAG_NAMES = (
    "version",
    "end_station",
    "explicit_sci",
    "single_copy_broadcast",
    "encryption",
    "changed_text",
)


class Macsec(Protocol):
    """Security tag of MACsec, and the EtherType after it where that can be read."""

    layer = Layer.MACSEC
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "IEEE 802.1AE section 9.3"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """End here where the user data is encrypted or changed, else follow its EtherType."""
        data = walk.data
        flags = data[offset + FLAGS]
        if flags & V_BIT:
            return walk.end(Stop.UNSUPPORTED)
        begin = offset + HEADER_BYTES + (SCI_BYTES if flags & SC_BIT else 0)
        if begin > walk.limit:
            return walk.cut(begin)
        if flags & OPAQUE_BITS:
            return walk.end_opaque(offset)
        short = data[offset + SHORT_LENGTH] & SHORT_LENGTH_MASK
        if short:
            walk.narrow(begin + short)
        else:
            if begin + TYPE_BYTES + ICV_BYTES > walk.window:
                return walk.end(Stop.MALFORMED)
            walk.narrow(walk.window - ICV_BYTES)
        end = begin + TYPE_BYTES
        if end > walk.limit:
            return walk.cut(end)
        return next_by_type(walk, begin)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the tag."""
        with header.flags("tag_control", FLAGS, 0, 6) as group:
            bits = [header.flag(name, FLAGS, bit) for bit, name in enumerate(FLAG_NAMES)]
            names = [name.replace("_", " ") for name, bit in zip(FLAG_NAMES, bits, strict=True)
                     if bit]  # fmt: skip
            group.text = ", ".join(names) or "none"
        association = header.bits("association_number", FLAGS, 6, 2)
        header.bits("reserved", SHORT_LENGTH, 0, 2)
        header.bits("short_length", SHORT_LENGTH, 2, 6)
        number = header.number("packet_number", PACKET_NUMBER, 4)
        what = "encrypted" if bits[4] else "changed" if bits[5] else "integrity only"
        header.summary = f"association {association}, packet {number}, {what}"
        at = HEADER_BYTES
        if bits[2]:
            system = header.mac("system_identifier", SYSTEM_IDENTIFIER)
            port = header.number("port_identifier", PORT_IDENTIFIER, 2, hexadecimal(4))
            header.summary = f"SCI {system}/{port}, {header.summary}"
            at += SCI_BYTES
        if not (bits[0] or bits[4] or bits[5]):
            header.summary += f", {describe_type(header, at)}"
