# SPDX-License-Identifier: Apache-2.0
from ._kernel_state cimport Frame

cdef bint is_handled(unsigned char layer) noexcept nogil
cdef void run(Frame *f) noexcept nogil
cdef void back_to_fragment(Frame *f) noexcept nogil
cdef void leave_out_trailer(Frame *f) noexcept nogil
