# SPDX-License-Identifier: Apache-2.0
"""What `overhead` answers: frozen values that every report is a view of."""

from __future__ import annotations

from dataclasses import dataclass

from ..results import FindingSummary, FrameRef, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure per packet: exact, with `p50` one that was met."""

    min: int
    p50: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOverhead:
    """What one kind of header costs, for one purpose."""

    kind: str
    purpose: str
    """`interception`, `underlay`, `hbone` or `extra-leg`."""
    packets: int
    """Packets of the wire that have it: each once, super-packets as their segments."""
    overhead_bytes: int
    option_bytes: int
    """Of Geneve options, their headers included."""
    share: float
    """Of all billed wire bytes; 0 for what never becomes any."""
    basis: str
    """`counted` or `estimated`."""
    uncertainty_bytes: int
    per_packet: Spread
    host_only: bool = False
    """Whether it stays on a host's `lo`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VniOverhead:
    """What one virtual network's tunnels cost."""

    kind: str
    purpose: str
    vni: int | None
    packets: int
    wire_bytes: int
    """Of the packets, outer Ethernet included."""
    overhead_bytes: int
    option_bytes: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOverhead:
    """What one leg, both directions together, costs."""

    source: str
    destination: str
    protocol: str
    packets: int
    wire_bytes: int
    overhead_bytes: int
    payload_bytes: int
    share: float
    host_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One subtraction of a sum: what it is, octets, and what it is made of."""

    name: str
    octets: int
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MtuSum:
    """The inner MTU that tunnels leave, as an engineer writes it."""

    tunnels: tuple[str, ...]
    """Kind and VNI, outermost first."""
    purpose: str
    packets: int
    mtu_bytes: int
    """Of the link outside."""
    basis: str
    """As `PointMtu.mtu_basis`, and `assumed` where nothing says it."""
    terms: tuple[Term, ...]
    inner_mtu_bytes: int
    text: str
    """`1500 − 20 (IPv4) − 8 (UDP) − 8 (VXLAN) − 14 (Ethernet) = 1450`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MtuFlow:
    """A flow that has to do with the MTU, and how."""

    kind: str
    """`too-big`, `black-hole` or `mss`."""
    source: str
    destination: str
    packets: int
    packet_bytes: int | None
    """Largest IP packet that the matter concerns, its tunnels included."""
    next_hop_mtu_bytes: int | None = None
    obeyed: bool | None = None
    """Whether the sender sent nothing larger afterwards; None where nothing large followed."""
    mss: int | None = None
    frames: tuple[FrameRef, ...] = ()
    """The first messages, tries of a segment that was lost, or SYNs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMtu:
    """Sizes at one capture point."""

    point: str
    largest_frame_bytes: int
    """Of frames that can have been on the wire: no super-packet."""
    largest_packet_bytes: int
    """The same without the link layer."""
    mtu_bytes: int | None
    mtu_basis: str
    """`given`, `mss`, `fragments` or `unknown`."""
    headroom_bytes: int | None
    fragments: int
    outer_fragments: int
    """Of them: of tunnel packets."""
    df_packets: int
    """Packets, outermost IP header, that routers must not fragment."""
    icmp_too_big: int
    super_packets: int
    largest_super_packet_bytes: int
    over_mtu: int
    """Packets larger than the MTU, super-packets aside."""
    black_hole: bool
    flows: tuple[MtuFlow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadTotals:
    """The whole bill."""

    packets: int
    """On the network, each once."""
    wire_bytes: int
    """All billed wire bytes, outer Ethernet included: what shares are shares of."""
    overhead_bytes: int
    """Of all layers that are not host-only."""
    overhead_share: float
    application_bytes: int
    """Octets of application data, each once."""
    overhead_per_application_byte: float
    host_only_packets: int
    host_only_bytes: int
    super_packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadResult:
    """The whole answer."""

    layers: tuple[LayerOverhead, ...]
    mtu: tuple[PointMtu, ...]
    totals: OverheadTotals
    sums: tuple[MtuSum, ...] = ()
    vnis: tuple[VniOverhead, ...] = ()
    flows: tuple[FlowOverhead, ...] = ()
    """Those that cost most."""
    findings: tuple[FindingSummary, ...] = ()
    paths: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False
