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
from .fields import Header, hexadecimal
from .protocol import Protocol
from .udp import find_carrier
from .walk import Walk

FLAGS = 0
POLICY = 1
GROUP_ID = 2
VNI = 4
RESERVED_OCTET = 7
HEADER_BYTES = RESERVED_OCTET + 1

GROUP_SOURCE = "draft-smith-vxlan-group-policy section 2.1"

I_FLAG = 0x08000000
G_FLAG = 0x80000000
D_FLAG = 0x00400000
A_FLAG = 0x00080000
GROUP_MASK = 0x0000FFFF
RESERVED = ~I_FLAG & 0xFFFFFFFF
RESERVED_WITH_GROUP = RESERVED & ~(G_FLAG | D_FLAG | A_FLAG | GROUP_MASK)
RESERVED_LOW = 0x000000FF
"""Of the second word, below the VNI."""

GENEVE_CLEAR = 0xC03F0000
"""Version and reserved bits of a Geneve header, all of them 0 (RFC 8926 section 3.4)."""
GENEVE_PROTOCOL = 0x0000FFFF
GENEVE_PROTOCOLS = (0x6558, 0x0800, 0x86DD)
"""What a Geneve header says that stands where VXLAN is expected (RFC 8926 section 3.4)."""

GPE_FLAGS = 0x0C000000
GPE_NEXT_PROTOCOL = 0x0000FFFF
LAST_GPE = 5
"""I and P, and the next protocols there are: draft-ietf-nvo3-vxlan-gpe section 3.1 and 3.2."""

_HEADER = Struct(">II")
# An attribute of an enum class costs 70 ns, a name of the module 10.
_KIND = TunnelKind.VXLAN
_ETHERNET = Layer.ETHERNET
_V01 = int(Finding.V01)
_V02 = int(Finding.V02)
_V06 = int(Finding.V06)
_V07 = int(Finding.V07)
_V08 = int(Finding.V08)
_V10 = int(Finding.V10)
_V11 = int(Finding.V11)


class Vxlan(Protocol):
    """VXLAN header, plain or with group policy."""

    layer = Layer.VXLAN
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 7348 section 5"
    TUNNEL = True

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Add the tunnel; Ethernet follows whatever the flags say."""
        flags, low = _HEADER.unpack_from(walk.data, offset)
        find_carrier(walk, offset, _V08, 0, _V10)
        if flags != I_FLAG or low & RESERVED_LOW:
            walk.findings |= _unusual(flags, low)
        walk.next = end = offset + HEADER_BYTES
        walk.add_tunnel(_KIND, low >> 8, offset, end, flags)
        return _ETHERNET

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the header; group policy where G says so."""
        with_group = header.read(FLAGS, 1) << 24 & G_FLAG
        with header.flags("flags", FLAGS, 0, 8) as group:
            header.flag("group_policy", FLAGS, 0, GROUP_SOURCE)
            header.bits("reserved_1", FLAGS, 1, 3)
            valid = header.flag("vni_valid", FLAGS, 4)
            header.bits("reserved_2", FLAGS, 5, 3)
            group.text = "VNI valid" if valid else "VNI not valid"
        summary = ""
        if with_group:
            header.bits("reserved_3", POLICY, 0, 1, source=GROUP_SOURCE)
            header.flag("dont_learn", POLICY, 1, GROUP_SOURCE)
            header.bits("reserved_4", POLICY, 2, 2, source=GROUP_SOURCE)
            header.flag("policy_applied", POLICY, 4, GROUP_SOURCE)
            header.bits("reserved_5", POLICY, 5, 3, source=GROUP_SOURCE)
            summary = f", group {header.number('group_id', GROUP_ID, 2, source=GROUP_SOURCE)}"
        else:
            header.number("reserved_3", POLICY, 3, hexadecimal(6))
        header.summary = f"VNI {header.number('vni', VNI, 3)}{summary}"
        header.number("reserved", RESERVED_OCTET, 1, hexadecimal(2))


def _unusual(flags: int, low: int) -> int:
    """Return the findings about a header that is more than a flag and a VNI."""
    findings = 0
    if not flags & I_FLAG:
        findings |= _V01
    # On a port that is taken for VXLAN, Geneve's first word ends in an EtherType.  The I flag is a
    # bit of its option length there.
    if flags & GENEVE_PROTOCOL in GENEVE_PROTOCOLS and not flags & GENEVE_CLEAR:
        findings |= 0 if low & RESERVED_LOW else _V11
    if flags & G_FLAG:
        findings |= _V06
    reserved = RESERVED_WITH_GROUP if flags & G_FLAG else RESERVED
    if flags & reserved or low & RESERVED_LOW:
        findings |= _V02
    if flags & ~GPE_NEXT_PROTOCOL == GPE_FLAGS and 1 <= flags & GPE_NEXT_PROTOCOL <= LAST_GPE:
        findings |= _V07
    return findings
