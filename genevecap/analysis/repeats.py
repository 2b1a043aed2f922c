# SPDX-License-Identifier: Apache-2.0
"""U07: packets of a plain tunnel that are there twice.

Geneve and VXLAN do not number their packets, but IPv4 does: a sender gives each packet another
identification.  So a packet is a repeat where one capture point shows twice, within `LONGEST_NS`,

* the same tunnel (kind, VNI, addresses, port) and the same flow in it,
* the same `OUTER_BYTES` octets from `OUTER_BEGIN` on of the header that carries the outermost
  tunnel: identification, TTL and checksum of IPv4, length and hop limit of IPv6,
* the same inner identification, and
* the same `INNERMOST_BYTES` first octets of the innermost header: ports and sequence number of TCP,
  ports, length and checksum of UDP.

A retransmission of TCP is a new packet with identifications of its own.  What goes to several
tunnel endpoints has another outer destination in each copy; what passed a router between two
sightings has another TTL.  A capture of `any` shows a packet at each interface: those of SLL2 are
points of their own, those of SLL cannot be told apart and are left out.

What numbers nothing proves nothing.  An identification counts only where it is not 0 (RFC 6864
lets it be 0, or anything, in packets that are not to be fragmented), and where the tunnel shows
others that are not 0: some senders, and generators of test traffic, write the same one everywhere.
Fragments inside a tunnel share one, and are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .tables import FIRST_FRAMES, Repeat, TunnelCount

OUTER_BEGIN = 4
OUTER_BYTES = 8
INNERMOST_BYTES = 8

LONGEST_NS = 1_000_000_000
"""With more time between them two sightings may be of two packets: identifications come again."""

RECENT = 4096
"""How many packets in tunnels are looked through: the latest of all points together."""

OUTER, INNER = 1, 2


class Sightings(NamedTuple):
    """Packets of one tunnel that came again, numbered by the same headers."""

    tunnel: TunnelCount
    numbered_by: int
    """OUTER and INNER: which identifications are not 0."""
    changing: int
    """Bits in which the tunnel's identifications differ: outer ones in the lower 16 bits."""
    packets: int
    frames: Sequence[tuple[int, int]]


def proven(rows: Iterable[Sightings]) -> list[Repeat]:
    """Return the repeats that an identification proves, by tunnel."""
    found: dict[TunnelCount, tuple[int, list[tuple[int, int]]]] = {}
    for tunnel, numbered_by, changing, packets, frames in rows:
        changes = (OUTER if changing & 0xFFFF else 0) | (INNER if changing >> 16 else 0)
        if numbered_by & changes:
            others, first = found.get(tunnel, (0, []))
            found[tunnel] = others + packets, sorted([*first, *frames])[:FIRST_FRAMES]
    return [Repeat(tunnel, *each) for tunnel, each in found.items()]
