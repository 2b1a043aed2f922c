# SPDX-License-Identifier: Apache-2.0
from ._kernel_tables cimport Table

cdef object add_flows(Table *flows, Table *others)
cdef object add_tunnels(Table *tunnels, Table *others)
