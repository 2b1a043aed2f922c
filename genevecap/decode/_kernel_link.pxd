# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_state cimport Frame, Octets

@cython.locals(h=Octets, p=uint64_t)
cdef bint ethernet(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint vlan(Frame *f) noexcept nogil
cdef bint type_or_length(Frame *f, uint64_t p, uint32_t kind) noexcept nogil
@cython.locals(p=uint64_t, entry=uint32_t, nibble=uint32_t)
cdef bint mpls(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint llc(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint sll(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint sll2(Frame *f) noexcept nogil
cdef bint cooked(Frame *f, uint64_t p, uint32_t kind) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint raw(Frame *f) noexcept nogil
@cython.locals(p=uint64_t, family=uint32_t)
cdef bint null_family(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint loop(Frame *f) noexcept nogil
cdef bint by_family(Frame *f, uint64_t p, uint32_t layer, uint32_t family) noexcept nogil
@cython.locals(p=uint64_t, octets=uint64_t)
cdef bint arp(Frame *f) noexcept nogil
