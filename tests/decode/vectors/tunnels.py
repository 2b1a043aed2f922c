# SPDX-License-Identifier: Apache-2.0
"""Geneve (RFC 8926), VXLAN (RFC 7348), VXLAN-GPE, and what shares their ports."""

from __future__ import annotations

from .vector import vector

IPV4, IPV6 = 228, 229
V4 = {"version": 4, "source": "10.0.0.1", "destination": "10.0.0.2"}
CARRIER = {**V4, "source_port": 40000, "ip_offset": 0, "header_offset": 28}
GENEVE = {**CARRIER, "kind": "geneve", "destination_port": 6081}
VXLAN = {**CARRIER, "kind": "vxlan", "destination_port": 4789, "flags": 0x08000000}
GPE = {**CARRIER, "kind": "vxlan-gpe", "destination_port": 4790}

INNER_ETHERNET = """
    02 00 00 00 00 0d     # inner destination
    02 00 00 00 00 0c     # inner source
"""
LINK = ("02:00:00:00:00:0c", "02:00:00:00:00:0d")
"""The only Ethernet header is the inner one: the frames begin with IP."""

INNER = """
    45 00 00 1e 00 01 00 00 3f 11 00 00  # total length 30, TTL 63, UDP
    c0 a8 00 01 c0 a8 00 02  # 192.168.0.1 > 192.168.0.2
    03 e8 03 e9 00 0a 00 00 61 62  # 1000 > 1001, length 10, payload of 2
"""
INNER_BYTES = 30


def inner(offset):
    """What the octets above give where they begin at `offset`."""
    return {
        "stop_offset": offset + 20,
        "inner": {
            "version": 4,
            "protocol": 17,
            "source": "192.168.0.1",
            "destination": "192.168.0.2",
            "source_port": 1000,
            "destination_port": 1001,
            "offset": offset,
            "bytes": INNER_BYTES,
            "ttl": 63,
            "id": 1,
        },
        "payload": (offset + 28, 2),
    }


def over_udp(
    name,
    port,
    text,
    *,
    size=None,
    ip=True,
    ports=True,
    udp_bytes=None,
    checksum=0xBEEF,
    flags=0,
    **expected,
):
    """A vector of what IPv4 and UDP carry to `port`.

    size: octets that the lengths tell, where that is not all of them.  ip: whether there is no
    inner IP header, so that the outer one is `inner` too.  ports: whether its ports are told.
    checksum: of UDP, which nothing verifies; 0 says that there is none.
    """
    octets = bytes.fromhex("".join(line.partition("#")[0] for line in text.splitlines()))
    size = len(octets) if size is None else size
    udp_bytes = 8 + size if udp_bytes is None else udp_bytes
    total = 28 + size
    header = bytes.fromhex(
        f"45 00 {total:04x} 00 07 {flags:04x} 40 11 00 00 0a 00 00 01 0a 00 00 02"
        f"9c 40 {port:04x} {udp_bytes:04x} {checksum:04x}"
    )
    outer = {**V4, "protocol": 17}
    if ports:
        outer |= {"source_port": 40000, "destination_port": port}
    if ip:
        expected["ip"] = {**outer, "bytes": total, "ttl": 64, "id": 7, "fragment": flags}
        expected.setdefault("payload", (28, size))
    else:
        expected["outer"] = outer
    expected["layers"] = [("ipv4", 0), ("udp", 20), *expected["layers"]]
    return vector(name, header + octets, link_type=IPV4, **expected)


