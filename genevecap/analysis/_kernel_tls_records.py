# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""TLS records in a stream of octets, compiled: the twin of `records.RecordReader`.

Signatures and types are in the `.pxd` beside this file.
"""

from __future__ import annotations

import cython
from cython.cimports.genevecap.analysis._kernel_content import take
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy

from . import records

if records.HEADER_BYTES != HEADER_BYTES or records.HANDSHAKE != HANDSHAKE:
    raise TypeError("kernels were built for other limits: build them anew")


def begins_record(octets, count):
    if count < HEADER_BYTES:
        return False
    length = octets[3] << 8 | octets[4]
    return (
        20 <= octets[0] <= 23
        and octets[1] == 3
        and (octets[2] == 1 or octets[2] == 3)
        and 0 < length <= 18432
    )


def lose(r, frontier):
    r.frontier = frontier
    r.synchronised = 0
    r.header_bytes = 0
    r.is_open = 0
    r.lost += 1


def open_record(r):
    """Begin the record whose header is there whole, if it is one."""
    r.header_bytes = 0
    if not begins_record(r.header, HEADER_BYTES):
        return False
    r.is_open = 1
    r.open_type = r.header[0]
    r.open_length = r.header[3] << 8 | r.header[4]
    r.open_begin = r.frontier - HEADER_BYTES
    r.open_begin_ns = r.begin_ns
    return True


def keep_opening(h, r, g):
    """Keep what a segment has of the record that its direction begins with."""
    if r.opening == cython.NULL:
        if g.captured < HEADER_BYTES:
            return 0
        wanted = HEADER_BYTES
        if g.octets[0] == HANDSHAKE:
            wanted += cython.cast(cython.int, g.octets[3]) << 8 | g.octets[4]
        if wanted > h.most_opening:
            wanted = h.most_opening
        if h.openings + wanted > h.most_openings:
            return 0
        h.openings += wanted
        r.opening = cython.cast(cython.p_uchar, take(cython.address(h.arena), (wanted + 7) & ~7))
        r.opening_wanted = wanted
    count = g.begin + g.captured
    if count > r.opening_wanted:
        count = r.opening_wanted
    if g.begin <= r.opening_bytes < count:
        memcpy(
            r.opening + r.opening_bytes,
            g.octets + (r.opening_bytes - g.begin),
            count - r.opening_bytes,
        )
        r.opening_bytes = count
    return 0


def add_repeat(h, r, g, highest, new):
    """Keep a segment that came again, or late; new: it brought octets that were missing."""
    if g.length == 1 and g.begin == highest - 1:
        return 0  # asks whether the connection is alive
    r.repeat_count += 1
    if r.repeat_count > h.most_repeats:
        return 0
    place = r.repeats % RECORDS_OF_BLOCK * 5
    if place == 0:
        block = cython.cast(
            cython.pointer(RecordBlock), take(cython.address(h.arena), cython.sizeof(RecordBlock))
        )
        if r.first_repeats == cython.NULL:
            r.first_repeats = block
        else:
            r.last_repeats.next = block
        r.last_repeats = block
    block = r.last_repeats
    block.values[place] = g.begin
    block.values[place + 1] = g.begin + g.length
    block.values[place + 2] = g.time_ns
    block.values[place + 3] = g.frame
    block.values[place + 4] = new
    r.repeats += 1
    return 0


def read_segment(h, r, g):
    """Take a segment of a stream of records."""
    if g.begin == 0 or r.opening_bytes < r.opening_wanted:
        keep_opening(h, r, g)
    if g.begin > r.frontier:
        return postpone(h, r, g)
    read_due(h, r, g, g.time_ns)
    return take_due(h, r, g.time_ns, True)


def postpone(h, r, g):
    """Keep a segment that came before its turn."""
    place = cython.address(r.pending)
    while place[0] != cython.NULL and place[0].segment.begin < g.begin:
        place = cython.address(place[0].next)
    if place[0] != cython.NULL and place[0].segment.begin == g.begin:
        if place[0].segment.length >= g.length:
            return 0
        release(h, r, place)
    p = cython.cast(cython.pointer(Pending), malloc(cython.sizeof(Pending) + g.captured))
    if p == cython.NULL:
        raise MemoryError
    p.segment = g[0]
    p.segment.octets = cython.cast(cython.p_uchar, p + 1)
    if g.captured:
        memcpy(p + 1, g.octets, g.captured)
    p.next = place[0]
    place[0] = p
    r.pending_count += 1
    r.pending_bytes += g.captured
    h.held += g.captured
    while r.pending_count > h.most_pending or (
        r.pending != cython.NULL
        and (r.pending_bytes > h.most_pending_bytes or h.held > h.most_held)
    ):
        give_up_hole(h, r)
    return 0


def release(h, r, place):
    p = place[0]
    place[0] = p.next
    r.pending_count -= 1
    r.pending_bytes -= p.segment.captured
    h.held -= p.segment.captured
    free(p)


def take_due(h, r, time_ns, came):
    """Take what came early and is due now; came: what was missing came at that time."""
    while r.pending != cython.NULL and r.pending.segment.begin <= r.frontier:
        p = r.pending
        read_due(h, r, cython.address(p.segment), time_ns if came else p.segment.time_ns)
        release(h, r, cython.address(r.pending))
    return 0


def give_up_hole(h, r):
    lose(r, r.pending.segment.begin)
    return take_due(h, r, 0, False)


def finish_reader(h, r):
    """Go on behind all holes."""
    while r.pending != cython.NULL:
        give_up_hole(h, r)
    return 0


def read_due(h, r, g, time_ns):
    """Take a segment that begins where everything was seen, or before."""
    octets = g.octets
    captured = g.captured
    end = g.begin + g.length
    skip = r.frontier - g.begin
    missing = g.length - captured
    if end <= r.frontier:
        return 0
    if captured > skip:
        octets += skip
        captured -= skip
    else:
        captured = 0
    if not r.synchronised:
        if skip or not begins_record(octets, captured):
            r.frontier = end
            return 0
        r.synchronised = 1
    if skip and not captured:
        missing = end - r.frontier
    read_octets(h, r, octets, captured, time_ns)
    if missing and r.synchronised:
        # Inside a record, octets that were not captured are only counted.
        missing -= fill(h, r, missing, time_ns)
        if missing:
            lose(r, r.frontier)
    r.frontier = end
    return 0


def read_octets(h, r, octets, size, time_ns):
    place = 0
    while place < size:
        if not r.is_open:
            if not r.header_bytes:
                r.begin_ns = time_ns
            got = HEADER_BYTES - r.header_bytes
            if got > size - place:
                got = size - place
            memcpy(cython.address(r.header[r.header_bytes]), octets + place, got)
            r.header_bytes += got
            place += got
            r.frontier += got
            if r.header_bytes < HEADER_BYTES:
                return 0
            if not open_record(r):
                lose(r, r.frontier + size - place)
                return 0
        place += fill(h, r, size - place, time_ns)
    return 0


def fill(h, r, available, time_ns):
    """Take up to `available` octets into the open record; return how many."""
    if not r.is_open:
        return 0
    left = r.open_begin + HEADER_BYTES + r.open_length - r.frontier
    if available < left:
        r.frontier += available
        return available
    r.frontier += left
    r.is_open = 0
    if r.rows < h.most_records:
        add_record(h, r, time_ns if time_ns > r.open_begin_ns else r.open_begin_ns)
    else:
        r.dropped += 1
    return left


def add_record(h, r, end_ns):
    place = r.rows % RECORDS_OF_BLOCK * 5
    if place == 0:
        block = cython.cast(
            cython.pointer(RecordBlock), take(cython.address(h.arena), cython.sizeof(RecordBlock))
        )
        if r.last == cython.NULL:
            r.first = block
        else:
            r.last.next = block
        r.last = block
    block = r.last
    block.values[place] = r.open_type
    block.values[place + 1] = r.open_length
    block.values[place + 2] = r.open_begin
    block.values[place + 3] = r.open_begin_ns
    block.values[place + 4] = end_ns
    r.rows += 1
    return 0
