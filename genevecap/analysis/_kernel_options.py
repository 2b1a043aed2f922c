# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Geneve options by class, type and size, compiled: what is not done for every packet."""

from __future__ import annotations

import cython
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.libc.stdlib import realloc
from cython.cimports.libc.string import memset

from .tables import OptionCount


def enter_option(o, slots, key):
    """Make `near` find an option, which gets an entry if need be.

    slots: the numbers of the entries by key.
    """
    room: uint32_t
    i: uint32_t = slots.get(key, o.used)
    o.near[option_hash(key)] = i
    if i < o.used:
        return 0
    if o.used == o.room:
        room = o.room * 2 + 64
        entries = cython.cast(
            cython.pointer(OptionEntry),
            realloc(o.entries, cython.cast(cython.size_t, room) * cython.sizeof(OptionEntry)),
        )
        if entries == cython.NULL:
            raise MemoryError
        o.entries = entries
        o.room = room
    memset(cython.address(o.entries[i]), 0, cython.sizeof(OptionEntry))
    o.entries[i].key = key
    slots[key] = i
    o.used += 1
    return 0


def add_options(o, slots, other):
    """Add what another one counted."""
    i: uint32_t
    mine: uint32_t
    for i in range(other.used):
        enter_option(o, slots, other.entries[i].key)
        mine = o.near[option_hash(other.entries[i].key)]
        o.entries[mine].packets += other.entries[i].packets
        o.entries[mine].occurrences += other.entries[i].occurrences
    return 0


def options_of(o):
    """See `tables.SummaryTables.options`."""
    i: uint32_t
    rows = []
    for i in range(o.used):
        e = cython.address(o.entries[i])
        rows.append(
            OptionCount(e.key >> 16, e.key >> 8 & 0xFF, e.key & 0xFF, e.packets, e.occurrences)
        )
    return rows
