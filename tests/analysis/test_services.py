# SPDX-License-Identifier: Apache-2.0
"""analysis/services: what flows carry, by protocol and port; compiled and readable alike."""

from __future__ import annotations

import pytest

from genevecap.analysis.services import (
    BY_PORT,
    READABLE,
    TCP,
    UDP,
    Service,
    names,
    service_of,
)

from .counting import Row, Tunnel, counted


@pytest.mark.parametrize(
    ("flow", "service"),
    [
        ((TCP, 50000, 9000), Service.TCP),
        ((TCP, 50000, 15008), Service.HBONE),
        ((TCP, 15008, 50000), Service.HBONE),
        ((TCP, 80, 443), Service.TLS),
        ((UDP, 50000, 53), Service.DNS),
        ((UDP, 50000, 443), Service.QUIC),
        ((UDP, 443, 22), Service.QUIC),
        ((132, 1, 443), Service.SCTP),
        ((1, -1, -1), Service.ICMP),
        ((58, -1, -1), Service.ICMP),
        ((89, -1, -1), Service.OTHER),
    ],
)
def test_flows(flow, service):
    assert service_of(*flow) == service


def test_what_is_readable():
    encrypted = Service.HBONE | Service.TLS | Service.QUIC | Service.SSH
    assert not READABLE & (encrypted | Service.IPSEC | Service.WIREGUARD | Service.ICMP)
    assert names(Service.DNS | Service.TCP | Service.HBONE) == ("tcp", "dns", "hbone")


@pytest.mark.parametrize("protocol", [0, 1, TCP, UDP, 50, 58, 132, 255])
@pytest.mark.parametrize("port", sorted({-1, 0, 9000, 65535}.union(*BY_PORT.values())))
def test_tunnels_gather_the_services_inside(protocol, port):
    """Both implementations of the tables, by destination and by source port."""
    for ports in ((port, 9999), (9999, port), (443, port)):
        answer = counted([Row(inner=(4, 1, 2, protocol, *ports), tunnels=(Tunnel(),))])
        assert answer["tunnels"][0].services == service_of(protocol, *ports)
