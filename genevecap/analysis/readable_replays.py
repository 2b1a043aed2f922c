# SPDX-License-Identifier: Apache-2.0
"""Replays in readable form; `_kernel_replays` is the same, compiled."""

from __future__ import annotations

from array import array

from ..capture.linktypes import LINUX_SLL
from ..columns import DecodedBatch, FrameBatch
from ..decode.layers import Layer
from ..decode.sequence_numbers import sequence_of
from .replays import MOST_STREAMS, WINDOW, Repeated
from .tables import FIRST_FRAMES

_Key = tuple[int, ...]


class ReadableReplays:
    """The window as a set of numbers for each stream."""

    def __init__(self) -> None:
        self._streams: dict[_Key, tuple[int, set[int]]] = {}
        self._packets: dict[int, int] = {}
        self._frames: dict[int, list[tuple[int, int]]] = {}

    def update(
        self, frames: FrameBatch, decoded: DecodedBatch, rows: array[int], capture: int
    ) -> None:
        """See `Replays`."""
        for i in rows:
            row, layer = decoded.first + i, decoded.stop_layer[i]
            point = frames.point[row]
            if frames.link_types[point] == LINUX_SLL:
                continue  # an interface called `any`, which shows one packet many times
            begin, at = frames.offset[row], decoded.stop_offset[i]
            end = begin + frames.captured_bytes[row]
            found = sequence_of(layer, frames.buffer[begin + at : end])
            if found is None:
                continue
            ends = (
                (0, found.channel, 0, 0)
                if layer == Layer.MACSEC
                else (
                    decoded.inner_source_hi[i],
                    decoded.inner_source_lo[i],
                    decoded.inner_destination_hi[i],
                    decoded.inner_destination_lo[i],
                )
            )
            key = (point, layer, decoded.link_source[i], *ends, found.identifier)
            if self._was_there(key, found.number):
                self._packets[layer] = self._packets.get(layer, 0) + 1
                first = self._frames.setdefault(layer, [])
                if len(first) < FIRST_FRAMES:
                    first.append((capture, frames.frame[row]))

    def _was_there(self, key: _Key, number: int) -> bool:
        """Enter a number in the window of its stream; tell whether it was in it."""
        if key not in self._streams and len(self._streams) == MOST_STREAMS:
            self._streams.clear()
        highest, window = self._streams.setdefault(key, (number, set()))
        if number in window:
            return True
        if number > highest:
            highest = number
            oldest = highest - WINDOW
            window = {each for each in window if each > oldest}
        elif highest - number >= WINDOW:
            highest, window = number, set()  # counting began anew, or went round
        window.add(number)
        self._streams[key] = (highest, window)
        return False

    def repeated(self) -> list[Repeated]:
        """See `Replays`."""
        return [
            Repeated(layer, packets, tuple(self._frames[layer]))
            for layer, packets in sorted(self._packets.items())
        ]
