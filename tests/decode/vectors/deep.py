# SPDX-License-Identifier: Apache-2.0
"""The 9th tunnel and the 33rd header are not begun."""

from __future__ import annotations

from tests.build import packets

from .vector import ETHERNET, vector

IPV4 = 228
V4 = {"version": 4, "source": "10.0.0.1", "destination": "10.0.0.2"}
GENEVE_LEVEL = 20 + 8 + 8
"""IPv4, UDP, Geneve without options; IPv4 again inside."""
PAYLOAD = b"abcd"


def geneve_levels(count):
    """`count` Geneve tunnels around a UDP packet."""
    octets = packets.ipv4(packets.udp(PAYLOAD))
    for _ in range(count):
        octets = packets.ipv4(packets.udp(packets.geneve(octets, protocol=0x0800), 40000, 6081))
    return octets


def geneve_rows(count):
    return [
        {
            "kind": "geneve",
            "vni": 1,
            "version": 4,
            "source": "10.0.0.1",
            "destination": "10.0.0.2",
            "source_port": 40000,
            "destination_port": 6081,
            "ip_offset": GENEVE_LEVEL * level,
            "header_offset": GENEVE_LEVEL * level + 28,
            "flags": 0x00000800,
            "overhead_bytes": GENEVE_LEVEL,
        }
        for level in range(count)
    ]


def geneve_layers(count):
    return [
        (name, GENEVE_LEVEL * level + place)
        for level in range(count)
        for name, place in (("ipv4", 0), ("udp", 20), ("geneve", 28))
    ]


OUTER = {**V4, "protocol": 17, "source_port": 40000, "destination_port": 6081}

VECTORS = [
    vector(
        "eight-tunnels",
        geneve_levels(8),
        link_type=IPV4,
        findings=["G13"],
        layers=[*geneve_layers(8), ("ipv4", 288), ("udp", 308)],
        stop_offset=308,
        outer=OUTER,
        inner={
            **V4,
            "protocol": 17,
            "source_port": 40000,
            "destination_port": 40001,
            "offset": 288,
            "bytes": 32,
            "ttl": 64,
        },
        payload=(316, 4),
        tunnels=geneve_rows(8),
    ),
    vector(
        "nine-tunnels",
        geneve_levels(9),
        link_type=IPV4,
        findings=["G13"],
        layers=[*geneve_layers(8), ("ipv4", 288), ("udp", 308)],
        stop="too_deep",
        stop_layer="geneve",
        stop_offset=316,
        outer=OUTER,
        inner={**OUTER, "offset": 288, "bytes": 28 + 8 + 32, "ttl": 64},
        payload=(316, 8 + 32),
        tunnels=geneve_rows(8),
    ),
    vector(
        "thirty-two-headers",
        packets.ethernet(
            b"".join(packets.vlan(b"", 0x8100) for _ in range(29))
            + packets.vlan(packets.ipv4(packets.icmp(), protocol=1)),
            0x8100,
        ),
        link_type=ETHERNET,
        layers=[
            ("ethernet", 0),
            *(("vlan", 14 + 4 * tag) for tag in range(30)),
            ("ipv4", 134),
        ],
        stop="too_deep",
        stop_layer="icmp",
        stop_offset=154,
        link=("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
        ip={**V4, "protocol": 1, "offset": 134, "bytes": 28, "ttl": 64},
    ),
    vector(
        "thirty-three-headers-the-last-unknown",
        packets.ethernet(
            b"".join(packets.vlan(b"", 0x8100) for _ in range(30)) + packets.vlan(b"", 0x88CC),
            0x8100,
        ),
        link_type=ETHERNET,
        layers=[("ethernet", 0), *(("vlan", 14 + 4 * tag) for tag in range(31))],
        stop="too_deep",
        stop_layer="ethertype-0x88cc",
        stop_offset=138,
        link=("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
    ),
]
