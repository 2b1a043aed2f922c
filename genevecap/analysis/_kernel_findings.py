# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""Findings about single packets, compiled: what is not done for every packet (see the `.pxd`)."""

from __future__ import annotations

import cython
from cython.cimports.libc.stdint import INT64_MIN, int64_t, uint32_t
from cython.cimports.libc.stdlib import realloc

from .tables import FindingCount


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
