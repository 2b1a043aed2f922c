# SPDX-License-Identifier: Apache-2.0
"""GRE (RFC 2784, RFC 2890, RFC 8086), PPTP (RFC 2637), NVGRE (RFC 7637), ERSPAN, WCCP."""

from __future__ import annotations

from tests.build import packets

from .tunnels import INNER, INNER_BYTES, INNER_ETHERNET, LINK, V4, inner
from .vector import octets, vector

IPV4 = 228
NO_PORTS = {"source_port": -1, "destination_port": -1}
ETHERNET = f"{INNER_ETHERNET} 08 00 {INNER}"


def row(kind, flags, overhead, **columns):
    """A tunnel row of a header at 20, behind an IPv4 header without options."""
    return {
        **V4,
        **NO_PORTS,
        "kind": kind,
        "ip_offset": 0,
        "header_offset": 20,
        "flags": flags,
        "overhead_bytes": overhead,
        **columns,
    }


def over_ip(name, text, *, ip=False, **expected):
    """A vector of what IPv4 carries as protocol 47; ip: whether no IP header is inside."""
    carried = octets(text)
    total = 20 + len(carried)
    header = octets(f"45 00 {total:04x} 00 07 00 00 40 2f 00 00 0a 00 00 01 0a 00 00 02")
    outer = {**V4, "protocol": 47}
    if ip:
        expected["ip"] = {**outer, "bytes": total, "ttl": 64, "id": 7}
    expected["layers"] = [("ipv4", 0), *expected["layers"]]
    return vector(name, header + carried, link_type=IPV4, outer=outer, **expected)


def to_ip(name, text, kind, flags, end, **columns):
    """A vector whose header ends at `end` and is followed by IPv4."""
    return over_ip(
        name,
        f"{text} {INNER}",
        layers=[(kind, 20), ("ipv4", end), ("udp", end + 20)],
        tunnels=[row(kind, flags, end, **columns)],
        **inner(end),
    )


def to_ethernet(name, text, layers, tunnel, end):
    """A vector whose headers end at `end` and are followed by Ethernet and IPv4."""
    return over_ip(
        name,
        f"{text} {ETHERNET}",
        layers=[*layers, ("ethernet", end), ("ipv4", end + 14), ("udp", end + 34)],
        link=LINK,
        tunnels=[tunnel],
        **inner(end + 14),
    )


def stopped(name, text, stop, tunnel, *layers):
    """A vector that ends at ERSPAN's header at 28; layers: those that are listed besides GRE."""
    return over_ip(
        name,
        text,
        ip=True,
        layers=[("gre", 20), *layers],
        stop=stop,
        stop_layer="erspan",
        stop_offset=28,
        tunnels=[tunnel],
    )


def nested(count):
    """`count` GRE tunnels around a UDP packet."""
    carried = packets.ipv4(packets.udp(b"ab"))
    for _ in range(count):
        carried = packets.ipv4(b"\0\0\x08\0" + carried, 47)
    return carried


