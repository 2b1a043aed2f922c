# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""GRE, NVGRE and ERSPAN, compiled; the readable twins are in `protocols/`."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.decode._kernel_state import (
    ERSPAN,
    ETHERNET,
    GRE,
    IPV4,
    KIND_ERSPAN,
    KIND_GRE,
    KIND_NVGRE,
    NVGRE,
    TOO_DEEP,
    UNSUPPORTED,
    be32,
    begin,
    by_ethertype,
    by_version,
    end_at,
    fits,
    go_on,
    is_there,
    u8,
    u16,
    u32,
    view,
)
from cython.cimports.genevecap.decode._kernel_tunnels import new_tunnel


def gre(f):
    """RFC 2784, RFC 2890; PPTP's version 1 (RFC 2637), NVGRE (RFC 7637), ERSPAN's carrier."""
    p = f.position
    if not fits(f, p, 4, GRE):
        return 0
    flags = u16(f, p)
    protocol = u16(f, p + 2)
    layer = GRE
    kind = KIND_GRE
    if protocol == 0x6558 and flags & 0xF007 == 0x2000:
        layer = NVGRE
        kind = KIND_NVGRE
    elif protocol == 0x88BE or protocol == 0x22EB:
        kind = KIND_ERSPAN
    begin(f, layer, p)
    version = flags & 7
    if version > 1:
        return end_at(f, UNSUPPORTED, layer, p)
    key = 0
    end = p + 4
    if flags & 0xC000:
        end += 4
    if flags & 0x2000:
        if version == 0:
            key = end
        end += 4
    if flags & 0x1000:
        end += 4
    if version == 1 and flags & 0x0080:
        end += 4
    if not fits(f, p, end - p, layer):
        return 0
    if flags & 0x4000:
        end = gre_routes(f, end, p)
        if end == 0:
            return 0
    if protocol == 0x883E:
        if not fits(f, p, end + 1 - p, layer):
            return 0
        if u8(f, end) >> 4 != 4:  # a redirect header of WCCPv2
            end += 4
            if not fits(f, p, end - p, layer):
                return 0
    t = new_tunnel(f, kind, p, end, flags << 16 | protocol)
    if kind == KIND_ERSPAN:
        return go_on(f, end, ERSPAN)
    if key:
        t.identifier = u32(f, key)
        if kind == KIND_NVGRE:
            t.vni = t.identifier >> 8
    if protocol == 0x883E:
        return go_on(f, end, IPV4)
    return by_ethertype(f, end, protocol)


def gre_routes(f, p, begins):
    """Pass the source routes of RFC 1701 at p, 8 at most; return where they end, else 0."""
    here = p
    for _count in range(8):
        if not fits(f, begins, here + 4 - begins, GRE):
            return 0
        size = u8(f, here + 3)
        if not fits(f, begins, here + 4 + size - begins, GRE):
            return 0
        here += 4 + size
        if size == 0 and u16(f, here - 4) == 0:
            return here
    end_at(f, TOO_DEEP, GRE, begins)
    return 0


def gre_fits(f, p):
    """Tell whether octets on a port that only suggests GRE (RFC 8086) are GRE."""
    return is_there(f, p, 4) and u16(f, p) & 0x4FFF == 0 and u16(f, p + 2) >= 0x0600


def erspan(f):
    """draft-foschiano-erspan section 4: types II and III; a carrier without S means type I."""
    p = f.position
    t = cython.address(f.tunnels[f.tunnel_count - 1])
    if t.flags & 0x1000FFFF == 0x88BE:
        begin(f, ERSPAN, p)
        return go_on(f, p, ETHERNET)
    if not fits(f, p, 8, ERSPAN):
        return 0
    h = view(f, p, 8)
    begin(f, ERSPAN, p)
    version = h[0] >> 4
    if version != 1 and version != 2:
        return end_at(f, UNSUPPORTED, ERSPAN, p)
    t.identifier = be32(h)
    end = p + 8
    if version == 2:
        end = p + 12
        if is_there(f, end, 0) and u8(f, p + 11) & 1:
            end += 8
    if not fits(f, p, end - p, ERSPAN):
        return 0
    t.overhead_end = end
    if version == 1:
        return go_on(f, end, ETHERNET)
    kind = (u8(f, p + 10) >> 2) & 0x1F
    if kind == 0:
        return go_on(f, end, ETHERNET)
    if kind != 2:
        return end_at(f, UNSUPPORTED, ERSPAN, p)
    return by_version(f, end, ERSPAN, p)
