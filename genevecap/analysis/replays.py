# SPDX-License-Identifier: Apache-2.0
"""U06: encrypted packets whose number was there before.

ESP, WireGuard and MACsec number every packet, and a receiver drops one whose number it has had
(RFC 4303 section 3.4.3).  Here is the same window, kept for each sender, receiver and key at each
capture point.  Only numbers are looked at, so that nothing is said of packets that have none.

There are two implementations: `readable_replays` and `_kernel_replays`, which is compiled.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple, Protocol

from ..columns import DecodedBatch, FrameBatch
from ..decode.layers import layer_name
from ..kernels import load
from .findings.noted import Noted, packets_text

WINDOW = 1024
"""How far behind the highest number a packet may be to be looked for."""

MOST_STREAMS = 65_536
"""With more senders and keys than this all of them are forgotten, and the next ones are learnt."""


class Repeated(NamedTuple):
    """Packets of one layer whose number was there before."""

    layer: int
    packets: int
    frames: tuple[tuple[int, int], ...]
    """The first ones, as (capture, frame)."""


class Replays(Protocol):
    """What both implementations offer."""

    def update(
        self, frames: FrameBatch, decoded: DecodedBatch, rows: array[int], capture: int
    ) -> None:
        """Look at these rows of `decoded`: those whose inside is hidden."""

    def repeated(self) -> list[Repeated]:
        """Return what was found, by layer."""


def make_replays() -> Replays:
    """Return the compiled implementation where it was built, else the readable one."""
    kernel = load("genevecap.analysis._kernel_replays")
    if kernel is not None:
        replays: Replays = kernel.KernelReplays()
        return replays
    from .readable_replays import ReadableReplays

    return ReadableReplays()


def note_replays(replays: Replays, noted: Noted) -> None:
    """Note U06."""
    for found in replays.repeated():
        noted.note(
            "U06",
            packets=found.packets,
            frames=found.frames,
            detail=f"{layer_name(found.layer)}: {packets_text(found.packets)}",
        )
