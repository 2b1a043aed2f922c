# SPDX-License-Identifier: Apache-2.0
"""Rows of the readable counters: what is counted of one tunnel and of one flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ..columns import NO_TIME, DecodedBatch, Finding, TunnelKind
from .tables import DYNAMIC_PORTS, FIRST_FRAMES, SCATTERED_PACKETS, VXLAN_PORT, TunnelCount

_VXLAN = int(TunnelKind.VXLAN)
_V03 = int(Finding.V03)
_V04 = int(Finding.V04)

Key = tuple[int, int, int, int, int, int, int, int, int]
OptionKey = tuple[int, int, int]
FiveTuple = tuple[int, ...]
End = tuple[int, int, int]
Noted = tuple[list[int], list[tuple[int, int]]]
"""How many, in a list of one, and the first frames as (capture, frame)."""

_Place = TypeVar("_Place")


@dataclass(slots=True)
class Tunnel:
    """What is counted of one tunnel."""

    packets: int = 0
    wire_bytes: int = 0
    overhead_bytes: int = 0
    inner_flows: int = 0
    option_packets: int = 0
    first_ns: int = NO_TIME
    last_ns: int = NO_TIME
    least_port: int = 0xFFFF
    most_port: int = -1
    services: int = 0
    capture: int = 0
    frame: int = 0
    any_ids: int = 0
    """Of the identifications that are not 0 (see `repeats`): the bits that any of them has."""
    all_ids: int = 0xFFFFFFFF
    """The bits that all of them have."""

    def add_ids(self, ids: int) -> None:
        """Note the identifications of a packet: the inner one in the upper 16 bits."""
        self.any_ids |= ids
        if ids < 1 << 16:
            ids |= 0xFFFF0000
        self.all_ids &= ids if ids & 0xFFFF else ids | 0xFFFF

    def seen(self, time_ns: int) -> None:
        """Let its packets reach to this time."""
        if time_ns == NO_TIME:
            return
        if self.first_ns == NO_TIME or time_ns < self.first_ns:
            self.first_ns = time_ns
        self.last_ns = max(self.last_ns, time_ns)


@dataclass(slots=True)
class Flow:
    """What is counted of one flow."""

    packets: int = 0
    wire_bytes: int = 0
    tunnel: Tunnel | None = None
    """Where it was last seen: asking `_inside` for every packet takes longer."""
    tunnel_key: Key | None = None
    source_port: int = -1
    """The outer source port that it had there last."""
    changes: int = 0
    """Packets whose outer source port is another than that of the one before."""


def tunnel_key(d: DecodedBatch, t: int) -> Key:
    """Return the key of a row of the tunnel table."""
    table = d.tunnels
    return (
        table.kind[t],
        table.vni[t],
        table.version[t],
        table.source_hi[t],
        table.source_lo[t],
        table.destination_hi[t],
        table.destination_lo[t],
        table.destination_port[t],
        table.depth[t],
    )


def tunnel_count(key: Key, t: Tunnel) -> TunnelCount:
    """Return a tunnel as others see it."""
    return TunnelCount(
        *key,
        t.packets,
        t.wire_bytes,
        t.overhead_bytes,
        t.inner_flows,
        t.option_packets,
        t.first_ns,
        t.last_ns,
        -1 if t.most_port < 0 else t.least_port,
        t.most_port,
        t.services,
        t.capture,
        t.frame,
    )


def is_scattered(flow: Flow) -> bool:
    """See `SummaryTables.scattered`."""
    return flow.packets >= SCATTERED_PACKETS and 4 * flow.changes >= flow.packets


def unusual_ports(d: DecodedBatch, t: int) -> int:
    """Return the findings about the ports of a VXLAN tunnel's packet."""
    table = d.tunnels
    if table.kind[t] != _VXLAN:
        return 0
    found = 0 if table.destination_port[t] == VXLAN_PORT else _V03
    return found if table.source_port[t] >= DYNAMIC_PORTS else found | _V04


def tunnel_order(tunnel: TunnelCount) -> tuple[int, ...]:
    """Return the sorting key of `tunnels`."""
    return (-tunnel.packets, -tunnel.wire_bytes, *tunnel[:9])


def add_noted(mine: dict[_Place, Noted], others: dict[_Place, Noted]) -> None:
    """Add up what two tables noted; the first frames are the lowest of both."""
    for place, (count, first) in others.items():
        total, frames = mine.setdefault(place, ([0], []))
        total[0] += count[0]
        frames[:] = sorted(set(frames) | set(first))[:FIRST_FRAMES]
