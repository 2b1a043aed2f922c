# SPDX-License-Identifier: Apache-2.0
"""What `diff vxlan-vs-geneve` answers: frozen values that every report is a view of."""

from __future__ import annotations

from dataclasses import dataclass

from ..results import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerTraffic:
    """The traffic that both formats would carry."""

    packets: int
    """Packets of the wire: each once, super-packets as their segments."""
    inner_bytes: int
    """Network-layer octets inside the tunnels, or of all packets where there is no tunnel."""
    observed: str
    """`geneve`, `vxlan`, `both` or `none`."""
    payload_bytes: int = 0
    """Transport payload in it."""
    super_packets: int = 0
    """Captured frames that stand for several packets; their number is an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulation:
    """One format around that traffic; shares are of `wire_bytes`."""

    kind: str
    """`vxlan` or `geneve`."""
    outer: str
    """`ipv4` or `ipv6`."""
    option_bytes: int
    """Geneve options of a packet with their headers; the rounded mean where it varies."""
    outer_mtu_bytes: int
    packet_bytes: int | None
    """Size of a standard row's inner packets, for a mix the rounded mean; None of a capture."""
    name: str | None
    """Name of a standard row."""
    packets: int
    inner_bytes: int
    header_bytes: int
    """Of one packet: outer IP, UDP, tunnel header with options, inner Ethernet."""
    overhead_bytes: int
    """Of all packets."""
    wire_bytes: int
    """Inner octets, overhead, and 14 of outer Ethernet per packet."""
    overhead_share: float
    inner_mtu: int
    """Largest inner IP packet that needs no fragmenting, with the most options that were seen."""
    packets_over_mtu: int
    extra_segments: int
    """Packets more, if those over the MTU are segmented (TCP) or fragmented."""
    extra_bytes: int
    """What their headers cost; not part of `wire_bytes`."""
    goodput_share: float
    """Transport payload."""
    is_observed: bool = False
    """Whether the options are those that the capture holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedEncapsulation:
    """What the capture really holds of one format."""

    kind: str
    packets: int
    inner_bytes: int
    overhead_bytes: int
    option_bytes: int
    """Of all packets, option headers included."""
    wire_bytes: int
    overhead_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapsulationHop:
    """How long it took to put packets into a tunnel, or to take them out of it, at one place."""

    kind: str
    """`vxlan` or `geneve`."""
    step: str
    """`encapsulate` or `decapsulate`."""
    origin: str
    """Capture point before."""
    to: str
    packets: int
    measured: bool
    """False where the kernel kept the time stamp of the point before."""
    p50_ns: int | None
    p99_ns: int | None
    uncertainty_ns: int | None
    """Half the width of the 95 % interval of p50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """How the two formats differ in one respect, and where that is said."""

    feature: str
    vxlan: str
    geneve: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapsulationDiff:
    """The whole answer."""

    traffic: InnerTraffic
    encapsulations: tuple[Encapsulation, ...]
    observed: tuple[ObservedEncapsulation, ...]
    features: tuple[Feature, ...]
    latency: tuple[EncapsulationHop, ...] = ()
    """Where the captures hold both formats."""
    no_latency: str | None = None
    """Why there is none although they do."""
    paths: tuple[str, ...] = ()
    """Captures that were read."""
    problems: tuple[Problem, ...] = ()
    interrupted: bool = False
