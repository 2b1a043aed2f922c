# SPDX-License-Identifier: Apache-2.0
"""What Istio ambient does: one file per redirect mode, with its constants and its recogniser.

A mode is a class that registers by existing; adding one is adding one file.  Recognisers look at
`Signs`, which the analysis gathers: they never see packets.  Facts are cited as file and tag of
istio/istio and istio/ztunnel.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar, NamedTuple

HBONE_PORT = 15008
"""Inbound HBONE: istio/ztunnel src/config.rs, DEFAULT_INBOUND_PORT (1.18 to 1.31)."""
OUTBOUND_PORT = 15001
"""istio/istio cni/pkg/iptables/iptables.go (1.21 to 1.31)."""
INBOUND_PLAINTEXT_PORT = 15006

_FIRST_CLIENT_PORT = 1024


class TunnelSign(NamedTuple):
    """A tunnel direction that was seen; addresses are text (a named tuple: there may be many)."""

    kind: str
    vni: int | None
    source: str
    destination: str
    port: int | None
    depth: int
    packets: int
    packets_with_options: int


class Device(NamedTuple):
    """A network device that a redirect mode makes; its name is also its role."""

    name: str
    vni: int
    address: str
    in_ztunnel: bool
    """Whether it is in the ztunnel pod, not on the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSign:
    """A one-way TCP flow that was seen on one of the mesh's ports; addresses are text."""

    vni: int | None
    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectSign:
    """One TCP SYN at two points: same TTL, another destination MAC, no tunnel at either."""

    source: str
    destination: str
    first_point: str
    second_point: str
    first_destination_mac: str
    second_destination_mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """Everything a recogniser may look at."""

    tunnels: tuple[TunnelSign, ...] = ()
    """Every tunnel towards an endpoint that gets a mode's VNI."""
    flows: tuple[FlowSign, ...] = ()
    """TCP flows that have one of the ports above, most packets first."""
    more_flows: frozenset[int] = frozenset()
    """Ports of which only the largest flows are given, because there are very many."""
    snat_flows: tuple[FlowSign, ...] = ()
    """Flows whose source or destination is one of `SNAT_ADDRESSES`."""
    redirects: tuple[RedirectSign, ...] = ()


SNAT_ADDRESSES = ("169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff")
"""What node-local sources become towards enrolled pods: istio/istio cni/pkg/nodeagent (1.21+)."""


_BY_NAME: dict[str, type[RedirectMode]] = {}


class RedirectMode:
    """One way in which ambient redirects traffic to ztunnel."""

    name: ClassVar[str]
    """As CONTRACT calls it."""
    title: ClassVar[str]
    """For people."""
    versions: ClassVar[str]
    """Istio versions that use it."""
    vnis: ClassVar[tuple[int, ...]] = ()
    """VNIs of its own tunnels, where it has any."""
    devices: ClassVar[tuple[Device, ...]] = ()
    """Devices that it makes, where it makes any."""

    def __init_subclass__(cls) -> None:
        """Register the mode, refusing a second one of the same name."""
        if cls.name in _BY_NAME:
            raise ValueError(f"redirect mode {cls.name!r} is registered twice")
        _BY_NAME[cls.name] = cls

    @classmethod
    def recognise(cls, signs: Signs) -> tuple[str, ...]:
        """Return the evidence for this mode, one sentence each; nothing where there is none."""
        raise NotImplementedError


def modes() -> dict[str, type[RedirectMode]]:
    """Return every redirect mode by name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return dict(sorted(_BY_NAME.items()))


def own_vnis(mode: str) -> frozenset[int]:
    """Return the VNIs of Istio's own tunnels in a mode, in CONTRACT's words."""
    return frozenset(
        vni for name, each in modes().items() if mode in {name, "mixed"} for vni in each.vnis
    )


def recognise(signs: Signs) -> tuple[str, tuple[str, ...]]:
    """Return (mode, evidence) in CONTRACT's words.

    `unknown`: HBONE was seen, but how traffic reaches ztunnel is not visible from these points.
    `none`: neither HBONE nor a sign of any mode.
    """
    found = {
        name: evidence for name, mode in modes().items() if (evidence := mode.recognise(signs))
    }
    hbone = _hbone_evidence(signs)
    evidence = tuple(line for lines in found.values() for line in lines) + hbone
    if len(found) > 1:
        return "mixed", evidence
    if found:
        return next(iter(found)), evidence
    return ("unknown" if hbone else "none"), evidence


def hbone_flows(signs: Signs) -> list[FlowSign]:
    """Return the flows to or from port 15008.

    Opposite a well-known port, 15008 is only the port that some client happened to get.
    """
    return [
        flow
        for flow in signs.flows
        if (flow.destination_port == HBONE_PORT and (flow.source_port or 0) >= _FIRST_CLIENT_PORT)
        or (flow.source_port == HBONE_PORT and (flow.destination_port or 0) >= _FIRST_CLIENT_PORT)
    ]


_WITHOUT_MODE = {
    "mixed": "several redirect modes at once",
    "unknown": "HBONE is there, how it is redirected is not visible from these points",
    "none": "no ambient traffic: neither HBONE nor Istio's VNIs",
}


def describe(mode: str) -> str:
    """Return what a mode that `recognise` gave means, for people."""
    known = modes().get(mode)
    return _WITHOUT_MODE[mode] if known is None else f"{known.title} (Istio {known.versions})"


def _hbone_evidence(signs: Signs) -> tuple[str, ...]:
    """Say whether there is HBONE: TCP towards or from port 15008."""
    flows = hbone_flows(signs)
    if not flows:
        return ()
    packets = sum(flow.packets for flow in flows)
    least = "at least " if HBONE_PORT in signs.more_flows else ""
    sightings = f"{least}{packets} sightings of TCP port {HBONE_PORT}"
    return (f"HBONE: {sightings} in {least}{len(flows)} one-way flows",)
