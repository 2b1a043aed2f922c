# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False
# cython: initializedcheck=False, cdivision=True
# mypy: ignore-errors
"""The loops of `matching` and `pairing`, compiled; those modules say the same in NumPy.

Sums are taken in the same order as there, so that the results are the same to the last bit.
"""

from __future__ import annotations

import cython
from cython.cimports.libc.stdint import int64_t

from . import frames

RECORD = cython.declare(int64_t, frames.RECORD_BYTES)
OVERHEAD = cython.declare(int64_t, frames.FRAME_BYTES + frames.RECORD_BYTES)
MOST = cython.declare(int64_t, frames.MAX_COMPOSED_BYTES)
LONG = cython.declare(cython.double, frames.LONG_FITS)


@cython.boundscheck(False)  # pairs are looked at a hundred times, and checked once
def balance(
    rows: int64_t[::1],
    columns: int64_t[::1],
    weights: cython.double[::1],
    u: cython.double[::1],
    v: cython.double[::1],
    room: cython.double[::1],
    alone: cython.double,
    scalings: cython.int,
):
    """Fill the factors of rows and columns, from those of the columns; see `matching.balance`."""
    count: cython.Py_ssize_t = weights.shape[0]
    n: cython.Py_ssize_t = u.shape[0]
    m: cython.Py_ssize_t = v.shape[0]
    k: cython.Py_ssize_t
    turn: cython.int
    wrong: cython.bint = rows.shape[0] != count or columns.shape[0] != count or room.shape[0] != m
    for k in range(0 if wrong else count):
        wrong |= rows[k] < 0 or rows[k] >= n or columns[k] < 0 or columns[k] >= m
    if wrong:
        raise ValueError("pairs of rows or columns that are not there")
    with cython.nogil:
        for turn in range(scalings + 1):
            for k in range(n):
                u[k] = 0
            for k in range(count):
                u[rows[k]] += weights[k] * v[columns[k]]
            for k in range(n):
                u[k] = 1.0 / (u[k] + alone)
            if turn == scalings:
                break
            for k in range(m):
                v[k] = 0
            for k in range(count):
                v[columns[k]] += weights[k] * u[rows[k]]
            for k in range(m):
                v[k] = room[k] / (v[k] + alone)


def pairs_by_record(
    events: int64_t[::1],
    begin: int64_t[::1],
    end: int64_t[::1],
    order: int64_t[::1],
    of_record: cython.double[::1],
    least: cython.double,
    rows: int64_t[::1],
    columns: int64_t[::1],
    weights: cython.double[::1],
):
    """Fill in the pairs of these events whose records are likely; return how many there are."""
    count: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    place: int64_t
    event: int64_t
    with cython.nogil:
        for i in range(events.shape[0]):
            event = events[i]
            for place in range(begin[event], end[event]):
                if of_record[order[place]] > least:
                    rows[count] = event
                    columns[count] = order[place]
                    weights[count] = of_record[order[place]]
                    count += 1
    return count


def pairs_by_size(
    events: int64_t[::1],
    begin: int64_t[::1],
    end: int64_t[::1],
    order: int64_t[::1],
    length: int64_t[::1],
    size: int64_t[:, ::1],
    known: int64_t[:, ::1],
    tables: cython.double[:, ::1],
    least: cython.double,
    rows: int64_t[::1],
    columns: int64_t[::1],
    weights: cython.double[::1],
):
    """Fill in the pairs of these events whose sizes fit; return how many there are.

    known: which row of `tables` an event's size has, -1 without one.
    """
    count: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    place: int64_t
    event: int64_t
    octets: int64_t
    weight: cython.double
    one: cython.double
    with cython.nogil:
        for i in range(events.shape[0]):
            event = events[i]
            for place in range(begin[event], end[event]):
                octets = length[order[place]]
                if octets <= OVERHEAD:
                    continue
                weight = 0
                for j in range(size.shape[1]):
                    one = 0
                    if known[event, j] >= 0 and octets - RECORD <= MOST:
                        one = tables[known[event, j], octets - RECORD]
                    if octets == size[event, j] + OVERHEAD:
                        one = 1
                    elif octets > MOST + RECORD and octets > size[event, j] + OVERHEAD:
                        if one < LONG:
                            one = LONG
                    if one > weight:
                        weight = one
                if weight > 1:
                    weight = 1
                if weight > least:
                    rows[count] = event
                    columns[count] = order[place]
                    weights[count] = weight
                    count += 1
    return count
