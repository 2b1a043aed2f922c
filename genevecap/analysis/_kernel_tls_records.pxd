# SPDX-License-Identifier: Apache-2.0
# TLS records in a stream, which may have holes: `records` says what it means; names are its own.

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t
from ._kernel_content cimport Arena, Octets, Segment

cdef enum:
    RECORDS_OF_BLOCK = 8
    HEADER_BYTES = 5
    HANDSHAKE = 22

# A segment that came before its turn; its octets stand behind it.
cdef struct Pending:
    Pending *next
    Segment segment

ctypedef Pending *PendingRef
ctypedef Pending **PendingPlace

cdef struct RecordBlock:
    RecordBlock *next
    int64_t values[40]

ctypedef RecordBlock *RecordBlockRef

# What readers share.
cdef struct Shared:
    Arena arena
    int64_t held  # octets that are kept
    int64_t most_held
    int64_t most_pending
    int64_t most_pending_bytes
    int64_t most_records
    int64_t most_repeats
    int64_t openings  # octets that are kept of them
    int64_t most_opening
    int64_t most_openings

cdef struct Reader:
    int64_t frontier
    int64_t begin_ns
    int64_t open_begin
    int64_t open_begin_ns
    int64_t open_length
    int64_t rows
    int64_t lost
    int64_t dropped
    int64_t pending_bytes
    Pending *pending  # by offset
    RecordBlock *first
    RecordBlock *last
    RecordBlock *first_repeats
    RecordBlock *last_repeats
    int64_t repeats
    int64_t repeat_count
    uint8_t *opening
    int32_t opening_wanted
    int32_t opening_bytes
    int32_t pending_count
    uint8_t synchronised
    uint8_t is_open
    uint8_t open_type
    uint8_t header_bytes
    uint8_t header[8]

@cython.locals(length=int64_t)
cdef bint begins_record(Octets octets, int64_t count) noexcept nogil
cdef void lose(Reader *r, int64_t frontier) noexcept nogil
cdef bint open_record(Reader *r) noexcept nogil
cdef int read_segment(Shared *h, Reader *r, Segment *g) except -1
@cython.locals(wanted=int64_t, count=int64_t)
cdef int keep_opening(Shared *h, Reader *r, Segment *g) except -1
@cython.locals(place=int, block=RecordBlockRef)
cdef int add_repeat(Shared *h, Reader *r, Segment *g, int64_t highest, bint new) except -1
@cython.locals(place=PendingPlace, p=PendingRef)
cdef int postpone(Shared *h, Reader *r, Segment *g) except -1
@cython.locals(p=PendingRef)
cdef void release(Shared *h, Reader *r, Pending **place) noexcept
@cython.locals(p=PendingRef)
cdef int take_due(Shared *h, Reader *r, int64_t time_ns, bint came) except -1
cdef int give_up_hole(Shared *h, Reader *r) except -1
cdef int finish_reader(Shared *h, Reader *r) except -1
@cython.locals(
    octets=Octets, captured=int64_t, end=int64_t, skip=int64_t, missing=int64_t,
)
cdef int read_due(Shared *h, Reader *r, Segment *g, int64_t time_ns) except -1
@cython.locals(place=int64_t, got=int64_t)
cdef int read_octets(Shared *h, Reader *r, Octets octets, int64_t size, int64_t time_ns) except -1
@cython.locals(left=int64_t)
cdef int64_t fill(Shared *h, Reader *r, int64_t available, int64_t time_ns) except -1
@cython.locals(place=int, block=RecordBlockRef)
cdef int add_record(Shared *h, Reader *r, int64_t end_ns) except -1
