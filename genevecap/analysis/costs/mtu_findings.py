# SPDX-License-Identifier: Apache-2.0
"""M01 to M04: what `overhead` found out about sizes, as findings."""

from __future__ import annotations

from collections.abc import Sequence

from ..findings.noted import Noted
from .results import MtuFlow, PointMtu

_POINTS = 3
"""Points that a detail names."""


def note_mtu(noted: Noted, mtu: Sequence[PointMtu], paths: Sequence[str]) -> None:
    """Note what is wrong with sizes, each flow once, with the points that show it.

    paths: of the captures, in their order.
    """
    index = {path: number for number, path in enumerate(paths)}
    found: dict[tuple[str, str], list[tuple[str, MtuFlow]]] = {}
    for row in mtu:
        for flow in row.flows:
            found.setdefault((_code(flow), _words(flow)), []).append((row.point, flow))
    for (code, words), seen in found.items():
        more = f" and {len(seen) - _POINTS} more" if len(seen) > _POINTS else ""
        where = ", ".join(point for point, _ in seen[:_POINTS]) + more
        noted.note(
            code,
            packets=sum(flow.packets for _, flow in seen),
            frames=[(index[at.capture], at.frame) for _, flow in seen for at in flow.frames],
            detail=f"{words} ({where})",
        )


def _code(flow: MtuFlow) -> str:
    if flow.kind == "too-big":
        return "M03" if flow.obeyed is False else "M04"
    return {"black-hole": "M01", "mss": "M02"}[flow.kind]


def _words(flow: MtuFlow) -> str:
    way = f"{flow.source} > {flow.destination}"
    if flow.kind == "black-hole":
        return f"{way}: {flow.packet_bytes} octets, sent {flow.packets} times"
    if flow.kind == "mss":
        return f"{way} announces {flow.mss}: packets of {flow.packet_bytes} octets with tunnels"
    mtu = "an MTU that it does not give"
    if flow.next_hop_mtu_bytes is not None:
        mtu = f"MTU {flow.next_hop_mtu_bytes}"
    heeded = "whether the sender obeyed is not seen"
    if flow.obeyed is not None:
        heeded = "the sender obeyed" if flow.obeyed else "the sender did not obey"
    return f"{way}: {flow.packet_bytes} octets, {mtu}: {heeded}"
