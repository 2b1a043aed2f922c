# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_state cimport Frame, Octets

cdef bint esp_fits(Frame *f, uint64_t p) noexcept nogil
@cython.locals(p=uint64_t, icv=uint64_t, trailer=uint64_t, padding=uint32_t, ends=uint64_t, i=uint32_t, following=uint32_t)
cdef bint esp(Frame *f) noexcept nogil
@cython.locals(h=Octets, p=uint64_t, size=uint64_t)
cdef bint ah(Frame *f) noexcept nogil
@cython.locals(h=Octets, p=uint64_t, size=uint64_t)
cdef bint macsec(Frame *f) noexcept nogil
@cython.locals(kind=uint32_t, size=uint64_t)
cdef bint wireguard_fits(Frame *f, uint64_t p) noexcept nogil
@cython.locals(p=uint64_t)
cdef bint wireguard(Frame *f) noexcept nogil
@cython.locals(place=uint64_t)
cdef bint stt_fits(Frame *f, uint64_t p) noexcept nogil
cdef bint stt(Frame *f) noexcept nogil
