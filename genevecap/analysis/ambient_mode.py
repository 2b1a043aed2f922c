# SPDX-License-Identifier: Apache-2.0
"""Which redirect mode of Istio ambient the counted traffic shows, and why."""

from __future__ import annotations

from ..addresses import address_text, parse_address
from ..ambient import (
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    OUTBOUND_PORT,
    SNAT_ADDRESSES,
    FlowSign,
    RedirectSign,
    Signs,
    TunnelSign,
    describe,
    modes,
    recognise,
)
from ..columns import TUNNEL_NAMES
from .results import AmbientSummary
from .tables import FlowCount, SummaryTables, TunnelCount

_SIGN_FLOWS = 1_000
"""Flows of one port or address that are looked at."""


def ambient_summary(
    tables: SummaryTables, tunnels: list[TunnelCount], redirects: tuple[RedirectSign, ...]
) -> AmbientSummary:
    """Return which redirect mode the counted traffic shows, and why."""
    by_port = {
        port: tables.flows_with_port(port, _SIGN_FLOWS)
        for port in (HBONE_PORT, OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT)
    }
    flows = dict.fromkeys(flow for found in by_port.values() for flow in found)
    snat = [parse_address(text) for text in SNAT_ADDRESSES]
    mode, evidence = recognise(
        Signs(
            tunnels=_tunnel_signs(tunnels),
            flows=tuple(_flow_sign(flow) for flow in flows),
            more_flows=frozenset(p for p, found in by_port.items() if len(found) == _SIGN_FLOWS),
            snat_flows=tuple(
                _flow_sign(flow)
                for address in snat
                for flow in tables.flows_with_address(address, _SIGN_FLOWS)
            ),
            redirects=redirects,
        )
    )
    return AmbientSummary(mode=mode, evidence=evidence, description=describe(mode))


def _tunnel_signs(tunnels: list[TunnelCount]) -> tuple[TunnelSign, ...]:
    """Return the tunnels with a redirect mode's VNI, and for each endpoint the largest other one.

    What else such an endpoint gets tells ztunnel from an underlay; one such tunnel is enough.
    tunnels: largest first.
    """
    vnis = {vni for mode in modes().values() for vni in mode.vnis}
    chosen = [t for t in tunnels if t.vni in vnis]
    ends = {(t.version, t.destination_hi, t.destination_lo) for t in chosen}
    others: dict[tuple[int, int, int], TunnelCount] = {}
    for t in tunnels if ends else ():
        end = (t.version, t.destination_hi, t.destination_lo)
        if end in ends and t.vni not in vnis:
            others.setdefault(end, t)
    return tuple(_tunnel_sign(t) for t in (*chosen, *others.values()))


def _tunnel_sign(t: TunnelCount) -> TunnelSign:
    return TunnelSign(
        kind=TUNNEL_NAMES[t.kind],
        vni=None if t.vni < 0 else t.vni,
        source=address_text(t.version, t.source_hi, t.source_lo),
        destination=address_text(t.version, t.destination_hi, t.destination_lo),
        port=None if t.port < 0 else t.port,
        depth=t.depth,
        packets=t.packets,
        packets_with_options=t.option_packets,
    )


def _flow_sign(flow: FlowCount) -> FlowSign:
    return FlowSign(
        vni=None if flow.vni < 0 else flow.vni,
        source=address_text(flow.version, flow.source_hi, flow.source_lo),
        destination=address_text(flow.version, flow.destination_hi, flow.destination_lo),
        source_port=None if flow.source_port < 0 else flow.source_port,
        destination_port=None if flow.destination_port < 0 else flow.destination_port,
        packets=flow.packets,
    )
