# SPDX-License-Identifier: Apache-2.0
"""Counters of the summary, in readable form; `_kernel_tables` is the same, compiled."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import compress
from typing import Self

from ..capture.linktypes import LINUX_SLL
from ..columns import NO_TIME, DecodedBatch, Finding, FrameBatch, Stop
from .readable_repeats import RecentPackets, numbered_packet
from .readable_rows import (
    End,
    FiveTuple,
    Flow,
    Key,
    Noted,
    OptionKey,
    Tunnel,
    add_noted,
    is_scattered,
    tunnel_count,
    tunnel_key,
    tunnel_order,
    unusual_ports,
)
from .repeats import INNER, OUTER, Sightings, proven
from .services import TCP, service_of
from .tables import (
    CLOCK_STEP_NS,
    FIRST_FRAMES,
    LARGEST_FRAME_BYTES,
    MOST_CHANGED,
    MOST_CHANGES,
    MOST_MOVES,
    REDIRECT_PORTS,
    Directions,
    FindingCount,
    FlowCount,
    Move,
    OptionCount,
    Repeat,
    Scattered,
    StopCount,
    TunnelCount,
    flow_order,
)

_COMPLETE = int(Stop.COMPLETE)
_TRUNCATED = int(Stop.TRUNCATED)
_C03 = int(Finding.C03)
_C04 = int(Finding.C04)
_C05 = int(Finding.C05)
_C07 = int(Finding.C07)


class ReadableTables:
    """The tables as dictionaries."""

    def __init__(self) -> None:
        self._selected = 0
        self._tunnels: dict[Key, Tunnel] = {}
        self._flows: dict[Key, Flow] = {}
        self._inside: set[tuple[Key, FiveTuple]] = set()
        self._options: dict[OptionKey, list[int]] = {}
        self._stops: Counter[tuple[int, int]] = Counter()
        self._findings: dict[int, Noted] = {}
        self._latest: dict[int, int] = {}
        self._hidden = array("q")
        self._changed: dict[Key, tuple[int, int]] = {}
        """Where the source port of a flow's tunnel changed first."""
        self._moves: dict[tuple[Key, Key], list[int]] = {}
        self._recent = RecentPackets()
        self._repeats: dict[tuple[Key, int], Noted] = {}

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> array[int]:
        """See `SummaryTables`."""
        d, syns = decoded, array("q")
        self._hidden = array("q")
        kept = d.keep[: d.count]
        self._stops.update(compress(zip(d.stop, d.stop_layer, strict=True), kept))
        for i in compress(range(d.count), kept):
            row = d.first + i
            place = (capture, frames.frame[row])
            self._selected += 1
            found = d.findings[i] | self._disorder(frames.point[row], frames.time_ns[row])
            wire = frames.wire_bytes[row]
            if d.stop[i] == _TRUNCATED:
                found |= _C03
            elif d.stop[i] == _COMPLETE and d.stop_layer[i]:
                self._hidden.append(i)
            if wire > LARGEST_FRAME_BYTES and d.inner_protocol[i] == TCP:
                found |= _C07
            key = self._count_flow(d, i, wire)
            around = []
            for t in range(d.tunnel_start[i], d.tunnel_start[i] + d.tunnel_count[i]):
                inside = self._count_tunnel(d, t, wire, frames.time_ns[row], place)
                around.append(inside)
                found |= unusual_ports(d, t)
                if key is not None:
                    is_inside = d.tunnels.header_offset[t] <= d.inner_offset[i]
                    port = d.tunnels.source_port[t] & 0xFFFF
                    self._follow(key, inside, port, place, is_inside=is_inside)
            if found:
                self._count_findings(found, place)
            if around and (numbered := numbered_packet(frames, d, i)) is not None:
                ids, packet = numbered
                for _, tunnel in around:
                    tunnel.add_ids(ids)
                again = self._recent.was_seen((id(around[0][1]), key, packet), frames.time_ns[row])
                if again and frames.link_types[frames.point[row]] != LINUX_SLL:
                    self._note_repeat(ids, around[0][0], place)
            if d.tcp_flags[i] & 0x12 == 0x02:
                syns.append(i)
        return syns

    def _disorder(self, point: int, time_ns: int) -> int:
        """Return the finding about a time that is before an earlier one of its point."""
        if time_ns == NO_TIME:
            return 0
        latest = self._latest.setdefault(point, time_ns)
        if latest - time_ns >= CLOCK_STEP_NS:
            self._latest[point] = time_ns
            return _C05
        self._latest[point] = max(latest, time_ns)
        return _C04 if time_ns < latest else 0

    def _count_flow(self, d: DecodedBatch, i: int, wire: int) -> Key | None:
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
            flow = self._flows[key] = Flow()
        flow.packets += 1
        flow.wire_bytes += wire
        return key

    def _follow(
        self,
        key: Key,
        inside: tuple[Key, Tunnel],
        port: int,
        place: tuple[int, int],
        *,
        is_inside: bool,
    ) -> None:
        """Note in which tunnel the packet of a flow is, and from which source port it came.

        Which tunnel that is, is said of the outermost: the others are there besides.
        is_inside: the flow is what the tunnel carries, not the header that carries the tunnel.
        """
        tunnel_key, tunnel = inside
        flow = self._flows[key]
        if flow.tunnel is tunnel:
            if flow.source_port != port:
                if not flow.changes and len(self._changed) < MOST_CHANGED:
                    self._changed[key] = place
                flow.source_port = port
                flow.changes = min(flow.changes + 1, MOST_CHANGES)
            return
        pair = (tunnel_key, key[1:])  # without its VNI: a 5-tuple
        if not tunnel_key[8]:
            if flow.tunnel_key is not None:
                self._note_move(flow.tunnel_key, tunnel_key, place, again=pair in self._inside)
            flow.tunnel, flow.tunnel_key, flow.source_port = tunnel, tunnel_key, port
        if is_inside:
            tunnel.services |= service_of(*key[6:9])
        if pair not in self._inside:
            self._inside.add(pair)
            tunnel.inner_flows += 1

    def _note_move(self, before: Key, now: Key, place: tuple[int, int], *, again: bool) -> None:
        """Remember that packets of a flow came from one tunnel, then from another.

        again: whether this flow was in that tunnel before.
        """
        same_place = (before[:3], before[8]) == (now[:3], now[8])
        passed_on = before[5:7] == now[3:5] or now[5:7] == before[3:5]
        if not same_place or passed_on or before[3:5] == now[3:5]:
            return
        pair = (before, now)
        if pair in self._moves or len(self._moves) < MOST_MOVES:
            move = self._moves.setdefault(pair, [0, 0, *place])
            move[0] += 1
            move[1] |= again

    def _note_repeat(self, ids: int, outermost: Key, place: tuple[int, int]) -> None:
        """Note a packet in tunnels that is there again; ids: see `numbered_packet`."""
        numbered_by = (OUTER if ids & 0xFFFF else 0) | (INNER if ids >> 16 else 0)
        count, first = self._repeats.setdefault((outermost, numbered_by), ([0], []))
        count[0] += 1
        if len(first) < FIRST_FRAMES:
            first.append(place)

    def _count_tunnel(
        self, d: DecodedBatch, t: int, wire: int, time_ns: int, place: tuple[int, int]
    ) -> tuple[Key, Tunnel]:
        table, key = d.tunnels, tunnel_key(d, t)
        tunnel = self._tunnels.get(key)
        if tunnel is None:
            tunnel = self._tunnels[key] = Tunnel(capture=place[0], frame=place[1])
        port = table.source_port[t]
        if port >= 0:
            tunnel.least_port = min(tunnel.least_port, port)
            tunnel.most_port = max(tunnel.most_port, port)
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

    def _count_findings(self, bits: int, place: tuple[int, int]) -> None:
        while bits:
            bit = bits & -bits
            bits ^= bit
            count, first = self._findings.setdefault(bit, ([0], []))
            count[0] += 1
            if len(first) < FIRST_FRAMES:
                first.append(place)

    def hidden(self) -> array[int]:
        """See `SummaryTables`."""
        return self._hidden

    def merge(self, other: Self) -> None:
        """See `SummaryTables`."""
        self._selected += other._selected
        for key, theirs in other._tunnels.items():
            place = (theirs.capture, theirs.frame)
            tunnel = self._tunnels.setdefault(key, Tunnel(capture=place[0], frame=place[1]))
            tunnel.capture, tunnel.frame = min((tunnel.capture, tunnel.frame), place)
            tunnel.least_port = min(tunnel.least_port, theirs.least_port)
            tunnel.most_port = max(tunnel.most_port, theirs.most_port)
            tunnel.any_ids |= theirs.any_ids
            tunnel.all_ids &= theirs.all_ids
            tunnel.services |= theirs.services
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
            mine = self._flows.setdefault(flow_key, Flow())
            mine.packets += flow.packets
            mine.wire_bytes += flow.wire_bytes
            mine.changes = min(mine.changes + flow.changes, MOST_CHANGES)
        for option, counts in other._options.items():
            ours = self._options.setdefault(option, [0, 0, 0])
            ours[0] += counts[0]
            ours[1] += counts[1]
        self._stops.update(other._stops)
        add_noted(self._findings, other._findings)
        add_noted(self._repeats, other._repeats)
        for key, place in other._changed.items():
            if key in self._changed or len(self._changed) < MOST_CHANGED:
                self._changed[key] = min(place, self._changed.get(key, place))

    def selected(self) -> int:
        """See `SummaryTables`."""
        return self._selected

    def flow_count(self) -> int:
        """See `SummaryTables`."""
        return len(self._flows)

    def tunnels(self) -> list[TunnelCount]:
        """See `SummaryTables`."""
        tunnels = [tunnel_count(key, tunnel) for key, tunnel in self._tunnels.items()]
        tunnels.sort(key=tunnel_order)
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

    def flows_of(self, protocol: int, most: int) -> list[FlowCount]:
        """See `SummaryTables`."""
        return self._largest([k for k in self._flows if k[6] == protocol], most)

    def scattered(self, most: int) -> Scattered:
        """See `SummaryTables`."""
        found = [key for key, flow in self._flows.items() if is_scattered(flow)]
        packets = sum(self._flows[key].packets for key in found)
        places = sorted(self._changed[key] for key in found if key in self._changed)
        return Scattered(len(found), packets, self._largest(found, most), places[:FIRST_FRAMES])

    def moves(self) -> list[Move]:
        """See `SummaryTables`."""
        found = []
        for (before, now), (times, again, *place) in self._moves.items():
            back = self._moves.get((now, before))
            if back is not None and before < now and (again or back[1]):
                one = tunnel_count(before, self._tunnels[before])
                other = tunnel_count(now, self._tunnels[now])
                found.append(Move(one, other, times + back[0], *min(place, back[2:])))
        return found

    def repeats(self) -> list[Repeat]:
        """See `SummaryTables`."""
        rows = []
        for (key, numbered_by), (count, first) in self._repeats.items():
            tunnel = self._tunnels[key]
            changing = tunnel.any_ids & ~tunnel.all_ids
            rows.append(
                Sightings(tunnel_count(key, tunnel), numbered_by, changing, count[0], first)
            )
        return proven(rows)

    def directions(self) -> Directions:
        """See `SummaryTables`."""
        seen: dict[frozenset[End], set[End]] = {}
        redirected: set[frozenset[End]] = set()
        for key in self._flows:
            if key[6] == TCP:
                source, destination = (*key[2:4], key[7]), (*key[4:6], key[8])
                ends = frozenset((source, destination))
                seen.setdefault(ends, set()).add(source)
                if key[8] in REDIRECT_PORTS:
                    redirected.add(ends)
        both = sum(len(each) > 1 for each in seen.values())
        alone = sum(len(seen[ends]) == 1 for ends in redirected)
        return Directions(both, len(seen) - both, alone)

    def _largest(self, keys: list[Key], most: int) -> list[FlowCount]:
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
