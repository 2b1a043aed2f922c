# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Digests and stretches of streams of octets, compiled; `content` says the same.

Signatures and types are in the `.pxd` beside this file.
"""

from __future__ import annotations

import cython
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memmove, memset

from . import content

MODULUS = cython.declare(Modulus)
FACTOR = cython.declare(cython.ulonglong, content.FACTOR)

set_modulus(cython.address(MODULUS), content.PRIME)

if content.MAX_STRETCHES != STRETCHES or content.HEAD_BLOCK_BYTES != 8:
    raise TypeError("kernels were built for other limits: build them anew")


def take(a, octets):
    """Return so much memory, a multiple of 8, all 0."""
    if octets > a.left:
        slab = cython.cast(cython.pointer(Slab), malloc(SLAB_BYTES))
        if slab == cython.NULL:
            raise MemoryError
        slab.next = a.slabs
        a.slabs = slab
        a.place = cython.cast(cython.p_uchar, slab) + cython.sizeof(Slab)
        a.left = SLAB_BYTES - cython.sizeof(Slab)
    found = a.place
    a.place += octets
    a.left -= octets
    memset(found, 0, octets)
    return found


def give_back(a):
    """Free all of it."""
    while a.slabs != cython.NULL:
        slab = a.slabs
        a.slabs = slab.next
        free(slab)


# --- `content.Stretch` and `content.Stream` -------------------------------------------------------


def head_of(octets):
    """Return the digest of a block of 8 octets."""
    return multiply(cython.address(MODULUS), word_of(octets, 8), FACTOR)


def append(s, octets, captured, length):
    """Add the next `length` octets, of which so many were captured."""
    if s.digested == s.end - s.begin:
        while captured > 0:
            count = captured if captured < DIGEST_BYTES else DIGEST_BYTES
            s.value = add_residues(
                cython.address(MODULUS),
                s.value,
                multiply(
                    cython.address(MODULUS),
                    digest_of(cython.address(MODULUS), octets, count),
                    s.power,
                ),
            )
            s.power = multiply(
                cython.address(MODULUS), s.power, shift_of(cython.address(MODULUS), count)
            )
            s.digested += count
            octets += count
            captured -= count
    s.end += length


def join(s, later):
    """Add a stretch that begins where this one ends."""
    if s.digested == s.end - s.begin:
        s.value = add_residues(
            cython.address(MODULUS),
            s.value,
            multiply(cython.address(MODULUS), later.value, s.power),
        )
        s.power = multiply(cython.address(MODULUS), s.power, later.power)
        s.digested += later.digested
    s.end = later.end


def stretch_at(s, at):
    return s.others + (at - 1) if at else cython.address(s.first)


def remove_other(s, at):
    """Take stretch `at` away, at > 0."""
    memmove(s.others + (at - 1), s.others + at, (s.other_count - at) * cython.sizeof(Stretch))
    s.other_count -= 1


def insert(a, s, g):
    """Add a segment; return 1 where any of it was new.

    g.captured: 0 where its octets are not to be digested.
    """
    at = s.other_count
    while stretch_at(s, at).begin > g.begin:
        at -= 1
    if stretch_at(s, at).end < g.begin and s.other_count == STRETCHES - 1:
        give_up_octets(s, s.others.begin if at else g.begin)
        if at:
            at -= 1
    if stretch_at(s, at).end < g.begin:
        if s.others == cython.NULL:
            s.others = cython.cast(
                cython.pointer(Stretch), take(a, (STRETCHES - 1) * cython.sizeof(Stretch))
            )
        at += 1
        s.other_count += 1
        memmove(s.others + at, s.others + (at - 1), (s.other_count - at) * cython.sizeof(Stretch))
        current = stretch_at(s, at)
        memset(current, 0, cython.sizeof(Stretch))
        current.begin = g.begin
        current.end = g.begin
        current.power = 1
    return fill_in(s, at, g)


def fill_in(s, at, g):
    """Add to stretch `at` what is missing behind it, joining those it reaches."""
    new = 0
    begin = g.begin
    end = begin + g.length
    current = stretch_at(s, at)
    while True:
        following = stretch_at(s, at + 1) if at < s.other_count else cython.NULL
        limit = end
        if following != cython.NULL and following.begin < end:
            limit = following.begin
        if limit > current.end:
            place = current.end - begin
            left = (limit - begin if limit - begin < g.captured else g.captured) - place
            if left > 0:
                append(current, g.octets + place, left, limit - current.end)
            else:
                append(current, cython.NULL, 0, limit - current.end)
            new = 1
        if following == cython.NULL or following.begin > current.end:
            return new
        join(current, following)
        remove_other(s, at + 1)


def give_up_octets(s, end):
    """Let octets up to `end`, which are all in the first hole, count as seen."""
    following = s.others
    append(cython.address(s.first), cython.NULL, 0, end - s.first.end)
    if end == following.begin:
        join(cython.address(s.first), following)
        remove_other(s, 1)
