# SPDX-License-Identifier: Apache-2.0
"""When the records of a session that goes through a waypoint passed the proxies.

Keys say at one point when CONNECT, its answer, the first request and its response were complete;
the records that were complete there then are found again in the columns of both ends.  An end
counts where a point of its own link saw the connection, in its pod or on its node; what was seen
elsewhere was still on its way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..linking.events import Kind, RecordColumns
from ..linking.legs import endpoint_address
from ..linking.moments import RecordMoments
from ..points.roles import PointRole
from .keys import OpenStream
from .mesh import LinkInputs, Mesh
from .waypoints import FirstRequest


class WaypointTimes:
    """Finds the moments of sessions that go through waypoints."""

    def __init__(self, mesh: Mesh, inputs: LinkInputs, roles: Sequence[PointRole]) -> None:
        self._mesh = mesh
        self._inputs = inputs
        self._addresses = {role.index: role.addresses for role in roles}

    def inside(self, stream: OpenStream, request: FirstRequest) -> RecordMoments:
        """Return when the client's tunnel was opened and its first request passed."""
        return self._moments(
            stream.hbone,
            {
                Kind.OPEN: stream.connect_ns,
                Kind.ACCEPT: stream.status_ns,
                Kind.REQUEST: request.inside.request_ns,
                Kind.RESPONSE: request.inside.response_ns,
            },
        )

    def onward(self, request: FirstRequest) -> RecordMoments:
        """Return when the request and its response passed in the onward stream."""
        onward = request.onward
        return self._moments(
            request.hbone, {Kind.REQUEST: onward.request_ns, Kind.RESPONSE: onward.response_ns}
        )

    def served(self, request: FirstRequest) -> tuple[int, int] | None:
        """Return when the request reached the server and its response left, if it was captured."""
        if request.inbound is None:
            return None
        events, number = self._inputs.inbound[request.inbound], request.exchange
        if number >= min(len(events.up), len(events.down)):
            return None
        return events.up[number].time_ns, events.down[number].time_ns

    def _moments(self, h: int, known: Mapping[Kind, int | None]) -> RecordMoments:
        records, connection = self._inputs.hbone[h], self._mesh.hbone[h].connection
        found = {}
        for kind, time_ns in known.items():
            columns = records.up if kind.upward else records.down
            passage = None if time_ns is None else _passage(columns, time_ns)
            if passage is not None:
                found[kind] = passage
        near, far = (
            endpoint_address(end) in self._addresses.get(point, ())
            for end, point in (
                (connection.client, records.up.client_point),
                (connection.server, records.up.server_point),
            )
        )
        return _SomeEnds(found, near=near, far=far)


class _SomeEnds(RecordMoments):
    """Moments of those ends that were captured."""

    def __init__(
        self, found: dict[Kind, tuple[int, int, int, int]], *, near: bool, far: bool
    ) -> None:
        super().__init__(found)
        self._near, self._far = near, far

    def at_client(self, kind: Kind) -> int | None:
        return super().at_client(kind) if self._near else None

    def at_server(self, kind: Kind) -> int | None:
        return super().at_server(kind) if self._far else None


def _passage(columns: RecordColumns, time_ns: int) -> tuple[int, int, int, int] | None:
    """Return the times of the record that was complete at either end at this time."""
    for last_ns in (columns.client_last_ns, columns.server_last_ns):
        rows = np.flatnonzero(last_ns == time_ns)
        if len(rows):
            row = int(rows[0])
            return (
                int(columns.client_first_ns[row]),
                int(columns.client_last_ns[row]),
                int(columns.server_first_ns[row]),
                int(columns.server_last_ns[row]),
            )
    return None
