# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""Tunnels but for GRE, compiled; the readable twins with their diagrams are in `protocols/`."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.decode._kernel_state import (
    ETHERNET,
    G01,
    G02,
    G03,
    G05,
    G06,
    G07,
    G08,
    G09,
    G10,
    G13,
    G14,
    G15,
    G17,
    G18,
    G19,
    GENEVE,
    GTPU,
    IPV4,
    IPV6,
    KIND_GENEVE,
    KIND_GTPU,
    KIND_IPIP,
    KIND_VXLAN,
    KIND_VXLAN_GPE,
    MALFORMED,
    MAX_TUNNELS,
    NEXT_PROTOCOL_SPACE,
    NSH,
    TOO_DEEP,
    UNSUPPORTED,
    V01,
    V02,
    V06,
    V07,
    V08,
    V10,
    V11,
    VXLAN,
    VXLAN_GPE,
    be16,
    be32,
    begin,
    by_ethertype,
    complete,
    end_at,
    fits,
    go_on,
    is_there,
    link_layer_to,
    narrow,
    u8,
    u16,
    view,
)


def new_tunnel(f, kind, p, end, flags):
    """Begin a tunnel row for the header from p to `end`, carried by the innermost IP header.

    flags: its first 32 bits.
    """
    if f.tunnel_count < MAX_TUNNELS:  # as callers have seen to; a row too many must stay inside
        f.tunnel_count += 1
    t = cython.address(f.tunnels[f.tunnel_count - 1])
    f.tunnel_open = 1
    t.kind = kind
    t.version = f.inner.version
    t.vni = -1
    t.source_hi = f.inner.source_hi
    t.source_lo = f.inner.source_lo
    t.destination_hi = f.inner.destination_hi
    t.destination_lo = f.inner.destination_lo
    t.source_port = f.inner.source_port
    t.destination_port = f.inner.destination_port
    t.ip_offset = f.inner.offset
    t.header_offset = p
    t.overhead_end = end if end < f.end else f.end
    t.flags = flags
    t.identifier = 0
    t.option_start = f.option_count
    t.option_count = 0
    return t


def ip_in_ip(f, p, layer):
    """RFC 2003, RFC 2473, RFC 4213: the IP header at p is carried by the one before it."""
    if f.tunnel_count == MAX_TUNNELS:
        return end_at(f, TOO_DEEP, layer, p)
    new_tunnel(f, KIND_IPIP, p, p, 0)
    return go_on(f, p, layer)


def geneve_fits(f, p):
    """Tell whether octets on a port that only suggests Geneve are Geneve."""
    if not is_there(f, p, 8):
        return 0
    area = p + 8 + (u8(f, p) & 0x3F) * 4
    if u8(f, p) >> 6 or u8(f, p + 1) & 0x3F or u8(f, p + 7) or not is_there(f, area, 0):
        return 0
    protocol = u16(f, p + 2)
    if protocol != 0x6558 and protocol != 0x0800 and protocol != 0x86DD:
        return 0
    here = p + 8
    while here + 4 <= area:
        here += 4 + (u8(f, here + 3) & 0x1F) * 4
    return here == area


def geneve(f):
    """RFC 8926 section 3.4."""
    p = f.position
    if not fits(f, p, 8, GENEVE):
        if f.stop == MALFORMED:
            f.findings |= G02
        return 0
    h = view(f, p, 8)
    begin(f, GENEVE, p)
    first = h[0]
    if first >> 6:
        f.findings |= G01
        return end_at(f, UNSUPPORTED, GENEVE, p)
    carrier(f, p, G15, G13, G14)
    protocol = be16(h + 2)
    if protocol != 0x6558 and protocol != 0x0800 and protocol != 0x86DD:
        f.findings |= unusual_protocol(h, protocol)
    header = 8 + (first & 0x3F) * 4
    t = new_tunnel(f, KIND_GENEVE, p, p + header, be32(h))
    t.vni = be32(h + 4) >> 8
    if h[1] & 0x3F or h[7]:
        f.findings |= G08
    if h[1] & 0x80:
        f.findings |= G09
    if p + header <= f.end:  # else what stands there is not options
        geneve_options(f, t, p + 8, p + header, (h[1] & 0x40) != 0)
    if not fits(f, p, header, GENEVE):
        if f.stop == MALFORMED:
            f.findings |= G02
        return 0
    return by_ethertype(f, p + header, protocol)


def carrier(f, p, fragmented, no_checksum, no_checksum_ipv6):
    """Find what is unusual about the UDP and IP headers that carry the tunnel header at p."""
    if f.inner.fragment & 0x2000:
        f.findings |= fragmented
    if u16(f, p - 2) == 0:
        f.findings |= no_checksum if f.inner.version == 4 else no_checksum_ipv6


def unusual_protocol(h, protocol):
    """Return the finding about a Geneve protocol type that is neither Ethernet nor IP."""
    if protocol:
        return G10
    return G19 if h[0] == 0x08 and h[1] == 0 and h[7] == 0 else G18


def geneve_options(f, t, begins, ends, critical_flag):
    """RFC 8926 section 3.5: class 2, type 1, length in words in the low 5 bits of 1."""
    end = ends
    if end > f.end:
        end = f.end
    if end > f.captured:
        end = f.captured
    here = begins
    critical = 0
    broken = 0
    while here + 4 <= end:
        size = 4 + (u8(f, here + 3) & 0x1F) * 4
        if here + size > ends:
            broken = 1
            break
        if here + size > end:
            break
        kind = u8(f, here + 2)
        if kind & 0x80:
            critical = 1
            if not known_critical(f, u16(f, here) << 8 | kind):
                f.findings |= G07
        if u8(f, here) == 0xFF:
            f.findings |= G17
        if u8(f, here + 3) >> 5:
            f.findings |= G08
        row = f.option_count
        f.options.option_class[row] = u16(f, here)
        f.options.option_type[row] = kind
        f.options.data_offset[row] = here + 4
        f.options.data_bytes[row] = size - 4
        f.option_count += 1
        t.option_count += 1
        here += size
    if critical and not critical_flag:
        f.findings |= G05
    if broken or (end == ends and here != ends):
        f.findings |= G03
    elif end == ends and critical_flag and not critical:
        f.findings |= G06