GENEVE_VECTORS = [
    over_udp(
        "geneve-ethernet",
        6081,
        f"""
        00 00 65 58           # version 0, no options, Ethernet
        00 03 e8 00           # VNI 1000
        {INNER_ETHERNET} 08 00 {INNER}""",
        ip=False,
        layers=[("geneve", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        tunnels=[{**GENEVE, "vni": 1000, "flags": 0x00006558, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "geneve-ovn",
        6081,
        f"""
        02 40 65 58           # 8 octets of options, critical
        00 00 05 00           # VNI 5
        01 02 80 01           # OVN, type 0 critical, 4 octets
        00 03 00 02           # logical ports 3 and 2
        {INNER_ETHERNET} 08 00 {INNER}""",
        ip=False,
        layers=[("geneve", 28), ("ethernet", 44), ("ipv4", 58), ("udp", 78)],
        link=LINK,
        tunnels=[
            {
                **GENEVE,
                "vni": 5,
                "flags": 0x02406558,
                "overhead_bytes": 58,
                "options": [(0x0102, 0x80, 40, 4)],
            }
        ],
        **inner(58),
    ),
    over_udp(
        "geneve-ipv4-two-options",
        6081,
        f"""
        05 00 08 00           # 20 octets of options, IPv4
        00 00 00 00           # VNI 0
        01 08 01 02           # AWS, type 1, 8 octets
        11 11 11 11 22 22 22 22
        ff ff 7f 01 33 33 33 33  # experimental, type 127, 4 octets
        {INNER}""",
        ip=False,
        findings=["G17"],
        layers=[("geneve", 28), ("ipv4", 56), ("udp", 76)],
        tunnels=[
            {
                **GENEVE,
                "vni": 0,
                "flags": 0x05000800,
                "overhead_bytes": 56,
                "options": [(0x0108, 1, 40, 8), (0xFFFF, 127, 52, 4)],
            }
        ],
        **inner(56),
    ),
    over_udp(
        "geneve-empty-options",
        6081,
        f"02 00 08 00 00 00 01 00 01 01 01 00 01 01 02 00  # two without data\n {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 44), ("udp", 64)],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x02000800,
                "overhead_bytes": 44,
                "options": [(0x0101, 1, 40, 0), (0x0101, 2, 44, 0)],
            }
        ],
        **inner(44),
    ),
    over_udp(
        "geneve-unknown-protocol",
        6081,
        "00 00 88 cc 00 00 01 00 02 07",
        findings=["G10"],
        layers=[("geneve", 28), ("ethertype-0x88cc", 36)],
        stop="unsupported",
        stop_layer="ethertype-0x88cc",
        stop_offset=36,
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x000088CC, "overhead_bytes": 36}],
    ),
    over_udp(
        "geneve-protocol-below-0600",
        6081,
        "00 00 00 00 00 00 01 00 02 07",
        findings=["G18"],
        layers=[("geneve", 28), ("ethertype-0x0000", 36)],
        stop="unsupported",
        stop_layer="ethertype-0x0000",
        stop_offset=36,
        tunnels=[{**GENEVE, "vni": 1, "flags": 0, "overhead_bytes": 36}],
    ),
    over_udp(
        "geneve-version-1",
        6081,
        f"40 00 08 00 00 00 01 00 {INNER}",
        layers=[("geneve", 28)],
        stop="unsupported",
        stop_layer="geneve",
        stop_offset=28,
        findings=["G01"],
    ),
    over_udp(
        "geneve-short-header",
        6081,
        "00 00 65 58 00 00 01",
        layers=[],
        stop="malformed",
        stop_layer="geneve",
        stop_offset=28,
        findings=["G02"],
    ),
    over_udp(
        "geneve-options-beyond-udp",
        6081,
        """
        04 00 65 58 00 00 01 00  # 16 octets of options, of which 12 are there
        01 02 01 01 aa aa aa aa
        01 02 02 01""",
        layers=[("geneve", 28)],
        stop="malformed",
        stop_layer="geneve",
        stop_offset=28,
        findings=["G02"],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x04006558,
                "overhead_bytes": 48,
                "options": [],
            }
        ],
    ),
    over_udp(
        "geneve-options-not-captured",
        6081,
        """
        04 00 65 58 00 00 01 00  # 16 octets of options, of which 12 were captured
        01 02 01 01 aa aa aa aa
        01 02 02 01""",
        size=100,
        missing=80,
        layers=[("geneve", 28)],
        stop="truncated",
        stop_layer="geneve",
        stop_offset=28,
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x04006558,
                "overhead_bytes": 52,
                "options": [(0x0102, 1, 40, 4)],
            }
        ],
    ),
    over_udp(
        "geneve-option-runs-past",
        6081,
        f"""
        03 00 08 00 00 00 01 00  # 12 octets of options
        01 02 01 01 aa aa aa aa
        01 02 02 01           # 4 octets of data, none left
        {INNER}""",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 48), ("udp", 68)],
        findings=["G03"],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x03000800,
                "overhead_bytes": 48,
                "options": [(0x0102, 1, 40, 4)],
            }
        ],
        **inner(48),
    ),
    over_udp(
        "geneve-critical-option-without-c",
        6081,
        f"01 00 08 00 00 00 01 00 01 02 80 00 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 40), ("udp", 60)],
        findings=["G05"],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x01000800,
                "overhead_bytes": 40,
                "options": [(0x0102, 0x80, 40, 0)],
            }
        ],
        **inner(40),
    ),
    over_udp(
        "geneve-unknown-critical-option",
        6081,
        f"01 40 08 00 00 00 01 00 01 02 90 00 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 40), ("udp", 60)],
        findings=["G07"],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x01400800,
                "overhead_bytes": 40,
                "options": [(0x0102, 0x90, 40, 0)],
            }
        ],
        **inner(40),
    ),
    over_udp(
        "geneve-without-udp-checksum",
        6081,
        f"00 00 08 00 00 00 01 00 {INNER}",
        checksum=0,
        ip=False,
        layers=[("geneve", 28), ("ipv4", 36), ("udp", 56)],
        findings=["G13"],
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x00000800, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "vxlan-header-on-the-geneve-port",
        6081,
        f"""
        08 00 00 00           # VXLAN's I flag; as Geneve 32 octets of options and no protocol
        00 00 07 00           # VNI 7
        {INNER_ETHERNET} 08 00 {INNER}""",
        layers=[("geneve", 28), ("ethertype-0x0000", 68)],
        stop="unsupported",
        stop_layer="ethertype-0x0000",
        stop_offset=68,
        findings=["G03", "G19"],
        tunnels=[
            {
                **GENEVE,
                "vni": 7,
                "flags": 0x08000000,
                "overhead_bytes": 68,
                "options": [(0x0200, 0, 40, 0), (0x000D, 2, 44, 0)],
            }
        ],
    ),
    over_udp(
        "geneve-c-without-critical-option",
        6081,
        f"01 40 08 00 00 00 01 00 01 02 00 00 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 40), ("udp", 60)],
        findings=["G06"],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x01400800,
                "overhead_bytes": 40,
                "options": [(0x0102, 0, 40, 0)],
            }
        ],
        **inner(40),
    ),
    over_udp(
        "geneve-c-without-options",
        6081,
        f"00 40 08 00 00 00 01 00 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 36), ("udp", 56)],
        findings=["G06"],
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x00400800, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "geneve-reserved-bits-and-oam",
        6081,
        f"00 81 08 00 00 00 01 00  # O set, lowest reserved bit set\n {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 36), ("udp", 56)],
        findings=["G08", "G09"],
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x00810800, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "geneve-reserved-octet",
        6081,
        f"00 00 08 00 00 00 01 01 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 36), ("udp", 56)],
        findings=["G08"],
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x00000800, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "geneve-reserved-bits-of-an-option",
        6081,
        f"01 00 08 00 00 00 01 00 01 02 00 20 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 40), ("udp", 60)],
        findings=["G08"],
        tunnels=[
            {
                **GENEVE,
                "vni": 1,
                "flags": 0x01000800,
                "overhead_bytes": 40,
                "options": [(0x0102, 0, 40, 0)],
            }
        ],
        **inner(40),
    ),
    over_udp(
        "geneve-arp-inside",
        6081,
        f"""00 00 65 58 00 00 01 00
        {INNER_ETHERNET} 81 00 00 05 08 06  # VLAN 5, ARP
        00 01 08 00 06 04 00 02 02 00 00 00 00 0c 0a 00 00 01 02 00 00 00 00 0d 0a 00 00 02""",
        layers=[("geneve", 28), ("ethernet", 36), ("vlan", 50), ("arp", 54)],
        stop_offset=54,
        link=LINK,
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x00006558, "overhead_bytes": 54}],
    ),
    over_udp(
        "geneve-inner-ethernet-cut",
        6081,
        "00 00 65 58 00 00 01 00 02 00 00 00 00 0d",
        layers=[("geneve", 28)],
        stop="malformed",
        stop_layer="ethernet",
        stop_offset=36,
        tunnels=[{**GENEVE, "vni": 1, "flags": 0x00006558, "overhead_bytes": 36}],
    ),
    over_udp(
        "geneve-moved-port",
        6083,
        f"01 00 08 00 00 00 01 00 01 02 00 00 {INNER}",
        ip=False,
        layers=[("geneve", 28), ("ipv4", 40), ("udp", 60)],
        tunnels=[
            {
                **GENEVE,
                "destination_port": 6083,
                "vni": 1,
                "flags": 0x01000800,
                "overhead_bytes": 40,
                "options": [(0x0102, 0, 40, 0)],
            }
        ],
        **inner(40),
    ),
    over_udp(
        "geneve-moved-port-but-not-geneve",
        6082,
        f"00 00 08 00 00 00 01 01 {INNER}  # a reserved bit: something else",
        layers=[],
        stop_offset=20,
    ),
    over_udp(
        "geneve-moved-port-options-run-past",
        6089,
        f"01 00 08 00 00 00 01 00 01 02 00 01 {INNER}",
        layers=[],
        stop_offset=20,
    ),
    over_udp(
        "geneve-moved-port-other-protocol",
        6084,
        "00 00 88 47 00 00 01 00 00 00 00 00",
        layers=[],
        stop_offset=20,
    ),
    over_udp("geneve-moved-port-short", 6085, "00 00 08 00", layers=[], stop_offset=20),
    over_udp(
        "geneve-in-a-first-fragment",
        6081,
        "02 00 65 58 00 00 01 00 01 02 00 00  # 8 octets of options, 4 of them in this fragment",
        udp_bytes=2000,
        flags=0x2000,
        findings=["G15"],
        layers=[("geneve", 28)],
        stop="fragment",
        stop_layer="geneve",
        stop_offset=28,
        ports=False,
        payload=(0, 0),
    ),
    vector(
        "geneve-over-ipv6",
        f"""
        60 00 00 00 00 2e 11 40  # payload length 46, UDP
        fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01
        fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02
        9c 40 17 c1 00 2e 00 00  # 40000 > 6081, length 46
        00 00 08 00 00 00 01 00
        {INNER}""",
        link_type=IPV6,
        findings=["G14"],
        layers=[("ipv6", 0), ("udp", 40), ("geneve", 48), ("ipv4", 56), ("udp", 76)],
        outer={
            "version": 6,
            "protocol": 17,
            "source": "fd00::1",
            "destination": "fd00::2",
            "source_port": 40000,
            "destination_port": 6081,
        },
        tunnels=[
            {
                "kind": "geneve",
                "vni": 1,
                "version": 6,
                "source": "fd00::1",
                "destination": "fd00::2",
                "source_port": 40000,
                "destination_port": 6081,
                "ip_offset": 0,
                "header_offset": 48,
                "flags": 0x00000800,
                "overhead_bytes": 56,
            }
        ],
        **inner(56),
    ),
]

