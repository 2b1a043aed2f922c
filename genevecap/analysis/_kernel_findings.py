# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""What findings are counted from, compiled: what is not done for every packet (see the `.pxd`)."""

from __future__ import annotations

import cython
from cython.cimports.genevecap.analysis._kernel_answers import tunnel_count_of
from cython.cimports.genevecap.analysis._kernel_tables import TunnelRow, tunnel_row
from cython.cimports.libc.stdint import INT64_MIN, int64_t, uint32_t
from cython.cimports.libc.stdlib import realloc

from ..columns import Finding
from . import tables
from .repeats import Sightings, proven
from .tables import FindingCount, Move

MOST_MOVES = cython.declare(cython.Py_ssize_t, tables.MOST_MOVES)
MOST_CHANGED = cython.declare(cython.Py_ssize_t, tables.MOST_CHANGED)

if (FIRST_FRAMES, CLOCK_STEP_NS, C04, C05) != (
    tables.FIRST_FRAMES,
    tables.CLOCK_STEP_NS,
    int(Finding.C04),
    int(Finding.C05),
):
    raise TypeError("kernels were built for other limits: build them anew")


def add_points(f, point):
    """Make room for the latest time of this point and of those before it."""
    i: cython.Py_ssize_t
    points: cython.Py_ssize_t = 2 * point + 16
    if point < 0:
        raise ValueError("points are counted from 0")
    latest = cython.cast(
        cython.pointer(int64_t), realloc(f.latest, points * cython.sizeof(int64_t))
    )
    if latest == cython.NULL:
        raise MemoryError
    for i in range(f.points, points):
        latest[i] = INT64_MIN
    f.latest = latest
    f.points = points
    return 0


@cython.cfunc
def first_frames(f: cython.pointer(PacketFindings), bit: uint32_t):
    """Return the first frames of a finding, by the number of its bit."""
    return [
        (f.captures[PLACES * bit + i], f.frames[PLACES * bit + i])
        for i in range(min(f.found[bit], FIRST_FRAMES))
    ]


def add_findings(f, other):
    """Add what another one counted."""
    bit: uint32_t
    place: uint32_t
    for bit in range(FINDING_BITS):
        first = sorted(set(first_frames(f, bit)) | set(first_frames(other, bit)))
        f.found[bit] += other.found[bit]
        place = PLACES * bit
        for capture, frame in first[: min(f.found[bit], FIRST_FRAMES)]:
            f.captures[place] = capture
            f.frames[place] = frame
            place += 1
    return 0


def findings_of(f):
    """See `tables.SummaryTables.findings`."""
    return [
        FindingCount(1 << i, f.found[i], tuple(first_frames(f, i)))
        for i in range(FINDING_BITS)
        if f.found[i]
    ]


def note_move(moves, tunnels, before, now, again, capture, frame):
    """Remember that packets of a flow came from one tunnel, then from another.

    moves: by pairs of tunnels, by their numbers: how often, whether a flow came back, and where
    first.  again: whether this flow was in that tunnel before.
    """
    a: cython.pointer(TunnelRow) = tunnel_row(tunnels, before)
    b: cython.pointer(TunnelRow) = tunnel_row(tunnels, now)
    if (
        a.kind != b.kind
        or a.vni_port >> 32 != b.vni_port >> 32
        or (a.source_lo == b.source_lo and a.source_hi == b.source_hi)
        or (a.destination_lo == b.source_lo and a.destination_hi == b.source_hi)
        or (b.destination_lo == a.source_lo and b.destination_hi == a.source_hi)
    ):
        return 0
    pair = (before, now)
    move = moves.get(pair)
    if move is not None:
        move[0] += 1
        move[1] |= again
    elif len(moves) < MOST_MOVES:
        moves[pair] = [1, again, capture, frame]
    return 0


def note_change(changed, flow, capture, frame):
    """Remember where the source port of a flow's tunnel changed first.

    changed: that place, by the number of the flow.
    """
    if len(changed) < MOST_CHANGED:
        changed[flow] = (capture, frame)
    return 0


def add_changed(changed, others, flows):
    """Add what another one noted, whose flows have these numbers here."""
    for number, place in others.items():
        flow = flows[number]
        if flow in changed or len(changed) < MOST_CHANGED:
            changed[flow] = min(place, changed.get(flow, place))
    return 0


def moves_of(moves, tunnels):
    """See `tables.SummaryTables.moves`."""
    found = []
    for (before, now), (times, again, *place) in moves.items():
        back = moves.get((now, before))
        if back is None or not (again or back[1]):
            continue
        one = tunnel_count_of(tunnel_row(tunnels, before))
        other = tunnel_count_of(tunnel_row(tunnels, now))
        if one[:9] < other[:9]:
            found.append(Move(one, other, times + back[0], *min(place, back[2:])))
    return found


def note_repeat(repeats, tunnel, ids, capture, frame):
    """Remember that a packet came again.

    repeats: by the number of the outermost tunnel and by what numbers the packets (see
    `repeats.Sightings`): how many, and the first of them.  ids: see `look`.
    """
    place = (tunnel, (ids & 0xFFFF != 0) | (ids >> 16 != 0) << 1)
    noted = repeats.setdefault(place, [0])
    noted[0] += 1
    if len(noted) <= FIRST_FRAMES:
        noted.append((capture, frame))
    return 0


def add_repeats(repeats, others, tunnels):
    """Add what another one noted, whose tunnels have these numbers here."""
    for (tunnel, numbered_by), (packets, *frames) in others.items():
        noted = repeats.setdefault((tunnels[tunnel], numbered_by), [0])
        noted[0] += packets
        noted[1:] = sorted({*noted[1:], *frames})[:FIRST_FRAMES]
    return 0


def repeats_of(repeats, tunnels):
    """See `tables.SummaryTables.repeats`."""
    rows = []
    e: cython.pointer(TunnelRow)
    for (number, numbered_by), (packets, *frames) in repeats.items():
        e = tunnel_row(tunnels, number)
        changing = e.any_ids & ~e.all_ids
        rows.append(Sightings(tunnel_count_of(e), numbered_by, changing, packets, frames))
    return proven(rows)
