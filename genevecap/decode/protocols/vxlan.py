# SPDX-License-Identifier: Apache-2.0
r"""VXLAN: RFC 7348 section 5, with group policy (draft-smith-vxlan-group-policy section 2.1).

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|           Group id            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     VNI                       |   Reserved    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

D, A and the group id mean something where G is set; else they are reserved like R.
"""

from __future__ import annotations

from struct import Struct

from ...columns import Finding, TunnelKind
from ..layers import Layer
from .protocol import Protocol
from .walk import Walk

HEADER_BYTES = 8

I_FLAG = 0x08000000
G_FLAG = 0x80000000
D_FLAG = 0x00400000
A_FLAG = 0x00080000
GROUP_MASK = 0x0000FFFF
RESERVED = ~I_FLAG & 0xFFFFFFFF
RESERVED_WITH_GROUP = RESERVED & ~(G_FLAG | D_FLAG | A_FLAG | GROUP_MASK)
RESERVED_LOW = 0x000000FF
"""Of the second word, below the VNI."""

_HEADER = Struct(">II")
# An attribute of an enum class costs 70 ns, a name of the module 10.
_KIND = TunnelKind.VXLAN
_ETHERNET = Layer.ETHERNET
_V01 = int(Finding.V01)
_V02 = int(Finding.V02)


class Vxlan(Protocol):
    """VXLAN header, plain or with group policy."""

    layer = Layer.VXLAN
    HEADER_BYTES = HEADER_BYTES
    TUNNEL = True

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Add the tunnel; Ethernet follows whatever the flags say."""
        flags, low = _HEADER.unpack_from(walk.data, offset)
        if flags != I_FLAG or low & RESERVED_LOW:
            if not flags & I_FLAG:
                walk.findings |= _V01
            reserved = RESERVED_WITH_GROUP if flags & G_FLAG else RESERVED
            if flags & reserved or low & RESERVED_LOW:
                walk.findings |= _V02
        walk.next = end = offset + HEADER_BYTES
        walk.add_tunnel(_KIND, low >> 8, offset, end)
        return _ETHERNET
