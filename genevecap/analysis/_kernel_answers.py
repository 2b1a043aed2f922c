# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""What the tables of the summary are asked when they are full, compiled: see `tables`."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.analysis._kernel_tables import (
    FlowRow,
    TunnelRef,
    changes_of,
    flow_row,
    largest_tunnel_first,
    mix,
    packets_of,
    tunnel_row,
    wire_bytes_of,
)
from cython.cimports.libc.stdint import int32_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, malloc, qsort

from . import tables
from .tables import FIRST_FRAMES, Directions, FlowCount, Scattered, TunnelCount, flow_order

SEED = cython.declare(uint64_t, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)
LOW_HALF = cython.declare(uint64_t, 0xFFFFFFFF)
ONE_PORT = cython.declare(uint64_t, 0x1FFFF)
TCP = cython.declare(uint64_t, 6)
OUTBOUND_PORT = cython.declare(uint64_t, tables.REDIRECT_PORTS[0] + 1)
INBOUND_PORT = cython.declare(uint64_t, tables.REDIRECT_PORTS[1] + 1)
SCATTERED_PACKETS = cython.declare(uint64_t, tables.SCATTERED_PACKETS)

new_tuple = tuple.__new__


def tunnel_count_of(e):
    """Return a row as a `TunnelCount`."""
    # There may be tens of thousands, and the class's own constructor takes twice as long.
    return new_tuple(
        TunnelCount,
        (
            e.kind >> 16,
            cython.cast(int32_t, e.vni_port >> 32),
            (e.kind >> 8) & 0xFF,
            e.source_hi,
            e.source_lo,
            e.destination_hi,
            e.destination_lo,
            cython.cast(int32_t, e.vni_port & LOW_HALF),
            e.kind & 0xFF,
            e.packets,
            e.wire_bytes,
            e.overhead_bytes,
            e.inner_flows,
            e.option_packets,
            e.first_ns,
            e.last_ns,
            cython.cast(int32_t, e.least_port) if e.least_port <= e.most_port else -1,
            cython.cast(int32_t, e.most_port) if e.least_port <= e.most_port else -1,
            e.services,
            e.capture,
            e.frame,
        ),
    )


def flow_count_of(e):
    """Return a row as a `FlowCount`."""
    return FlowCount(
        cython.cast(int32_t, e.kind >> 32),
        (e.kind >> 8) & 0xFF,
        e.source_hi,
        e.source_lo,
        e.destination_hi,
        e.destination_lo,
        e.kind & 0xFF,
        cython.cast(int32_t, (e.ports >> 17) & ONE_PORT) - 1,
        cython.cast(int32_t, e.ports & ONE_PORT) - 1,
        packets_of(e),
        wire_bytes_of(e),
    )


def all_tunnels(table):
    """Return the tunnels of a table, largest first."""
    i: uint32_t
    count: uint32_t = table.used
    order = cython.cast(cython.pointer(TunnelRef), malloc((count + 1) * cython.sizeof(TunnelRef)))
    if order == cython.NULL:
        raise MemoryError
    for i in range(count):
        order[i] = tunnel_row(table, i)
    qsort(order, count, cython.sizeof(TunnelRef), largest_tunnel_first)
    try:
        return [tunnel_count_of(order[i]) for i in range(count)]
    finally:
        free(order)


def largest(table, protocol, port, version, hi, lo, most):
    """Return the flows with most packets; version 0 means any.

    protocol, port: plus one; 0 means any.

    A flow with fewer packets than the `most`-th so far is passed over without making a row.
    """
    i: uint32_t
    least: uint64_t = 0
    e: cython.pointer(FlowRow)
    rows = []
    for i in range(table.used):
        e = flow_row(table, i)
        if packets_of(e) < least:
            continue
        if protocol and (e.kind & 0xFF) + 1 != protocol:
            continue
        if port and (e.ports >> 17) & ONE_PORT != port and e.ports & ONE_PORT != port:
            continue
        if version and (
            (e.kind >> 8) & 0xFF != version
            or not (
                (e.source_hi == hi and e.source_lo == lo)
                or (e.destination_hi == hi and e.destination_lo == lo)
            )
        ):
            continue
        rows.append(flow_count_of(e))
        if len(rows) >= 4 * most + 64:
            rows.sort(key=flow_order)
            del rows[most:]
            if rows:
                least = rows[len(rows) - 1].packets
    rows.sort(key=flow_order)
    return rows[:most]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def is_scattered(f: cython.pointer(FlowRow)) -> cython.bint:
    """See `tables.SummaryTables.scattered`."""
    return packets_of(f) >= SCATTERED_PACKETS and 4 * changes_of(f) >= packets_of(f)


def scattered_flows(table, changed, most):
    """See `tables.SummaryTables.scattered`; changed: where ports did so first, by flow."""
    i: uint32_t
    e: cython.pointer(FlowRow)
    flows: uint64_t = 0
    packets: uint64_t = 0
    rows = []
    places = []
    for i in range(table.used):
        e = flow_row(table, i)
        if is_scattered(e):
            if i in changed:
                places.append(changed[i])
            flows += 1
            packets += packets_of(e)
            rows.append(flow_count_of(e))
            if len(rows) >= 4 * most + 64:
                rows.sort(key=flow_order)
                del rows[most:]
    rows.sort(key=flow_order)
    return Scattered(flows, packets, rows[:most], sorted(places)[:FIRST_FRAMES])


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def end_hash(hi: uint64_t, lo: uint64_t, port: uint64_t) -> uint64_t:
    return mix(mix(mix(SEED, hi), lo), port)


def tcp_directions(table):
    """See `tables.SummaryTables.directions`."""
    i: uint32_t
    e: cython.pointer(FlowRow)
    one: uint64_t
    other: uint64_t
    slot: uint64_t
    bits: uint64_t
    mask: uint64_t = 1023
    while mask < cython.cast(uint64_t, table.used) * 2:
        mask = mask * 2 + 1
    # A connection's hash, whose lowest bits say which directions there are: 1, 2; 4 for a
    # direction to a redirection port.
    seen = cython.cast(cython.pointer(uint64_t), calloc(mask + 1, cython.sizeof(uint64_t)))
    if seen == cython.NULL:
        raise MemoryError
    for i in range(table.used):
        e = flow_row(table, i)
        if e.kind & 0xFF != TCP:
            continue
        one = end_hash(e.source_hi, e.source_lo, (e.ports >> 17) & ONE_PORT)
        other = end_hash(e.destination_hi, e.destination_lo, e.ports & ONE_PORT)
        bits = 1 if one < other else 2
        if e.ports & ONE_PORT == OUTBOUND_PORT or e.ports & ONE_PORT == INBOUND_PORT:
            bits |= 4
        one = (one + other) & ~cython.cast(uint64_t, 7)
        slot = (one >> 3) & mask
        while seen[slot] and (seen[slot] ^ one) & ~cython.cast(uint64_t, 7):
            slot = (slot + 1) & mask
        seen[slot] = one | (seen[slot] & 7) | bits
    both: uint64_t = 0
    alone: uint64_t = 0
    redirected: uint64_t = 0
    for slot in range(mask + 1):
        if seen[slot] & 3 == 3:
            both += 1
        elif seen[slot]:
            alone += 1
            redirected += (seen[slot] & 4) != 0
    free(seen)
    return Directions(both, alone, redirected)
