# SPDX-License-Identifier: Apache-2.0
"""What one run of the mesh is: mode, underlay, family, wire, clocks; and the named variants."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.lab.mesh.topology import Family, Mesh
from tests.lab.mesh.wire import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES = ("in-pod", "iptables-geneve", "ebpf")
UNDERLAYS = ("routed", "vxlan-4789", "vxlan-8472", "ovs-geneve")
STANDARD = "standard"

_TUNNEL_MTU_BYTES = {"vxlan-4789": 1450, "vxlan-8472": 1450, "ovs-geneve": 1400}
_GENEVE_PORT = 6081


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How host B's clock differs from host A's: by an offset, and a drift since the run began."""

    offset_ns: int = 0
    drift_ppm: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that is chosen about a run."""

    mode: str
    underlay: str = "routed"
    variant: str = STANDARD
    traffic: str = "standard"
    """A key of `workload.PLANS`."""
    family: Family = 4
    forward: Direction = field(default_factory=lambda: Direction(delay_ms=5.0))
    """The wire from node A to node B."""
    reverse: Direction = field(default_factory=lambda: Direction(delay_ms=4.0))
    seed: int = 1
    all_tunnelled: bool = False
    """iptables-geneve only: every packet of a connection's first direction goes through Geneve, as
    on the branch before 1.18, instead of its SYN alone."""
    intercepts: bool = True
    """False: interception at node A is broken, and its pods' traffic leaves in plain text."""
    denied_accounts: tuple[str, ...] = ()
    """Service accounts that the servers' authorization policy denies."""
    clock_b: Clock = Clock()
    hop: str = ""
    """The Envoy between client and server: a key of `topology.HOPS`, or none."""
    pool: str = "per-source"
    residence_ms: tuple[float, float] = (0.0, 0.0)
    """Added by each ztunnel, up and down."""

    @property
    def version(self) -> str:
        """The behaviour of ztunnel that goes with the mode."""
        return "1.31" if self.mode == "in-pod" else "1.20"

    @property
    def geneve_port(self) -> int:
        """Istio's Geneve port: from 1.19 the next free one where somebody else has 6081."""
        return _GENEVE_PORT + (self.underlay == "ovs-geneve")

    @property
    def mesh(self) -> Mesh:
        """The network of this run."""
        return Mesh(
            family=self.family,
            ztunnel_pods=self.mode != "in-pod",
            tunnels_to_ztunnel=self.mode == "iptables-geneve",
            hop=self.hop,
            pod_mtu_bytes=_TUNNEL_MTU_BYTES.get(self.underlay, 1500),
            # Packet sockets cannot carry super-packets that are inside a tunnel.
            node_offloads=self.underlay == "routed",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A named difference from the standard run."""

    what: str
    changes: Mapping[str, Any]
    """Fields of `Scenario`."""
    modes: tuple[str, ...] = MODES
    underlays: tuple[str, ...] = UNDERLAYS


_LOSS, _REORDER, _HOLD_MS = 0.03, 0.08, 1.5

VARIANTS = {
    STANDARD: Variant(what="all kinds of connections, an undisturbed wire", changes={}),
    "short": Variant(what="a few connections of each kind", changes={"traffic": "short"}),
    "storm": Variant(what="130 short connections at once", changes={"traffic": "storm"}),
    "all-tunnelled": Variant(
        what="older Geneve redirection: not only SYNs go through the tunnels",
        changes={"all_tunnelled": True},
        modes=("iptables-geneve",),
    ),
    "broken-interception": Variant(
        what="redirection missing at node A: pods talk in plain text",
        changes={"intercepts": False, "traffic": "short"},
    ),
    "shared-pool": Variant(
        what="two pods of one service account share a conn2, as 1.19-1.21 did",
        changes={"pool": "shared"},
        modes=("iptables-geneve", "ebpf"),
    ),
    "loss": Variant(
        what="3 % of TCP frames lost on the wire, each way",
        changes={
            "forward": Direction(delay_ms=5.0, loss=_LOSS),
            "reverse": Direction(delay_ms=4.0, loss=_LOSS),
        },
    ),
    "reordering": Variant(
        what="8 % of TCP frames held back 1.5 ms on the wire, each way",
        changes={
            "forward": Direction(delay_ms=5.0, reorder=_REORDER, hold_ms=_HOLD_MS),
            "reverse": Direction(delay_ms=4.0, reorder=_REORDER, hold_ms=_HOLD_MS),
        },
    ),
    "pmtu-black-hole": Variant(
        what="packets above 1400 bytes towards node B vanish without an ICMP error",
        changes={"forward": Direction(delay_ms=5.0, largest_packet_bytes=1400)},
    ),
    "unreachable": Variant(
        what="TCP port 15008 of node B does not answer, as behind a NetworkPolicy",
        changes={"forward": Direction(delay_ms=5.0, blocked_port=15008), "traffic": "short"},
    ),
    "denied": Variant(
        what="the servers' authorization policy denies the clients' service account",
        changes={"denied_accounts": ("client",), "traffic": "short"},
    ),
    "clocks": Variant(
        what="host B's clock is 137 ms ahead and gains 40 ppm",
        changes={"clock_b": Clock(offset_ns=137_000_000, drift_ppm=40.0)},
    ),
    "ipv6": Variant(
        what="pods, Service and nodes have IPv6 addresses only",
        changes={"family": 6},
        modes=("in-pod",),  # Geneve and eBPF redirection were for IPv4 only
        underlays=("routed",),
    ),
    "waypoint": Variant(
        what="Envoy as waypoint before a Service, HTTP pooled anew",
        changes={"hop": "waypoint", "traffic": "through-hop"},
        modes=("in-pod",),
    ),
    "east-west-gateway": Variant(
        what="Envoy as gateway of another network: HBONE in HBONE",
        changes={"hop": "eastwest", "traffic": "through-hop"},
        modes=("in-pod",),  # zt 1.26 and later
    ),
    "ingress-gateway": Variant(
        what="Envoy as ingress gateway: HBONE that no conn1 precedes",
        changes={"hop": "ingress", "traffic": "ingress"},
        modes=("in-pod",),
    ),
    "slow-proxies": Variant(
        what="each ztunnel keeps every chunk 2 ms on its way up and 1 ms down",
        changes={"residence_ms": (2.0, 1.0)},
    ),
}


def scenario(mode: str, underlay: str = "routed", variant: str = STANDARD) -> Scenario:
    """Return the run of these names; raise ValueError where they do not go together.

    variant: one name, or several joined by `+` that change different things.
    """
    names = variant.split("+")
    for value, known in (
        (mode, MODES),
        (underlay, UNDERLAYS),
        *((name, tuple(VARIANTS)) for name in names),
    ):
        if value not in known:
            raise ValueError(f"{value!r} is none of {', '.join(known)}")
    changes: dict[str, Any] = {}
    for name in names:
        chosen = VARIANTS[name]
        if mode not in chosen.modes:
            raise ValueError(f"variant {name} exists in mode {' and '.join(chosen.modes)} only")
        if underlay not in chosen.underlays:
            raise ValueError(f"variant {name} exists on {' and '.join(chosen.underlays)} only")
        twice = sorted(set(changes) & set(chosen.changes))
        if twice:
            raise ValueError(f"variant {name} changes {' and '.join(twice)} as another one does")
        changes |= chosen.changes
    return replace(Scenario(mode=mode, underlay=underlay, variant=variant), **changes)
