# SPDX-License-Identifier: Apache-2.0
# A table of rows found by their key: open addressing, linear probing.
#
# Rows only grow, so a row's number is stable.  A row is its key (six words, the fifth of which may
# hold other bits beside it) and its counters; it fills whole cache lines.  A slot holds a row's hash
# and its number plus one, so that a probe touches no row but the right one, and slots can be moved
# without one; at most half of them are taken.  Width 0 means slots alone.

from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from genevecap._kernel_columns cimport BatchColumns, TunnelColumns, genevecap_prefetch

cdef enum:
    KEY_WORDS = 6
    LINE_WORDS = 8
    LINE_BYTES = 64
    MOST_ROWS = 0x10000000

cdef struct Table:
    void *memory
    uint64_t *rows
    uint64_t *slots
    uint64_t mask
    uint64_t key_bits  # of the fifth word: those that belong to the key
    uint32_t width  # words of a row
    uint32_t used
    uint32_t room


cdef inline uint64_t mix(uint64_t h, uint64_t x) noexcept nogil:
    """Mix a word into a hash."""
    h = (h ^ x) * <uint64_t>0x9E3779B97F4A7C15
    return h ^ (h >> 32)


# What a row is found by: its first words, and their hash.
cdef struct Key:
    uint64_t source_hi
    uint64_t source_lo
    uint64_t destination_hi
    uint64_t destination_lo
    uint64_t words  # what tells rows of the same addresses apart
    uint64_t kind  # its second octet is the IP version
    uint32_t hash


cdef inline uint32_t hash_of(uint64_t seed, const Key *key) noexcept nogil:
    """Hash the words of a key."""
    cdef uint64_t h
    if (key.kind >> 8) & 0xFF == 6:
        h = mix(mix(seed, key.source_lo), key.destination_lo)
        h = mix(mix(h, key.source_hi), key.destination_hi)
    else:
        h = mix(seed, (key.source_lo << 32) ^ key.destination_lo)
    return <uint32_t>mix(mix(h, key.words), key.kind)


cdef inline Key key_of(uint64_t seed, const uint64_t *row, uint64_t key_bits) noexcept nogil:
    """Return the key of a row."""
    cdef Key key
    key.source_hi = row[0]
    key.source_lo = row[1]
    key.destination_hi = row[2]
    key.destination_lo = row[3]
    key.words = row[4] & key_bits
    key.kind = row[5]
    key.hash = hash_of(seed, &key)
    return key


cdef inline uint64_t pack(int32_t high, uint32_t low) noexcept nogil:
    return <uint64_t><uint32_t>high << 32 | low


cdef enum:
    PORT_MASK = 0x1FFFF
    PORT_WIDTH = 17


cdef inline void flow_key(uint64_t seed, Key *k, const BatchColumns *c, Py_ssize_t row) noexcept nogil:
    """Make the key of the innermost flow of a frame: with the VNI of the tunnel around it."""
    cdef uint32_t start = c.rows.tunnel_start[row]
    cdef uint32_t around = c.rows.tunnel_count[row]
    cdef uint32_t version = c.rows.inner_version[row]
    while around and c.tunnels.header_offset[start + around - 1] > c.rows.inner_offset[row]:
        around -= 1
    k.source_hi = c.rows.inner_source_hi[row]
    k.source_lo = c.rows.inner_source_lo[row]
    k.destination_hi = c.rows.inner_destination_hi[row]
    k.destination_lo = c.rows.inner_destination_lo[row]
    k.words = (
        (<uint64_t>(c.rows.inner_source_port[row] + 1) & PORT_MASK) << PORT_WIDTH
        | (<uint64_t>(c.rows.inner_destination_port[row] + 1) & PORT_MASK)
    )
    k.kind = pack(
        c.tunnels.vni[start + around - 1] if around else -1,
        version << 8 | c.rows.inner_protocol[row],
    )
    k.hash = hash_of(seed, k)


cdef inline void tunnel_key(uint64_t seed, Key *k, const TunnelColumns *c, Py_ssize_t t) noexcept nogil:
    """Make the key of a row of the tunnel table."""
    k.source_hi = c.source_hi[t]
    k.source_lo = c.source_lo[t]
    k.destination_hi = c.destination_hi[t]
    k.destination_lo = c.destination_lo[t]
    k.words = pack(c.vni[t], c.destination_port[t])
    k.kind = <uint64_t>c.kind[t] << 16 | <uint64_t>c.version[t] << 8 | <uint64_t>c.depth[t]
    k.hash = hash_of(seed, k)


