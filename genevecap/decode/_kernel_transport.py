# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""UDP, TCP, SCTP and ICMP, compiled; the readable twins with diagrams are in `protocols/`."""

from __future__ import annotations

from cython.cimports.genevecap.decode._kernel_gre import gre_fits
from cython.cimports.genevecap.decode._kernel_security import esp_fits, stt_fits, wireguard_fits
from cython.cimports.genevecap.decode._kernel_state import (
    ESP,
    GENEVE,
    GRE,
    GTPU,
    ICMP,
    ICMPV6,
    MALFORMED,
    SCTP,
    STT,
    TCP,
    TENTATIVE,
    UDP,
    WIREGUARD,
    be16,
    be32,
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
from cython.cimports.genevecap.decode._kernel_tunnels import geneve_fits, gtpu_fits


def ports(f, p):
    """Give the innermost IP header its ports where their 4 octets are there."""
    if p + 4 > f.end or p + 4 > f.captured:
        return
    f.inner.source_port = u16(f, p)
    f.inner.destination_port = u16(f, p + 2)
    if f.ip_count == 1:
        f.outer.source_port = f.inner.source_port
        f.outer.destination_port = f.inner.destination_port


def payload(f, begins, ends):
    """Note where the transport payload begins, and how long it is on the wire."""
    f.inner.payload_offset = begins
    f.inner.payload_bytes = ends - begins if ends > begins else 0


def udp(f):
    """RFC 768; a length of 0 is a super-packet or a jumbogram (RFC 2675 section 4)."""
    p = f.position
    ports(f, p)
    if not fits(f, p, 8, UDP):
        return 0
    h = view(f, p, 8)
    begin(f, UDP, p)
    length = be16(h + 4)
    ends = f.inner.end
    if length != 0:
        if length < 8:
            return end_at(f, MALFORMED, UDP, p)
        if p + length < ends:
            ends = p + length
        narrow(f, p + length)
    payload(f, p + 8, ends)
    layer = f.registry.udp_port[f.inner.destination_port]
    if layer == 0:
        # An answer of ESP or WireGuard goes to the port that the other end came from.
        layer = f.registry.udp_port[f.inner.source_port]
        if layer != (ESP | TENTATIVE) and layer != (WIREGUARD | TENTATIVE):
            return complete(f, p)
    if layer & TENTATIVE:
        layer = layer & 0x7F
        if not tentative(f, p + 8, layer):
            return complete(f, p)
    return go_on(f, p + 8, layer)


def tentative(f, p, layer):
    """Tell whether the octets at p fit what their port only suggests."""
    if layer == GENEVE:
        return geneve_fits(f, p)
    if layer == GRE:
        return gre_fits(f, p)
    if layer == ESP:
        return esp_fits(f, p)
    if layer == WIREGUARD:
        return wireguard_fits(f, p)
    if layer == GTPU:
        return gtpu_fits(f, p)
    return 1


def tcp(f):
    """RFC 9293 section 3.1."""
    p = f.position
    ports(f, p)
    if not fits(f, p, 20, TCP):
        return 0
    h = view(f, p, 20)
    begin(f, TCP, p)
    f.tcp_seen = 1
    f.tcp.sequence = be32(h + 4)
    f.tcp.acknowledgment = be32(h + 8)
    f.tcp.flags = be16(h + 12) & 0x01FF
    f.tcp.window = be16(h + 14)
    header = (h[12] >> 4) * 4
    if header < 20 or p + header > f.end:
        if header < 20:
            return end_at(f, MALFORMED, TCP, p)
        return fits(f, p, header, TCP)
    payload(f, p + header, f.inner.end)
    if not fits(f, p, header, TCP):
        return 0
    tcp_options(f, p + 20, p + header)
    if f.inner.destination_port == 7471 and header == 20 and stt_fits(f, p + 20):
        return go_on(f, p + 20, STT)
    return complete(f, p)


def tcp_options(f, p, end):
    """RFC 9293 section 3.2, RFC 7323, RFC 2018; the first that does not fit ends the list."""
    while p < end:
        kind = u8(f, p)
        if kind == 0:
            return
        if kind == 1:
            p += 1
            continue
        if p + 2 > end:
            return
        size = u8(f, p + 1)
        if size < 2 or p + size > end:
            return
        if kind == 2 and size == 4:
            f.tcp.options = f.tcp.options | 1
            f.tcp.mss = u16(f, p + 2)
        elif kind == 3 and size == 3:
            f.tcp.options = f.tcp.options | 2
            f.tcp.window_scale = u8(f, p + 2)
        elif kind == 4 and size == 2:
            f.tcp.options = f.tcp.options | 4
        elif kind == 8 and size == 10:
            f.tcp.options = f.tcp.options | 8
            f.tcp.timestamp = u32(f, p + 2)
            f.tcp.timestamp_echo = u32(f, p + 6)
        p += size


def sctp(f):
    """RFC 9260 section 3.1: the common header."""
    p = f.position
    ports(f, p)
    if not fits(f, p, 12, SCTP):
        return 0
    begin(f, SCTP, p)
    payload(f, p + 12, f.inner.end)
    return complete(f, p)


def icmp(f):
    """RFC 792."""
    p = f.position
    if not fits(f, p, 8, ICMP):
        return 0
    begin(f, ICMP, p)
    payload(f, p + 8, f.inner.end)
    return complete(f, p)


def icmpv6(f):
    """RFC 4443 section 2.1."""
    p = f.position
    if not fits(f, p, 4, ICMPV6):
        return 0
    begin(f, ICMPV6, p)
    payload(f, p + 4, f.inner.end)
    return complete(f, p)
