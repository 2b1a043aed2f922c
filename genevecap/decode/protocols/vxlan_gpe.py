# SPDX-License-Identifier: Apache-2.0
r"""VXLAN-GPE: draft-ietf-nvo3-vxlan-gpe section 3.1.  Looked for on its own port only.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |R|R|Ver|I|P|B|O|           Reserved            | Next protocol |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     VNI                       |   Reserved    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct

from ...columns import Finding, Stop, TunnelKind
from ..layers import GPE_NEXT_PROTOCOLS, NEXT_PROTOCOL_SPACE, Layer, layer_name
from .fields import Header, hexadecimal
from .protocol import Protocol
from .walk import NO_VNI, Walk

FLAGS = 0
RESERVED_OCTETS = 1
NEXT_PROTOCOL = 3
VNI = 4
RESERVED_OCTET = 7
HEADER_BYTES = RESERVED_OCTET + 1

FLAG_NAMES = ("vni_valid", "next_protocol_valid", "bum_traffic", "oam")

VERSION_MASK = 0x30000000
I_FLAG = 0x08000000
P_FLAG = 0x04000000
B_FLAG = 0x02000000
O_FLAG = 0x01000000
RESERVED = 0xC0FFFF00
NEXT_PROTOCOL_MASK = 0x000000FF
RESERVED_LOW = 0x000000FF
"""Of the second word, below the VNI."""

_HEADER = Struct(">II")
# An attribute of an enum class costs 70 ns, a name of the module 10.
_KIND = TunnelKind.VXLAN_GPE
_V01 = int(Finding.V01)
_V02 = int(Finding.V02)


def next_by_number(number: int) -> int:
    """Return the layer that a next protocol announces."""
    return GPE_NEXT_PROTOCOLS.get(number) or NEXT_PROTOCOL_SPACE | number


def describe_next(number: int) -> str:
    """Return a next protocol by name and number."""
    layer = GPE_NEXT_PROTOCOLS.get(number)
    return str(number) if layer is None else f"{layer_name(layer)} ({number})"


class VxlanGpe(Protocol):
    """VXLAN-GPE header."""

    layer = Layer.VXLAN_GPE
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "draft-ietf-nvo3-vxlan-gpe section 3.1"
    TUNNEL = True

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Add the tunnel and follow the next protocol."""
        flags, low = _HEADER.unpack_from(walk.data, offset)
        if flags & VERSION_MASK:
            return walk.end(Stop.UNSUPPORTED)
        vni = low >> 8
        if not flags & I_FLAG:
            walk.findings |= _V01
            vni = NO_VNI
        if flags & RESERVED or low & RESERVED_LOW:
            walk.findings |= _V02
        walk.next = end = offset + HEADER_BYTES
        walk.add_tunnel(_KIND, vni, offset, end, flags)
        if not flags & P_FLAG:
            return Layer.ETHERNET
        return next_by_number(flags & NEXT_PROTOCOL_MASK)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header."""
        with header.flags("flags", FLAGS, 0, 8) as group:
            header.bits("reserved_1", FLAGS, 0, 2)
            version = header.bits("version", FLAGS, 2, 2)
            names = [
                name for bit, name in enumerate(FLAG_NAMES, 4) if header.flag(name, FLAGS, bit)
            ]
            group.text = ", ".join(
                [f"version {version}", *(name.replace("_", " ") for name in names)]
            )
        header.number("reserved_2", RESERVED_OCTETS, 2, hexadecimal(4))
        number = header.number("next_protocol", NEXT_PROTOCOL, 1, describe_next)
        vni = header.number("vni", VNI, 3)
        header.summary = f"VNI {vni}" if "vni_valid" in names else "no VNI"
        if "next_protocol_valid" in names:
            header.summary += f", {describe_next(number)}"
        header.number("reserved_3", RESERVED_OCTET, 1, hexadecimal(2))
