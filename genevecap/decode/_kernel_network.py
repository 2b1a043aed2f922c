# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""IPv4 and IPv6, compiled; the readable twins with their diagrams are in `protocols/`."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.decode._kernel_state import (
    FRAGMENT,
    IP_PROTOCOL_SPACE,
    IPV4,
    IPV6,
    MALFORMED,
    TOO_DEEP,
    be16,
    be32,
    be64,
    begin,
    complete,
    end_at,
    fits,
    go_on,
    narrow,
    u8,
    u16,
    u32,
    view,
)
from cython.cimports.genevecap.decode._kernel_tunnels import ip_in_ip
from cython.cimports.libc.string import memset


def new_ip(f, version, p):
    """Begin the innermost IP header, at p; what followed the one before is the inner no longer."""
    ip = cython.address(f.inner)
    ip.version = version
    ip.identification = 0
    ip.fragment = 0
    ip.source_port = -1
    ip.destination_port = -1
    ip.offset = p
    ip.end = f.frame_end
    ip.payload_offset = 0
    ip.payload_bytes = 0
    f.tunnel_open = 0
    f.ip_count += 1
    if f.tcp_seen:
        f.tcp_seen = 0
        memset(cython.address(f.tcp), 0, cython.sizeof(f.tcp))
    return ip


def note_first_fragment(f):
    """Remember what to go back to where a header runs past this first fragment."""
    f.fragment_bound = 1
    f.fragment = f.inner
    f.fragment_ip_count = f.ip_count
    f.fragment_tunnels = f.tunnel_count
    f.fragment_options = f.option_count


def ipv4(f):
    """RFC 791 section 3.1."""
    p = f.position
    if not fits(f, p, 20, IPV4):
        return 0
    h = view(f, p, 20)
    first = h[0]
    header = (first & 15) * 4
    if first >> 4 != 4 or header < 20:
        return end_at(f, MALFORMED, IPV4, p)
    begin(f, IPV4, p)
    total = be16(h + 2)
    ip = new_ip(f, 4, p)
    ip.tos = h[1]
    ip.identification = be16(h + 4)
    ip.fragment = be16(h + 6) & 0x7FFF
    ip.ttl = h[8]
    ip.protocol = h[9]
    ip.source_hi = 0
    ip.source_lo = be32(h + 12)
    ip.destination_hi = 0
    ip.destination_lo = be32(h + 16)
    if total != 0 and p + total < f.frame_end:
        ip.end = p + total
    if f.ip_count == 1:
        f.outer = f.inner
    if total != 0:
        if total < header:
            return end_at(f, MALFORMED, IPV4, p)
        narrow(f, p + total)
        if ip.fragment & 0x3FFF == 0x2000 and p + total == f.end:
            note_first_fragment(f)
    if not fits(f, p, header, IPV4):
        return 0
    if ip.fragment & 0x1FFF:
        return end_at(f, FRAGMENT, IPV4, p)
    return by_protocol(f, p + header, h[9])


def ipv6(f):
    """RFC 8200 section 3; a payload length of 0 is a jumbogram or BIG TCP."""
    p = f.position
    if not fits(f, p, 40, IPV6):
        return 0
    h = view(f, p, 40)
    first = be16(h)
    if first >> 12 != 6:
        return end_at(f, MALFORMED, IPV6, p)
    begin(f, IPV6, p)
    length = be16(h + 4)
    ip = new_ip(f, 6, p)
    ip.tos = (first >> 4) & 0xFF
    ip.protocol = h[6]
    ip.ttl = h[7]
    ip.source_hi = be64(h + 8)
    ip.source_lo = be64(h + 16)
    ip.destination_hi = be64(h + 24)
    ip.destination_lo = be64(h + 32)
    if length != 0 and p + 40 + length < f.frame_end:
        ip.end = p + 40 + length
    if length != 0:
        narrow(f, p + 40 + length)
    here = extension_headers(f, p)
    if f.ip_count == 1:
        f.outer = f.inner
    if here == 0:
        return 0
    if f.inner.fragment & 0x1FFF:
        return end_at(f, FRAGMENT, IPV6, p)
    if f.inner.protocol == 59:
        return complete(f, p)
    return by_protocol(f, here, f.inner.protocol)


def extension_headers(f, p):
    """Walk RFC 8200 section 4 from the IPv6 header at p; return where they end, else 0."""
    here = p + 40
    following = f.inner.protocol
    extensions = 0
    while following == 0 or following == 43 or following == 44 or following == 60:
        if extensions == 8:
            return end_at(f, TOO_DEEP, IPV6, p)
        extensions += 1
        if not fits(f, here, 8, IPV6):
            f.stop_offset = p
            return 0
        size = 8
        if following == 44:
            field = u16(f, here + 2)
            f.inner.identification = u32(f, here + 4)
            f.inner.fragment = (field >> 3) | ((field & 1) << 13)
            f.inner.protocol = u8(f, here)
            declared = u16(f, p + 4)
            if field & 0xFFF9 == 1 and declared != 0 and p + 40 + declared == f.end:
                note_first_fragment(f)
        else:
            size = 8 + 8 * u8(f, here + 1)
            if not fits(f, here, size, IPV6):
                f.stop_offset = p
                return 0
        following = u8(f, here)
        f.inner.protocol = following
        here += size
        if f.inner.fragment & 0x1FFF:
            break
    return here


def by_protocol(f, p, protocol):
    """Go on at p with what an IP protocol number says."""
    layer = f.registry.ip_protocol[protocol]
    if layer == 0:
        return go_on(f, p, IP_PROTOCOL_SPACE | protocol)
    if layer == IPV4 or layer == IPV6:
        return ip_in_ip(f, p, layer)
    return go_on(f, p, layer)
