# SPDX-License-Identifier: Apache-2.0
"""Connections that ztunnel passed on in plain TCP: out of the mesh, and into it.

There is no HBONE between the two legs, so their own events are matched with each other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..linking.link import Partner, link
from ..linking.views import Views
from .mesh import LinkInputs, Mesh

LIKELY = 0.5
"""Least probability at which a candidate is taken for the partner."""


def passed_through(
    mesh: Mesh, inputs: LinkInputs, views: Views, free: Collection[int]
) -> dict[int, Partner]:
    """Return the plain connections that ztunnel opened for the outbound legs in `free`."""
    numbers = sorted(free)
    direct = range(len(mesh.direct))
    outbound = [replace(inputs.outbound[i]) for i in numbers]
    for events in outbound:
        events.partners = frozenset({events.source})
        events.address = events.source
    onward = [views.events(mesh.direct[d].connection, inbound=True) for d in direct]
    links = link(outbound, [], onward)
    return {
        numbers[i]: _renumbered(found[0], direct[found[0].index])
        for i, found in links.partners.items()
        if found[0].probability >= LIKELY
    }


def taken_inside(
    mesh: Mesh, inputs: LinkInputs, views: Views, taken: Collection[int]
) -> dict[int, Partner]:
    """Return, by direct connection, the inbound legs that ztunnel opened for plain callers.

    taken: inbound legs that HBONE explains.
    """
    sources = {records.source for records in inputs.hbone}
    free = [
        j
        for j, events in enumerate(inputs.inbound)
        if j not in taken and events.source not in sources
    ]
    direct = range(len(mesh.direct))
    outbound = [views.events(mesh.direct[d].connection, inbound=False) for d in direct]
    for events in outbound:
        events.partners = frozenset({events.source})
    inbound = [replace(inputs.inbound[j]) for j in free]
    for events in inbound:
        events.address = events.source
    result = {}
    for d, found in link(outbound, [], inbound).partners.items():
        j = free[found[0].index]
        same = mesh.direct[direct[d]].connection.server == mesh.inbound[j].connection.server
        if same and found[0].probability >= LIKELY:
            result[direct[d]] = _renumbered(found[0], j)
    return result


def _renumbered(partner: Partner, index: int) -> Partner:
    return replace(partner, index=index)
