# SPDX-License-Identifier: Apache-2.0
"""Where the time to a session's first byte went.

The way is followed once: the client's SYN makes its ztunnel send CONNECT, the server's ztunnel
connects and answers `200`, only then does the client's ztunnel read the request, and the response
comes back.  Every moment on this way is a packet or a TLS record that was captured at one of the
two proxies; what lies between two of them belongs to one segment.  So the segments add up to the
whole, exactly, and where a moment is missing, what it would have divided is `unknown`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import UNKNOWN_NS
from ..linking.events import Kind, LegEvents
from ..linking.moments import RecordMoments
from .results import SegmentTime

CLIENT, ZTUNNEL_CLIENT, WIRE = "client-stack", "ztunnel-client", "wire"
WAYPOINT = "waypoint"
ZTUNNEL_SERVER, SERVER, UNKNOWN = "ztunnel-server", "server", "unknown"
_ORDER = (CLIENT, ZTUNNEL_CLIENT, WIRE, WAYPOINT, ZTUNNEL_SERVER, SERVER, UNKNOWN)

Step = tuple[str, int | None]
"""A segment, and the moment at which it ends."""


def by_segment(
    client: LegEvents, server: LegEvents | None, moments: RecordMoments | None, wire_ns: int
) -> tuple[SegmentTime, ...]:
    """Return the segments of the time from the client's SYN to its first response octet.

    wire_ns: uncertainty of the clocks between the two proxies, for each passage of the wire;
    UNKNOWN_NS where they cannot be compared.
    """
    if client.open_ns is None or not client.down:
        return ()
    if server is None or moments is None:
        whole_ns = client.down[0].time_ns - client.open_ns
        return (SegmentTime(segment=UNKNOWN, ns=whole_ns, uncertainty_ns=0),)
    return _add_up(client, client.open_ns, _steps(client, server, moments), wire_ns)


def through_waypoint(
    client: LegEvents,
    inside: RecordMoments,
    onward: RecordMoments,
    served: tuple[int, int] | None,
    wire_ns: int,
) -> tuple[SegmentTime, ...]:
    """Return the same of a session whose first request a waypoint passed on.

    inside: when the records of the client's tunnel passed its ztunnel and the waypoint; onward:
    when those of the request in the onward stream passed the waypoint and the server's ztunnel.
    served: when the request reached the server, and when its response left.
    """
    if client.open_ns is None or not client.down:
        return ()
    ready = inside.at_client(Kind.ACCEPT)
    steps: list[Step] = [
        (ZTUNNEL_CLIENT, inside.at_client(Kind.OPEN)),
        (WIRE, inside.at_server(Kind.OPEN)),
        (WAYPOINT, inside.at_server(Kind.ACCEPT)),
        (WIRE, ready),
    ]
    if client.up and ready is not None and client.up[0].time_ns > ready:
        steps.append((CLIENT, client.up[0].time_ns))
    steps += [
        (ZTUNNEL_CLIENT, inside.at_client(Kind.REQUEST)),
        (WIRE, inside.at_server(Kind.REQUEST)),
        (WAYPOINT, onward.at_client(Kind.REQUEST)),
        (WIRE, onward.at_server(Kind.REQUEST)),
        (ZTUNNEL_SERVER, None if served is None else served[0]),
        (SERVER, None if served is None else served[1]),
        (ZTUNNEL_SERVER, onward.at_server(Kind.RESPONSE)),
        (WIRE, onward.at_client(Kind.RESPONSE)),
        (WAYPOINT, inside.at_server(Kind.RESPONSE)),
        (WIRE, inside.at_client(Kind.RESPONSE)),
    ]
    return _add_up(client, client.open_ns, _in_order(steps, client), wire_ns)


def _add_up(
    client: LegEvents, before: int, steps: Sequence[Step], wire_ns: int
) -> tuple[SegmentTime, ...]:
    """Return the segments between moments; before: the first of them."""
    last = client.down[0].time_ns
    spent: dict[str, int] = {}
    passages = 0
    waiting = False
    for segment, moment in [*steps, (ZTUNNEL_CLIENT, last)]:
        if moment is None:
            waiting = True  # this and the next part cannot be told apart
            continue
        name = UNKNOWN if waiting else segment
        spent[name] = spent.get(name, 0) + moment - before
        passages += name == WIRE
        before, waiting = moment, False
    return tuple(
        SegmentTime(
            segment=name,
            ns=spent[name],
            uncertainty_ns=_uncertainty_ns(wire_ns, 1 if name != WIRE else passages % 2),
        )
        for name in _ORDER
        if name in spent
    )


def _uncertainty_ns(wire_ns: int, passages: int) -> int | None:
    """Return that of so many passages; there and back it cancels out, whatever the clocks show."""
    if not passages:
        return 0
    return wire_ns if wire_ns < UNKNOWN_NS else None


def _steps(client: LegEvents, server: LegEvents, moments: RecordMoments) -> Sequence[Step]:
    """Return the moments of the way in order, each with the segment that ends there."""
    request = server.up[0].time_ns if server.up else None
    response = server.down[0].time_ns if server.down else None
    steps: list[Step] = [
        (ZTUNNEL_CLIENT, moments.at_client(Kind.OPEN)),
        (WIRE, moments.at_server(Kind.OPEN)),
        (ZTUNNEL_SERVER, server.open_ns),
        (SERVER, server.accept_ns),
    ]
    if request is not None and (response is None or request <= response):
        asked = client.up[0].time_ns if client.up else None
        ready = moments.at_client(Kind.ACCEPT)
        steps += [(ZTUNNEL_SERVER, moments.at_server(Kind.ACCEPT)), (WIRE, ready)]
        if asked is not None and ready is not None and asked > ready:
            steps.append((CLIENT, asked))
        steps += [
            (ZTUNNEL_CLIENT, moments.at_client(Kind.REQUEST)),
            (WIRE, moments.at_server(Kind.REQUEST)),
            (ZTUNNEL_SERVER, request),
        ]
    steps += [
        (SERVER, response),
        (ZTUNNEL_SERVER, moments.at_server(Kind.RESPONSE)),
        (WIRE, moments.at_client(Kind.RESPONSE)),
    ]
    return _in_order(steps, client)


def _in_order(steps: list[Step], client: LegEvents) -> list[Step]:
    """Drop moments that go back in time: a record that was taken for another."""
    result: list[Step] = []
    before = client.open_ns or 0
    after = client.down[0].time_ns
    for segment, moment in steps:
        if moment is None or not before <= moment <= after:
            result.append((segment, None))
            continue
        result.append((segment, moment))
        before = moment
    return result
