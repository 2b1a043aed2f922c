# SPDX-License-Identifier: Apache-2.0
"""What tables of tunnels and flows alone tell of a mesh: findings A09 and A10."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from ...addresses import address_text, endpoint_text, parse_address
from ...ambient import SNAT_ADDRESSES
from ...ambient.iptables_geneve import INBOUND_VNI, OUTBOUND_VNI, IptablesGeneve
from ...columns import DecodedBatch, FrameBatch, TunnelKind
from ...decode.settings import GENEVE_PORT
from ..findings.noted import Noted
from ..tables import FIRST_FRAMES, SummaryTables, TunnelCount

_MODES = frozenset({IptablesGeneve.name, "mixed"})
_MOST_FLOWS = 1_000


def note_port(noted: Noted, tunnels: Iterable[TunnelCount], mode: str) -> None:
    """Note Istio's Geneve on another port than 6081; mode: what `ambient.recognise` says."""
    if mode not in _MODES:
        return
    for tunnel in tunnels:
        if (
            tunnel.kind == TunnelKind.GENEVE
            and tunnel.vni in {INBOUND_VNI, OUTBOUND_VNI}
            and tunnel.port not in {GENEVE_PORT, -1}
        ):
            noted.note(
                "A10",
                packets=tunnel.packets,
                frames=[(tunnel.capture, tunnel.frame)],
                detail=f"UDP port {tunnel.port}",
                display_filter=f"udp.dstport == {tunnel.port}",
            )


class NodeLocalSyns:
    """Gathers where connections from the node itself begin, which tables do not keep."""

    def __init__(self) -> None:
        self._addresses = frozenset(map(parse_address, SNAT_ADDRESSES))
        self._frames: list[tuple[int, int]] = []

    def update(self, frames: FrameBatch, d: DecodedBatch, rows: array[int], capture: int) -> None:
        """Look at these rows of `d`, all SYNs."""
        if len(self._frames) >= FIRST_FRAMES:
            return
        self._frames += [
            (capture, frames.frame[d.first + i])
            for i in rows
            if (d.inner_version[i], d.inner_source_hi[i], d.inner_source_lo[i]) in self._addresses
        ][:FIRST_FRAMES]

    def note(self, noted: Noted) -> None:
        """Add to A09, which is told from the tables, where it is."""
        if self._frames:
            noted.note("A09", packets=0, frames=self._frames)


def note_node_local(noted: Noted, tables: SummaryTables) -> None:
    """Note what came from the node itself, and what went back: each sighting counts."""
    for address in map(parse_address, SNAT_ADDRESSES):
        for flow in tables.flows_with_address(address, _MOST_FLOWS):
            source = (flow.version, flow.source_hi, flow.source_lo)
            detail = ""
            if source == address:
                server = address_text(flow.version, flow.destination_hi, flow.destination_lo)
                port = flow.destination_port if flow.destination_port >= 0 else None
                detail = f"{address_text(*source)} > {endpoint_text(server, port)}"
            noted.note("A09", packets=flow.packets, detail=detail)
