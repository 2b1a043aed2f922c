# SPDX-License-Identifier: Apache-2.0
"""Round trips that one point sees by itself, with who answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .layout import Column, Style, table
from .text import count, duration, printable

if TYPE_CHECKING:
    from ..analysis.hops.results import RoundTrip


def round_trip_lines(trips: Sequence[RoundTrip], style: Style) -> list[str]:
    """Return the table of round trips."""
    columns = (
        Column(title="point", floor=16, least=12, middle=True),
        Column(title="leg"),
        Column(title="direction", drop=1),
        Column(title="what"),
        Column(title="answered by"),
        Column(title="packets", right=True),
        Column(title="min", right=True, drop=4),
        Column(title="p50", right=True),
        Column(title="±", right=True),
        Column(title="p90", right=True, drop=5),
        Column(title="p99", right=True, drop=2),
        Column(title="max", right=True, drop=3),
    )
    shown = [
        [
            printable(trip.point),
            trip.leg,
            trip.direction,
            trip.kind,
            _ANSWERED_BY[trip.leg, trip.direction],
            count(trip.packets),
            duration(trip.min_ns),
            duration(trip.p50_ns),
            duration(trip.uncertainty_ns),
            duration(trip.p90_ns),
            duration(trip.p99_ns),
            duration(trip.max_ns),
        ]
        for trip in trips
    ]
    return table(columns, shown, style)


_ANSWERED_BY = {
    ("outbound", "forward"): "ztunnel, if it intercepts",
    ("outbound", "reverse"): "client",
    ("hbone", "forward"): "server's ztunnel",
    ("hbone", "reverse"): "client's ztunnel",
    ("waypoint", "forward"): "server's ztunnel",
    ("waypoint", "reverse"): "waypoint",
    ("inbound", "forward"): "server",
    ("inbound", "reverse"): "server's ztunnel",
}
"""By leg and direction of what is answered."""
