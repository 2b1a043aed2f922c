# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""What the compiled tracker keeps of halves (the `.pxd` beside this file), at last as objects."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.analysis._kernel_content import head_of, take
from cython.cimports.genevecap.analysis._kernel_tls_records import RECORDS_OF_BLOCK

from .connections import Endpoint, Half, Turn
from .records import RecordReader

ACK = cython.declare(cython.uint, 0x10)


def offset_of(h, sequence):
    """Return a sequence number as an offset into the stream, near the furthest octet seen."""
    distance = sequence - h.base - cython.cast(cython.uint, h.highest)
    return h.highest + cython.cast(cython.int, distance)


def take_syn(h, sequence, acknowledgment, flags, time_ns):
    h.syn_count += 1
    if not h.known & HAS_ISN:
        h.known |= HAS_ISN | HAS_BASE
        if not flags & ACK:
            h.known |= IS_CLIENT
        h.syn_ns = time_ns
        h.isn = sequence
        h.base = sequence + 1
    if flags & ACK:
        h.known |= HAS_PEER
        h.peer_isn = acknowledgment - 1


def note_vni(h, vni):
    if vni < 0:
        return
    for i in range(h.vni_count):
        if h.vnis[i] == vni:
            return
    if h.vni_count < VNIS:
        h.vnis[h.vni_count] = vni
        h.vni_count += 1


def add_turn(arena, h, g, captured):
    """Keep where a message begins, and the digests of its first octets."""
    heads = 0
    if h.reader == cython.NULL:
        heads = captured // 8 if captured < 8 * HEADS else HEADS
    turn = cython.cast(
        cython.pointer(TurnRow),
        take(arena, TURN_BYTES + 8 * heads),
    )
    turn.offset = g.begin
    turn.time_ns = g.time_ns
    turn.heads = heads
    if h.known & HAS_ISN and h.stream.first.digested == g.begin:
        turn.known = 1
        turn.prefix = h.stream.first.value
    for i in range(heads):
        turn.head[i] = head_of(g.octets + 8 * i)
    if h.last_turn == cython.NULL:
        h.first_turn = turn
    else:
        h.last_turn.next = turn
    h.last_turn = turn
    h.turn_count += 1
    return 0


def add_event(arena, h, g, most):
    """Keep which octets came when; of more than `most` the last."""
    block = h.last_events
    place = (most - 1) % EVENTS_OF_BLOCK
    if h.event_count < most:
        place = h.event_count % EVENTS_OF_BLOCK
        if place == 0:
            block = cython.cast(
                cython.pointer(EventBlock),
                take(arena, cython.sizeof(EventBlock)),
            )
            if h.last_events == cython.NULL:
                h.first_events = block
            else:
                h.last_events.next = block
            h.last_events = block
        h.event_count += 1
    block.values[4 * place] = g.begin
    block.values[4 * place + 1] = g.begin + g.length
    block.values[4 * place + 2] = g.time_ns
    block.values[4 * place + 3] = g.frame
    return 0


# --- as objects ---------------------------------------------------------------------------------


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
