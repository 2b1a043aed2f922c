# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""What protects packets, and STT, compiled; the readable twins with diagrams are in `protocols/`.

A layer that hides what is inside completes its frame and is named as the layer where it ended.
"""

from __future__ import annotations

from cython.cimports.genevecap.decode._kernel_link import type_or_length
from cython.cimports.genevecap.decode._kernel_network import by_protocol
from cython.cimports.genevecap.decode._kernel_state import (
    AH,
    COMPLETE,
    ESP,
    MACSEC,
    MALFORMED,
    STT,
    TRUNCATED,
    UNSUPPORTED,
    WIREGUARD,
    begin,
    complete,
    end_at,
    fits,
    is_there,
    narrow,
    u8,
    u16,
    u32,
    view,
)


def esp_fits(f, p):
    """RFC 3948: four zero octets are IKE, one octet 0xff is a keep-alive."""
    return is_there(f, p, 8) and u32(f, p) != 0


def esp(f):
    """RFC 4303 section 2; encrypted, but where the user says how long the ICV is."""
    p = f.position
    if not fits(f, p, 8, ESP):
        return 0
    begin(f, ESP, p)
    if f.registry.esp_icv_bytes < 0 or f.fragment_bound:
        return end_at(f, COMPLETE, ESP, p)
    icv = f.registry.esp_icv_bytes
    if p + 8 + 2 + icv > f.end:
        return end_at(f, COMPLETE, ESP, p)
    trailer = f.end - icv - 2
    if trailer + 2 > f.captured:
        return end_at(f, TRUNCATED, ESP, p)
    padding = u8(f, trailer)
    if p + 8 + padding > trailer:
        return end_at(f, COMPLETE, ESP, p)
    ends = trailer - padding
    for i in range(padding):
        if u8(f, ends + i) != i + 1:
            return end_at(f, COMPLETE, ESP, p)
    following = u8(f, trailer + 1)
    if following == 59:
        return complete(f, p)
    narrow(f, ends)
    f.payload_end = ends
    return by_protocol(f, p + 8, following)


def ah(f):
    """RFC 4302 section 2: the length counts words of 32 bits, less two."""
    p = f.position
    if not fits(f, p, 12, AH):
        return 0
    h = view(f, p, 12)
    begin(f, AH, p)
    size = (h[1] + 2) * 4
    if size < 12:
        return end_at(f, MALFORMED, AH, p)
    if not fits(f, p, size, AH):
        return 0
    if h[0] == 59:
        return complete(f, p)
    return by_protocol(f, p + size, h[0])


def macsec(f):
    """IEEE 802.1AE section 9.3; the ICV has 16 octets."""
    p = f.position
    if not fits(f, p, 6, MACSEC):
        return 0
    h = view(f, p, 6)
    begin(f, MACSEC, p)
    if h[0] & 0x80:
        return end_at(f, UNSUPPORTED, MACSEC, p)
    size = 14 if h[0] & 0x20 else 6
    if not fits(f, p, size, MACSEC):
        return 0
    if h[0] & 0x0C:
        return end_at(f, COMPLETE, MACSEC, p)
    if h[1] & 0x3F:
        narrow(f, p + size + (h[1] & 0x3F))
    else:
        if p + size + 2 + 16 > f.end:
            return end_at(f, MALFORMED, MACSEC, p)
        narrow(f, f.end - 16)
    if not fits(f, p, size + 2, MACSEC):
        return 0
    return type_or_length(f, p + size + 2, u16(f, p + size))


def wireguard_fits(f, p):
    """https://www.wireguard.com/protocol/: a type, three zeros, and as many octets as it has."""
    if not is_there(f, p, 4) or u8(f, p + 1) or u16(f, p + 2):
        return 0
    kind = u8(f, p)
    size = f.end - p
    if kind == 4:
        return size >= 32
    return (kind == 1 and size == 148) or (kind == 2 and size == 92) or (kind == 3 and size == 64)


def wireguard(f):
    """https://www.wireguard.com/protocol/."""
    p = f.position
    if not fits(f, p, 4, WIREGUARD):
        return 0
    begin(f, WIREGUARD, p)
    return end_at(f, COMPLETE, WIREGUARD, p)


def stt_fits(f, p):
    """draft-davie-stt section 3: the sequence number is the frame's length and an offset in it."""
    if f.tcp.flags & 0x007 or p >= f.end:
        return 0
    place = f.tcp.sequence & 0xFFFF
    if place + f.end - p > f.tcp.sequence >> 16:
        return 0
    if place:
        return 1
    return is_there(f, p, 18) and u8(f, p) == 0 and u8(f, p + 3) == 0


def stt(f):
    """Recognised: its frames are in several segments, which nobody puts together here."""
    begin(f, STT, f.position)
    return end_at(f, UNSUPPORTED, STT, f.position)