def known_critical(f, option):
    """Tell whether the registry knows this critical option."""
    for i in range(f.registry.critical_options):
        if f.registry.critical_option[i] == option:
            return 1
    return 0


def vxlan(f):
    """RFC 7348 section 5, with the group policy extension."""
    p = f.position
    if not fits(f, p, 8, VXLAN):
        return 0
    h = view(f, p, 8)
    begin(f, VXLAN, p)
    carrier(f, p, V08, 0, V10)
    t = new_tunnel(f, KIND_VXLAN, p, p + 8, be32(h))
    t.vni = be32(h + 4) >> 8
    if be32(h) != 0x08000000 or h[7]:
        f.findings |= unusual_vxlan(h)
    return go_on(f, p + 8, ETHERNET)


def unusual_vxlan(h):
    """Return the findings about a VXLAN header that is more than a flag and a VNI."""
    flags = h[0]
    policy = h[1]
    last = be16(h + 2)
    found = 0
    if not flags & 0x08:
        found |= V01
    if last == 0x6558 or last == 0x0800 or last == 0x86DD:
        if flags >> 6 == 0 and policy & 0x3F == 0 and h[7] == 0:
            found |= V11
    if flags & 0x80:
        found |= V06
        reserved = (flags & 0x77) | (policy & 0xB7)
    else:
        reserved = (flags & 0xF7) | policy | last
    if reserved or h[7]:
        found |= V02
    if flags == 0x0C and policy == 0 and 1 <= last <= 5:
        found |= V07
    return found


def vxlan_gpe(f):
    """draft-ietf-nvo3-vxlan-gpe section 3."""
    p = f.position
    if not fits(f, p, 8, VXLAN_GPE):
        return 0
    h = view(f, p, 8)
    begin(f, VXLAN_GPE, p)
    flags = h[0]
    if flags & 0x30:
        return end_at(f, UNSUPPORTED, VXLAN_GPE, p)
    t = new_tunnel(f, KIND_VXLAN_GPE, p, p + 8, be32(h))
    if flags & 0x08:
        t.vni = be32(h + 4) >> 8
    else:
        f.findings |= V01
    if flags & 0xC0 or be16(h + 1) or h[7]:
        f.findings |= V02
    if not flags & 0x04:
        return go_on(f, p + 8, ETHERNET)
    return by_next_protocol(f, p + 8, h[3])


def by_next_protocol(f, p, following):
    """Go on at p with a next protocol of VXLAN-GPE or NSH."""
    if f.registry.gpe_protocol[following]:
        return go_on(f, p, f.registry.gpe_protocol[following])
    return go_on(f, p, NEXT_PROTOCOL_SPACE | following)


def nsh(f):
    """RFC 8300 section 2: length in words in the low 6 bits of octet 1, next protocol in 3."""
    p = f.position
    if not fits(f, p, 8, NSH):
        return 0
    h = view(f, p, 8)
    begin(f, NSH, p)
    if h[0] >> 6:
        return end_at(f, UNSUPPORTED, NSH, p)
    size = (h[1] & 0x3F) * 4
    if size < 8:
        return end_at(f, MALFORMED, NSH, p)
    if not fits(f, p, size, NSH):
        return 0
    link_layer_to(f, p + size)
    return by_next_protocol(f, p + size, h[3])


def gtpu_fits(f, p):
    """Tell whether octets on GTP-U's port are GTP-U: version 1, protocol type 1."""
    return is_there(f, p, 8) and u8(f, p) & 0xF0 == 0x30


def gtpu(f):
    """3GPP TS 29.281 section 5.1; only a G-PDU carries a user's packet."""
    p = f.position
    if not fits(f, p, 8, GTPU):
        return 0
    h = view(f, p, 8)
    begin(f, GTPU, p)
    narrow(f, p + 8 + be16(h + 2))
    if h[1] != 255:
        return complete(f, p)
    end = p + 8
    t = new_tunnel(f, KIND_GTPU, p, end, be32(h))
    t.identifier = be32(h + 4)
    if h[0] & 7:
        end = p + 12
        if not fits(f, p, 12, GTPU):
            return 0
        t.overhead_end = end
        if h[0] & 4:
            end = gtpu_extensions(f, t, end, p)
            if end == 0:
                return 0
    if not fits(f, p, end + 1 - p, GTPU):
        return 0
    version = u8(f, end) >> 4
    if version != 4 and version != 6:
        return end_at(f, UNSUPPORTED, GTPU, p)
    return go_on(f, end, IPV4 if version == 4 else IPV6)


def gtpu_extensions(f, t, p, begins):
    """3GPP TS 29.281 section 5.2: 8 at most, each so many words; return where they end, else 0."""
    here = p
    following = u8(f, here - 1)
    for _count in range(8):
        if following == 0:
            return here
        if not fits(f, begins, here + 1 - begins, GTPU):
            return 0
        size = u8(f, here) * 4
        if size == 0:
            end_at(f, MALFORMED, GTPU, begins)
            return 0
        if not fits(f, begins, here + size - begins, GTPU):
            return 0
        here += size
        t.overhead_end = here
        following = u8(f, here - 1)
    if following == 0:
        return here
    end_at(f, TOO_DEEP, GTPU, begins)
    return 0
