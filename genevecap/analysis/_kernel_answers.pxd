# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport uint32_t, uint64_t
from ._kernel_tables cimport FlowRow, Table, TunnelRow

cdef object tunnel_count_of(TunnelRow *e)
cdef object flow_count_of(FlowRow *e)
cdef object all_tunnels(Table *table)
cdef object largest(Table *table, uint64_t protocol, uint64_t port, uint32_t version, uint64_t hi, uint64_t lo, Py_ssize_t most)
cdef object scattered_flows(Table *table, dict changed, Py_ssize_t most)
cdef object tcp_directions(Table *table)
