# SPDX-License-Identifier: Apache-2.0
"""Counters of the summary, in readable form; `_kernel_tables` is the same, compiled.

All of them merge in any order, bit for bit.  Memory grows with tunnels, options and one-way flows
(about 100 octets each when compiled), never with the number of frames.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, Protocol, Self

from ..columns import NO_TIME, DecodedBatch, FrameBatch
from ..kernels import load

TCP = 6
"""IP protocol."""

FIRST_FRAMES = 5
"""Frames that a finding names."""


class TunnelCount(NamedTuple):
    """One tunnel direction at one depth."""

    kind: int
    vni: int
    version: int
    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int
    port: int
    depth: int
    packets: int
    wire_bytes: int
    overhead_bytes: int
    inner_flows: int
    option_packets: int
    """Packets with at least one Geneve option."""
    first_ns: int
    last_ns: int


class FlowCount(NamedTuple):
    """One one-way 5-tuple, with the VNI of the innermost tunnel around it (-1 for none).

    Where a tunnel holds no IP header, the 5-tuple is that of the header that carries it.
    """

    vni: int
    version: int
    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int
    protocol: int
    source_port: int
    destination_port: int
    packets: int
    wire_bytes: int


class OptionCount(NamedTuple):
    """One Geneve option class, type and size."""

    option_class: int
    option_type: int
    data_bytes: int
    packets: int
    occurrences: int


class StopCount(NamedTuple):
    """Frames that ended one way at one layer code."""

    stop: int
    layer: int
    packets: int


class FindingCount(NamedTuple):
    """One finding bit: how many frames, and the first of them as (capture, frame)."""

    bit: int
    packets: int
    frames: tuple[tuple[int, int], ...]


class SummaryTables(Protocol):
    """What both implementations offer."""

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> array[int]:
        """Count the rows that `keep`; return the decoded rows that are TCP SYNs without ACK."""

    def merge(self, other: Self) -> None:
        """Add what another one counted."""

    def selected(self) -> int:
        """Return how many frames were counted."""

    def flow_count(self) -> int:
        """Return how many one-way flows there are."""

    def tunnels(self) -> list[TunnelCount]:
        """Return all tunnels, largest first: by packets; ties by octets, then by key."""

    def top_flows(self, most: int) -> list[FlowCount]:
        """Return the flows with most packets, largest first; ties by octets, then by key."""

    def flows_with_port(self, port: int, most: int) -> list[FlowCount]:
        """Return up to `most` TCP flows with this source or destination port, as `top_flows`."""

    def flows_with_address(self, address: tuple[int, int, int], most: int) -> list[FlowCount]:
        """Return up to `most` flows with this source or destination (version, hi, lo)."""

    def options(self) -> list[OptionCount]:
        """Return all options, in no order."""

    def stops(self) -> list[StopCount]:
        """Return all ways of ending, in no order."""

    def findings(self) -> list[FindingCount]:
        """Return the findings that were met, by bit."""


def summary_tables() -> SummaryTables:
    """Return compiled tables where they were built, else readable ones."""
    kernel = load("genevecap.analysis._kernel_tables")
    return ReadableTables() if kernel is None else kernel.KernelTables()


def flow_order(flow: FlowCount) -> tuple[int, ...]:
    """Return the sorting key of `top_flows`."""
    return (-flow.packets, -flow.wire_bytes, *flow[:9])


def _tunnel_order(tunnel: TunnelCount) -> tuple[int, ...]:
    return (-tunnel.packets, -tunnel.wire_bytes, *tunnel[:9])


@dataclass(slots=True)
class _Tunnel:
    packets: int = 0
    wire_bytes: int = 0
    overhead_bytes: int = 0
    inner_flows: int = 0
    option_packets: int = 0
    first_ns: int = NO_TIME
    last_ns: int = NO_TIME

    def seen(self, time_ns: int) -> None:
        if time_ns == NO_TIME:
            return
        if self.first_ns == NO_TIME or time_ns < self.first_ns:
            self.first_ns = time_ns
        self.last_ns = max(self.last_ns, time_ns)


@dataclass(slots=True)
class _Flow:
    packets: int = 0
    wire_bytes: int = 0
    tunnel: _Tunnel | None = None
    """Where it was last seen: asking `_inside` for every packet takes longer."""


_Key = tuple[int, int, int, int, int, int, int, int, int]
_OptionKey = tuple[int, int, int]
_Tuple = tuple[int, ...]


class ReadableTables:
    """The tables as dictionaries."""

    def __init__(self) -> None:
        self._selected = 0
        self._tunnels: dict[_Key, _Tunnel] = {}
        self._flows: dict[_Key, _Flow] = {}
        self._inside: set[tuple[_Key, _Tuple]] = set()
        self._options: dict[_OptionKey, list[int]] = {}
        self._stops: Counter[tuple[int, int]] = Counter()
        self._findings: dict[int, tuple[list[int], list[tuple[int, int]]]] = {}

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> array[int]:
        """See `SummaryTables`."""
        d, syns = decoded, array("q")
        kept = d.keep[: d.count]
        self._stops.update(compress(zip(d.stop, d.stop_layer, strict=True), kept))
        for i in compress(range(d.count), kept):
            row = d.first + i
            self._selected += 1
            if d.findings[i]:
                self._count_findings(d.findings[i], capture, frames.frame[row])
            wire, time_ns = frames.wire_bytes[row], frames.time_ns[row]
            start, count = d.tunnel_start[i], d.tunnel_count[i]
            key = self._count_flow(d, i, wire)
            for t in range(start, start + count):
                tunnel_key, tunnel = self._count_tunnel(d, t, wire, time_ns)
                if key is not None:
                    flow = self._flows[key]
                    if flow.tunnel is not tunnel:
                        flow.tunnel = tunnel
                        self._see_inside(tunnel_key, tunnel, key)
            if d.tcp_flags[i] & 0x12 == 0x02:
                syns.append(i)
        return syns

    def _count_flow(self, d: DecodedBatch, i: int, wire: int) -> _Key | None:
        version = d.inner_version[i]
        if not version:
            return None
        vni = -1
        for t in range(d.tunnel_start[i], d.tunnel_start[i] + d.tunnel_count[i]):
            if d.tunnels.header_offset[t] <= d.inner_offset[i]:
                vni = d.tunnels.vni[t]
        key = (
            vni,
            version,
            d.inner_source_hi[i],
            d.inner_source_lo[i],
            d.inner_destination_hi[i],
            d.inner_destination_lo[i],
            d.inner_protocol[i],
            d.inner_source_port[i],
            d.inner_destination_port[i],
        )
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow()
        flow.packets += 1
        flow.wire_bytes += wire
        return key

    def _see_inside(self, key: _Key, tunnel: _Tunnel, flow: _Key) -> None:
        pair = (key, flow[1:])  # without its VNI: a 5-tuple
        if pair not in self._inside:
            self._inside.add(pair)
            tunnel.inner_flows += 1

    def _count_tunnel(
        self, d: DecodedBatch, t: int, wire: int, time_ns: int
    ) -> tuple[_Key, _Tunnel]:
        table = d.tunnels
        key = (
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
        tunnel = self._tunnels.get(key)
        if tunnel is None:
            tunnel = self._tunnels[key] = _Tunnel()
        tunnel.packets += 1
        tunnel.wire_bytes += wire
        tunnel.overhead_bytes += table.overhead_bytes[t]
        tunnel.seen(time_ns)
        if table.option_count[t]:
            tunnel.option_packets += 1
            self._count_options(d, t)
        return key, tunnel

    def _count_options(self, d: DecodedBatch, t: int) -> None:
        start, options = d.tunnels.option_start[t], d.options
        for o in range(start, start + d.tunnels.option_count[t]):
            key = (options.option_class[o], options.option_type[o], options.data_bytes[o])
            counts = self._options.setdefault(key, [0, 0, 0])
            if counts[2] != self._selected:
                counts[0] += 1
                counts[2] = self._selected  # the frame that was counted last
            counts[1] += 1

    def _count_findings(self, bits: int, capture: int, frame: int) -> None:
        while bits:
            bit = bits & -bits
            bits ^= bit
            count, first = self._findings.setdefault(bit, ([0], []))
            count[0] += 1
            if len(first) < FIRST_FRAMES:
                first.append((capture, frame))

    def merge(self, other: Self) -> None:
        """See `SummaryTables`."""
        self._selected += other._selected
        for key, theirs in other._tunnels.items():
            tunnel = self._tunnels.setdefault(key, _Tunnel())
            tunnel.packets += theirs.packets
            tunnel.wire_bytes += theirs.wire_bytes
            tunnel.overhead_bytes += theirs.overhead_bytes
            tunnel.option_packets += theirs.option_packets
            tunnel.seen(theirs.first_ns)
            tunnel.seen(theirs.last_ns)
        self._inside |= other._inside
        for tunnel in self._tunnels.values():
            tunnel.inner_flows = 0
        for key, _ in self._inside:
            self._tunnels[key].inner_flows += 1
        for flow_key, flow in other._flows.items():
            mine = self._flows.setdefault(flow_key, _Flow())
            mine.packets += flow.packets
            mine.wire_bytes += flow.wire_bytes
        for option, counts in other._options.items():
            ours = self._options.setdefault(option, [0, 0, 0])
            ours[0] += counts[0]
            ours[1] += counts[1]
        self._stops.update(other._stops)
        for bit, (count, first) in other._findings.items():
            total, frames = self._findings.setdefault(bit, ([0], []))
            total[0] += count[0]
            frames[:] = sorted(set(frames) | set(first))[:FIRST_FRAMES]

    def selected(self) -> int:
        """See `SummaryTables`."""
        return self._selected

    def flow_count(self) -> int:
        """See `SummaryTables`."""
        return len(self._flows)

    def tunnels(self) -> list[TunnelCount]:
        """See `SummaryTables`."""
        tunnels = [
            TunnelCount(
                *key,
                t.packets,
                t.wire_bytes,
                t.overhead_bytes,
                t.inner_flows,
                t.option_packets,
                t.first_ns,
                t.last_ns,
            )
            for key, t in self._tunnels.items()
        ]
        tunnels.sort(key=_tunnel_order)
        return tunnels

    def top_flows(self, most: int) -> list[FlowCount]:
        """See `SummaryTables`."""
        return self._largest(list(self._flows), most)

    def flows_with_port(self, port: int, most: int) -> list[FlowCount]:
        """See `SummaryTables`."""
        return self._largest([k for k in self._flows if port in k[7:9] and k[6] == TCP], most)

    def flows_with_address(self, address: tuple[int, int, int], most: int) -> list[FlowCount]:
        """See `SummaryTables`."""
        version, hi, lo = address
        ends = (hi, lo)
        return self._largest(
            [k for k in self._flows if k[1] == version and ends in (k[2:4], k[4:6])], most
        )

    def _largest(self, keys: list[_Key], most: int) -> list[FlowCount]:
        found = ((key, self._flows[key]) for key in keys)
        flows = [FlowCount(*key, flow.packets, flow.wire_bytes) for key, flow in found]
        flows.sort(key=flow_order)
        return flows[:most]

    def options(self) -> list[OptionCount]:
        """See `SummaryTables`."""
        return [OptionCount(*key, *counts[:2]) for key, counts in self._options.items()]

    def stops(self) -> list[StopCount]:
        """See `SummaryTables`."""
        return [StopCount(*key, packets) for key, packets in self._stops.items()]

    def findings(self) -> list[FindingCount]:
        """See `SummaryTables`."""
        return [
            FindingCount(bit, count[0], tuple(first))
            for bit, (count, first) in sorted(self._findings.items())
        ]
