# SPDX-License-Identifier: Apache-2.0
"""What `latency` answers: frozen values that every report is a view of.

Names are CONTRACT's keys where they can be (`from` is a word of Python's: `origin` here); times are
int64 nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..results import CaptureSummary, FindingSummary, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..clock import HostClock
    from ..sessions.results import SessionSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Times between two points, for the packets of one leg and direction."""

    origin: str
    """Point where it begins."""
    to: str
    leg: str
    """`outbound`, `hbone`, `inbound` or `waypoint`."""
    direction: str
    """`forward` or `reverse`, as the client sees it."""
    kind: str
    """`pass`, `encapsulate`, `decapsulate`, `redirect`, `proxy`, `wire` or `server`."""
    phase: str | None
    """Of a proxy: `first` (the octets that wait for HBONE to open) or `later`."""
    measured: bool
    """False where the kernel kept the time stamp of the point before."""
    packets: int
    lost: int | None
    """Seen at `origin` and not at `to` while both recorded; None where a capture dropped."""
    min_ns: int | None
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    uncertainty_ns: int | None
    """Half the width of the 95 % interval of p50, the clocks' share included."""
    added_p50_bytes: int | None
    """Octets that the packet is longer at `to`, the link header left out."""
    added_max_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """Times between segments and their acknowledgments, as one point saw both."""

    point: str
    leg: str
    direction: str
    """Of the segments: `forward` ones are answered by the end that the client called."""
    kind: str
    """`handshake` (SYN to SYN-ACK, or SYN-ACK to its acknowledgment) or `data`."""
    packets: int
    min_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    uncertainty_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How well packets were recognised; sightings of TCP segments."""

    segments: int
    matched: int
    """Seen at another point too."""
    unmatched: int
    ambiguous: int
    late: int
    """Came more than the slack out of order."""
    window_ns: int
    shortest_window_ns: int | None
    """The shortest window that was kept, where memory did not allow the whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyResult:
    """What `latency` answers."""

    captures: tuple[CaptureSummary, ...]
    clocks: tuple[HostClock, ...]
    """How the clocks of other hosts differ from the reference's; none where all have one."""
    hops: tuple[Hop, ...]
    """By direction and leg, those of one in the order in which packets pass them."""
    chains: tuple[tuple[int, ...], ...]
    """Indexes of hops that follow each other, as few chains as show every hop once."""
    round_trips: tuple[RoundTrip, ...]
    """What each point saw by itself."""
    matching: Matching
    sessions: Sequence[SessionSummary] = ()
    """Sessions of the mesh that the hops inside proxies were read off, with their time budgets."""
    findings: tuple[FindingSummary, ...] = ()
    """What is wrong with the mesh, where there are sessions; the gravest first."""
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False
