# SPDX-License-Identifier: Apache-2.0
"""What tunnels show of the network that they cross: U01 to U05 and U07, from counted tables."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from heapq import nsmallest

from ..addresses import address_text, endpoint_text, is_loopback
from ..columns import TUNNEL_NAMES, DecodedBatch, FrameBatch, Stop, TunnelKind
from ..decode.layers import Layer, layer_name, protocol_name
from .findings.noted import MAX_DETAILS, MAX_FILTERS, Noted, packets_text
from .services import ESP, READABLE, UDP, Service, names, service_of
from .tables import FIRST_FRAMES, FlowCount, Move, SummaryTables, TunnelCount

OVERLAYS = frozenset((TunnelKind.GENEVE, TunnelKind.VXLAN, TunnelKind.VXLAN_GPE))
"""Kinds of tunnel that networks of hosts are made of."""

LEAST_FLOWS = 16
"""A tunnel with fewer inner flows may have one source port by chance or because it is idle."""

_MOST_FLOWS = 1_000
_HIDING = (Layer.ESP, Layer.WIREGUARD, Layer.MACSEC)
_PROTECTED = Service.IPSEC | Service.WIREGUARD

_Pair = tuple[int, int, int, int, int]


class HiddenPackets:
    """Gathers where packets are whose inside is hidden, which tables do not keep."""

    def __init__(self) -> None:
        self._frames: list[tuple[int, int]] = []

    def update(self, frames: FrameBatch, d: DecodedBatch, rows: array[int], capture: int) -> None:
        """Look at these rows of `d`, all hidden."""
        if len(self._frames) < FIRST_FRAMES:
            self._frames += [(capture, frames.frame[d.first + i]) for i in rows[:FIRST_FRAMES]]

    def note(self, noted: Noted) -> None:
        """Add to U02, which is told from the tables, where it is."""
        if self._frames:
            noted.note("U02", packets=0, frames=self._frames)


def note_underlay(
    noted: Noted,
    tables: SummaryTables,
    tunnels: Sequence[TunnelCount],
    redirect_vnis: frozenset[int],
) -> None:
    """Note what the tunnels of a run show.

    tunnels: of the tables, largest first.  redirect_vnis: of tunnels that never leave a node.
    """
    crossing = [t for t in tunnels if _crosses(t, redirect_vnis)]
    filters = _TunnelFilters(tunnels)
    hidden = _hidden_packets(tables)
    protected = list(_protected_flows(tables)) if hidden else []
    _note_protected(noted, hidden, protected)
    _note_plain(noted, crossing, protected, filters)
    _note_paths(noted, tables, crossing, filters)
    _note_moves(noted, tables, redirect_vnis)
    _note_repeats(noted, tables, filters)


def _crosses(t: TunnelCount, redirect_vnis: frozenset[int]) -> bool:
    """Tell whether a tunnel runs between hosts, as far as can be seen."""
    if t.kind not in OVERLAYS or t.depth:
        return False
    if t.kind == TunnelKind.GENEVE and t.vni in redirect_vnis and not t.option_packets:
        return False
    return not is_loopback(t.version, t.source_hi, t.source_lo)


# --- protection --------------------------------------------------------------------------------


def _protected_flows(tables: SummaryTables) -> Iterator[FlowCount]:
    """Yield flows between hosts that are encrypted: those outside of any tunnel."""
    flows = tables.flows_of(ESP, _MOST_FLOWS)
    for flow in (*flows, *tables.flows_of(UDP, _MOST_FLOWS)):
        if flow.vni < 0 and service_of(*flow[6:9]) & _PROTECTED:
            yield flow


def _hidden_packets(tables: SummaryTables) -> Counter[str]:
    """Return how many packets hide what is inside, by layer."""
    hidden = Counter[str]()
    for stop in tables.stops():
        if stop.stop == Stop.COMPLETE and stop.layer in _HIDING:
            hidden[layer_name(stop.layer)] += stop.packets
    return hidden


def _note_protected(noted: Noted, hidden: Counter[str], flows: Sequence[FlowCount]) -> None:
    """Note U02: packets whose inside is hidden, with the hosts where they are known."""
    named = MAX_DETAILS // max(len(hidden), 1)
    for layer, packets in hidden.items():
        theirs = [flow for flow in flows if _layer_of(flow) == layer]
        # A flow has more packets than it hides where IKE is on its ports, or where IP cut some.
        most = "up to " if sum(flow.packets for flow in theirs) > packets else ""
        hosts = [
            f"{_ends(flow)}: {layer}, {most}{packets_text(flow.packets)}" for flow in theirs[:named]
        ]
        for number, detail in enumerate(hosts or [f"{layer}, {packets_text(packets)}"]):
            noted.note(
                "U02",
                packets=0 if number else packets,
                detail=detail,
                more=0 if number else max(len(theirs) - named, 0),
            )


def _layer_of(flow: FlowCount) -> str:
    service = service_of(*flow[6:9])
    return layer_name(Layer.WIREGUARD if service & Service.WIREGUARD else Layer.ESP)


def _note_plain(
    noted: Noted,
    tunnels: Sequence[TunnelCount],
    protected: Sequence[FlowCount],
    filters: _TunnelFilters,
) -> None:
    """Note U01 for tunnels that anyone on the way can read something in."""
    encrypted = Counter[_Pair]()
    for flow in protected:
        encrypted[_pair(flow)] += flow.packets
    # Where hosts encrypt, the receiver's capture has each packet twice: as it came, and after
    # decryption.
    plain = [
        t
        for t in tunnels
        if t.services & READABLE and not (encrypted and encrypted[_pair(t)] >= t.packets)
    ]
    _note_tunnels(
        noted,
        "U01",
        plain,
        lambda t: f"{', '.join(names(t.services & READABLE))} readable",
        filters,
    )


def _note_tunnels(
    noted: Noted,
    code: str,
    tunnels: Sequence[TunnelCount],
    text: Callable[[TunnelCount], str],
    filters: _TunnelFilters,
) -> None:
    """Note a finding about tunnels, with the first of them by name: there may be very many."""
    filter_of = filters.of(tunnels)
    for number, t in enumerate(tunnels[:MAX_DETAILS]):
        detail, display_filter = f"{_tunnel_text(t)}: {text(t)}", filter_of(t)
        if number:
            noted.note(code, packets=0, detail=detail, display_filter=display_filter)
        else:
            noted.note(
                code,
                packets=sum(each.packets for each in tunnels),
                frames=nsmallest(FIRST_FRAMES, ((each.capture, each.frame) for each in tunnels)),
                detail=detail,
                display_filter=display_filter,
                more=max(len(tunnels) - MAX_DETAILS, 0),
            )


# --- paths -------------------------------------------------------------------------------------


def _note_paths(
    noted: Noted,
    tables: SummaryTables,
    tunnels: Sequence[TunnelCount],
    filters: _TunnelFilters,
) -> None:
    """Note U03 and U04: source ports that change too often, and that never change."""
    scattered = tables.scattered(MAX_DETAILS)
    if scattered.flows:
        for number, flow in enumerate(scattered.largest):
            noted.note(
                "U03",
                packets=0 if number else scattered.packets,
                frames=() if number else scattered.frames,
                detail=f"{_flow_text(flow)}: {packets_text(flow.packets)}",
                display_filter=_flow_filter(flow),
            )
    lonely = [
        t
        for t in tunnels
        if t.least_source_port == t.most_source_port >= 0 and t.inner_flows >= LEAST_FLOWS
    ]
    _note_tunnels(
        noted,
        "U04",
        lonely,
        lambda t: f"{t.inner_flows} flows from port {t.most_source_port}",
        filters,
    )


def _note_moves(noted: Noted, tables: SummaryTables, redirect_vnis: frozenset[int]) -> None:
    """Note U05: packets of one flow from several endpoints in turn."""
    for move in sorted(tables.moves()):
        if _crosses(move.one, redirect_vnis):
            ends = sorted(_source(t) for t in (move.one, move.other))
            noted.note(
                "U05",
                packets=move.times,
                frames=[(move.capture, move.frame)],
                detail=f"VNI {move.one.vni}: {' and '.join(ends)}",
                display_filter=_moves_filter(move),
            )


def _note_repeats(noted: Noted, tables: SummaryTables, filters: _TunnelFilters) -> None:
    """Note U07: packets that were there before, most of them first."""
    found = sorted(tables.repeats(), key=lambda repeat: (-repeat.packets, repeat.frames))
    filter_of = filters.of([repeat.tunnel for repeat in found])
    for number, (t, packets, _) in enumerate(found[:MAX_DETAILS]):
        noted.note(
            "U07",
            packets=0 if number else sum(each.packets for each in found),
            frames=() if number else [place for each in found for place in each.frames],
            detail=f"{_tunnel_text(t)}: {packets_text(packets)}",
            display_filter=filter_of(t),
            more=0 if number else max(len(found) - MAX_DETAILS, 0),
        )


# --- words -------------------------------------------------------------------------------------


def _pair(row: TunnelCount | FlowCount) -> _Pair:
    return (row.version, row.source_hi, row.source_lo, row.destination_hi, row.destination_lo)


def _source(row: TunnelCount | FlowCount) -> str:
    return address_text(row.version, row.source_hi, row.source_lo)


def _destination(row: TunnelCount | FlowCount) -> str:
    return address_text(row.version, row.destination_hi, row.destination_lo)


def _ends(row: TunnelCount | FlowCount) -> str:
    return f"{_source(row)} > {_destination(row)}"


def _tunnel_text(t: TunnelCount) -> str:
    vni = f" VNI {t.vni}" if t.vni >= 0 else ""
    return f"{TUNNEL_NAMES[t.kind]}{vni}, {_ends(t)}"


class _TunnelFilters:
    """Wireshark's filters for tunnels: by their ends and port, and by VNI only where that tells.

    The source port of Geneve may be one that Wireshark knows as something else, and then it shows
    no VNI.
    """

    def __init__(self, tunnels: Sequence[TunnelCount]) -> None:
        self._tunnels = tunnels

    @cached_property
    def _all(self) -> Counter[tuple[_Pair, int]]:
        return Counter((_pair(t), t.port) for t in self._tunnels)

    def of(self, meant: Sequence[TunnelCount]) -> Callable[[TunnelCount], str]:
        """Return what gives the filter for each of the tunnels that are meant, and no others."""
        # More filters than these are not shown, and of very many tunnels they would cost time.
        few = meant if len(meant) <= MAX_FILTERS else ()
        known = Counter((_pair(t), t.port) for t in few)
        mixed = {place for place, tunnels in known.items() if self._all[place] > tunnels}

        def one(t: TunnelCount) -> str:
            ip = "ip" if t.version == 4 else "ipv6"
            parts = [f"{ip}.src == {_source(t)}", f"{ip}.dst == {_destination(t)}"]
            if t.port >= 0:
                parts.append(f"udp.dstport == {t.port}")
            if t.vni >= 0 and (_pair(t), t.port) in mixed:
                parts.append(_vni_filter(t.vni))
            return " && ".join(parts)

        return one


def _moves_filter(move: Move) -> str:
    ip = "ip" if move.one.version == 4 else "ipv6"
    sources = sorted({f"{ip}.src == {_source(t)}" for t in (move.one, move.other)})
    ends = f"({' || '.join(sources)})"
    return f"{_vni_filter(move.one.vni)} && {ends}" if move.one.vni >= 0 else ends


def _flow_filter(flow: FlowCount) -> str:
    ip = "ip" if flow.version == 4 else "ipv6"
    parts = [f"{ip}.src == {_source(flow)}", f"{ip}.dst == {_destination(flow)}"]
    if flow.vni >= 0:
        parts.insert(0, _vni_filter(flow.vni))
    if transport := {6: "tcp", 17: "udp"}.get(flow.protocol):
        parts.append(f"{transport}.srcport == {flow.source_port}")
        parts.append(f"{transport}.dstport == {flow.destination_port}")
    return " && ".join(parts)


def _vni_filter(vni: int) -> str:
    return f"(geneve.vni == {vni} || vxlan.vni == {vni})"


def _flow_text(flow: FlowCount) -> str:
    ends = (
        endpoint_text(_source(flow), None if flow.source_port < 0 else flow.source_port),
        endpoint_text(
            _destination(flow), None if flow.destination_port < 0 else flow.destination_port
        ),
    )
    return f"VNI {flow.vni}, {protocol_name(flow.protocol)} {ends[0]} > {ends[1]}"
