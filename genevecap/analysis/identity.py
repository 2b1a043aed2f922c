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

from .identity_order import CLOSE_NS, travel_order
from .identity_special import Special, repeated_paths, resegmented_paths
from .legs import Legs
from .segments import Array
from .sightings import Sightings, concatenate

WINDOW_NS = 10_000_000_000
PASS_ROWS = 1 << 20
"""Sightings that a pass waits for, unless what is held is older than two windows."""
MAX_HELD = 1 << 20
"""Sightings that are held beyond a pass; the window gets shorter where it would be more."""

_HIGH = np.uint64(0xFFFF_FFFF_0000_0000)
_LOW = np.uint64(0x0000_0000_FFFF_FFFF)
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
    window_ns: int = WINDOW_NS
    close_ns: int = CLOSE_NS
    """Times nearer than this may be the wrong way round: see `identity_order`."""
    counts: Counts = field(default_factory=Counts)
    shortest_ns: int | None = None
    """The shortest window that was kept, where memory did not allow the whole one."""
    _held: list[Sightings] = field(default_factory=list)
    _rows: int = 0
    _next: int = PASS_ROWS

    def update(self, rows: Sightings, until_ns: int) -> Iterator[Paths]:
        """Take sightings that are complete up to `until_ns`; yield packets that are complete."""
        if len(rows):
            self.legs.settle(rows)
            self._held.append(rows)
            self._rows += len(rows)
        if self._rows >= self._next and until_ns != _END:
            yield self._pass(until_ns)

    def finish(self) -> Iterator[Paths]:
        """Yield what is left, as if the window had passed."""
        if self._rows:
            yield self._pass(_END)

    def _pass(self, until_ns: int) -> Paths:
        rows = concatenate(self._held) if len(self._held) > 1 else self._held[0]
        if np.any(rows.time_ns[1:] < rows.time_ns[:-1]):
            rows = rows.take(np.argsort(rows.time_ns, kind="stable"))
        final_ns = self._final_before(rows, until_ns)
        order, start = self._packets(rows)
        first_ns = np.minimum.reduceat(rows.time_ns[order], start)
        final = first_ns < final_ns
        paths = self._paths(rows, order, start, final)
        keep = np.ones(len(rows), bool)
        keep[order[np.repeat(final, np.diff(np.append(start, len(order))))]] = False
        self._held = [rows.take(keep)]
        self._rows = len(self._held[0])
        self._next = self._rows + PASS_ROWS
        return paths

    def _final_before(self, rows: Sightings, until_ns: int) -> int:
        """Return which packets are complete: those that began before the window."""
        if until_ns == _END:
            return _END
        final_ns = until_ns - self.window_ns
        if len(rows) > MAX_HELD:
            oldest_kept = int(rows.time_ns[-MAX_HELD])
            if oldest_kept > final_ns:
                window_ns = max(until_ns - oldest_kept, 0)
                self.shortest_ns = min(window_ns, self.shortest_ns or window_ns)
                return oldest_kept
        return final_ns

    def _packets(self, rows: Sightings) -> tuple[Array, Array]:
        """Return rows sorted by packet (then time), and where each packet begins.

        Pieces of one super-packet count as one here.
        """
        begin = (rows.sequence - rows.content.astype(np.uint32)).astype(np.uint64)
        order = np.argsort((rows.content & _HIGH) | begin, kind="stable")
        content, begin = rows.content[order], begin[order].astype(np.int64)
        end = begin + np.maximum(rows.length[order], 1)
        other = np.empty(len(order), bool)
        other[0] = True
        np.not_equal(content[1:], content[:-1], out=other[1:])
        base = np.cumsum(other) << _RANGE_BITS
        reached = np.maximum.accumulate(base + end)
        other[1:] |= (base + begin)[1:] >= reached[:-1]
        time_ns = rows.time_ns[order]
        other[1:] |= (begin[1:] == begin[:-1]) & (time_ns[1:] - time_ns[:-1] > self.window_ns)
        return order, np.flatnonzero(other)

    def _paths(self, rows: Sightings, order: Array, start: Array, final: Array) -> Paths:
        size = np.diff(np.append(start, len(order)))
        resegmented, repeated = _special(rows, order, start, size)
        ordinary = final & ~resegmented & ~repeated
        chosen = order[np.repeat(ordinary, size)]
        sizes = size[ordinary]
        path = np.repeat(np.arange(len(sizes)), sizes)
        chosen = travel_order(rows, chosen, path, self.close_ns)
        self.counts.matched += int(sizes[sizes > 1].sum())
        self.counts.unmatched += int(np.count_nonzero(sizes == 1))
        pieces = [chosen]
        paths, ended = [path], [np.ones(len(sizes), bool)]
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
