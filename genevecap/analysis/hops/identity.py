# SPDX-License-Identifier: Apache-2.0
"""The same packet at several capture points.

One packet is seen many times on its way: on the pod's interface, on the node's end of that veth, on
a tunnel device, inside a tunnel on the node's NIC, and so on at the other end.  The time between
two sightings is what a hop costs, a sighting that has no successor is a loss, so everything that
`latency` says rests on telling which sightings are one packet.

**What stays the same.**  A router lowers the TTL and writes new MAC addresses; a tunnel adds
headers or takes them off; NAT and `REDIRECT` replace addresses and ports; checksums are often not
computed at all where the hardware is to do it (partial checksums).  None of these helps, and IPv4's
identification is 0 on a SYN-ACK and may repeat.  TCP's own numbers are touched by nothing on the
way: sequence, acknowledgment, window and the time stamp option (TSval, TSecr).  The innermost TCP
header is what is compared; how many tunnels are around it does not matter.  Options are left out:
the MSS is clamped on the way.

**Which connection.**  Those numbers are random enough to be unique by themselves in real traffic,
but not in every generated one, so the connection is part of the identity: the endpoints, where NAT
changes them the name that `legs` gives to all endpoints of one handshake.

**Retransmissions** carry the same octets again.  With time stamps they carry another TSval, and so
are another packet: its first copy is seen to be lost where it was.  Without (or within one tick of
the clock, 1 ms in Linux) they are alike, as are repeated duplicate ACKs.  Then the count decides:
where every point saw the same number, the first is the first, the second the second.  Where the
numbers differ, IPv4's identification may still tell them apart, if the point that saw most saw each
number once and the others only numbers of those.  If it does not, they are *ambiguous*: counted,
never measured, and lost by the difference in number.

**One point, several sightings.**  A capture on `any` shows one packet once per interface, and where
the interface is not recorded (LINUX_SLL), as one point.  Sightings at one point that differ in TTL
or in the number of tunnels are different places of the same way, not repetitions.

**Cutting and merging.**  A sender with GSO hands down up to 64 KiB at once, and a veth passes that
on; another point sees it cut to the MSS.  A receiver with GRO sees segments merged again.  Flags
move from piece to piece (PSH, FIN), but all pieces have the same acknowledgment, window and time
stamps: the kernel copies them when it cuts, and merges nothing that differs in them (Linux
`tcp_gso_segment`, `tcp_gro_receive`).  So sightings with equal numbers whose octet ranges overlap
belong together.  A super-packet and its first piece share their first octet: where a packet is cut,
that is the octet whose time is measured, for its piece left last and waited for the others.  Where
segments are merged it is the last octet, which completed the super-packet.  What is in between
counts as arrived when the octets were, all of them.

**Order of time.**  Rows are matched in passes over what is held: everything younger than the window
(10 s unless told otherwise).  Rows are sorted by identity; equal ones further apart than the window
are strangers (a keep-alive probe without time stamps is the same packet every 75 s).  The order of
files, of interfaces inside a file, or of packets on the wire does not matter.  Sequence numbers are
compared modulo 2**32.

**Hashes.**  Identities are compared as 64-bit mixes.  Two packets of one window with equal mixes
would need some 10**9 packets in it.  Octet ranges are kept relative to a number that depends on the
identity; a super-packet that spans its wrap (one in some 100,000) is not compared with its pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...columns import NO_TIME
from ..rows import Array, sizes, spread
from .identity_order import CLOSE_NS, travel_order
from .identity_special import Special, repeated_paths, resegmented_paths
from .legs import Legs
from .sidebyside import Piece
from .sightings import Openings, Sightings

PASS_ROWS = 3 << 18
"""New sightings that a pass waits for."""
MAX_HELD = 1 << 20
"""Sightings that are held beyond a pass; the window gets shorter where it would be more."""

_HIGH = np.uint64(0xFFFF_FFFF_0000_0000)
_RANGE_BITS = 34
_END = 2**63 - 1


@dataclass(slots=True, kw_only=True)
class Paths:
    """Sightings in the order in which their packets travelled, one path a packet."""

    rows: Sightings
    path: Array
    """int64: which path a row belongs to; those of one path stand together, in order."""
    ended: Array
    """bool, per path: the packet was seen no further.  False where it went on as part of others."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """What became of sightings; they add up to those that were read."""

    matched: int = 0
    """Seen at another point too."""
    unmatched: int = 0
    """Seen at one point only."""
    ambiguous: int = 0
    """Alike, and not to be told apart."""


@dataclass(slots=True)
class Matcher:
    """Holds sightings until the window has passed, and gives the ways of their packets."""

    legs: Legs
    window_ns: int
    close_ns: int = CLOSE_NS
    """Times nearer than this may be the wrong way round: see `identity_order`."""
    counts: Counts = field(default_factory=Counts)
    shortest_ns: int | None = None
    """The shortest window that was kept, where memory did not allow the whole one."""
    late: int = 0
    """Sightings that came when the packets of their time had been given out."""
    _held: Sightings | None = None
    """Sorted by packet, then by time."""
    _fresh: list[Sightings] = field(default_factory=list)
    _openings: list[Openings] = field(default_factory=list)
    _waiting: int = 0
    _done_ns: int = NO_TIME

    def update(self, piece: Piece) -> Iterator[Paths]:
        """Take sightings; yield packets that are complete."""
        self._fresh.append(piece.rows)
        if piece.openings is not None:
            self._openings.append(piece.openings)
        self._waiting += len(piece.rows)
        # While captures are being opened nothing is known to be complete.
        if self._waiting >= PASS_ROWS and piece.complete_ns > NO_TIME + self.window_ns:
            yield self._pass(piece.complete_ns)

    def finish(self) -> Iterator[Paths]:
        """Yield what is left, as if the window had passed."""
        if self._fresh or self._held is not None:
            yield self._pass(_END)

    def _pass(self, complete_ns: int) -> Paths:
        rows, order = self._gather()
        start = self._packets(rows, order)
        first_ns = np.minimum.reduceat(rows.time_ns[order], start)
        self._done_ns = self._final_before(rows.time_ns, complete_ns)
        final = first_ns < self._done_ns
        paths = self._paths(rows, order, start, final)
        kept = order[np.repeat(~final, sizes(start, len(order)))]
        self._held = rows.take(kept) if len(kept) else None
        return paths

    def _gather(self) -> tuple[Sightings, Array]:
        """Return all sightings, and their order by packet and time.

        What was held is in that order already, so that sorting all of them is a merge.
        """
        if self._openings:
            self.legs.learn(Openings.concatenate(self._openings))
        parts = [self._held] if self._held is not None else []
        held = len(self._held) if self._held is not None else 0
        if self._fresh:
            fresh = Sightings.concatenate(self._fresh)
            self.legs.settle(fresh)
            self.late += int(np.count_nonzero(fresh.time_ns < self._done_ns))
            parts.append(fresh)
        self._held, self._fresh, self._openings, self._waiting = None, [], [], 0
        rows = Sightings.concatenate(parts) if len(parts) > 1 else parts[0]
        by_time = np.argsort(rows.time_ns[held:], kind="stable") + held
        order = np.concatenate((np.arange(held), by_time))
        place = _place(rows, order)
        by_packet = np.argsort(place[held:], kind="stable") + held
        order[held:] = order[by_packet]
        place[held:] = place[by_packet]
        return rows, order[np.argsort(place, kind="stable")]

    def _final_before(self, time_ns: Array, complete_ns: int) -> int:
        """Return which packets are complete: those that began before the window."""
        if complete_ns == _END:
            return _END
        final_ns = max(complete_ns, NO_TIME + self.window_ns) - self.window_ns
        if np.count_nonzero(time_ns >= final_ns) > MAX_HELD:
            nth = len(time_ns) - MAX_HELD
            final_ns = int(np.partition(time_ns, nth)[nth])
            window_ns = max(complete_ns - final_ns, 0)
            self.shortest_ns = min(window_ns, self.shortest_ns or window_ns)
        return max(final_ns, self._done_ns)

    def _packets(self, rows: Sightings, order: Array) -> Array:
        """Return where each packet begins in the order; pieces of a super-packet are one here.

        What came late may be out of the order of time within its packet: that is put right.
        """
        content, time_ns = rows.content[order], rows.time_ns[order]
        begin = (rows.sequence[order] - content.astype(np.uint32)).astype(np.int64)
        other = np.empty(len(order), bool)
        other[0] = True
        np.not_equal(content[1:], content[:-1], out=other[1:])
        same = (begin[1:] == begin[:-1]) & ~other[1:]
        if _put_in_time_order(order, time_ns, same):
            time_ns = rows.time_ns[order]
        base = np.cumsum(other) << _RANGE_BITS
        base += begin
        reached = np.maximum.accumulate(base + np.maximum(rows.length[order], 1))
        other[1:] |= base[1:] >= reached[:-1]
        other[1:] |= (begin[1:] == begin[:-1]) & (time_ns[1:] - time_ns[:-1] > self.window_ns)
        return np.flatnonzero(other)

    def _paths(self, rows: Sightings, order: Array, start: Array, final: Array) -> Paths:
        size = sizes(start, len(order))
        resegmented, repeated = _special(rows, order, start, size)
        ordinary = final & ~resegmented & ~repeated
        chosen = order[np.repeat(ordinary, size)]
        own = size[ordinary]
        path = np.repeat(np.arange(len(own)), own)
        chosen = travel_order(rows, chosen, path, self.close_ns)
        self.counts.matched += int(own[own > 1].sum())
        self.counts.unmatched += int(np.count_nonzero(own == 1))
        pieces = [chosen]
        paths, ended = [path], [np.ones(len(own), bool)]
        for which, how in ((resegmented, resegmented_paths), (repeated, repeated_paths)):
            packets = final & which
            if packets.any():
                special = how(
                    rows,
                    order[np.repeat(packets, size)],
                    np.repeat(np.arange(np.count_nonzero(packets)), size[packets]),
                )
                self._count(special)
                pieces.append(special.rows)
                paths.append(special.path + sum(map(len, ended)))
                ended.append(special.ended)
        return Paths(
            rows=rows.take(np.concatenate(pieces)),
            path=np.concatenate(paths),
            ended=np.concatenate(ended),
        )

    def _count(self, special: Special) -> None:
        self.counts.matched += special.matched
        self.counts.unmatched += special.unmatched
        self.counts.ambiguous += special.ambiguous


def _put_in_time_order(order: Array, time_ns: Array, same: Array) -> bool:
    """Sort runs of equal rows by time, in place, where they are not; tell whether any was.

    same: whether a row is equal to the one before it, from the second on.
    """
    back = np.flatnonzero(same & (time_ns[1:] < time_ns[:-1]))
    if not len(back):
        return False
    start = np.concatenate(([0], np.flatnonzero(~same) + 1))
    runs = np.unique(np.searchsorted(start, back, side="right") - 1)
    size = sizes(start, len(order))[runs]
    at = spread(start[runs], size)
    order[at] = order[at][np.lexsort((time_ns[at], np.repeat(runs, size)))]
    return True


def _place(rows: Sightings, order: Array) -> Array:
    """Return by what packets are sorted: part of their identity, and their first octet."""
    content = rows.content[order]
    begin: Array = rows.sequence[order] - content.astype(np.uint32)
    place: Array = (content & _HIGH) | begin
    return place


def _special(rows: Sightings, order: Array, start: Array, size: Array) -> tuple[Array, Array]:
    """Return which packets were cut or merged, and which were seen twice at one point."""
    length, sequence, point = rows.length[order], rows.sequence[order], rows.point[order]
    inside = np.ones(len(order), bool)
    inside[start] = False
    differs = np.zeros(len(order), bool)
    differs[1:] = (length[1:] != length[:-1]) | (sequence[1:] != sequence[:-1])
    resegmented = np.zeros(len(start), bool)
    resegmented[np.searchsorted(start, np.flatnonzero(differs & inside), side="right") - 1] = True
    if int(point.max()) < 64:
        bits = np.bitwise_or.reduceat(np.uint64(1) << point.astype(np.uint64), start)
        distinct = np.bitwise_count(bits).astype(np.int64) if _HAS_BIT_COUNT else _bits(bits)
    else:
        packet = np.repeat(np.arange(len(start)), size)
        seen = np.unique(packet * (int(point.max()) + 1) + point)
        distinct = np.bincount(seen // (int(point.max()) + 1), minlength=len(start))
    return resegmented, (distinct != size) & ~resegmented


_HAS_BIT_COUNT = hasattr(np, "bitwise_count")  # NumPy 2.0


def _bits(value: Array) -> Array:
    """Return the number of bits that are set (what `np.bitwise_count` does in NumPy 2)."""
    octets = value.view(np.uint8).reshape(-1, 8)
    counted: Array = np.unpackbits(octets, axis=1).sum(axis=1, dtype=np.int64)
    return counted
