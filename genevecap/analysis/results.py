# SPDX-License-Identifier: Apache-2.0
"""What `inspect` answers: frozen values that every report is a view of.

Names are CONTRACT's keys; times are int64 nanoseconds, sizes octets, addresses canonical text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about an input that the user must hear of; printed to stderr by the CLI."""

    path: str
    severity: str
    """`error` (the run ends in exit code 3) or `warning`."""
    message: str
    """One line, with the path."""


class Problems:
    """Problems of a run as they are met: a callable to tell them to."""

    def __init__(self, on_problem: Callable[[Problem], None] | None = None) -> None:
        """on_problem: is told each too, as it comes."""
        self._met: list[Problem] = []
        self._on_problem = on_problem

    def __call__(self, problem: Problem) -> None:
        """Note a problem; one that was noted already is the same, met by another reading."""
        if problem not in self._met:
            self._met.append(problem)
            if self._on_problem is not None:
                self._on_problem(problem)

    def met(self) -> tuple[Problem, ...]:
        """Return all of them so far, in the order in which they came."""
        return tuple(self._met)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Where a file is damaged: `errors.DamagedCapture` as a value."""

    record: int
    offset: int
    needed: int
    had: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSummary:
    """One capture point: an interface of a file."""

    name: str
    interface: str | None
    link_type: str
    packets: int
    dropped: int | None
    """isb_ifdrop + isb_osdrop, None where the file does not say."""
    dropped_by_dumpcap: int | None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSummary:
    """One input, as a whole: selectors do not change these figures."""

    path: str
    format: str
    compression: str | None
    packets: int
    captured_bytes: int
    wire_bytes: int
    first_ns: int | None
    last_ns: int | None
    cut_short: bool
    damage: Damage | None
    points: tuple[PointSummary, ...]
    comments: tuple[str, ...] = ()
    """Section and interface comments (pcapng), raw text."""
    application: str | None = None
    """What wrote the file (shb_userappl), raw text."""


class TunnelSummary(NamedTuple):
    """One direction of one tunnel at one nesting depth.

    A named tuple, because there may be tens of thousands: a frozen dataclass takes eight times as
    long to make.
    """

    kind: str
    vni: int | None
    source: str
    destination: str
    port: int | None
    depth: int
    packets: int
    wire_bytes: int
    overhead_bytes: int
    inner_flows: int
    first_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSummary:
    """One Geneve option class, type and size."""

    option_class: int
    class_name: str
    option_type: int
    name: str | None
    critical: bool
    data_bytes: int
    packets: int
    occurrences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSummary:
    """One one-way 5-tuple, with the VNI of the innermost tunnel around it."""

    vni: int | None
    source: str
    destination: str
    protocol: str
    source_port: int | None
    destination_port: int | None
    packets: int
    wire_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCounts:
    """How many frames ended how; see `columns.Stop`."""

    complete: int = 0
    truncated: int = 0
    malformed: int = 0
    unsupported: int = 0
    too_deep: int = 0
    fragment: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLayerCount:
    """Frames that ended at one layer: `unsupported` at `ip-proto-89`, say.

    `complete` at a layer that hides what is inside: ESP, MACsec, WireGuard.
    """

    stop: str
    layer: str
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRef:
    """A frame to open in Wireshark."""

    capture: str
    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingSummary:
    """One rule that was met: how often, and where first."""

    code: str
    severity: str
    message: str
    packets: int
    frames: tuple[FrameRef, ...]
    display_filter: str
    """Wireshark's filter, "" where no packet shows the finding."""
    details: tuple[str, ...] = ()
    """What exactly, in a few words each: which tunnel, which point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbientSummary:
    """Which Istio ambient redirect mode the traffic shows, and why."""

    mode: str
    evidence: tuple[str, ...]
    description: str = ""
    """What the mode means, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectResult:
    """The summary: lists are ordered most packets first."""

    captures: tuple[CaptureSummary, ...]
    tunnels: tuple[TunnelSummary, ...]
    options: tuple[OptionSummary, ...]
    top_flows: tuple[FlowSummary, ...]
    stops: StopCounts
    findings: tuple[FindingSummary, ...]
    ambient: AmbientSummary
    stop_layers: tuple[StopLayerCount, ...] = ()
    selected_packets: int = 0
    """Frames that passed the selectors: what everything but `captures` counts."""
    flows: int = 0
    """Distinct one-way inner flows, of which `top_flows` lists the largest."""
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRow:
    """One Geneve option of one packet."""

    option_class: int
    option_type: int
    critical: bool
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRow:
    """One tunnel header of one packet."""

    kind: str
    vni: int | None
    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    overhead_bytes: int
    options: tuple[OptionRow, ...]
    flags: tuple[tuple[str, int | bool | None], ...]
    """(name, value) by CONTRACT's names for the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerRow:
    """The innermost IP header of one packet."""

    source: str
    destination: str
    protocol: str
    source_port: int | None
    destination_port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRow:
    """One frame of `inspect --packets`."""

    capture: str
    frame: int
    point: str
    time_ns: int | None
    captured_bytes: int
    wire_bytes: int
    layers: tuple[str, ...]
    tunnels: tuple[TunnelRow, ...]
    inner: InnerRow | None
    stop: str
    stop_layer: str | None
    findings: tuple[str, ...] = field(default=())
