# SPDX-License-Identifier: Apache-2.0
"""IPv4 with options, IPv6 with extension headers, fragments, contradictions."""

from __future__ import annotations

from .vector import RAW, vector

FROM_A_TO_B = """
    0a 00 00 01           # 10.0.0.1
    0a 00 00 02           # 10.0.0.2
"""
V4 = {"version": 4, "source": "10.0.0.1", "destination": "10.0.0.2"}
V6_FROM_A_TO_B = """
    fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01  # fd00::1
    fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02  # fd00::2
"""
V6 = {"version": 6, "source": "fd00::1", "destination": "fd00::2"}
UDP = """
    03 e8 03 e9 00 0c 00 00  # 1000 > 1001, length 12, no checksum
    61 62 63 64           # payload
"""
UDP_PORTS = {"source_port": 1000, "destination_port": 1001}

VECTORS = [
    vector(
        "ipv4-options",
        f"""
        47 c0 00 28           # IHL 7, TOS 0xc0, total length 40
        00 07 00 00 01 11 00 00  # identification 7, TTL 1, UDP
        {FROM_A_TO_B}
        94 04 00 00           # router alert
        01 01 01 00           # no operation, three times; end of options
        {UDP}""",
        link_type=RAW,
        layers=[("raw", 0), ("ipv4", 0), ("udp", 28)],
        stop_offset=28,
        ip={**V4, **UDP_PORTS, "protocol": 17, "bytes": 40, "ttl": 1, "tos": 0xC0, "id": 7},
        payload=(36, 4),
    ),
    vector(
        "ipv4-unknown-protocol",
        f"""
        46 c0 00 20 00 00 40 00 01 02 00 00 {FROM_A_TO_B} 94 04 00 00
        11 64 ee 9b 00 00 00 00  # IGMP""",
        link_type=RAW,
        layers=[("raw", 0), ("ipv4", 0), ("ip-proto-2", 24)],
        stop="unsupported",
        stop_layer="ip-proto-2",
        stop_offset=24,
        ip={**V4, "protocol": 2, "bytes": 32, "ttl": 1, "tos": 0xC0, "fragment": 0x4000},
    ),
    vector(
        "ipv4-other-version",
        f"65 00 00 14 00 00 00 00 40 11 00 00 {FROM_A_TO_B}",
        link_type=228,
        layers=[],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=0,
    ),
    vector(
        "ipv4-ihl-4",
        f"44 00 00 14 00 00 00 00 40 11 00 00 {FROM_A_TO_B}",
        link_type=228,
        layers=[],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=0,
    ),
    vector(
        "ipv4-total-length-below-ihl",
        f"46 00 00 17 00 00 00 00 40 11 00 00 {FROM_A_TO_B} 01 01 01 00 {UDP}",
        link_type=228,
        layers=[("ipv4", 0)],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=0,
        ip={**V4, "protocol": 17, "bytes": 23, "ttl": 64},
    ),
    vector(
        "ipv4-total-length-beyond-the-frame",
        f"45 00 05 dc 00 00 00 00 40 11 00 00 {FROM_A_TO_B} {UDP}",
        link_type=228,
        layers=[("ipv4", 0), ("udp", 20)],
        stop_offset=20,
        ip={**V4, **UDP_PORTS, "protocol": 17, "bytes": 32, "ttl": 64},
        payload=(28, 4),
    ),
    vector(
        "ipv4-big-tcp",
        f"""
        45 00 00 00           # total length 0: the rest of the frame
        00 00 40 00 40 11 00 00
        {FROM_A_TO_B}
        03 e8 03 e9 00 00 00 00  # length 0 too
        61 62 63 64""",
        missing=99_996,
        link_type=228,
        layers=[("ipv4", 0), ("udp", 20)],
        stop_offset=20,
        ip={
            **V4,
            **UDP_PORTS,
            "protocol": 17,
            "bytes": 28 + 100_000,
            "ttl": 64,
            "fragment": 0x4000,
        },
        payload=(28, 100_000),
    ),
    vector(
        "ipv4-first-fragment",
        f"""
        45 00 00 20 ab cd     # total length 32, identification
        20 00                 # more fragments, offset 0
        40 11 00 00
        {FROM_A_TO_B}
        03 e8 03 e9 07 d0 00 00  # UDP of 2000 octets
        61 62 63 64""",
        link_type=228,
        layers=[("ipv4", 0), ("udp", 20)],
        stop_offset=20,
        ip={
            **V4,
            **UDP_PORTS,
            "protocol": 17,
            "bytes": 32,
            "ttl": 64,
            "id": 0xABCD,
            "fragment": 0x2000,
        },
        payload=(28, 4),
    ),
    vector(
        "ipv4-first-fragment-ends-in-tcp",
        f"""
        45 00 00 24 ab cd 20 00 40 06 00 00  # 16 octets of TCP
        {FROM_A_TO_B}
        03 e8 03 e9 00 00 00 01 00 00 00 00 50 02 ff ff""",
        link_type=228,
        layers=[("ipv4", 0)],
        stop="fragment",
        stop_layer="tcp",
        stop_offset=20,
        ip={**V4, "protocol": 6, "bytes": 36, "ttl": 64, "id": 0xABCD, "fragment": 0x2000},
    ),
    vector(
        "ipv4-later-fragment",
        f"""
        45 00 00 20 ab cd     # total length 32, identification
        60 b9                 # don't fragment, more fragments, offset 185 * 8
        40 11 00 00
        {FROM_A_TO_B}
        {UDP}""",
        link_type=228,
        layers=[("ipv4", 0)],
        stop="fragment",
        stop_layer="ipv4",
        stop_offset=0,
        ip={**V4, "protocol": 17, "bytes": 32, "ttl": 64, "id": 0xABCD, "fragment": 0x60B9},
    ),
    vector(
        "ipv4-reserved-flag",
        f"45 00 00 20 00 00 80 00 40 11 00 00 {FROM_A_TO_B} {UDP}",
        link_type=228,
        layers=[("ipv4", 0), ("udp", 20)],
        stop_offset=20,
        ip={**V4, **UDP_PORTS, "protocol": 17, "bytes": 32, "ttl": 64},
        payload=(28, 4),
    ),
    vector(
        "ipv6-extension-headers",
        f"""
        60 01 23 45           # flow label 0x12345
        00 34 00 40           # payload length 52, hop-by-hop options, hop limit 64
        {V6_FROM_A_TO_B}
        2b 00 05 02 00 00 01 00  # next routing; router alert, PadN
        3c 02 04 00 00 00 00 00  # next destination options; 24 octets, type 4, none left
        20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01
        11 00 01 04 00 00 00 00  # next UDP; PadN
        {UDP}""",
        link_type=229,
        layers=[("ipv6", 0), ("udp", 80)],
        stop_offset=80,
        ip={**V6, **UDP_PORTS, "protocol": 17, "bytes": 92, "ttl": 64},
        payload=(88, 4),
    ),
    vector(
        "ipv6-no-next-header",
        f"60 00 00 00 00 08 3c 40 {V6_FROM_A_TO_B} 3b 00 01 04 00 00 00 00",
        link_type=229,
        layers=[("ipv6", 0)],
        stop_offset=0,
        ip={**V6, "protocol": 59, "bytes": 48, "ttl": 64},
    ),
    vector(
        "ipv6-jumbo",
        f"60 00 00 00 00 00 11 40 {V6_FROM_A_TO_B} 03 e8 03 e9 00 00 00 00 61",
        missing=200_000,
        link_type=229,
        layers=[("ipv6", 0), ("udp", 40)],
        stop_offset=40,
        ip={**V6, **UDP_PORTS, "protocol": 17, "bytes": 200_049, "ttl": 64},
        payload=(48, 200_001),
    ),
    vector(
        "ipv6-other-version",
        f"40 00 00 00 00 00 3b 40 {V6_FROM_A_TO_B}",
        link_type=229,
        layers=[],
        stop="malformed",
        stop_layer="ipv6",
        stop_offset=0,
    ),
    vector(
        "ipv6-first-fragment",
        f"""
        60 00 00 00 00 14 2c 40  # payload length 20, fragment header
        {V6_FROM_A_TO_B}
        11 00 00 01           # UDP, offset 0, more fragments
        00 01 e2 40           # identification 123456
        03 e8 03 e9 07 d0 12 34  # UDP of 2000 octets
        61 62 63 64""",
        link_type=229,
        layers=[("ipv6", 0), ("udp", 48)],
        stop_offset=48,
        ip={
            **V6,
            **UDP_PORTS,
            "protocol": 17,
            "bytes": 60,
            "ttl": 64,
            "id": 123_456,
            "fragment": 0x2000,
        },
        payload=(56, 4),
    ),
    vector(
        "ipv6-first-fragment-ends-in-udp",
        f"""
        60 00 00 00 00 0c 2c 40 {V6_FROM_A_TO_B}
        11 00 00 01 00 01 e2 40  # UDP, more fragments
        03 e8 03 e9           # ports and no more""",
        link_type=229,
        layers=[("ipv6", 0)],
        stop="fragment",
        stop_layer="udp",
        stop_offset=48,
        ip={**V6, "protocol": 17, "bytes": 52, "ttl": 64, "id": 123_456, "fragment": 0x2000},
    ),
    vector(
        "ipv6-later-fragment",
        f"""
        60 00 00 00 00 10 2c 40 {V6_FROM_A_TO_B}
        06 00 05 a8 00 01 e2 40  # TCP, offset 1448 octets, the last
        00 00 00 00 00 00 00 00""",
        link_type=229,
        layers=[("ipv6", 0)],
        stop="fragment",
        stop_layer="ipv6",
        stop_offset=0,
        ip={**V6, "protocol": 6, "bytes": 56, "ttl": 64, "id": 123_456, "fragment": 181},
    ),
    vector(
        "ipv6-atomic-fragment",
        f"60 00 00 00 00 14 2c 40 {V6_FROM_A_TO_B} 11 00 00 00 00 00 00 05 {UDP}",
        link_type=229,
        layers=[("ipv6", 0), ("udp", 48)],
        stop_offset=48,
        ip={**V6, **UDP_PORTS, "protocol": 17, "bytes": 60, "ttl": 64, "id": 5},
        payload=(56, 4),
    ),
    vector(
        "ipv6-extension-beyond-the-payload",
        f"60 00 00 00 00 10 00 40 {V6_FROM_A_TO_B} 3b 02 01 0c 00 00 00 00 {'00 ' * 16}",
        link_type=229,
        layers=[("ipv6", 0)],
        stop="malformed",
        stop_layer="ipv6",
        stop_offset=0,
        ip={**V6, "bytes": 56, "ttl": 64},
    ),
    vector(
        "ipv6-eight-extension-headers",
        f"""60 00 00 00 00 4c 3c 40 {V6_FROM_A_TO_B}
        {"3c 00 01 04 00 00 00 00 " * 7} 11 00 01 04 00 00 00 00 {UDP}""",
        link_type=229,
        layers=[("ipv6", 0), ("udp", 104)],
        stop_offset=104,
        ip={**V6, **UDP_PORTS, "protocol": 17, "bytes": 116, "ttl": 64},
        payload=(112, 4),
    ),
    vector(
        "ipv6-nine-extension-headers",
        f"""60 00 00 00 00 54 3c 40 {V6_FROM_A_TO_B}
        {"3c 00 01 04 00 00 00 00 " * 8} 11 00 01 04 00 00 00 00 {UDP}""",
        link_type=229,
        layers=[("ipv6", 0)],
        stop="too_deep",
        stop_layer="ipv6",
        stop_offset=0,
        ip={**V6, "protocol": 60, "bytes": 124, "ttl": 64},
    ),
]
