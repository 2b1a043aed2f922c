# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Flows and tunnels of two tables of the summary added up, compiled.

Both tables may be one, whose rows move when it grows: so rows are asked for anew after that.
"""

from __future__ import annotations

from array import array

import cython
from cython.cimports.genevecap.analysis._kernel_tables import (
    CHANGES_WIDTH,
    LAST_PORT_WIDTH,
    FlowRow,
    Key,
    TunnelRow,
    add_changes,
    changes_of,
    find,
    find_tunnel,
    flow_row,
    key_of,
    note_time,
    packets_of,
    tunnel_row,
    wire_bytes_of,
)
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t

SEED = cython.declare(uint64_t, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)


def add_flows(flows, others):
    """Add the flows of another table; return the numbers that they have here, in their order."""
    i: uint32_t
    number: int64_t
    key: Key
    mine: cython.pointer(FlowRow)
    f: cython.pointer(FlowRow)
    numbers = array("q")
    for i in range(others.used):
        f = flow_row(others, i)
        key = key_of(SEED, cython.cast(cython.pointer(uint64_t), f), others.key_bits)
        number = find(flows, cython.address(key))
        numbers.append(number)
        f = flow_row(others, i)
        mine = flow_row(flows, number)
        add_changes(mine, changes_of(f))
        mine.packets_changes += packets_of(f) << CHANGES_WIDTH
        mine.bytes_port += wire_bytes_of(f) << LAST_PORT_WIDTH
    return numbers


def add_tunnels(tunnels, others):
    """Add the tunnels of another table; return the numbers that they have here, in their order."""
    i: uint32_t
    number: int64_t
    key: Key
    mine: cython.pointer(TunnelRow)
    e: cython.pointer(TunnelRow)
    numbers = array("q")
    for i in range(others.used):
        e = tunnel_row(others, i)
        key = key_of(SEED, cython.cast(cython.pointer(uint64_t), e), others.key_bits)
        number = find_tunnel(tunnels, cython.address(key), e.capture, e.frame)
        numbers.append(number)
        e = tunnel_row(others, i)
        mine = tunnel_row(tunnels, number)
        mine.packets += e.packets
        mine.wire_bytes += e.wire_bytes
        mine.overhead_bytes += e.overhead_bytes
        mine.option_packets += e.option_packets
        mine.services |= e.services
        mine.least_port = min(mine.least_port, e.least_port)
        mine.most_port = max(mine.most_port, e.most_port)
        mine.any_ids |= e.any_ids
        mine.all_ids &= e.all_ids
        if (e.capture, e.frame) < (mine.capture, mine.frame):
            mine.capture = e.capture
            mine.frame = e.frame
        note_time(mine, e.first_ns)
        note_time(mine, e.last_ns)
    return numbers
