# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint8_t, uint32_t

@cython.locals(service=uint32_t)
cdef uint32_t service_of(uint8_t protocol, uint32_t source, uint32_t destination) noexcept nogil
