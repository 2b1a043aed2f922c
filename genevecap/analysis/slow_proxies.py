# SPDX-License-Identifier: Apache-2.0
"""Proxies in which octets stay long: finding A08, from the hops of `latency`."""

from __future__ import annotations

from collections.abc import Iterable

from .findings.noted import Noted
from .hop_results import Hop

SLOW_NS = 10_000_000
"""Fifty times what the real ztunnel took in steady state on the recorded sets (0.15 to 0.2 ms)."""
_FEW = 10
"""Fewer octets that were followed say nothing of a proxy."""


def note_slow(noted: Noted, hops: Iterable[Hop]) -> None:
    """Note proxies whose median residence is beyond `SLOW_NS`, whatever its uncertainty."""
    for hop in hops:
        if hop.kind != "proxy" or hop.phase != "later" or hop.packets < _FEW:
            continue
        if hop.p50_ns is None or hop.p50_ns - (hop.uncertainty_ns or 0) <= SLOW_NS:
            continue
        where = f"{hop.origin} to {hop.to}, {hop.leg} {hop.direction}"
        noted.note("A08", packets=hop.packets, detail=f"{where}: {hop.p50_ns / 1e6:.1f} ms")
