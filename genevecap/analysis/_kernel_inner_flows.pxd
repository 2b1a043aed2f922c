# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int64_t, uint32_t, uint64_t
from ._kernel_tables cimport Table

cdef class InnerFlows:
    # slots alone: the first flow of each 5-tuple
    cdef Table tuples
    # by flow: its first flow plus one, 0 while that is not known
    cdef uint32_t *same
    cdef uint32_t same_room
    # pairs of tunnel and 5-tuple: (tunnel + 1) << 32 | first flow; 0 is free
    cdef uint64_t *pairs
    cdef uint64_t used
    cdef uint64_t mask

    cdef int is_new(self, Table *flows, uint64_t tunnel, uint64_t flow) except? -1
    cdef int add(self, InnerFlows other, Table *flows, Table *tunnels, object flow_numbers, object tunnel_numbers) except? -1
    cdef int64_t first_flow(self, Table *flows, uint64_t flow) except? -1
    cdef int grow_same(self, uint32_t room) except? -1
    cdef int grow_pairs(self) except? -1
