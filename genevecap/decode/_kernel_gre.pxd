# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_state cimport Frame, Octets, TunnelRef

@cython.locals(t=TunnelRef, p=uint64_t, flags=uint32_t, protocol=uint32_t, layer=uint32_t, kind=uint32_t, version=uint32_t, key=uint64_t, end=uint64_t)
cdef bint gre(Frame *f) noexcept nogil
@cython.locals(here=uint64_t, _count=uint32_t, size=uint32_t)
cdef uint64_t gre_routes(Frame *f, uint64_t p, uint64_t begins) noexcept nogil
cdef bint gre_fits(Frame *f, uint64_t p) noexcept nogil
@cython.locals(h=Octets, t=TunnelRef, p=uint64_t, end=uint64_t, version=uint32_t, kind=uint32_t)
cdef bint erspan(Frame *f) noexcept nogil
