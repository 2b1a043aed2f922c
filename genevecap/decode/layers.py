# SPDX-License-Identifier: Apache-2.0
"""The registry: every layer that has a name, its number, and what selects it.

A *layer code* is what columns hold.  Below 256 it is a `Layer`; above, the upper 16 bits say which
number space an unnamed layer comes from, and the lower 16 its number there: nothing unknown is
dropped, it is shown by its number (`ethertype-0x88cc`, `ip-proto-89`).

A layer listed here that has no decoder (no file in `protocols/`, no kernel function) ends a frame
as `unsupported` under its name.  CONTRIBUTING says what giving it one takes.
"""

from __future__ import annotations

from enum import IntEnum


class Layer(IntEnum):
    """Layers with names of their own; the numbers are shared with the compiled kernels."""

    NONE = 0
    ETHERNET = 1
    VLAN = 2
    MPLS = 3
    LLC = 4
    SLL = 5
    SLL2 = 6
    RAW = 7
    NULL = 8
    IPV4 = 9
    IPV6 = 10
    UDP = 11
    TCP = 12
    SCTP = 13
    ICMP = 14
    ICMPV6 = 15
    ARP = 16
    VXLAN = 17
    VXLAN_GPE = 18
    GENEVE = 19
    GRE = 20
    NVGRE = 21
    ERSPAN = 22
    NSH = 23
    GTPU = 24
    ESP = 25
    AH = 26
    MACSEC = 27
    WIREGUARD = 28
    STT = 29
    LOOP = 30


NAMES = {layer: layer.name.lower().replace("_", "-") for layer in Layer}
NAMES[Layer.LOOP] = "null"  # LINKTYPE_LOOP differs from NULL in octet order only

ETHERTYPE_SPACE = 0x10000
IP_PROTOCOL_SPACE = 0x20000
LINK_TYPE_SPACE = 0x30000
NEXT_PROTOCOL_SPACE = 0x40000

ETHERTYPES = {
    0x0800: Layer.IPV4,
    0x0806: Layer.ARP,
    0x6558: Layer.ETHERNET,  # transparent Ethernet bridging, inside tunnels
    0x8100: Layer.VLAN,
    0x86DD: Layer.IPV6,
    0x8847: Layer.MPLS,
    0x8848: Layer.MPLS,
    0x88A8: Layer.VLAN,
    0x88E5: Layer.MACSEC,
    0x894F: Layer.NSH,
    0x9100: Layer.VLAN,  # QinQ before 802.1ad
}

IP_PROTOCOLS = {
    1: Layer.ICMP,
    4: Layer.IPV4,
    6: Layer.TCP,
    17: Layer.UDP,
    41: Layer.IPV6,
    47: Layer.GRE,
    50: Layer.ESP,
    51: Layer.AH,
    58: Layer.ICMPV6,
    132: Layer.SCTP,
}
"""IP directly in IP (4, 41) is a tunnel: RFC 2003, RFC 2473, RFC 4213."""

LINK_TYPES = {
    0: Layer.NULL,
    1: Layer.ETHERNET,
    12: Layer.RAW,  # DLT_RAW where it was written unmapped
    14: Layer.RAW,  # the same on OpenBSD
    101: Layer.RAW,
    108: Layer.LOOP,
    113: Layer.SLL,
    228: Layer.IPV4,
    229: Layer.IPV6,
    276: Layer.SLL2,
}
"""https://www.tcpdump.org/linktypes.html"""


def link_layer(link_type: int) -> int:
    """Return the code of the layer that frames of a link type begin with."""
    return LINK_TYPES.get(link_type) or LINK_TYPE_SPACE | link_type & 0xFFFF


GPE_NEXT_PROTOCOLS = {
    1: Layer.IPV4,
    2: Layer.IPV6,
    3: Layer.ETHERNET,
    4: Layer.NSH,
    5: Layer.MPLS,
}
"""draft-ietf-nvo3-vxlan-gpe, section 3.1."""

IP_PROTOCOL_NAMES = {
    1: "icmp",
    2: "igmp",
    4: "ipip",
    6: "tcp",
    17: "udp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmpv6",
    132: "sctp",
}


def layer_name(code: int) -> str:
    """Return the name of a layer code as reports print it."""
    space, number = code & ~0xFFFF, code & 0xFFFF
    if space == ETHERTYPE_SPACE:
        return f"ethertype-{number:#06x}"
    if space == IP_PROTOCOL_SPACE:
        return f"ip-proto-{number}"
    if space == LINK_TYPE_SPACE:
        return f"linktype-{number}"
    if space == NEXT_PROTOCOL_SPACE:
        return f"next-protocol-{number}"
    return NAMES[Layer(code)]


def protocol_name(number: int) -> str:
    """Return the name of an IP protocol, or its number where it has none here."""
    return IP_PROTOCOL_NAMES.get(number, str(number))
