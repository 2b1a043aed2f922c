# SPDX-License-Identifier: Apache-2.0
"""Which HTTP/2 frames a TLS record may hold, from its length alone.

A record is 17 octets longer than what is in it (RFC 8446 section 5.2: one octet of content type,
16 of the AEAD's tag), and what is in it is frames of 9 octets of header (RFC 9113 section 4.1) and
their payload.  ztunnel gathers small frames, so a record may hold several.  Of the many ways to
fill a length, those with few frames, of sizes that this capture shows elsewhere, are likely ones:
each frame costs a factor, and the expected number of frames of each sort follows from all ways
together (the generating function of partitions and its derivative).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..rows import Array

RECORD_BYTES = 17
"""A TLS 1.3 record's length less that of its content."""

FRAME_BYTES = 9
"""An HTTP/2 frame header."""

MAX_COMPOSED_BYTES = 2048
"""Longer records are not taken apart."""

READ_BYTES = 1024
"""What ztunnel reads at once at first: istio/ztunnel src/copy.rs (1.22+)."""

_ANOTHER_FRAME = 0.15
"""What each further frame of a record costs."""

# Sizes with header, as recorded from ztunnel 1.24 and 1.31 and Envoy 1.40.
_CONNECT = (*range(73, 77), *range(100, 103))
_OK = (10, 11, 12)
_PING, _WINDOW_UPDATE = 17, 13

_CONNECT_LENGTHS = (40, 320)
"""Lengths of records with a CONNECT: 70 for one without `forwarded`, that repeats another's
headers, 90 with it, to 295 for Envoy's first."""

LONG_FITS = 0.02
"""Frames of a size that a record too long to be taken apart is expected to hold."""

MAX_SORTS = 64
"""Lengths told apart when the lengths of CONNECTs are learnt."""


_FIRST_OK_LENGTHS = (50, 112)
"""Lengths of records with the first `200` of a connection, which spells out its headers."""


class Frames:
    """Expected numbers of frames by the length of their record, for one direction."""

    def __init__(self, sizes: Sequence[int], *, upward: bool) -> None:
        """sizes: octets of payload that DATA frames of this capture are known to have."""
        self._upward = upward
        sorts: list[tuple[str, int, float]] = [(f"data {n}", n + FRAME_BYTES, 1.0) for n in sizes]
        sorts.append(("end", FRAME_BYTES, 1.0))
        if upward:
            sorts += [("open", n, 0.5) for n in _CONNECT]
        else:
            sorts += [("ok", n, 0.7) for n in _OK]
        sorts += [("window", _WINDOW_UPDATE, 0.05), ("ping", _PING, 0.02)]
        self._expected: dict[str, Array] = {}
        ways = _ways(sorts)
        for name, size, weight in sorts:
            each = _ANOTHER_FRAME * weight
            number = np.zeros(MAX_COMPOSED_BYTES + 1)
            for n in range(size, MAX_COMPOSED_BYTES + 1):
                number[n] = each * (ways[n - size] + number[n - size])
            number = np.divide(number, ways, out=np.zeros_like(number), where=ways > 0)
            self._expected[name] = self._expected.get(name, 0.0) + number

    def _look_up(self, names: list[str], lengths: Array) -> Array:
        content = lengths - RECORD_BYTES
        known = (content >= 0) & (content <= MAX_COMPOSED_BYTES)
        place = np.where(known, content, 0)
        total = np.zeros(len(lengths))
        for name in names:
            table = self._expected.get(name)
            if table is not None:
                total += table[place]
        return np.where(known, total, 0.0)

    def opens(self, lengths: Array) -> Array:
        """Return how many CONNECTs records of these lengths are expected to hold."""
        low, high = _CONNECT_LENGTHS
        plausible = (lengths >= low) & (lengths <= high)
        # A longer record may hold several that were waiting, say for the connection to open.
        several = np.where(lengths > high, (lengths - RECORD_BYTES) / _CONNECT[0] * 0.1, 0.0)
        other = np.where(plausible, 0.3, several)
        return np.maximum(self._look_up(["open"], lengths), other)

    def oks(self, lengths: Array) -> Array:
        """Return how many `200` responses they are expected to hold."""
        low, high = _FIRST_OK_LENGTHS
        plausible = (lengths >= low) & (lengths <= high)
        return np.maximum(self._look_up(["ok"], lengths), np.where(plausible, 0.3, 0.0))

    def ends(self, lengths: Array) -> Array:
        """Return how many END_STREAMs they are expected to hold."""
        return self._look_up(["end"], lengths)

    def data(self, lengths: Array) -> Array:
        """Return how many DATA frames of known sizes they are expected to hold."""
        return self._look_up([n for n in self._expected if n.startswith("data ")], lengths)

    def table(self, size: int) -> Array | None:
        """Return how many DATA frames of a known size contents of 0, 1, 2… octets hold."""
        return self._expected.get(f"data {size}")

    def data_of(self, sizes: Array, lengths: Array) -> Array:
        """Return, row by row, how many DATA frames of that size a record of that length holds."""
        result = np.zeros(len(lengths))
        for size in np.unique(sizes):
            rows = sizes == size
            known = self._look_up([f"data {size}"], lengths[rows])
            exact = lengths[rows] == size + FRAME_BYTES + RECORD_BYTES
            # A record too long to be taken apart may hold anything that fits.
            long = lengths[rows] > MAX_COMPOSED_BYTES + RECORD_BYTES
            fits = lengths[rows] >= size + FRAME_BYTES + RECORD_BYTES
            other = np.where(long & fits, LONG_FITS, 0.0)
            result[rows] = np.maximum(known, np.where(exact, 1.0, other))
        return result


def length_sorts(lengths: Array) -> Array:
    """Return a small number for each record length: the commonest have one of their own."""
    values, inverse, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    sorts = np.full(len(values), MAX_SORTS - 1)
    common = np.argsort(-counts, kind="stable")[: MAX_SORTS - 1]
    sorts[common] = np.arange(len(common))
    result: Array = sorts[inverse]
    return result


def _ways(sorts: list[tuple[str, int, float]]) -> Array:
    """Return the total weight of all multisets of frames that fill 0, 1, 2… octets."""
    ways = np.zeros(MAX_COMPOSED_BYTES + 1)
    ways[0] = 1.0
    for _, size, weight in sorts:
        for n in range(size, MAX_COMPOSED_BYTES + 1):
            ways[n] += ways[n - size] * _ANOTHER_FRAME * weight
    return ways
