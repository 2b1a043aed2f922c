# SPDX-License-Identifier: Apache-2.0
"""What a flow carries, told by protocol and port alone: bits that add up per tunnel.

Contents are not looked at.  A port says what it is usually used for, which is enough to name what
anyone on the way could read.
"""

from __future__ import annotations

from enum import IntFlag
from functools import cache

from ..ambient import HBONE_PORT

ICMP = 1
TCP = 6
UDP = 17
ICMPV6 = 58
SCTP = 132
ESP = 50


class Service(IntFlag):
    """Kinds of flow; a tunnel has those of all flows in it."""

    TCP = 1 << 0
    UDP = 1 << 1
    SCTP = 1 << 2
    DNS = 1 << 3
    HTTP = 1 << 4
    OTHER = 1 << 5
    ICMP = 1 << 6
    HBONE = 1 << 7
    TLS = 1 << 8
    QUIC = 1 << 9
    SSH = 1 << 10
    IPSEC = 1 << 11
    WIREGUARD = 1 << 12


READABLE = int(
    Service.TCP | Service.UDP | Service.SCTP | Service.DNS | Service.HTTP | Service.OTHER
)
"""What is not encrypted as a rule; ICMP carries nothing of a workload and is not counted."""

_TCP_PORTS = {
    22: Service.SSH,
    53: Service.DNS,
    80: Service.HTTP,
    443: Service.TLS,
    853: Service.TLS,  # DNS over TLS, RFC 7858
    6443: Service.TLS,  # the API server of Kubernetes
    8080: Service.HTTP,
    8443: Service.TLS,
    10250: Service.TLS,  # kubelet
    15012: Service.TLS,  # istiod
    HBONE_PORT: Service.HBONE,
}
_UDP_PORTS = {
    53: Service.DNS,
    443: Service.QUIC,
    500: Service.IPSEC,  # IKE, RFC 7296
    4500: Service.IPSEC,  # RFC 3948
    51820: Service.WIREGUARD,
    51821: Service.WIREGUARD,
    51871: Service.WIREGUARD,
}

BY_PORT = {TCP: _TCP_PORTS, UDP: _UDP_PORTS}
"""Service by IP protocol and by either port."""

BY_PROTOCOL = {
    TCP: Service.TCP,
    UDP: Service.UDP,
    SCTP: Service.SCTP,
    ICMP: Service.ICMP,
    ICMPV6: Service.ICMP,
    ESP: Service.IPSEC,
}
"""Service of a flow whose ports say nothing; `Service.OTHER` for any other protocol."""


def service_of(protocol: int, source_port: int, destination_port: int) -> int:
    """Return the bit of a flow; its destination port counts more than its source port."""
    ports = BY_PORT.get(protocol, {})
    by_port = ports.get(destination_port) or ports.get(source_port)
    return int(by_port or BY_PROTOCOL.get(protocol, Service.OTHER))


@cache
def names(services: int) -> tuple[str, ...]:
    """Return the services of a mask by name."""
    return tuple(str(each.name).lower() for each in Service if services & each)