cdef inline int make_room(Table *t, uint32_t room) except -1:
    """Make room for so many rows in all, and for twice as many slots."""
    cdef void *memory
    cdef uint64_t *rows
    cdef uint64_t *slots
    cdef uint64_t mask = <uint64_t>room * 2 - 1
    cdef uint64_t row_bytes = t.width * sizeof(uint64_t)
    cdef uint64_t i, slot
    if room > MOST_ROWS:
        raise MemoryError("more than 268 million rows")
    if row_bytes:
        memory = malloc(room * row_bytes + LINE_BYTES)
        if memory == NULL:
            raise MemoryError
        rows = <uint64_t *>((<uint64_t>memory + LINE_BYTES - 1) & ~<uint64_t>(LINE_BYTES - 1))
        if t.used:
            memcpy(rows, t.rows, t.used * row_bytes)
        free(t.memory)
        t.memory = memory
        t.rows = rows
    slots = <uint64_t *>calloc(mask + 1, sizeof(uint64_t))
    if slots == NULL:
        raise MemoryError
    if t.slots != NULL:
        for i in range(t.mask + 1):
            if t.slots[i]:
                slot = (t.slots[i] >> 32) & mask
                while slots[slot]:
                    slot = (slot + 1) & mask
                slots[slot] = t.slots[i]
    free(t.slots)
    t.slots = slots
    t.mask = mask
    t.room = room
    return 0


cdef inline int make_table(Table *t, uint32_t width, uint32_t room, uint64_t key_bits) except -1:
    """Make an empty table; room is a power of two."""
    memset(t, 0, sizeof(Table))
    t.width = width
    t.key_bits = key_bits
    return make_room(t, room)


cdef inline void free_table(Table *t) noexcept:
    free(t.memory)
    free(t.slots)


cdef inline uint64_t entry_of(uint32_t hash, uint32_t number) noexcept nogil:
    """Return what the slot of a number holds."""
    return (<uint64_t>hash << 32) | (number + 1)


cdef inline int new_slot(Table *t, uint32_t hash, uint32_t number) except -1:
    """Enter a number that is not in the table yet."""
    cdef uint64_t slot
    if t.used == t.room:
        make_room(t, t.room * 2)
    slot = hash & t.mask
    while t.slots[slot]:
        slot = (slot + 1) & t.mask
    t.slots[slot] = entry_of(hash, number)
    t.used += 1
    return 0


cdef inline uint64_t number_in(uint64_t entry) noexcept nogil:
    """Return the number that a taken slot holds."""
    return (entry & <uint64_t>0xFFFFFFFF) - 1


cdef inline int64_t find(Table *t, const Key *key) except -1:
    """Return the number of the row with this key, making it, all counters 0, if need be."""
    cdef uint64_t slot = key.hash & t.mask
    cdef uint64_t number
    cdef uint64_t *row
    while t.slots[slot]:
        if t.slots[slot] >> 32 == key.hash:
            number = number_in(t.slots[slot])
            row = t.rows + number * t.width
            if (
                row[1] == key.source_lo
                and row[3] == key.destination_lo
                and (row[4] ^ key.words) & t.key_bits == 0
                and row[5] == key.kind
                and row[0] == key.source_hi
                and row[2] == key.destination_hi
            ):
                return number
        slot = (slot + 1) & t.mask
    number = t.used
    new_slot(t, key.hash, t.used)
    row = t.rows + number * t.width
    memset(row, 0, t.width * sizeof(uint64_t))
    memcpy(row, key, KEY_WORDS * sizeof(uint64_t))
    return number


cdef inline uint64_t *likely_row(Table *t, uint32_t hash) noexcept nogil:
    """Return the row that this hash most likely means, NULL where there is none."""
    cdef uint64_t entry = t.slots[hash & t.mask]
    return t.rows + number_in(entry) * t.width if entry else NULL


cdef enum:
    CHANGES_WIDTH = 24
    LAST_PORT_WIDTH = 16

# The word `ports` of a flow holds both ports plus one and, above PORT_BITS, which are the key, the
# number of its last tunnel plus one.  A row fills one cache line.  Counters are in the upper bits of
# their words, so that one addition counts and nothing carries into what is below.
cdef struct FlowRow:
    uint64_t source_hi
    uint64_t source_lo
    uint64_t destination_hi
    uint64_t destination_lo
    uint64_t ports
    uint64_t kind
    uint64_t packets_changes
    uint64_t bytes_port  # octets on the wire, and the last outer source port


cdef inline void count_packet(FlowRow *f, uint64_t wire_bytes) noexcept nogil:
    f.packets_changes += <uint64_t>1 << CHANGES_WIDTH
    f.bytes_port += wire_bytes << LAST_PORT_WIDTH


cdef inline uint64_t packets_of(const FlowRow *f) noexcept nogil:
    return f.packets_changes >> CHANGES_WIDTH


cdef inline uint64_t wire_bytes_of(const FlowRow *f) noexcept nogil:
    return f.bytes_port >> LAST_PORT_WIDTH


cdef inline uint64_t changes_of(const FlowRow *f) noexcept nogil:
    """Return how many packets came from another outer source port than the one before."""
    return f.packets_changes & ((1 << CHANGES_WIDTH) - 1)


