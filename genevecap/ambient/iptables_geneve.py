# SPDX-License-Identifier: Apache-2.0
"""iptables and Geneve (Istio 1.18 to 1.20): first packets travel to ztunnel in a tunnel.

istio/istio cni/pkg/ambient/net_linux.go and constants/constants.go, tags 1.18.0 to 1.20.8: devices
`istioin` (VNI 1000) and `istioout` (VNI 1001) on the node, `pistioin` and `pistioout` in the
ztunnel pod, no TLV options.  The UDP port is 6081 in 1.18, the next free one from 1.19
(istio/istio#45831), so VNI and peers decide, never the port.
"""

from __future__ import annotations

from . import Device, RedirectMode, Signs, TunnelSign

INBOUND_VNI = 1000
OUTBOUND_VNI = 1001
_DEVICES = {INBOUND_VNI: "istioin", OUTBOUND_VNI: "istioout"}
DEVICES = (
    Device("istioin", INBOUND_VNI, "192.168.126.1", in_ztunnel=False),
    Device("istioout", OUTBOUND_VNI, "192.168.127.1", in_ztunnel=False),
    Device("pistioin", INBOUND_VNI, "192.168.126.2", in_ztunnel=True),
    Device("pistioout", OUTBOUND_VNI, "192.168.127.2", in_ztunnel=True),
)
"""constants.go: InboundTun, InboundTunIP, ZTunnelInboundTunIP and those of OutboundTun.

The names with `p` are the ends in the ztunnel pod: net_linux.go."""


class IptablesGeneve(RedirectMode):
    """Node and ztunnel pod joined by two Geneve devices."""

    name = "iptables-geneve"
    title = "iptables and Geneve redirection"
    versions = "1.18 to 1.20"

    vnis = (INBOUND_VNI, OUTBOUND_VNI)
    devices = DEVICES

    @classmethod
    def recognise(cls, signs: Signs) -> tuple[str, ...]:
        """See `RedirectMode`; an endpoint that gets any other Geneve is an underlay's."""
        underlay = {t.destination for t in signs.tunnels if not _may_be_istio(t)}
        evidence = []
        for vni in cls.vnis:
            tunnels = [
                t
                for t in signs.tunnels
                if _may_be_istio(t) and t.vni == vni and t.destination not in underlay
            ]
            if tunnels:
                evidence.append(
                    f"Geneve VNI {vni} without options, {_ends(tunnels)}: "
                    f"{sum(t.packets for t in tunnels)} packets towards ztunnel ({_DEVICES[vni]})"
                )
        return tuple(evidence)


def _may_be_istio(tunnel: TunnelSign) -> bool:
    """Tell whether a tunnel has one of Istio's VNIs and no options, as Istio's have none."""
    return tunnel.kind == "geneve" and tunnel.vni in _DEVICES and not tunnel.packets_with_options


def _ends(tunnels: list[TunnelSign]) -> str:
    first = max(tunnels, key=lambda tunnel: tunnel.packets)
    more = f" and {len(tunnels) - 1} more" if len(tunnels) > 1 else ""
    return f"{first.source} to {first.destination}:{first.port}{more}"
