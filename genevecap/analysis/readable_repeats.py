# SPDX-License-Identifier: Apache-2.0
"""Repeated packets of plain tunnels in readable form; `_kernel_repeats.pxd` is the same, compiled.

See `repeats` for what is looked at, and why.
"""

from __future__ import annotations

from collections.abc import Hashable
from struct import Struct

from ..columns import NO_TIME, DecodedBatch, FrameBatch, Stop
from .repeats import INNERMOST_BYTES, LONGEST_NS, OUTER_BEGIN, OUTER_BYTES, RECENT

_COMPLETE = int(Stop.COMPLETE)
_WORD = Struct(">Q").unpack_from
"""Eight octets: OUTER_BYTES and INNERMOST_BYTES."""


class RecentPackets:
    """The latest packets in tunnels."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[int, int]] = {}
        """By packet: its last sighting's running number and time."""
        self._count = 0

    def was_seen(self, packet: Hashable, time_ns: int) -> bool:
        """Enter a sighting; tell whether the last one of this packet is near."""
        self._count += 1
        before = self._seen.get(packet)
        self._seen[packet] = (self._count, time_ns)
        if len(self._seen) > 4 * RECENT:
            oldest = self._count - RECENT
            self._seen = {key: last for key, last in self._seen.items() if last[0] > oldest}
        if before is None:
            return False
        number, before_ns = before
        return (
            self._count - number < RECENT
            and NO_TIME not in (time_ns, before_ns)
            and abs(time_ns - before_ns) <= LONGEST_NS
        )


def numbered_packet(
    frames: FrameBatch, d: DecodedBatch, i: int
) -> tuple[int, tuple[Hashable, ...]] | None:
    """Return the identifications of a packet in a tunnel, and what else tells it from others.

    The inner identification is in the upper 16 bits.  Nothing is returned for a packet that hides
    what is inside, was not captured so far, or has no identification.
    """
    if d.stop[i] != _COMPLETE or d.stop_layer[i]:
        return None
    row, outer, last = d.first + i, d.tunnels.ip_offset[d.tunnel_start[i]], d.stop_offset[i]
    begin, end = frames.offset[row], last + INNERMOST_BYTES
    numbered = outer + OUTER_BEGIN
    if end > frames.captured_bytes[row] or numbered + OUTER_BYTES > end:
        return None
    octets = frames.buffer
    if begin < 0 or begin + end > len(octets):
        return None
    (header,) = _WORD(octets, begin + numbered)
    ids = header >> 48 if octets[begin + outer] >> 4 == 4 else 0
    if d.inner_offset[i] != outer:
        ids |= (d.inner_id[i] & 0xFFFF) << 16
    if not ids:
        return None
    return ids, (frames.point[row], ids >> 16, header, *_WORD(octets, begin + last))
