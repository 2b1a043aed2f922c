# SPDX-License-Identifier: Apache-2.0
"""C08: TCP checksums that were left to the network card, looked for in SYNs.

A SYN is short and every connection has one, so that a look at them costs next to nothing and says
enough: whether packets were captured before their checksum was computed.
"""

from __future__ import annotations

from array import array

from ..columns import DecodedBatch, FrameBatch
from ..decode.checksums import is_partial, pseudo_sum
from ..decode.layers import Layer
from .findings.noted import Noted
from .services import TCP
from .tables import FIRST_FRAMES

CHECKSUM = 16
"""Offset in the TCP header."""
_ADDRESSES = {4: (12, 20), 6: (8, 40)}
"""Where both addresses stand in the IP header, by version."""


class PartialChecksums:
    """Counts SYNs with a partial checksum."""

    def __init__(self) -> None:
        self._packets = 0
        self._frames: list[tuple[int, int]] = []

    def update(
        self, frames: FrameBatch, decoded: DecodedBatch, rows: array[int], capture: int
    ) -> None:
        """Look at these rows of `decoded`, all SYNs."""
        for i in rows:
            if _is_partial(frames, decoded, i):
                self._packets += 1
                if len(self._frames) < FIRST_FRAMES:
                    self._frames.append((capture, frames.frame[decoded.first + i]))

    def note(self, noted: Noted) -> None:
        """Note what was counted."""
        if self._packets:
            noted.note("C08", packets=self._packets, frames=self._frames)


def _is_partial(frames: FrameBatch, d: DecodedBatch, i: int) -> bool:
    row = d.first + i
    layer = d.layer_start[i] + d.layer_count[i] - 1
    if not d.layer_count[i] or d.layers.code[layer] != Layer.TCP:
        return False
    header, tcp = d.inner_offset[i], d.layers.offset[layer]
    end = header + d.inner_bytes[i]
    if end > frames.captured_bytes[row]:
        return False  # what was not captured cannot be added up
    begin = frames.offset[row]
    data = frames.buffer[begin + header : begin + end]
    first, last = _ADDRESSES[d.inner_version[i]]
    segment = data[tcp - header :]
    pseudo = pseudo_sum(data[first:last], TCP, len(segment))
    return is_partial(segment[CHECKSUM] << 8 | segment[CHECKSUM + 1], pseudo, segment)
