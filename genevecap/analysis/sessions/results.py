# SPDX-License-Identifier: Apache-2.0
"""What `flows` answers: sessions, their legs, and what went around the mesh."""

from __future__ import annotations

from dataclasses import dataclass

from ..clock import HostClock
from ..results import CaptureSummary, FindingSummary, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another connection that a leg may be."""

    source: str
    destination: str
    stream: int | None
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSummary:
    """One connection (or HTTP/2 stream) on the way of a session."""

    role: str
    """outbound, hbone, inbound, or waypoint: onward from a waypoint or gateway to 15008."""
    source: str
    """`ip:port` as the application sees it, where the capture shows that."""
    destination: str
    stream: int | None
    """HTTP/2 stream, None where it is not known."""
    shared_by: int
    """Sessions that use this connection."""
    confidence: float
    """Probability that this is the connection."""
    points: tuple[str, ...]
    """Capture points that saw it, in travel order of its first packet."""
    packets: int | None
    """Packets of both directions at one point; None for an unknown part of a shared connection."""
    payload_bytes: int | None
    first_ns: int
    last_ns: int
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTime:
    """How much of the time to the first byte was spent where, both directions added."""

    segment: str
    """client-stack, redirect, ztunnel-client, wire, ztunnel-server, server, waypoint, unknown."""
    ns: int | None
    uncertainty_ns: int | None
    """By how much clocks may falsify it, None where they cannot be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait that has a name, on one leg of a session."""

    name: str
    """hbone-handshake (TCP and TLS), syn-retransmission, retransmission, retransmission-timeout,
    delayed-ack (looks like one): see `sessions.waits`."""
    leg: str
    """Role of the leg."""
    at_ns: int
    """When it began."""
    ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where a session's time went."""

    total_ns: int | None
    """From the client's SYN to the last payload octet."""
    first_byte_ns: int | None
    """From the client's SYN to the first octet of the response."""
    by_segment: tuple[SegmentTime, ...]
    waits: tuple[Wait, ...] = ()
    """Steps of both that can be named, in order of time; what HBONE shows is of all its streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """One client connection, or one HBONE stream or connection that none precedes."""

    id: int
    client: str
    destination: str
    """What the client called."""
    server: str | None
    """Where it ended, None where that is not known."""
    kind: str
    """hbone, waypoint, multi-network, passthrough, plaintext-inbound, unlinked."""
    outcome: str
    """completed, refused, denied, unreachable, aborted, timeout, open, unknown."""
    origin: str
    """Who opened HBONE: ztunnel, gateway, sidecar, waypoint, unknown."""
    same_node: bool | None
    mode_client: str
    mode_server: str
    confidence: float
    """Probability that all legs are right."""
    evidence: tuple[str, ...]
    legs: tuple[LegSummary, ...]
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class BypassSummary:
    """Traffic between meshed pods that went around ztunnel."""

    source: str
    destination: str
    packets: int
    why: str
    frames: tuple[tuple[str, int], ...]
    """The first of them: capture as given, and frame number."""
    display_filter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What of a mesh there was in the captures, by number of TCP connections."""

    connections: int
    """All of them; one is counted once, wherever it was seen."""
    hbone: int
    """To port 15008."""
    outbound: int
    """Of clients, taken by their ztunnel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowsResult:
    """Everything `genevecap flows` says."""

    mode: str
    mode_evidence: tuple[str, ...]
    captures: tuple[CaptureSummary, ...]
    clocks: tuple[HostClock, ...]
    """How clocks of hosts differ; empty where all captures have one clock."""
    sessions: tuple[SessionSummary, ...]
    """In the order of their first packets."""
    unlinked_legs: tuple[LegSummary, ...]
    """Connections of the mesh that belong to no session, as far as the capture shows."""
    bypass: tuple[BypassSummary, ...]
    found: Found
    findings: tuple[FindingSummary, ...]
    """What is wrong with the mesh, or worth knowing; the gravest first."""
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False