VXLAN_VECTORS = [
    over_udp(
        "vxlan",
        4789,
        f"08 00 00 00 00 03 e8 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        tunnels=[{**VXLAN, "vni": 1000, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-linux-port-inner-vlan",
        8472,
        f"08 00 00 00 ff ff ff 00 {INNER_ETHERNET} 81 00 00 02 08 00 {INNER}",
        ip=False,
        findings=["V09"],
        layers=[("vxlan", 28), ("ethernet", 36), ("vlan", 50), ("ipv4", 54), ("udp", 74)],
        link=LINK,
        tunnels=[{**VXLAN, "destination_port": 8472, "vni": 0xFFFFFF, "overhead_bytes": 54}],
        **inner(54),
    ),
    over_udp(
        "vxlan-without-i",
        4789,
        f"00 00 00 00 00 00 07 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        findings=["V01"],
        tunnels=[{**VXLAN, "vni": 7, "flags": 0, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-reserved-bits",
        4789,
        f"08 00 00 01 00 00 07 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        findings=["V02"],
        tunnels=[{**VXLAN, "vni": 7, "flags": 0x08000001, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-reserved-octet",
        4789,
        f"08 00 00 00 00 00 07 80 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        findings=["V02"],
        tunnels=[{**VXLAN, "vni": 7, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-group-policy",
        4789,
        f"88 48 00 2a 00 00 07 00  # G, I; D, A; group 42\n {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        findings=["V06"],
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        tunnels=[{**VXLAN, "vni": 7, "flags": 0x8848002A, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-group-policy-reserved",
        4789,
        f"88 01 00 2a 00 00 07 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        findings=["V02", "V06"],
        tunnels=[{**VXLAN, "vni": 7, "flags": 0x8801002A, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "geneve-header-on-the-vxlan-port",
        4789,
        f"00 00 65 58 00 03 e8 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        findings=["V01", "V02", "V11"],
        tunnels=[{**VXLAN, "vni": 1000, "flags": 0x00006558, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-gpe-flags-on-the-vxlan-port",
        4789,
        f"0c 00 00 03 00 00 07 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        findings=["V02", "V07"],
        tunnels=[{**VXLAN, "vni": 7, "flags": 0x0C000003, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-gso-inner-longer-than-outer",
        4789,
        f"""08 00 00 00 00 00 07 00 {INNER_ETHERNET} 08 00
        45 00 ff ff 00 00 00 00 40 06 00 00 c0 a8 00 01 c0 a8 00 02
        9c 40 00 50 00 00 00 01 00 00 00 02 50 10 01 f6 00 00 00 00""",
        missing=1000,
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("ipv4", 50), ("tcp", 70)],
        stop_offset=70,
        link=LINK,
        inner={
            "version": 4,
            "protocol": 6,
            "source": "192.168.0.1",
            "destination": "192.168.0.2",
            "source_port": 40000,
            "destination_port": 80,
            "offset": 50,
            "bytes": 1040,
            "ttl": 64,
        },
        payload=(90, 1000),
        tcp={"flags": 0x010, "sequence": 1, "acknowledgment": 2, "window": 502},
        tunnels=[{**VXLAN, "vni": 7, "overhead_bytes": 50}],
    ),
    over_udp(
        "vxlan-inner-ipv4-other-version",
        4789,
        f"08 00 00 00 00 00 07 00 {INNER_ETHERNET} 08 00 {'55 ' * 20}",
        layers=[("vxlan", 28), ("ethernet", 36)],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=50,
        link=LINK,
        tunnels=[{**VXLAN, "vni": 7, "overhead_bytes": 50}],
    ),
    over_udp(
        "vxlan-in-geneve",
        6081,
        f"""00 00 08 00 00 00 05 00  # Geneve, VNI 5, IPv4
        45 00 00 50 00 00 00 00 40 11 00 00 ac 10 00 01 ac 10 00 02
        30 39 12 b5 00 3c 00 00  # 12345 > 4789
        08 00 00 00 00 00 06 00  # VXLAN, VNI 6
        {INNER_ETHERNET} 08 00 {INNER}""",
        ip=False,
        layers=[
            ("geneve", 28),
            ("ipv4", 36),
            ("udp", 56),
            ("vxlan", 64),
            ("ethernet", 72),
            ("ipv4", 86),
            ("udp", 106),
        ],
        link=LINK,
        tunnels=[
            {**GENEVE, "vni": 5, "flags": 0x00000800, "overhead_bytes": 36},
            {
                "kind": "vxlan",
                "vni": 6,
                "version": 4,
                "source": "172.16.0.1",
                "destination": "172.16.0.2",
                "source_port": 12345,
                "destination_port": 4789,
                "ip_offset": 36,
                "header_offset": 64,
                "flags": 0x08000000,
                "overhead_bytes": 50,
            },
        ],
        **inner(86),
    ),
    over_udp(
        "vxlan-in-a-fragment-in-geneve",
        6081,
        """00 00 08 00 00 00 05 00  # Geneve, VNI 5, IPv4
        45 00 00 2a 00 09 20 00 40 11 00 00 ac 10 00 01 ac 10 00 02  # first fragment of 42
        30 39 12 b5 05 00 00 00  # 12345 > 4789, length 1280
        08 00 00 00 00 00 06 00  # VXLAN, VNI 6
        02 00 00 00 00 0d     # the fragment ends in the inner Ethernet header""",
        ip=False,
        findings=["V08"],
        layers=[("geneve", 28), ("ipv4", 36), ("udp", 56), ("vxlan", 64)],
        stop="fragment",
        stop_layer="ethernet",
        stop_offset=72,
        inner={
            "version": 4,
            "protocol": 17,
            "source": "172.16.0.1",
            "destination": "172.16.0.2",
            "offset": 36,
            "bytes": 42,
            "ttl": 64,
            "id": 9,
            "fragment": 0x2000,
        },
        tunnels=[{**GENEVE, "vni": 5, "flags": 0x00000800, "overhead_bytes": 36}],
    ),
    over_udp(
        "vxlan-by-source-port-only",
        40001,
        "08 00 00 00 00 00 06 00",
        layers=[],
        stop_offset=20,
    ),
]

GPE_VECTORS = [
    over_udp(
        "vxlan-gpe-ipv4",
        4790,
        f"0c 00 00 01 00 00 07 00 {INNER}",
        ip=False,
        layers=[("vxlan-gpe", 28), ("ipv4", 36), ("udp", 56)],
        tunnels=[{**GPE, "vni": 7, "flags": 0x0C000001, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "vxlan-gpe-without-p",
        4790,
        f"08 00 00 00 00 00 07 00 {INNER_ETHERNET} 08 00 {INNER}",
        ip=False,
        layers=[("vxlan-gpe", 28), ("ethernet", 36), ("ipv4", 50), ("udp", 70)],
        link=LINK,
        tunnels=[{**GPE, "vni": 7, "flags": 0x08000000, "overhead_bytes": 50}],
        **inner(50),
    ),
    over_udp(
        "vxlan-gpe-without-i",
        4790,
        f"04 00 00 01 00 00 07 00 {INNER}",
        ip=False,
        layers=[("vxlan-gpe", 28), ("ipv4", 36), ("udp", 56)],
        findings=["V01"],
        tunnels=[{**GPE, "flags": 0x04000001, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "vxlan-gpe-reserved",
        4790,
        f"8f 00 10 01 00 00 07 00 {INNER}",
        ip=False,
        layers=[("vxlan-gpe", 28), ("ipv4", 36), ("udp", 56)],
        findings=["V02"],
        tunnels=[{**GPE, "vni": 7, "flags": 0x8F001001, "overhead_bytes": 36}],
        **inner(36),
    ),
    over_udp(
        "vxlan-gpe-mpls",
        4790,
        f"0c 00 00 05 00 00 07 00 00 01 01 40 {INNER}",
        ip=False,
        layers=[("vxlan-gpe", 28), ("mpls", 36), ("ipv4", 40), ("udp", 60)],
        tunnels=[{**GPE, "vni": 7, "flags": 0x0C000005, "overhead_bytes": 40}],
        **inner(40),
    ),
    over_udp(
        "vxlan-gpe-unknown-next",
        4790,
        "0c 00 00 80 00 00 07 00 00",
        layers=[("vxlan-gpe", 28), ("next-protocol-128", 36)],
        stop="unsupported",
        stop_layer="next-protocol-128",
        stop_offset=36,
        tunnels=[{**GPE, "vni": 7, "flags": 0x0C000080, "overhead_bytes": 36}],
    ),
    over_udp(
        "vxlan-gpe-version-1",
        4790,
        f"1c 00 00 01 00 00 07 00 {INNER}",
        layers=[("vxlan-gpe", 28)],
        stop="unsupported",
        stop_layer="vxlan-gpe",
        stop_offset=28,
    ),
]

VECTORS = GENEVE_VECTORS + VXLAN_VECTORS + GPE_VECTORS
