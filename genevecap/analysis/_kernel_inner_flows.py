# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Which 5-tuples were in which tunnels, compiled: what `inner_flows` of a tunnel counts."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.analysis._kernel_tables import (
    FlowRow,
    Key,
    Table,
    flow_row,
    free_table,
    hash_of,
    key_of,
    make_table,
    mix,
    new_slot,
    number_in,
    tunnel_row,
)
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memset

SEED = cython.declare(uint64_t, hash("genevecap") & 0xFFFFFFFFFFFFFFFF)
LOW_HALF = cython.declare(uint64_t, 0xFFFFFFFF)
PORT_BITS = cython.declare(uint64_t, 0x3FFFFFFFF)


@cython.cclass
class InnerFlows:
    """Pairs of tunnel and 5-tuple; a 5-tuple is known by the first flow that has it."""

    def __cinit__(self):
        make_table(cython.address(self.tuples), 0, 1024, 0)
        self.same_room = 1024
        self.mask = 4095
        self.same = cython.cast(
            cython.pointer(uint32_t), calloc(self.same_room, cython.sizeof(uint32_t))
        )
        self.pairs = cython.cast(
            cython.pointer(uint64_t), calloc(self.mask + 1, cython.sizeof(uint64_t))
        )
        if self.same == cython.NULL or self.pairs == cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        free_table(cython.address(self.tuples))
        free(self.same)
        free(self.pairs)

    @cython.cfunc
    @cython.exceptval(-1)
    def grow_same(self, room: uint32_t) -> cython.int:
        """Make room for so many flows."""
        same = cython.cast(
            cython.pointer(uint32_t),
            realloc(self.same, cython.cast(cython.size_t, room) * cython.sizeof(uint32_t)),
        )
        if same == cython.NULL:
            raise MemoryError
        memset(same + self.same_room, 0, (room - self.same_room) * cython.sizeof(uint32_t))
        self.same = same
        self.same_room = room
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def first_flow(self, flows: cython.pointer(Table), flow: uint64_t) -> int64_t:
        """Return the first flow with this one's 5-tuple: the same flow in any VNI."""
        f: cython.pointer(FlowRow) = flow_row(flows, flow)
        g: cython.pointer(FlowRow)
        kind: uint64_t = f.kind & LOW_HALF
        hash_: uint32_t
        slot: uint64_t
        if flow >= self.same_room:
            self.grow_same(flows.room)
        if self.same[flow]:
            return self.same[flow] - 1
        key: Key = key_of(SEED, cython.cast(cython.pointer(uint64_t), f), PORT_BITS)
        key.kind = kind  # without the VNI
        hash_ = hash_of(SEED, cython.address(key))
        slot = hash_ & self.tuples.mask
        while self.tuples.slots[slot]:
            if self.tuples.slots[slot] >> 32 == hash_:
                g = flow_row(flows, number_in(self.tuples.slots[slot]))
                if (
                    g.source_lo == f.source_lo
                    and g.destination_lo == f.destination_lo
                    and (g.ports ^ f.ports) & PORT_BITS == 0
                    and g.kind & LOW_HALF == kind
                    and g.source_hi == f.source_hi
                    and g.destination_hi == f.destination_hi
                ):
                    self.same[flow] = self.tuples.slots[slot] & LOW_HALF
                    return self.same[flow] - 1
            slot = (slot + 1) & self.tuples.mask
        new_slot(cython.address(self.tuples), hash_, flow)
        self.same[flow] = flow + 1
        return flow

    @cython.cfunc
    @cython.exceptval(-1)
    def is_new(self, flows: cython.pointer(Table), tunnel: uint64_t, flow: uint64_t) -> cython.int:
        """Note that this flow was seen in this tunnel; return 1 where its 5-tuple is new there."""
        key: uint64_t = ((tunnel + 1) << 32) | cython.cast(uint64_t, self.first_flow(flows, flow))
        slot: uint64_t = mix(SEED, key) & self.mask
        while self.pairs[slot]:
            if self.pairs[slot] == key:
                return 0
            slot = (slot + 1) & self.mask
        if self.used * 2 > self.mask:
            self.grow_pairs()
            slot = mix(SEED, key) & self.mask
            while self.pairs[slot]:
                slot = (slot + 1) & self.mask
        self.pairs[slot] = key
        self.used += 1
        return 1

    @cython.cfunc
    @cython.exceptval(-1)
    def grow_pairs(self) -> cython.int:
        """Make room for twice as many pairs."""
        old: cython.pointer(uint64_t) = self.pairs
        old_mask: uint64_t = self.mask
        new = cython.cast(
            cython.pointer(uint64_t), calloc((old_mask + 1) * 2, cython.sizeof(uint64_t))
        )
        if new == cython.NULL:
            raise MemoryError
        self.pairs = new
        self.mask = old_mask * 2 + 1
        i: uint64_t
        slot: uint64_t
        for i in range(old_mask + 1):
            if old[i]:
                slot = mix(SEED, old[i]) & self.mask
                while new[slot]:
                    slot = (slot + 1) & self.mask
                new[slot] = old[i]
        free(old)
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def add(
        self,
        other: InnerFlows,
        flows: cython.pointer(Table),
        tunnels: cython.pointer(Table),
        flow_numbers,
        tunnel_numbers,
    ) -> cython.int:
        """Add the pairs of another one, whose rows have these numbers here, to the tunnels."""
        slot: uint64_t
        number: int64_t
        for slot in range(other.mask + 1):
            if other.pairs[slot]:
                number = tunnel_numbers[(other.pairs[slot] >> 32) - 1]
                tunnel_row(tunnels, number).inner_flows += self.is_new(
                    flows, number, flow_numbers[other.pairs[slot] & LOW_HALF]
                )
        return 0