cdef inline void add_changes(FlowRow *f, uint64_t more) noexcept nogil:
    """Add to the changes, of which no more are counted than there are bits."""
    cdef uint64_t changes = changes_of(f)
    cdef uint64_t room = (1 << CHANGES_WIDTH) - 1 - changes
    f.packets_changes += more if more < room else room


cdef inline uint16_t last_port_of(const FlowRow *f) noexcept nogil:
    return <uint16_t>f.bytes_port


cdef inline void set_last_port(FlowRow *f, uint16_t port) noexcept nogil:
    f.bytes_port = f.bytes_port >> LAST_PORT_WIDTH << LAST_PORT_WIDTH | port


cdef struct TunnelRow:
    uint64_t source_hi
    uint64_t source_lo
    uint64_t destination_hi
    uint64_t destination_lo
    uint64_t vni_port
    uint64_t kind
    uint64_t packets
    uint64_t wire_bytes
    uint64_t overhead_bytes
    uint64_t option_packets
    int64_t first_ns
    int64_t last_ns
    uint16_t least_port  # above most_port where there are no ports
    uint16_t most_port
    uint32_t services
    int64_t frame
    int32_t capture
    uint32_t inner_flows
    # Of the identifications that are not 0, outer ones in the lower half and inner ones in the
    # upper: the bits that any has, and those that all have.
    uint32_t any_ids
    uint32_t all_ids

ctypedef TunnelRow *TunnelRef


cdef inline FlowRow *flow_row(Table *flows, uint64_t number) noexcept nogil:
    return <FlowRow *>(flows.rows + number * LINE_WORDS)


cdef inline TunnelRow *tunnel_row(Table *tunnels, uint64_t number) noexcept nogil:
    return <TunnelRow *>(tunnels.rows + number * 2 * LINE_WORDS)


cdef inline int64_t find_tunnel(
    Table *tunnels, const Key *key, int32_t capture, int64_t frame
) except -1:
    """Return the number of the tunnel with this key, making it, first seen there, if need be."""
    cdef uint32_t before = tunnels.used
    cdef int64_t number = find(tunnels, key)
    cdef TunnelRow *e
    if tunnels.used != before:
        e = tunnel_row(tunnels, number)
        e.first_ns = INT64_MIN
        e.last_ns = INT64_MIN
        e.least_port = 0xFFFF
        e.all_ids = 0xFFFFFFFF
        e.capture = capture
        e.frame = frame
    return number


cdef inline void note_time(TunnelRow *e, int64_t time_ns) noexcept nogil:
    """Note the time of a packet, INT64_MIN for one that has none."""
    if time_ns != INT64_MIN:
        if e.first_ns == INT64_MIN or time_ns < e.first_ns:
            e.first_ns = time_ns
        if time_ns > e.last_ns:
            e.last_ns = time_ns


cdef inline void note_ids(TunnelRow *e, uint32_t ids) noexcept nogil:
    """Note the identifications of a packet, of which not both are 0."""
    e.any_ids |= ids
    if ids < 0x10000:
        ids |= <uint32_t>0xFFFF0000
    if not ids & 0xFFFF:
        ids |= 0xFFFF
    e.all_ids &= ids


cdef inline int largest_tunnel_first(const void *one, const void *other) noexcept nogil:
    """Compare for `qsort`: most packets, then most octets, then by key as `TunnelCount` has it."""
    cdef const TunnelRow *a = (<const TunnelRef *>one)[0]
    cdef const TunnelRow *b = (<const TunnelRef *>other)[0]
    if a.packets != b.packets:
        return 1 if a.packets < b.packets else -1
    if a.wire_bytes != b.wire_bytes:
        return 1 if a.wire_bytes < b.wire_bytes else -1
    if a.kind >> 16 != b.kind >> 16:
        return 1 if a.kind >> 16 > b.kind >> 16 else -1
    if a.vni_port >> 32 != b.vni_port >> 32:
        return 1 if <int32_t>(a.vni_port >> 32) > <int32_t>(b.vni_port >> 32) else -1
    if (a.kind ^ b.kind) & 0xFF00:
        return 1 if a.kind & 0xFF00 > b.kind & 0xFF00 else -1
    if a.source_hi != b.source_hi:
        return 1 if a.source_hi > b.source_hi else -1
    if a.source_lo != b.source_lo:
        return 1 if a.source_lo > b.source_lo else -1
    if a.destination_hi != b.destination_hi:
        return 1 if a.destination_hi > b.destination_hi else -1
    if a.destination_lo != b.destination_lo:
        return 1 if a.destination_lo > b.destination_lo else -1
    if a.vni_port != b.vni_port:
        return 1 if <int32_t>a.vni_port > <int32_t>b.vni_port else -1
    return 1 if a.kind > b.kind else -1
