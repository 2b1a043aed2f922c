# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""Link layers, compiled; the readable twins with their diagrams are in `protocols/`."""

from __future__ import annotations

from cython.cimports.genevecap.decode._kernel_state import (
    ARP,
    ETHERNET,
    ETHERTYPE_SPACE,
    IPV4,
    IPV6,
    KIND_VXLAN,
    LLC,
    LOOP,
    MPLS,
    NULL_FAMILY,
    RAW,
    SLL,
    SLL2,
    UNSUPPORTED,
    V09,
    VLAN,
    be16,
    be48,
    begin,
    by_ethertype,
    by_version,
    complete,
    end_at,
    fits,
    go_on,
    link_layer_to,
    narrow,
    u8,
    u16,
    u32,
    view,
)


def ethernet(f):
    """IEEE 802.3 clause 3: destination 6, source 6, type or length 2."""
    p = f.position
    if not fits(f, p, 14, ETHERNET):
        return 0
    h = view(f, p, 14)
    begin(f, ETHERNET, p)
    if not f.link_seen:
        f.link_seen = 1
        f.link_destination = be48(h)
        f.link_source = be48(h + 6)
    return type_or_length(f, p + 14, be16(h + 12))


def vlan(f):
    """IEEE 802.1Q: tag control 2, type or length 2."""
    p = f.position
    if not fits(f, p, 4, VLAN):
        return 0
    begin(f, VLAN, p)
    if f.tunnel_open and f.tunnels[f.tunnel_count - 1].kind == KIND_VXLAN:
        f.findings |= V09
    return type_or_length(f, p + 4, u16(f, p + 2))


def type_or_length(f, p, kind):
    """Go on at p with what a type field says; below 0x0600 it is a length and LLC follows."""
    link_layer_to(f, p)
    if kind >= 0x0600:
        return by_ethertype(f, p, kind)
    narrow(f, p + kind)
    return go_on(f, p, LLC)


def mpls(f):
    """RFC 3032: label 20 bits, class 3, bottom of stack 1, TTL 8."""
    p = f.position
    if not fits(f, p, 4, MPLS):
        return 0
    begin(f, MPLS, p)
    entry = u32(f, p)
    link_layer_to(f, p + 4)
    if not entry & 0x100:
        return go_on(f, p + 4, MPLS)
    if not fits(f, p, 5, MPLS):
        return 0
    nibble = u8(f, p + 4) >> 4
    if nibble == 4:
        return go_on(f, p + 4, IPV4)
    if nibble == 6:
        return go_on(f, p + 4, IPV6)
    if nibble:
        return end_at(f, UNSUPPORTED, MPLS, p)
    # RFC 4385: a pseudowire control word; the wire that carries Ethernet is the common one.
    if not fits(f, p, 8, MPLS):
        return 0
    link_layer_to(f, p + 8)
    return go_on(f, p + 8, ETHERNET)


def llc(f):
    """IEEE 802.2, and SNAP (RFC 1042) where it leads to an EtherType."""
    p = f.position
    if not fits(f, p, 3, LLC):
        return 0
    begin(f, LLC, p)
    link_layer_to(f, p + 3)
    if u16(f, p) != 0xAAAA or u8(f, p + 2) != 3:
        return end_at(f, UNSUPPORTED, LLC, p)
    if not fits(f, p, 8, LLC):
        return 0
    link_layer_to(f, p + 8)
    if u8(f, p + 3) or u16(f, p + 4):
        return end_at(f, UNSUPPORTED, LLC, p)
    return by_ethertype(f, p + 8, u16(f, p + 6))


def sll(f):
    """LINKTYPE_LINUX_SLL: 16 octets, the protocol last."""
    p = f.position
    if not fits(f, p, 16, SLL):
        return 0
    begin(f, SLL, p)
    return cooked(f, p + 16, u16(f, p + 14))


def sll2(f):
    """LINKTYPE_LINUX_SLL2: 20 octets, the protocol first."""
    p = f.position
    if not fits(f, p, 20, SLL2):
        return 0
    begin(f, SLL2, p)
    return cooked(f, p + 20, u16(f, p))


def cooked(f, p, kind):
    """Go on at p with a Linux cooked protocol: 0x0004 is LLC, above 0x05ff it is an EtherType."""
    if kind == 0x0004:
        return go_on(f, p, LLC)
    if kind < 0x0600:
        return go_on(f, p, ETHERTYPE_SPACE | kind)
    return by_ethertype(f, p, kind)


def raw(f):
    """LINKTYPE_RAW: an IP packet; its first four bits say which."""
    p = f.position
    if not fits(f, p, 1, RAW):
        return 0
    begin(f, RAW, p)
    return by_version(f, p, RAW, p)


def null_family(f):
    """LINKTYPE_NULL: an address family in the octet order of the machine that captured."""
    p = f.position
    if not fits(f, p, 4, NULL_FAMILY):
        return 0
    begin(f, NULL_FAMILY, p)
    family = u32(f, p)
    if family > 0xFFFF:
        family = u8(f, p) | (u8(f, p + 1) << 8) | (u8(f, p + 2) << 16) | (u8(f, p + 3) << 24)
    return by_family(f, p, NULL_FAMILY, family)


def loop(f):
    """LINKTYPE_LOOP: the same, big-endian."""
    p = f.position
    if not fits(f, p, 4, LOOP):
        return 0
    begin(f, LOOP, p)
    return by_family(f, p, LOOP, u32(f, p))


def by_family(f, p, layer, family):
    """Go on behind the family field at p: 2 is IPv4 everywhere, IPv6 has five numbers."""
    if family == 2:
        return go_on(f, p + 4, IPV4)
    if family == 10 or family == 23 or family == 24 or family == 28 or family == 30:
        return go_on(f, p + 4, IPV6)
    return end_at(f, UNSUPPORTED, layer, p)


def arp(f):
    """RFC 826: 8 octets, then two hardware and two protocol addresses."""
    p = f.position
    if not fits(f, p, 8, ARP):
        return 0
    begin(f, ARP, p)
    f.tunnel_open = 0
    octets = 8 + 2 * (u8(f, p + 4) + u8(f, p + 5))
    if not fits(f, p, octets, ARP):
        return 0
    return complete(f, p)
