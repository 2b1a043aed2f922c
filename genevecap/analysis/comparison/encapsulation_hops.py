# SPDX-License-Identifier: Apache-2.0
"""How long putting packets into VXLAN and Geneve took, where one run of captures holds both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...capture.spec import CaptureSpec
from ...columns import TunnelKind
from ...decode import DecodeSettings
from ...errors import NotEnoughData
from ..costs.shapes import Sighting
from ..hops.results import Hop
from ..select import Selector
from .encapsulation_results import EncapsulationHop

KINDS = {TunnelKind.VXLAN: "vxlan", TunnelKind.GENEVE: "geneve"}


def encapsulation_hops(
    specs: Sequence[CaptureSpec],
    sightings: Iterable[Sighting],
    names: Sequence[str],
    *,
    settings: DecodeSettings,
    selector: Selector,
) -> tuple[tuple[EncapsulationHop, ...], str | None]:
    """Measure the hops where a packet enters or leaves a tunnel, reading the captures once more.

    sightings: of the same captures; names: of their points.
    Returns the hops, and why there are none where they could not be measured.
    """
    if not all(Path(spec.path).is_file() for spec in specs):
        return (), "an input can be read only once"
    from ..hops.latency import latency

    try:
        result = latency(specs, settings=settings, selector=selector)
    except NotEnoughData as error:
        return (), str(error)
    kinds: dict[str, set[str]] = defaultdict(set)
    for sighting in sightings:
        found = {KINDS[TunnelKind(level.kind)] for level in sighting.stack if level.kind in KINDS}
        kinds[names[sighting.point]] |= found
    hops = tuple(
        EncapsulationHop(
            kind=kind,
            step=hop.kind,
            origin=hop.origin,
            to=hop.to,
            packets=hop.packets,
            measured=hop.measured,
            p50_ns=hop.p50_ns,
            p99_ns=hop.p99_ns,
            uncertainty_ns=hop.uncertainty_ns,
        )
        for hop in result.hops
        if (kind := _kind(hop, kinds)) is not None
    )
    ordered = sorted(hops, key=lambda hop: (hop.kind, hop.step, -hop.packets))
    return tuple(ordered), None if hops else "no packet was seen both inside and outside a tunnel"


def _kind(hop: Hop, kinds: dict[str, set[str]]) -> str | None:
    """Return which format a hop puts on or takes off; None where it is neither, or may be both."""
    if hop.kind == "encapsulate":
        found = kinds[hop.to] - kinds[hop.origin]
    elif hop.kind == "decapsulate":
        found = kinds[hop.origin] - kinds[hop.to]
    else:
        return None
    return next(iter(found)) if len(found) == 1 else None
