# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_state cimport Frame, Octets

cdef void ports(Frame *f, uint64_t p) noexcept nogil
cdef void payload(Frame *f, uint64_t begins, uint64_t ends) noexcept nogil
@cython.locals(h=Octets, p=uint64_t, length=uint64_t, ends=uint64_t, layer=uint32_t)
cdef bint udp(Frame *f) noexcept nogil
cdef bint tentative(Frame *f, uint64_t p, uint32_t layer) noexcept nogil
@cython.locals(h=Octets, p=uint64_t, header=uint64_t)
cdef bint tcp(Frame *f) noexcept nogil
@cython.locals(kind=uint32_t, size=uint32_t)
cdef void tcp_options(Frame *f, uint64_t p, uint64_t end) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint sctp(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint icmp(Frame *f) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint icmpv6(Frame *f) noexcept nogil
