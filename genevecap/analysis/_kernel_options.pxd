# SPDX-License-Identifier: Apache-2.0
# Geneve options by class, type and size.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    NEAR = 64

cdef struct OptionEntry:
    uint32_t key  # class << 16 | type << 8 | octets of data
    uint64_t packets
    uint64_t occurrences
    uint64_t last  # the packet that was counted last

# A real capture has a handful of options, which `near` finds: by a hash, the entry that was met there
# last.  A dictionary of all of them is for a capture that is made to be slow.
cdef struct OptionCounts:
    OptionEntry *entries
    uint32_t used
    uint32_t room
    uint32_t near[NEAR]

cdef int enter_option(OptionCounts *o, dict slots, uint32_t key) except -1
cdef int add_options(OptionCounts *o, dict slots, OptionCounts *other) except -1
cdef list options_of(OptionCounts *o)


cdef inline uint32_t option_hash(uint32_t key) noexcept nogil:
    return (key * <uint32_t>0x9E3779B1) >> 26


cdef inline bint count_known_option(OptionCounts *o, uint32_t key, uint64_t packet) noexcept nogil:
    """Count an option of a packet, unless it has to be entered first; tell whether it was counted.

    packet: its running number, from 1.
    """
    cdef uint32_t i = o.near[option_hash(key)]
    cdef OptionEntry *e
    if i >= o.used or o.entries[i].key != key:
        return 0
    e = o.entries + i
    e.occurrences += 1
    if e.last != packet:
        e.packets += 1
        e.last = packet
    return 1
