# SPDX-License-Identifier: Apache-2.0
# Findings of single packets as they are counted, and what compares a packet with those before it.

from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint32_t, uint64_t
from genevecap._kernel_columns cimport genevecap_lowest_bit
from ._kernel_tables cimport Table

cdef enum:
    FINDING_BITS = 32
    PLACES = 8  # of a finding's first frames: more than are kept
    FIRST_FRAMES = 5
    C04 = 0x8000000
    C05 = 0x10000000

cdef enum:
    CLOCK_STEP_NS = 1000000000

cdef struct PacketFindings:
    # By the number of a finding's bit: how many frames, and the first of them.
    uint64_t found[FINDING_BITS]
    int32_t captures[FINDING_BITS * PLACES]
    int64_t frames[FINDING_BITS * PLACES]
    # By point: the latest time so far.
    int64_t *latest
    Py_ssize_t points

cdef int add_points(PacketFindings *f, Py_ssize_t point) except -1
cdef int add_findings(PacketFindings *f, PacketFindings *other) except -1
cdef object findings_of(PacketFindings *f)
cdef int note_move(
    dict moves, Table *tunnels, uint64_t before, uint64_t now, bint again, int32_t capture, int64_t frame
) except -1
cdef int note_change(dict changed, uint64_t flow, int32_t capture, int64_t frame) except -1
cdef int add_changed(dict changed, dict others, object flows) except -1
cdef object moves_of(dict moves, Table *tunnels)
cdef int note_repeat(dict repeats, uint64_t tunnel, uint32_t ids, int32_t capture, int64_t frame) except -1
cdef int add_repeats(dict repeats, dict others, object tunnels) except -1
cdef object repeats_of(dict repeats, Table *tunnels)


cdef inline void count_findings(
    PacketFindings *f, uint32_t bits, int32_t capture, int64_t frame
) noexcept nogil:
    """Count every finding bit of a frame."""
    cdef uint32_t i
    while bits:
        i = genevecap_lowest_bit(bits)
        bits &= bits - 1
        if f.found[i] < FIRST_FRAMES:
            f.captures[PLACES * i + f.found[i]] = capture
            f.frames[PLACES * i + f.found[i]] = frame
        f.found[i] += 1


cdef inline uint32_t disorder(PacketFindings *f, Py_ssize_t point, int64_t time_ns) except? 0xFFFFFFFF:
    """Return the finding about a time that is before an earlier one of its point."""
    cdef uint64_t back
    if point >= f.points or point < 0:
        add_points(f, point)
    if time_ns >= f.latest[point]:
        f.latest[point] = time_ns
        return 0
    back = <uint64_t>f.latest[point] - <uint64_t>time_ns
    if back < CLOCK_STEP_NS:
        return C04
    f.latest[point] = time_ns
    return C05
