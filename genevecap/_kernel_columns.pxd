# SPDX-License-Identifier: Apache-2.0
# The columns of `columns.py` as pointers: what kernels read and write.
#
# A struct has the fields of the SCHEMA of the class that its name begins with, in that order; a
# test holds the two together.  `bind_frames` and `bind_decoded` fill them in, once for a batch that
# is used again and again.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef struct FrameColumns:
    int64_t *frame
    int64_t *time_ns
    int64_t *offset
    uint32_t *captured_bytes
    uint32_t *wire_bytes
    int32_t *point
    int64_t *options_offset
    uint32_t *options_bytes

cdef struct DecodedColumns:
    uint8_t *stop
    uint32_t *stop_layer
    uint32_t *stop_offset
    uint32_t *findings
    uint8_t *keep
    uint32_t *layer_start
    uint8_t *layer_count
    uint32_t *tunnel_start
    uint8_t *tunnel_count
    uint64_t *link_source
    uint64_t *link_destination
    uint8_t *outer_version
    uint8_t *outer_protocol
    uint64_t *outer_source_hi
    uint64_t *outer_source_lo
    uint64_t *outer_destination_hi
    uint64_t *outer_destination_lo
    int32_t *outer_source_port
    int32_t *outer_destination_port
    uint8_t *inner_version
    uint8_t *inner_protocol
    uint64_t *inner_source_hi
    uint64_t *inner_source_lo
    uint64_t *inner_destination_hi
    uint64_t *inner_destination_lo
    int32_t *inner_source_port
    int32_t *inner_destination_port
    uint32_t *inner_offset
    uint32_t *inner_bytes
    uint8_t *inner_ttl
    uint8_t *inner_tos
    uint32_t *inner_id
    uint16_t *inner_fragment
    uint32_t *payload_offset
    uint32_t *payload_bytes
    uint16_t *tcp_flags
    uint32_t *tcp_sequence
    uint32_t *tcp_acknowledgment
    uint16_t *tcp_window
    uint8_t *tcp_options
    uint16_t *tcp_mss
    uint8_t *tcp_window_scale
    uint32_t *tcp_timestamp
    uint32_t *tcp_timestamp_echo

cdef struct LayerColumns:
    uint32_t *code
    uint32_t *offset

cdef struct TunnelColumns:
    uint32_t *row
    uint8_t *depth
    uint8_t *kind
    int32_t *vni
    uint8_t *version
    uint64_t *source_hi
    uint64_t *source_lo
    uint64_t *destination_hi
    uint64_t *destination_lo
    int32_t *source_port
    int32_t *destination_port
    uint32_t *overhead_bytes
    uint32_t *ip_offset
    uint32_t *header_offset
    uint32_t *flags
    uint32_t *identifier
    uint32_t *option_start
    uint8_t *option_count

cdef struct OptionColumns:
    uint16_t *option_class
    uint8_t *option_type
    uint32_t *data_offset
    uint8_t *data_bytes


# All columns of a batch of decoded frames, and of its side tables.
cdef struct BatchColumns:
    DecodedColumns rows
    LayerColumns layers
    TunnelColumns tunnels
    OptionColumns options


cdef inline object bind(object columns, void **pointers, size_t octets):
    """Point at the columns of one table; return what keeps them where they are.

    Raises ValueError where they are not all as long as the table's capacity, or of another type.
    """
    cdef uint8_t[::1] column
    cdef size_t i = 0
    kept = []
    if len(columns.SCHEMA) * sizeof(void *) != octets:
        raise TypeError("kernels were built for other columns: build them anew")
    for name, typecode, _ in columns.SCHEMA:
        view = memoryview(getattr(columns, name))
        if view.format != typecode or len(view) != columns.capacity:
            raise ValueError("a batch whose columns are not all as long as its capacity")
        column = view.cast("B")
        pointers[i] = &column[0] if len(view) else NULL
        kept.append(view)
        i += 1
    return kept


cdef inline object bind_frames(object frames, FrameColumns *columns, object bound):
    """Point at the columns of a batch of frames, unless they are those of the last call.

    bound: what that call returned, None before the first.
    """
    cdef FrameColumns found
    if bound is not None and bound[0] is frames:
        return bound
    kept = bind(frames, <void **>&found, sizeof(FrameColumns))
    columns[0] = found
    return frames, kept


cdef inline object bind_decoded(object decoded, BatchColumns *columns, object bound):
    """Point at the columns of a batch of decoded frames, as `bind_frames` does."""
    cdef BatchColumns found
    if bound is not None and bound[0] is decoded:
        return bound
    kept = (
        bind(decoded, <void **>&found.rows, sizeof(DecodedColumns)),
        bind(decoded.layers, <void **>&found.layers, sizeof(LayerColumns)),
        bind(decoded.tunnels, <void **>&found.tunnels, sizeof(TunnelColumns)),
        bind(decoded.options, <void **>&found.options, sizeof(OptionColumns)),
    )
    columns[0] = found
    return decoded, kept


cdef inline int check_rows(object frames, object decoded) except -1:
    """Raise ValueError where the rows in use of `decoded` are not rows of both batches."""
    cdef Py_ssize_t first = decoded.first
    cdef Py_ssize_t rows = decoded.count
    if first < 0 or rows < 0 or rows > decoded.capacity or first + rows > frames.capacity:
        raise ValueError("rows that the batch does not have")
    return 0


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define genevecap_prefetch(address) __builtin_prefetch(address)
    #define genevecap_lowest_bit(bits) ((unsigned int)__builtin_ctz(bits))
    #else
    #define genevecap_prefetch(address) ((void)0)
    static unsigned int genevecap_lowest_bit(unsigned int bits) {
        unsigned int place = 0;
        for (; !(bits & 1); bits >>= 1) place++;
        return place;
    }
    #endif
    """
    # A function that does nothing else is optimised away as a whole: use it where it matters.
    void genevecap_prefetch(const void *address) noexcept nogil
    # Of a number that is not 0.
    uint32_t genevecap_lowest_bit(uint32_t bits) noexcept nogil
