# SPDX-License-Identifier: Apache-2.0
# How the compiled tracker finds halves and what it does with a segment.

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from genevecap._kernel_columns cimport BatchColumns, DecodedColumns, FrameColumns
from ._kernel_content cimport Octets, Segment
from ._kernel_halves cimport HalfRef, HalfRow
from ._kernel_tables cimport Table
from ._kernel_tls_records cimport Shared

cdef enum:
    HALVES_OF_CHUNK = 1024
    ROWS = 128  # whose places are made before any of them is looked up

ctypedef HalfRow **HalfChunks
ctypedef DecodedColumns *DecodedRef
ctypedef uint64_t *Slots

# What a segment's half is found by.
cdef struct Place:
    uint64_t key
    uint32_t hash
    uint8_t upward
    uint8_t wanted

ctypedef Place *PlaceRef

cdef uint64_t mix(uint64_t value) noexcept nogil
cdef uint64_t mix_endpoint(uint64_t hi, uint64_t lo, int64_t port) noexcept nogil
@cython.locals(wide=uint64_t)
cdef uint32_t hash_of(uint64_t key, uint32_t point, uint8_t upward) noexcept nogil

@cython.final
cdef class KernelTracker:
    cdef Shared shared
    cdef HalfRow **chunks
    cdef uint32_t chunk_count
    cdef uint32_t used
    cdef Table table  # slots alone
    cdef uint64_t most
    cdef uint64_t passed_over_
    cdef int32_t most_events
    cdef int32_t most_turns
    cdef FrameColumns frames
    cdef BatchColumns columns
    cdef object bound_frames
    cdef object bound_decoded
    cdef Octets octets
    cdef int64_t octet_count
    cdef int64_t tunnel_rows

    cdef HalfRow *half_at(self, uint64_t number) noexcept nogil
    @cython.locals(entry=uint64_t)
    cdef HalfRow *likely_half(self, uint32_t tag) noexcept nogil
    @cython.locals(slot=uint64_t, h=HalfRef)
    cdef uint64_t slot_of(self, Place *p, int32_t point) noexcept nogil
    @cython.locals(chunks=HalfChunks)
    cdef int new_chunk(self) except -1
    @cython.locals(r=DecodedRef, h=HalfRef)
    cdef HalfRow *new_half(self, Place *p, uint64_t slot, size_t row, size_t i) except NULL
    @cython.locals(row=size_t, r=DecodedRef, p=PlaceRef, slots=Slots, other=uint64_t)
    cdef int make_places(
        self, Place *places, size_t begin, size_t end, size_t first, bint kept
    ) except -1
    @cython.locals(
        r=DecodedRef, h=HalfRef, slot=uint64_t, flags=uint32_t, start=uint32_t,
        acknowledgment=uint32_t, time_ns=int64_t, length=int64_t, segment=Segment,
    )
    cdef int add(self, Place *p, size_t row, size_t i, int32_t capture) except -1
    @cython.locals(begin=int64_t, end=int64_t)
    cdef void find_octets(self, Segment *g, size_t i, int64_t payload_offset) noexcept nogil
    @cython.locals(captured=int64_t, new=bint)
    cdef int add_payload(self, HalfRow *h, Segment *g, int64_t acknowledgment) except -1
