# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_state cimport Frame, IpRef, Octets

@cython.locals(h=Octets, ip=IpRef, p=uint64_t, first=uint32_t, header=uint64_t, total=uint64_t)
cdef bint ipv4(Frame *f) noexcept nogil
@cython.locals(h=Octets, ip=IpRef, p=uint64_t, first=uint32_t, length=uint64_t, here=uint64_t)
cdef bint ipv6(Frame *f) noexcept nogil
@cython.locals(here=uint64_t, size=uint64_t, extensions=uint32_t, following=uint32_t, field=uint32_t, declared=uint64_t)
cdef uint64_t extension_headers(Frame *f, uint64_t p) noexcept nogil
@cython.locals(ip=IpRef)
cdef IpRef new_ip(Frame *f, uint32_t version, uint64_t p) noexcept nogil
cdef void note_first_fragment(Frame *f) noexcept nogil
@cython.locals(layer=uint32_t)
cdef bint by_protocol(Frame *f, uint64_t p, uint32_t protocol) noexcept nogil
