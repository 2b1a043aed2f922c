# SPDX-License-Identifier: Apache-2.0
"""NSH (RFC 8300), in VXLAN-GPE, in GRE and over Ethernet."""

from __future__ import annotations

from .tunnels import CARRIER, INNER, INNER_ETHERNET, LINK, V4, inner, over_udp
from .vector import ETHERNET, octets, vector

GPE = {**CARRIER, "kind": "vxlan-gpe", "destination_port": 4790, "vni": 66, "flags": 0x0C000004}
IN_GPE = "0c 00 00 04 00 00 42 00  # GPE: I, P; NSH\n"
MD_1 = """
    0f c6 01 01           # TTL 63, 6 words, MD type 1, IPv4
    00 00 2a ff           # service path 42, index 255
    00 00 00 01 00 00 00 02 00 00 00 03 00 00 00 04
"""
PLAIN = "02:00:00:00:00:0c", "02:00:00:00:00:0d"


def gpe(name, text, *layers, overhead, **expected):
    return over_udp(
        name,
        4790,
        f"{IN_GPE} {text}",
        layers=[("vxlan-gpe", 28), *layers],
        tunnels=[{**GPE, "overhead_bytes": overhead}],
        **expected,
    )


VECTORS = [
    gpe(
        "nsh-in-gpe",
        f"{MD_1} {INNER}",
        ("nsh", 36),
        ("ipv4", 60),
        ("udp", 80),
        overhead=60,
        ip=False,
        **inner(60),
    ),
    gpe(
        "nsh-in-gpe-ethernet",
        f"0f c2 02 03 00 00 2a ff  # MD type 2 without metadata, Ethernet\n"
        f"{INNER_ETHERNET} 08 00 {INNER}",
        ("nsh", 36),
        ("ethernet", 44),
        ("ipv4", 58),
        ("udp", 78),
        overhead=58,
        ip=False,
        link=LINK,
        **inner(58),
    ),
    gpe(
        "nsh-variable-metadata",
        f"""
        0f c4 02 01 00 00 2a ff
        01 00 05 03           # class 256, type 5, 3 octets
        aa bb cc 00           # and 1 of padding
        {INNER}""",
        ("nsh", 36),
        ("ipv4", 52),
        ("udp", 72),
        overhead=52,
        ip=False,
        **inner(52),
    ),
    gpe(
        "nsh-in-nsh",
        f"0f c2 02 04 00 00 01 ff {MD_1} {INNER}",
        ("nsh", 36),
        ("nsh", 44),
        ("ipv4", 68),
        ("udp", 88),
        overhead=68,
        ip=False,
        **inner(68),
    ),
    gpe(
        "nsh-unknown-next-protocol",
        "0f c2 02 09 00 00 2a ff 01",
        ("nsh", 36),
        ("next-protocol-9", 44),
        overhead=44,
        stop="unsupported",
        stop_layer="next-protocol-9",
        stop_offset=44,
    ),
    gpe(
        "nsh-version-1",
        "4f c2 02 01 00 00 2a ff 45",
        ("nsh", 36),
        overhead=36,
        stop="unsupported",
        stop_layer="nsh",
        stop_offset=36,
    ),
    gpe(
        "nsh-length-below-the-header",
        "0f c1 02 01 00 00 2a ff 45",
        ("nsh", 36),
        overhead=36,
        stop="malformed",
        stop_layer="nsh",
        stop_offset=36,
    ),
    gpe(
        "nsh-length-beyond-the-packet",
        "0f c3 02 01 00 00 2a ff 45",
        ("nsh", 36),
        overhead=36,
        stop="malformed",
        stop_layer="nsh",
        stop_offset=36,
    ),
    vector(
        "nsh-over-ethernet",
        octets(f"02 00 00 00 00 0d 02 00 00 00 00 0c 89 4f {MD_1} {INNER}"),
        link_type=ETHERNET,
        layers=[("ethernet", 0), ("nsh", 14), ("ipv4", 38), ("udp", 58)],
        stop_offset=58,
        link=PLAIN,
        ip=inner(38)["inner"],
        payload=(66, 2),
    ),
    vector(
        "nsh-in-gre",
        octets(f"""
        45 00 00 4e 00 07 00 00 40 2f 00 00 0a 00 00 01 0a 00 00 02
        00 00 89 4f {MD_1} {INNER}"""),
        link_type=228,
        layers=[("ipv4", 0), ("gre", 20), ("nsh", 24), ("ipv4", 48), ("udp", 68)],
        outer={**V4, "protocol": 47},
        tunnels=[
            {
                **V4,
                "kind": "gre",
                "source_port": -1,
                "destination_port": -1,
                "ip_offset": 0,
                "header_offset": 20,
                "flags": 0x0000894F,
                "overhead_bytes": 48,
            }
        ],
        **inner(48),
    ),
]
