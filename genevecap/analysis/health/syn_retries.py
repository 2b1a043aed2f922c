# SPDX-License-Identifier: Apache-2.0
"""A03 without connections: SYNs to port 15008 that a client repeats, and nothing else from it.

`inspect` follows no connections; what it has are SYNs and the packets of each flow.  They tell this
much without doubt: a client that had got an answer would have sent something else.  What takes more
(resets, Istio's tunnels, which of the sessions waited) is told by `unanswered`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ...addresses import address_text, endpoint_text
from ...ambient import HBONE_PORT
from ...ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI
from ...capture.linktypes import LINUX_SLL
from ...capture.roles import Role
from ...columns import DecodedBatch, FrameBatch, TunnelKind
from ..findings.noted import Noted
from ..services import TCP
from ..tables import FIRST_FRAMES, FlowCount, SummaryTables

_MOST_CLIENTS = 100_000
_MOST_FLOWS = 100_000
_BLIND = frozenset({Role.ISTIOIN, Role.ISTIOOUT, Role.PISTIOIN, Role.PISTIOOUT})
"""In Istio's tunnel there are no answers, nor anything but SYNs."""

_GENEVE = int(TunnelKind.GENEVE)
_ISTIO_VNIS = frozenset({INBOUND_VNI, OUTBOUND_VNI})

_Way = tuple[int, int]
"""Where the outermost tunnel ends, 0 without one: what is flooded goes to many ends at once."""

_Ends = tuple[int, int, int, int, int, int]
"""IP version, source, destination (two halves each), source port."""


@dataclass(slots=True)
class _Syns:
    """SYNs from one client's port to one server."""

    sightings: int = 0
    """At all points, tunnels included."""
    attempts: Counter[tuple[int, _Way, int]] = field(default_factory=Counter)
    """Outside Istio's tunnels, by point, way and sequence number."""
    frames: list[tuple[int, int]] = field(default_factory=list)


class HboneSyns:
    """Gathers SYNs to port 15008; `note()` tells those that nobody answered."""

    def __init__(self) -> None:
        self._syns: dict[_Ends, _Syns] = {}

    def update(self, frames: FrameBatch, d: DecodedBatch, rows: array[int], capture: int) -> None:
        """Look at these rows of `d`, all SYNs."""
        for i in rows:
            if d.inner_destination_port[i] != HBONE_PORT:
                continue
            ends = d.inner_ends(i)[:-1]
            syns = self._syns.get(ends)
            if syns is None:
                if len(self._syns) == _MOST_CLIENTS:
                    continue
                syns = self._syns[ends] = _Syns()
            point = frames.point[d.first + i]
            syns.sightings += 1
            if len(syns.frames) < FIRST_FRAMES:
                syns.frames.append((capture, frames.frame[d.first + i]))
            way = _way(d, i)
            if way is not None and frames.link_types[point] != LINUX_SLL:
                syns.attempts[point, way, d.tcp_sequence[i]] += 1

    def note(self, noted: Noted, tables: SummaryTables, roles: Sequence[Role]) -> None:
        """Note A03; roles: by point index."""
        blind = {point for point, role in enumerate(roles) if role in _BLIND}
        repeated = {
            ends: count for ends, syns in self._syns.items() if (count := _most(syns, blind)) > 1
        }
        if not repeated:
            return
        sent, answered = _packets(tables.flows_with_port(HBONE_PORT, _MOST_FLOWS))
        for ends, count in repeated.items():
            syns = self._syns[ends]
            if ends in answered or sent.get(ends) != syns.sightings or not _hears(tables, ends):
                continue
            version, *halves, port = ends
            client = endpoint_text(address_text(version, *halves[:2]), port)
            server = address_text(version, *halves[2:])
            noted.note(
                "A03",
                packets=count,
                frames=syns.frames,
                detail=f"{client} > {endpoint_text(server, HBONE_PORT)}: {count} SYNs, no answer",
                display_filter=f"tcp.flags.syn == 1 && {'ip' if version == 4 else 'ipv6'}.dst == "
                f"{server} && tcp.dstport == {HBONE_PORT}",
            )


def _way(d: DecodedBatch, i: int) -> _Way | None:
    """Return by which tunnel a packet goes; None for Istio's own."""
    start = d.tunnel_start[i]
    for t in range(start, start + d.tunnel_count[i]):
        if d.tunnels.kind[t] == _GENEVE and d.tunnels.vni[t] in _ISTIO_VNIS:
            return None
    if not d.tunnel_count[i]:
        return 0, 0
    return d.tunnels.destination_hi[start], d.tunnels.destination_lo[start]


def _most(syns: _Syns, blind: Collection[int]) -> int:
    """Return how many SYNs of one attempt the point showed that shows most."""
    counts = (n for (point, *_), n in syns.attempts.items() if point not in blind)
    return max(counts, default=0)


def _packets(flows: Sequence[FlowCount]) -> tuple[Counter[_Ends], set[_Ends]]:
    """Return how many packets went to port 15008, and from where something came back."""
    sent: Counter[_Ends] = Counter()
    answered: set[_Ends] = set()
    for flow in flows:
        if flow.destination_port == HBONE_PORT:
            sent[(*flow[1:6], flow.source_port)] += flow.packets
        if flow.source_port == HBONE_PORT:
            answered.add((flow.version, *flow[4:6], *flow[2:4], flow.destination_port))
    return sent, answered


def _hears(tables: SummaryTables, ends: _Ends) -> bool:
    """Tell whether the captures show what the client gets, on any of its connections."""
    client = ends[1:3]
    flows = tables.flows_with_address((ends[0], *client), _MOST_FLOWS)
    return any(flow.protocol == TCP and flow[4:6] == client for flow in flows)
