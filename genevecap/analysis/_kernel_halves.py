# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""What the compiled tracker has of halves (the `.pxd` beside this file), as Python objects."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.analysis._kernel_tls_records import RECORDS_OF_BLOCK

from .connections import Endpoint, Half, Turn
from .records import RecordReader


def object_of(h, held, ends):
    """Return a half as an object.

    held: what readers share; ends: the endpoints so far, of which each is one object.
    """
    source = Endpoint(h.version, h.source_hi, h.source_lo, h.source_port)
    destination = Endpoint(h.version, h.destination_hi, h.destination_lo, h.destination_port)
    half = Half(
        h.capture,
        h.point,
        h.key,
        h.upward != 0,
        ends.setdefault(source, source),
        ends.setdefault(destination, destination),
        h.first_frame,
        h.first_ns,
    )
    half.last_ns = h.last_ns
    half.packets = h.packets
    half.wire_bytes = h.wire_bytes
    half.ttl = h.ttl
    half.mss = h.mss
    half.syn_count = h.syn_count
    half.highest = h.highest
    half.frontier = h.stream.first.end
    half.duplicates = h.duplicates
    if h.known & HAS_ISN:
        half.isn = h.isn
        half.is_client = h.known & IS_CLIENT != 0
        half.syn_ns = h.syn_ns
        half.prefix = (h.stream.first.digested, h.stream.first.value)
    if h.known & HAS_PEER:
        half.peer_isn = h.peer_isn
    if h.known & HAS_HANDSHAKE:
        half.handshake = h.handshake_ns
    if h.known & HAS_FIN:
        half.fin_ns = h.fin_ns
        half.fin_frame = h.fin_frame
    if h.known & HAS_TOTAL:
        half.total = h.total
    if h.known & HAS_RST:
        half.rst_ns = h.rst_ns
    if h.known & HAS_PAYLOAD:
        half.last_payload_ns = h.last_payload_ns
    for i in range(h.vni_count):
        half.vnis.add(h.vnis[i])
    add_events(half.events, h)
    add_turns(half.turns, h)
    if h.reader != cython.NULL:
        half.records = reader_of(h.reader, held)
    return half


def add_events(events, h):
    block = h.first_events
    left = h.event_count
    while left > 0:
        count = left if left < EVENTS_OF_BLOCK else EVENTS_OF_BLOCK
        events.frombytes(cython.cast(cython.p_char, block.values)[: count * 32])
        left -= count
        block = block.next


def add_turns(turns, h):
    turn = h.first_turn
    while turn != cython.NULL:
        marks = tuple([turn.head[i] for i in range(turn.heads)])
        turns.append(Turn(turn.offset, turn.time_ns, marks, turn.prefix if turn.known else None))
        turn = turn.next


def add_rows(rows, block, left):
    """Add rows of five numbers each."""
    while left > 0:
        count = left if left < RECORDS_OF_BLOCK else RECORDS_OF_BLOCK
        rows.frombytes(cython.cast(cython.p_char, block.values)[: count * 40])
        left -= count
        block = block.next


def reader_of(r, held):
    """Return what was read as an object."""
    reader = RecordReader(held)
    add_rows(reader.rows, r.first, r.rows)
    add_rows(reader.repeat_rows, r.first_repeats, r.repeats)
    reader.repeat_count = r.repeat_count
    if r.opening != cython.NULL:
        reader.opening = cython.cast(cython.p_char, r.opening)[: r.opening_bytes]
    reader.lost = r.lost
    reader.dropped = r.dropped
    return reader