GRE_VECTORS = [
    to_ip("gre", "00 00 08 00  # no flags, version 0, IPv4", "gre", 0x00000800, 24),
    to_ip(
        "gre-checksum-key-sequence",
        """
        b0 00 08 00           # C, K, S
        12 34 00 00           # checksum, reserved 1
        00 00 00 2a           # key 42
        00 00 01 00           # sequence number 256""",
        "gre",
        0xB0000800,
        36,
        identifier=42,
    ),
    to_ip(
        "gre-sequence-only", "10 00 08 00 00 00 00 09  # S: no key", "gre", 0x10000800, 28
    ),
    to_ip("gre-reserved-flags", "0f f8 08 00  # s, Recur, Flags", "gre", 0x0FF80800, 24),
    to_ip(
        "gre-source-routes",
        """
        40 00 08 00           # R
        00 00 00 00           # checksum, offset
        08 00 04 08           # family 0x0800, offset 4, 8 octets
        0a 00 00 03 0a 00 00 04  # 10.0.0.3, 10.0.0.4
        00 00 00 00           # the last: no family, no length""",
        "gre",
        0x40000800,
        44,
    ),
    to_ip(
        "gre-wccp-1", "00 00 88 3e  # WCCP; what follows begins like IPv4", "gre", 0x0000883E, 24
    ),
    to_ip(
        "gre-wccp-2",
        "00 00 88 3e 05 59 00 48  # WCCP; service 89, alternative bucket 0, primary bucket 72",
        "gre",
        0x0000883E,
        28,
    ),
    to_ethernet(
        "gre-ethernet-without-key",
        "00 00 65 58  # gretap",
        [("gre", 20)],
        row("gre", 0x00006558, 38),
        24,
    ),
    to_ethernet(
        "gre-ethernet-with-key-and-sequence",
        "30 00 65 58 00 01 86 a5 00 00 00 01  # a sequence number: not NVGRE",
        [("gre", 20)],
        row("gre", 0x30006558, 46, identifier=0x000186A5),
        32,
    ),
    to_ethernet(
        "nvgre",
        """
        20 00 65 58           # K, Ethernet
        00 13 88 a5           # VSID 5000, flow 0xa5""",
        [("nvgre", 20)],
        row("nvgre", 0x20006558, 42, vni=5000, identifier=0x001388A5),
        28,
    ),
    over_ip(
        "gre-unknown-protocol",
        "00 00 00 00 01 02  # a Cisco keep-alive names no protocol",
        ip=True,
        layers=[("gre", 20), ("ethertype-0x0000", 24)],
        stop="unsupported",
        stop_layer="ethertype-0x0000",
        stop_offset=24,
        tunnels=[row("gre", 0, 24)],
    ),
    over_ip(
        "gre-pptp",
        """
        30 81 88 0b           # K, S, A, version 1, PPP
        00 04 00 17           # payload of 4, call 23
        00 00 00 05           # sequence number
        00 00 00 04           # acknowledgment number
        ff 03 c0 21           # PPP""",
        ip=True,
        layers=[("gre", 20), ("ethertype-0x880b", 36)],
        stop="unsupported",
        stop_layer="ethertype-0x880b",
        stop_offset=36,
        tunnels=[row("gre", 0x3081880B, 36)],
    ),
    over_ip(
        "gre-version-2",
        f"00 02 08 00 {INNER}",
        ip=True,
        layers=[("gre", 20)],
        stop="unsupported",
        stop_layer="gre",
        stop_offset=20,
    ),
    over_ip(
        "gre-key-beyond-the-packet",
        "20 00 08 00 00 00  # two octets of a key",
        ip=True,
        layers=[("gre", 20)],
        stop="malformed",
        stop_layer="gre",
        stop_offset=20,
    ),
    over_ip(
        "nvgre-key-beyond-the-packet",
        "20 00 65 58 00 00  # two octets of a key",
        ip=True,
        layers=[("nvgre", 20)],
        stop="malformed",
        stop_layer="nvgre",
        stop_offset=20,
    ),
    over_ip(
        "gre-route-beyond-the-packet",
        "40 00 08 00 00 00 00 00 08 00 04 09 0a 00 00 03 0a 00 00 04  # 9 octets, 8 are there",
        ip=True,
        layers=[("gre", 20)],
        stop="malformed",
        stop_layer="gre",
        stop_offset=20,
    ),
    over_ip(
        "gre-nine-routes",
        "40 00 08 00 00 00 00 00" + " 08 00 00 00" * 8 + f" 00 00 00 00 {INNER}",
        ip=True,
        layers=[("gre", 20)],
        stop="too_deep",
        stop_layer="gre",
        stop_offset=20,
    ),
    over_ip(
        "gre-wccp-2-beyond-the-packet",
        "00 00 88 3e 05 59",
        ip=True,
        layers=[("gre", 20)],
        stop="malformed",
        stop_layer="gre",
        stop_offset=20,
    ),
    over_ip(
        "gre-header-beyond-the-packet",
        "00 00",
        ip=True,
        layers=[],
        stop="malformed",
        stop_layer="gre",
        stop_offset=20,
    ),
    vector(
        "gre-nine-levels",
        nested(9),
        link_type=IPV4,
        layers=[
            *(
                (name, 24 * level + at)
                for level in range(8)
                for name, at in (("ipv4", 0), ("gre", 20))
            ),
            ("ipv4", 192),
        ],
        stop="too_deep",
        stop_layer="gre",
        stop_offset=212,
        outer={**V4, "protocol": 47},
        inner={**V4, "protocol": 47, "offset": 192, "bytes": 54, "ttl": 64},
        tunnels=[
            row("gre", 0x0800, 24, ip_offset=24 * level, header_offset=24 * level + 20)
            for level in range(8)
        ],
    ),
    vector(
        "gre-in-udp",
        octets(f"""
        45 00 00 3e 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02
        9c 40 12 92 00 2a 00 00  # 40000 > 4754 (RFC 8086)
        00 00 08 00 {INNER}"""),
        link_type=IPV4,
        layers=[("ipv4", 0), ("udp", 20), ("gre", 28), ("ipv4", 32), ("udp", 52)],
        outer={**V4, "protocol": 17, "source_port": 40000, "destination_port": 4754},
        tunnels=[
            row(
                "gre", 0x0800, 32, header_offset=28, source_port=40000, destination_port=4754
            )
        ],
        **inner(32),
    ),
    vector(
        "gre-in-udp-does-not-fit",
        octets(f"""
        45 00 00 3e 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02
        9c 40 12 92 00 2a 00 00
        00 00 00 2a {INNER}      # no EtherType"""),
        link_type=IPV4,
        layers=[("ipv4", 0), ("udp", 20)],
        stop_offset=20,
        ip={
            **V4, "protocol": 17, "source_port": 40000, "destination_port": 4754, "bytes": 62,
            "ttl": 64, "id": 7,
        },
        payload=(28, 34),
    ),
    vector(
        "vxlan-in-gre-in-vxlan",
        octets(f"""
        45 00 00 a4 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02
        9c 40 12 b5 00 90 00 00 08 00 00 00 00 00 07 00  # VXLAN, VNI 7
        02 00 00 00 00 0d 02 00 00 00 00 0c 08 00
        45 00 00 72 00 07 00 00 40 2f 00 00 0a 00 00 01 0a 00 00 02
        20 00 08 00 00 00 00 05  # GRE, key 5
        45 00 00 56 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02
        9c 40 12 b5 00 42 00 00 08 00 00 00 00 00 09 00  # VXLAN, VNI 9
        02 00 00 00 00 0d 02 00 00 00 00 0c 08 00 {INNER} 00 00 00 00 00 00"""),
        link_type=IPV4,
        layers=[
            ("ipv4", 0), ("udp", 20), ("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("gre", 70),
            ("ipv4", 78), ("udp", 98), ("vxlan", 106), ("ethernet", 114), ("ipv4", 128),
            ("udp", 148),
        ],
        link=LINK,
        outer={**V4, "protocol": 17, "source_port": 40000, "destination_port": 4789},
        tunnels=[
            row(
                "vxlan", 0x08000000, 50, vni=7, header_offset=28,
                source_port=40000, destination_port=4789,
            ),
            row("gre", 0x20000800, 28, ip_offset=50, header_offset=70, identifier=5),
            row(
                "vxlan", 0x08000000, 50, vni=9, ip_offset=78, header_offset=106,
                source_port=40000, destination_port=4789,
            ),
        ],
        **inner(128),
    ),
]  # fmt: skip

SECOND = "10 00 88 be 00 00 00 01  # GRE with a sequence number, ERSPAN\n"
THIRD = "10 00 22 eb 00 00 00 01  # GRE with a sequence number, ERSPAN III\n"

ERSPAN_VECTORS = [
    to_ethernet(
        "erspan-1",
        "00 00 88 be  # no sequence number: no header of ERSPAN",
        [("gre", 20), ("erspan", 24)],
        row("erspan", 0x000088BE, 38),
        24,
    ),
    to_ethernet(
        "erspan-2",
        f"""{SECOND}
        10 65 60 64           # version 1, VLAN 101, COS 3, untagged, session 100
        00 00 00 07           # index 7""",
        [("gre", 20), ("erspan", 28)],
        row("erspan", 0x100088BE, 50, identifier=0x10656064),
        36,
    ),
    to_ethernet(
        "erspan-3",
        f"""{THIRD}
        20 14 00 00           # version 2, VLAN 20, session 0
        00 0f 42 40           # time stamp
        00 05 80 04           # SGT 5, P, Ethernet, IEEE 1588""",
        [("gre", 20), ("erspan", 28)],
        row("erspan", 0x100022EB, 54, identifier=0x20140000),
        40,
    ),
    to_ethernet(
        "erspan-3-subheader",
        f"""{THIRD}
        20 14 04 01           # truncated, session 1
        00 00 00 00 00 00 00 01  # O: a subheader
        0c 00 00 00 00 00 00 00  # platform 3""",
        [("gre", 20), ("erspan", 28)],
        row("erspan", 0x100022EB, 62, identifier=0x20140401),
        48,
    ),
    over_ip(
        "erspan-3-ip",
        f"{THIRD} 20 14 00 02 00 00 00 00 00 00 08 00  # frame type 2\n {INNER}",
        layers=[("gre", 20), ("erspan", 28), ("ipv4", 40), ("udp", 60)],
        tunnels=[row("erspan", 0x100022EB, 40, identifier=0x20140002)],
        **inner(40),
    ),
    stopped(
        "erspan-3-ip-of-no-version",
        f"{THIRD} 20 14 00 02 00 00 00 00 00 00 08 00 05",
        "malformed",
        row("erspan", 0x100022EB, 40, identifier=0x20140002),
        ("erspan", 28),
    ),
    stopped(
        "erspan-3-ip-of-no-octets",
        f"{THIRD} 20 14 00 02 00 00 00 00 00 00 08 00",
        "malformed",
        row("erspan", 0x100022EB, 40, identifier=0x20140002),
        ("erspan", 28),
    ),
    stopped(
        "erspan-3-other-frame-type",
        f"{THIRD} 20 14 00 02 00 00 00 00 00 00 1c 00 01 02  # frame type 7",
        "unsupported",
        row("erspan", 0x100022EB, 40, identifier=0x20140002),
        ("erspan", 28),
    ),
    stopped(
        "erspan-unknown-version",
        f"{SECOND} 30 14 00 02 00 00 00 00",
        "unsupported",
        row("erspan", 0x100088BE, 28),
        ("erspan", 28),
    ),
    stopped(
        "erspan-2-beyond-the-packet",
        f"{SECOND} 10 65 60 64",
        "malformed",
        row("erspan", 0x100088BE, 28),
    ),
    stopped(
        "erspan-3-beyond-the-packet",
        f"{THIRD} 20 14 00 02 00 00 00 00",
        "malformed",
        row("erspan", 0x100022EB, 28, identifier=0x20140002),
        ("erspan", 28),
    ),
    stopped(
        "erspan-3-subheader-beyond-the-packet",
        f"{THIRD} 20 14 00 02 00 00 00 00 00 00 00 01 0c 00",
        "malformed",
        row("erspan", 0x100022EB, 28, identifier=0x20140002),
        ("erspan", 28),
    ),
]

assert INNER_BYTES == 30  # the lengths above count on it

VECTORS = [*GRE_VECTORS, *ERSPAN_VECTORS]
