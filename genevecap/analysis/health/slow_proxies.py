# SPDX-License-Identifier: Apache-2.0
"""Proxies in which octets stay long: finding A08, from the hops of `latency`.

Octets also wait in a proxy's buffers because the next connection does not take them sooner: bulk
behind a slow network does, whoever carries it.  The first octets of a burst do not.  So what is
looked at is the quickest passage of each session, and half of the sessions must be slow in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..findings.noted import Noted
from ..hops.results import Hop
from ..hops.session_times import Times
from ..rows import Array, starts

_FEW_SESSIONS = 5
"""Fewer say nothing of a proxy."""


def note_slow(
    noted: Noted,
    hops: Iterable[tuple[Hop, Times]],
    namespaces: Mapping[str, str],
    limit_ns: int,
) -> None:
    """Note proxies that half of the sessions passed in no less than `limit_ns`.

    namespaces: by name of a point; what lies between two of them is no proxy's alone.
    """
    for hop, times in hops:
        if hop.kind != "proxy" or hop.phase != "later":
            continue
        if namespaces.get(hop.origin) != namespaces.get(hop.to):
            continue
        quickest = _quickest(times)
        if len(quickest) < _FEW_SESSIONS or np.median(quickest) <= limit_ns:
            continue
        where = f"{hop.origin} to {hop.to}, {hop.leg} {hop.direction}"
        noted.note(
            "A08",
            packets=int(np.count_nonzero(times.ns > limit_ns)),
            detail=f"{where}: {np.median(quickest) / 1e6:.1f} ms at the least, in half of "
            f"{len(quickest)} sessions; more than {limit_ns / 1e6:g} ms is too long",
        )


def _quickest(times: Times) -> Array:
    """Return the least time of each session."""
    order = np.argsort(times.session, kind="stable")
    ns = times.ns[order]
    if not len(ns):
        return ns
    least: Array = np.minimum.reduceat(ns, starts(times.session[order]))
    return least
