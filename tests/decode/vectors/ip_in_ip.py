# SPDX-License-Identifier: Apache-2.0
"""IP directly in IP: RFC 2003 (4 in 4), RFC 4213 (6 in 4), RFC 2473 (4 and 6 in 6)."""

from __future__ import annotations

from tests.build import packets

from .vector import octets, vector

IPV4, IPV6 = 228, 229
A_TO_B = "0a 00 00 01 0a 00 00 02"
V4 = {"version": 4, "source": "10.0.0.1", "destination": "10.0.0.2"}
V6_A_TO_B = f"fd {'00 ' * 14} 01 fd {'00 ' * 14} 02"
V6 = {"version": 6, "source": "fd00::1", "destination": "fd00::2"}

UDP = "03 e8 03 e9 00 0a 00 00 61 62  # 1000 > 1001, length 10, payload of 2"
INNER_V4 = f"""
    45 00 00 1e 00 01 00 00 3f 11 00 00  # total length 30, TTL 63, UDP
    c0 a8 00 01 c0 a8 00 02  # 192.168.0.1 > 192.168.0.2
    {UDP}"""
INNER_V6 = f"""
    60 00 00 00 00 0a 11 3f  # payload length 10, UDP, hop limit 63
    20 01 0d b8 {"00 " * 11} 01  # 2001:db8::1
    20 01 0d b8 {"00 " * 11} 02  # 2001:db8::2
    {UDP}"""
UDP_PORTS = {"protocol": 17, "source_port": 1000, "destination_port": 1001, "ttl": 63}
IN_V4 = {
    "version": 4, "source": "192.168.0.1", "destination": "192.168.0.2", "bytes": 30, "id": 1,
    **UDP_PORTS,
}  # fmt: skip
IN_V6 = {
    "version": 6, "source": "2001:db8::1", "destination": "2001:db8::2", "bytes": 50, **UDP_PORTS,
}  # fmt: skip


def ipip(carrier, ip_offset, header_offset):
    """A row; what IP-in-IP costs is the carrying header, with what stands between the two."""
    return {
        "kind": "ipip",
        **carrier,
        "source_port": -1,
        "destination_port": -1,
        "ip_offset": ip_offset,
        "header_offset": header_offset,
        "flags": 0,
        "overhead_bytes": header_offset - ip_offset,
    }


def four_levels(count):
    """`count` IP-in-IP tunnels around a UDP packet."""
    nested = packets.ipv4(packets.udp(b"ab"))
    for _ in range(count):
        nested = packets.ipv4(nested, 4)
    return nested


