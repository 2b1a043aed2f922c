# SPDX-License-Identifier: Apache-2.0
# What the compiled tracker keeps of halves; `connections` says what it means.

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from ._kernel_content cimport Arena, Segment, Stream
from ._kernel_tls_records cimport Reader, RecordBlockRef

cdef enum:
    EVENTS_OF_BLOCK = 4
    VNIS = 8
    HEADS = 8
    TURN_BYTES = 40  # of a TurnRow without heads

cdef struct EventBlock:
    EventBlock *next
    int64_t values[16]

ctypedef EventBlock *EventBlockRef

# Only as many heads as there are are allocated.
cdef struct TurnRow:
    TurnRow *next
    int64_t offset
    int64_t time_ns
    uint64_t prefix
    int32_t known
    int32_t heads
    uint64_t head[8]

ctypedef TurnRow *TurnRef

# Bits of HalfRow.known: which of its fields hold something.
cdef enum:
    HAS_BASE = 1
    HAS_ISN = 2
    HAS_PEER = 4
    HAS_HANDSHAKE = 8
    HAS_FIN = 16
    HAS_TOTAL = 32
    HAS_RST = 64
    HAS_PAYLOAD = 128
    IS_CLIENT = 256

cdef struct HalfRow:
    # what nearly every segment touches
    uint64_t key
    int32_t point
    uint8_t upward
    uint8_t vni_count
    uint16_t known
    int64_t packets
    int64_t wire_bytes
    int64_t last_ns
    uint32_t base
    uint32_t isn
    int64_t highest
    int64_t acknowledged
    Stream stream
    EventBlock *last_events
    int32_t event_count
    int32_t turn_count
    int64_t last_payload_ns
    int64_t duplicates
    Reader *reader
    int32_t vnis[8]
    # what few do
    uint32_t peer_isn
    int32_t capture
    TurnRow *first_turn
    TurnRow *last_turn
    EventBlock *first_events
    uint64_t source_hi
    uint64_t source_lo
    uint64_t destination_hi
    uint64_t destination_lo
    int32_t source_port
    int32_t destination_port
    uint8_t version
    uint8_t ttl
    uint16_t mss
    int64_t syn_count
    int64_t syn_ns
    int64_t handshake_ns
    int64_t fin_ns
    int64_t fin_frame
    int64_t rst_ns
    int64_t total
    int64_t first_ns
    int64_t first_frame

ctypedef HalfRow *HalfRef

@cython.locals(distance=uint32_t)
cdef int64_t offset_of(HalfRow *h, uint32_t sequence) noexcept nogil
cdef void take_syn(
    HalfRow *h, uint32_t sequence, uint32_t acknowledgment, uint32_t flags, int64_t time_ns
) noexcept nogil
@cython.locals(i=int)
cdef void note_vni(HalfRow *h, int32_t vni) noexcept nogil
@cython.locals(heads=int64_t, i=int64_t, turn=TurnRef)
cdef int add_turn(Arena *arena, HalfRow *h, Segment *g, int64_t captured) except -1
@cython.locals(block=EventBlockRef, place=int32_t)
cdef int add_event(Arena *arena, HalfRow *h, Segment *g, int32_t most) except -1

cdef object object_of(HalfRow *h, object held, object ends)
@cython.locals(block=EventBlockRef, left=int64_t, count=int64_t)
cdef object add_events(object events, HalfRow *h)
@cython.locals(turn=TurnRef)
cdef object add_turns(object turns, HalfRow *h)
@cython.locals(count=int64_t)
cdef object add_rows(object rows, RecordBlockRef block, int64_t left)
cdef object reader_of(Reader *r, object held)
