# SPDX-License-Identifier: Apache-2.0
# Memory in slabs, digests, and stretches of a stream.
#
# `content` says what it means; names are its own.

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #ifndef __SIZEOF_INT128__
    #error "this kernel needs 128-bit integers"
    #endif
    typedef unsigned __int128 genevecap_wide;

    /* A divisor with its top bit set, and what replaces division by it (Moeller and Granlund,
       Improved division by invariant integers, 2011, algorithm 4). */
    typedef struct {
        uint64_t prime;
        uint64_t divisor;
        uint64_t reciprocal;
        int shift;
        uint64_t powers[513]; /* 2**(64 * i) modulo the prime */
    } genevecap_modulus;

    /* x modulo the prime; x < prime * 2**64 */
    static inline uint64_t genevecap_reduce(const genevecap_modulus *m, genevecap_wide x) {
        uint64_t high, low, quotient, rest;
        genevecap_wide product;
        x <<= m->shift;
        high = (uint64_t)(x >> 64);
        low = (uint64_t)x;
        product = (genevecap_wide)m->reciprocal * high + x;
        quotient = (uint64_t)(product >> 64) + 1;
        rest = low - quotient * m->divisor;
        if (rest > (uint64_t)product) rest += m->divisor;
        if (rest >= m->divisor) rest -= m->divisor;
        return rest >> m->shift;
    }

    static inline uint64_t genevecap_multiply(
        const genevecap_modulus *m, uint64_t a, uint64_t b
    ) {
        return genevecap_reduce(m, (genevecap_wide)a * b);
    }

    static inline uint64_t genevecap_add(const genevecap_modulus *m, uint64_t a, uint64_t b) {
        uint64_t sum = a + b; /* both below 2**62 */
        return sum >= m->prime ? sum - m->prime : sum;
    }

    static inline void genevecap_set(genevecap_modulus *m, uint64_t prime) {
        int i;
        m->prime = prime;
        m->shift = 0;
        while (!(prime >> 63)) { prime <<= 1; m->shift++; }
        m->divisor = prime;
        m->reciprocal = (uint64_t)(~(genevecap_wide)0 / prime);
        m->powers[0] = 1;
        for (i = 1; i <= 512; i++)
            m->powers[i] = genevecap_reduce(m, (genevecap_wide)m->powers[i - 1] << 64);
    }

    /* Up to eight octets as a little-endian number. */
    static inline uint64_t genevecap_word(const uint8_t *octets, size_t count) {
        uint64_t word = 0;
        size_t i;
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (count == 8) { memcpy(&word, octets, 8); return word; }
    #endif
        for (i = 0; i < count; i++) word |= (uint64_t)octets[i] << (8 * i);
        return word;
    }

    /* Up to 4096 octets as a little-endian number, modulo the prime. */
    static inline uint64_t genevecap_digest(
        const genevecap_modulus *m, const uint8_t *octets, size_t count
    ) {
        genevecap_wide low = 0, high = 0, product;
        size_t i, words = count / 8;
        for (i = 0; i < words; i++) {
            product = (genevecap_wide)genevecap_word(octets + 8 * i, 8) * m->powers[i];
            low += (uint64_t)product;
            high += (uint64_t)(product >> 64);
        }
        if (count % 8) {
            product = (genevecap_wide)genevecap_word(octets + 8 * words, count % 8)
                * m->powers[words];
            low += (uint64_t)product;
            high += (uint64_t)(product >> 64);
        }
        high = genevecap_reduce(m, high + (low >> 64));
        return genevecap_reduce(m, high << 64 | (uint64_t)low);
    }

    /* 256**count modulo the prime, count up to 4096 */
    static inline uint64_t genevecap_shift(const genevecap_modulus *m, size_t count) {
        uint64_t power = m->powers[count / 8];
        return count % 8 ? genevecap_multiply(m, power, (uint64_t)1 << (8 * (count % 8))) : power;
    }
    """
    ctypedef struct Modulus "genevecap_modulus":
        uint64_t prime

    void set_modulus "genevecap_set"(Modulus *m, uint64_t prime) noexcept nogil
    uint64_t multiply "genevecap_multiply"(const Modulus *m, uint64_t a, uint64_t b) noexcept nogil
    uint64_t add_residues "genevecap_add"(const Modulus *m, uint64_t a, uint64_t b) noexcept nogil
    uint64_t word_of "genevecap_word"(const uint8_t *octets, size_t count) noexcept nogil
    uint64_t digest_of "genevecap_digest"(const Modulus *m, const uint8_t *octets, size_t count) noexcept nogil
    uint64_t shift_of "genevecap_shift"(const Modulus *m, size_t count) noexcept nogil

cdef enum:
    DIGEST_BYTES = 4096  # that digest_of takes at once
    SLAB_BYTES = 1 << 20
    STRETCHES = 16

ctypedef const uint8_t *Octets
ctypedef uint8_t *Bytes

# Memory that is taken piece by piece and given back all at once.
cdef struct Slab:
    Slab *next
    uint64_t unused

ctypedef Slab *SlabRef

cdef struct Arena:
    Slab *slabs
    uint8_t *place
    size_t left

cdef struct Stretch:
    int64_t begin
    int64_t end
    int64_t digested
    uint64_t value
    uint64_t power

ctypedef Stretch *StretchRef

# The first stretch begins at offset 0; others only where octets are missing.
cdef struct Stream:
    Stretch first
    Stretch *others
    int32_t other_count

# One segment; `captured` of its `length` octets are there.
cdef struct Segment:
    int64_t begin  # offset in the stream
    int64_t length
    int64_t captured
    int64_t time_ns
    int64_t frame
    Octets octets

@cython.locals(slab=SlabRef, found=Bytes)
cdef void *take(Arena *a, size_t octets) except NULL
@cython.locals(slab=SlabRef)
cdef void give_back(Arena *a) noexcept

cdef uint64_t head_of(Octets octets) noexcept nogil
@cython.locals(count=int64_t)
cdef void append(Stretch *s, Octets octets, int64_t captured, int64_t length) noexcept nogil
cdef void join(Stretch *s, Stretch *later) noexcept nogil
cdef StretchRef stretch_at(Stream *s, int at) noexcept nogil
cdef void remove_other(Stream *s, int at) noexcept nogil
@cython.locals(at=int, current=StretchRef)
cdef int insert(Arena *a, Stream *s, Segment *g) except -1
@cython.locals(
    new=int, current=StretchRef, following=StretchRef,
    begin=int64_t, end=int64_t, limit=int64_t, place=int64_t, left=int64_t,
)
cdef int fill_in(Stream *s, int at, Segment *g) noexcept nogil
@cython.locals(following=StretchRef)
cdef void give_up_octets(Stream *s, int64_t end) noexcept nogil
