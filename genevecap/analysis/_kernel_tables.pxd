# SPDX-License-Identifier: Apache-2.0
# Nothing but the compiler's prefetch: a table larger than the cache is walked a few rows ahead.
cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define genevecap_prefetch(address) __builtin_prefetch(address)
    #else
    #define genevecap_prefetch(address) ((void)0)
    #endif
    """
    void genevecap_prefetch(const void *address) noexcept nogil
