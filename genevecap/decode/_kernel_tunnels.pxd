# SPDX-License-Identifier: Apache-2.0
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_state cimport Frame, Octets, Tunnel, TunnelRef

@cython.locals(t=TunnelRef)
cdef Tunnel *new_tunnel(Frame *f, uint32_t kind, uint64_t p, uint64_t end, uint32_t flags) noexcept nogil
cdef bint ip_in_ip(Frame *f, uint64_t p, uint32_t layer) noexcept nogil
@cython.locals(h=Octets, p=uint64_t, size=uint64_t)
cdef bint nsh(Frame *f) noexcept nogil
cdef bint by_next_protocol(Frame *f, uint64_t p, uint32_t following) noexcept nogil
cdef bint gtpu_fits(Frame *f, uint64_t p) noexcept nogil
@cython.locals(h=Octets, t=TunnelRef, p=uint64_t, end=uint64_t, version=uint32_t)
cdef bint gtpu(Frame *f) noexcept nogil
@cython.locals(here=uint64_t, size=uint64_t, following=uint32_t, _count=uint32_t)
cdef uint64_t gtpu_extensions(Frame *f, Tunnel *t, uint64_t p, uint64_t begins) noexcept nogil
@cython.locals(area=uint64_t, here=uint64_t, protocol=uint32_t)
cdef bint geneve_fits(Frame *f, uint64_t p) noexcept nogil
cdef void carrier(Frame *f, uint64_t p, uint32_t fragmented, uint32_t no_checksum, uint32_t no_checksum_ipv6) noexcept nogil
cdef uint32_t unusual_protocol(Octets h, uint32_t protocol) noexcept nogil
@cython.locals(i=uint32_t)
cdef bint known_critical(Frame *f, uint32_t option) noexcept nogil
@cython.locals(h=Octets, t=TunnelRef, p=uint64_t, first=uint32_t, header=uint64_t, protocol=uint32_t)
cdef bint geneve(Frame *f) noexcept nogil
@cython.locals(here=uint64_t, end=uint64_t, size=uint64_t, row=uint32_t, kind=uint32_t, critical=cython.bint, broken=cython.bint)
cdef void geneve_options(Frame *f, Tunnel *t, uint64_t begins, uint64_t ends, bint critical_flag) noexcept nogil
@cython.locals(flags=uint32_t, policy=uint32_t, last=uint32_t, reserved=uint32_t, found=uint32_t)
cdef uint32_t unusual_vxlan(Octets h) noexcept nogil
@cython.locals(h=Octets, t=TunnelRef, p=uint64_t)
cdef bint vxlan(Frame *f) noexcept nogil
@cython.locals(h=Octets, t=TunnelRef, p=uint64_t, flags=uint32_t)
cdef bint vxlan_gpe(Frame *f) noexcept nogil
