# SPDX-License-Identifier: Apache-2.0
# The last sightings of packets, found by a hash of their octets: see `repeats`.
#
# Sightings lie in a ring, the newest in place of the oldest.  Those of one bucket are a chain from
# the newest to older ones, by their running numbers; it ends where a number is too old to be in the
# ring.  So nothing is ever taken out, and a look costs a sighting or two.

from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy
from genevecap._kernel_columns cimport BatchColumns, FrameColumns

cdef extern from *:
    """
    #if defined(__SIZEOF_INT128__)
    static inline unsigned long long genevecap_fold(unsigned long long a, unsigned long long b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    #else
    static unsigned long long genevecap_fold(unsigned long long a, unsigned long long b) {
        a *= 0x9E3779B97F4A7C15ULL;
        a = (a ^ a >> 32 ^ b) * 0x9E3779B97F4A7C15ULL;
        return a ^ a >> 32;
    }
    #endif
    """
    # Both numbers multiplied, the halves of the product laid over each other.
    uint64_t genevecap_fold(uint64_t a, uint64_t b) noexcept nogil

cdef enum:
    RECENT = 4096
    BUCKET_BITS = 13
    BUCKETS = 8192
    LONGEST_NS = 1000000000
    OUTER_BEGIN = 4
    OUTER_BYTES = 8
    INNERMOST_BYTES = 8
    AGAIN = 0x100000000

# Sightings by their running number, each in the place of the one RECENT before it.
cdef struct Recent:
    uint64_t seed
    uint64_t count
    uint64_t packets[RECENT]  # hashes of what tells packets apart
    uint64_t before[RECENT]  # the number of the one before in the same bucket
    int64_t times_ns[RECENT]
    uint64_t newest[BUCKETS]  # by bucket, their numbers; 0 is older than any


cdef inline Recent *make_recent(uint64_t seed) except NULL:
    """Make room for sightings, of which there are none yet."""
    cdef Recent *r = <Recent *>calloc(1, sizeof(Recent))
    if r == NULL:
        raise MemoryError
    r.seed = seed
    r.count = RECENT
    return r


cdef inline uint64_t word_at(const uint8_t *octets) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, octets, sizeof(word))
    return word


cdef inline uint16_t half_at(const uint8_t *octets) noexcept nogil:
    cdef uint16_t half
    memcpy(&half, octets, sizeof(half))
    return half


cdef inline bint are_near(int64_t one_ns, int64_t other_ns) noexcept nogil:
    """Tell whether two times are known and not too far from each other."""
    cdef uint64_t between = <uint64_t>one_ns - <uint64_t>other_ns
    if other_ns > one_ns:
        between = -between
    return between <= LONGEST_NS and one_ns != INT64_MIN and other_ns != INT64_MIN


cdef inline bint was_seen(Recent *r, uint64_t packet, int64_t time_ns) noexcept nogil:
    """Enter a sighting; tell whether the last one of this packet is near."""
    cdef uint64_t now = r.count + 1
    cdef uint64_t *newest = r.newest + (packet >> (64 - BUCKET_BITS))
    cdef uint64_t number = newest[0]
    cdef uint64_t place = now & (RECENT - 1)
    cdef bint again = 0
    r.before[place] = number  # of no use any more: the one that stood there is as old as none
    while now - number < RECENT:
        if r.packets[number & (RECENT - 1)] == packet:
            again = are_near(time_ns, r.times_ns[number & (RECENT - 1)])
            break
        number = r.before[number & (RECENT - 1)]
    r.packets[place] = packet
    r.times_ns[place] = time_ns
    newest[0] = now
    r.count = now
    return again


# The octets of a batch of frames.
cdef struct Octets:
    const uint8_t *first
    int64_t count


cdef inline uint64_t look(
    Recent *recent,
    const Octets *octets,
    const FrameColumns *frames,
    const BatchColumns *c,
    Py_ssize_t row,
    Py_ssize_t frame,
    uint64_t keys,
    int64_t time_ns,
) noexcept nogil:
    """Return the identifications of a packet in a tunnel: the inner one in the upper 16 bits.

    frame: its row in the batch of frames; keys: a hash of its flow and tunnel.
    AGAIN is set where it is among the last packets; 0 is returned where that cannot be told.
    """
    cdef int64_t outer = c.tunnels.ip_offset[c.rows.tunnel_start[row]]
    cdef int64_t begin = frames.offset[frame]
    cdef int64_t last = c.rows.stop_offset[row]
    cdef const uint8_t *h
    cdef uint64_t ids = 0
    cdef uint64_t packet
    if (
        last + INNERMOST_BYTES > frames.captured_bytes[frame]
        or outer + OUTER_BEGIN + OUTER_BYTES > last + INNERMOST_BYTES
        or begin < 0
        or begin > octets.count - (last + INNERMOST_BYTES)
    ):
        return 0
    h = octets.first + begin
    if h[outer] >> 4 == 4:
        ids = half_at(h + outer + OUTER_BEGIN)
    if c.rows.inner_offset[row] != outer:
        ids |= (c.rows.inner_id[row] & 0xFFFF) << 16
    if ids == 0:
        return 0
    packet = genevecap_fold(
        keys ^ word_at(h + outer + OUTER_BEGIN),
        recent.seed + (<uint64_t>frames.point[frame] << 32 | ids),
    )
    packet = genevecap_fold(packet ^ word_at(h + last), recent.seed)
    return ids | AGAIN if was_seen(recent, packet, time_ns) else ids