VECTORS = [
    vector(
        "ipv4-in-ipv4",
        f"45 00 00 32 00 00 40 00 40 04 00 00 {A_TO_B} {INNER_V4}",
        link_type=IPV4,
        layers=[("ipv4", 0), ("ipv4", 20), ("udp", 40)],
        stop_offset=40,
        outer={**V4, "protocol": 4},
        inner={**IN_V4, "offset": 20},
        payload=(48, 2),
        tunnels=[ipip(V4, 0, 20)],
    ),
    vector(
        "ipv6-in-ipv4-with-options",
        f"46 00 00 4a 00 00 40 00 40 29 00 00 {A_TO_B} 01 01 01 00 {INNER_V6}",
        link_type=IPV4,
        layers=[("ipv4", 0), ("ipv6", 24), ("udp", 64)],
        stop_offset=64,
        outer={**V4, "protocol": 41},
        inner={**IN_V6, "offset": 24},
        payload=(72, 2),
        tunnels=[ipip(V4, 0, 24)],
    ),
    vector(
        "ipv4-in-ipv6-behind-destination-options",
        f"""
        60 00 00 00 00 26 3c 40 {V6_A_TO_B}
        04 00 04 01 04 01 01 00  # tunnel encapsulation limit 4 (RFC 2473 section 4.1.1), PadN
        {INNER_V4}""",
        link_type=IPV6,
        layers=[("ipv6", 0), ("ipv4", 48), ("udp", 68)],
        stop_offset=68,
        outer={**V6, "protocol": 4},
        inner={**IN_V4, "offset": 48},
        payload=(76, 2),
        tunnels=[ipip(V6, 0, 48)],
    ),
    vector(
        "ipv6-in-ipv6",
        f"60 00 00 00 00 32 29 40 {V6_A_TO_B} {INNER_V6}",
        link_type=IPV6,
        layers=[("ipv6", 0), ("ipv6", 40), ("udp", 80)],
        stop_offset=80,
        outer={**V6, "protocol": 41},
        inner={**IN_V6, "offset": 40},
        payload=(88, 2),
        tunnels=[ipip(V6, 0, 40)],
    ),
    vector(
        "ipip-carries-nothing",
        f"45 00 00 14 00 00 00 00 40 04 00 00 {A_TO_B}  # the tunnel is there, its packet is not",
        link_type=IPV4,
        layers=[("ipv4", 0)],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=20,
        ip={**V4, "protocol": 4, "bytes": 20, "ttl": 64},
        tunnels=[ipip(V4, 0, 20)],
    ),
    vector(
        "ipip-carries-another-version",
        f"45 00 00 46 00 00 00 00 40 04 00 00 {A_TO_B} {INNER_V6}  # protocol 4, but IPv6",
        link_type=IPV4,
        layers=[("ipv4", 0)],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=20,
        ip={**V4, "protocol": 4, "bytes": 70, "ttl": 64},
        tunnels=[ipip(V4, 0, 20)],
    ),
    vector(
        "ipip-first-fragment-ends-in-the-inner-header",
        f"45 00 00 1c 00 05 20 00 40 04 00 00 {A_TO_B} 45 00 00 1e 00 01 00 00  # 8 octets of it",
        link_type=IPV4,
        layers=[("ipv4", 0)],
        stop="fragment",
        stop_layer="ipv4",
        stop_offset=20,
        ip={**V4, "protocol": 4, "bytes": 28, "ttl": 64, "id": 5, "fragment": 0x2000},
    ),
    vector(
        "ipip-later-fragment",
        f"45 00 00 1c 00 05 00 03 40 04 00 00 {A_TO_B} 01 02 03 04 05 06 07 08",
        link_type=IPV4,
        layers=[("ipv4", 0)],
        stop="fragment",
        stop_layer="ipv4",
        stop_offset=0,
        ip={**V4, "protocol": 4, "bytes": 28, "ttl": 64, "id": 5, "fragment": 3},
    ),
    vector(
        "ipip-in-vxlan-in-ipip",
        octets(f"45 00 00 8c 00 00 40 00 40 29 00 00 {A_TO_B}  # IPv4 carries IPv6")
        + octets(f"60 00 00 00 00 50 11 40 {V6_A_TO_B} 9c 40 12 b5 00 50 00 00")
        + octets("08 00 00 00 00 00 07 00  # VXLAN, VNI 7")
        + octets("02 00 00 00 00 0d 02 00 00 00 00 0c 08 00")
        + octets(f"45 00 00 32 00 00 40 00 40 04 00 00 {A_TO_B} {INNER_V4}"),
        link_type=IPV4,
        findings=["V10"],
        layers=[
            ("ipv4", 0),
            ("ipv6", 20),
            ("udp", 60),
            ("vxlan", 68),
            ("ethernet", 76),
            ("ipv4", 90),
            ("ipv4", 110),
            ("udp", 130),
        ],
        stop_offset=130,
        link=("02:00:00:00:00:0c", "02:00:00:00:00:0d"),
        outer={**V4, "protocol": 41},
        inner={**IN_V4, "offset": 110},
        payload=(138, 2),
        tunnels=[
            ipip(V4, 0, 20),
            {
                **V6,
                "kind": "vxlan",
                "vni": 7,
                "source_port": 40000,
                "destination_port": 4789,
                "ip_offset": 20,
                "header_offset": 68,
                "flags": 0x08000000,
                "overhead_bytes": 70,
            },
            ipip(V4, 90, 110),
        ],
    ),
    vector(
        "ipip-eight-levels",
        four_levels(8),
        link_type=IPV4,
        layers=[*(("ipv4", 20 * level) for level in range(9)), ("udp", 180)],
        stop_offset=180,
        outer={**V4, "protocol": 4},
        inner={
            **V4, "protocol": 17, "source_port": 40000, "destination_port": 40001, "offset": 160,
            "bytes": 30, "ttl": 64,
        },
        payload=(188, 2),
        tunnels=[ipip(V4, 20 * level, 20 * level + 20) for level in range(8)],
    ),
    vector(
        "ipip-nine-levels",
        four_levels(9),
        link_type=IPV4,
        layers=[("ipv4", 20 * level) for level in range(9)],
        stop="too_deep",
        stop_layer="ipv4",
        stop_offset=180,
        outer={**V4, "protocol": 4},
        inner={**V4, "protocol": 4, "offset": 160, "bytes": 50, "ttl": 64},
        tunnels=[ipip(V4, 20 * level, 20 * level + 20) for level in range(8)],
    ),
]  # fmt: skip
