# SPDX-License-Identifier: Apache-2.0
"""ESP (RFC 4303, RFC 3948), AH (RFC 4302), MACsec (IEEE 802.1AE), WireGuard, STT."""

from __future__ import annotations

from .ip_in_ip import V6_A_TO_B, ipip
from .tunnels import INNER, INNER_ETHERNET, LINK, V4, inner, over_udp
from .vector import ETHERNET, octets, vector

IPV4, IPV6 = 228, 229
V6 = {"version": 6, "source": "fd00::1", "destination": "fd00::2"}
UDP = "03 e8 03 e9 00 0a 00 00 61 62  # 1000 > 1001, length 10, payload of 2"
UDP_PORTS = {"source_port": 1000, "destination_port": 1001}
MACS = "02 00 00 00 00 0d 02 00 00 00 00 0c"
ICV_16 = "d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df"


def over_ip(name, protocol, text, *, ip=True, ports=None, **expected):
    """A vector of what IPv4 carries; ip: whether its header is the innermost one."""
    carried = octets(text)
    total = 20 + len(carried)
    header = octets(
        f"45 00 {total:04x} 00 07 00 00 40 {protocol:02x} 00 00 0a 00 00 01 0a 00 00 02"
    )
    outer = {**V4, "protocol": protocol, **(ports or {})}
    if ip:
        expected["ip"] = {**outer, "bytes": total, "ttl": 64, "id": 7}
    else:
        expected["outer"] = outer
    expected["layers"] = [("ipv4", 0), *expected["layers"]]
    return vector(name, header + carried, link_type=IPV4, **expected)


def answer(name, source, text, **expected):
    """A vector of UDP from a well-known port to another one."""
    carried = octets(text)
    size = len(carried)
    header = octets(f"""
    45 00 {28 + size:04x} 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02
    {source:04x} f0 00 {8 + size:04x} 00 00""")
    return vector(
        name,
        header + carried,
        link_type=IPV4,
        ip={
            **V4, "protocol": 17, "source_port": source, "destination_port": 61440,
            "bytes": 28 + size, "ttl": 64, "id": 7,
        },
        payload=(28, size),
        **{**expected, "layers": [("ipv4", 0), ("udp", 20), *expected["layers"]]},
    )  # fmt: skip


ESP_STOP = {"stop_layer": "esp", "stop_offset": 28}

ESP_VECTORS = [
    over_ip(
        "esp",
        50,
        """
        00 00 01 00           # SPI 256
        00 00 00 01           # sequence number
        de ad be ef 01 02 02 04  # encrypted""",
        layers=[("esp", 20)],
        stop_layer="esp",
        stop_offset=20,
    ),
    over_ip(
        "esp-beyond-the-packet",
        50,
        "00 00 01 00 00 00 00",
        layers=[],
        stop="malformed",
        stop_layer="esp",
        stop_offset=20,
    ),
    over_udp(
        "esp-in-udp",
        4500,
        "00 00 01 00 00 00 00 01 de ad be ef",
        layers=[("esp", 28)],
        **ESP_STOP,
    ),
    answer(
        "esp-in-udp-answer",
        4500,
        "00 00 01 00 00 00 00 01 de ad be ef",
        layers=[("esp", 28)],
        **ESP_STOP,
    ),
    over_udp(
        "ike-in-udp",
        4500,
        """
        00 00 00 00           # non-ESP marker
        11 11 11 11 11 11 11 11 22 22 22 22 22 22 22 22  # SPIs of initiator and responder
        2e 20 23 08           # encrypted payload, version 2.0, IKE_AUTH, from the initiator
        00 00 00 01 00 00 00 1c  # message 1, length 28""",
        layers=[],
        stop_offset=20,
    ),
    over_udp("nat-keep-alive", 4500, "ff", layers=[], stop_offset=20),
    answer("nat-keep-alive-answer", 4500, "ff", layers=[], stop_offset=20),
]

AH_12 = "00 00 01 00 00 00 00 01 a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab  # SPI, sequence, ICV of 12\n"

AH_VECTORS = [
    over_ip(
        "ah",
        51,
        f"11 04 00 00 {AH_12} {UDP}  # UDP, (4 + 2) * 4 octets",
        ports=UDP_PORTS,
        layers=[("ah", 20), ("udp", 44)],
        stop_offset=44,
        payload=(52, 2),
    ),
    over_ip(
        "ah-tunnel-mode",
        51,
        f"04 04 00 00 {AH_12} {INNER}  # IPv4: a tunnel",
        ip=False,
        layers=[("ah", 20), ("ipv4", 44), ("udp", 64)],
        tunnels=[ipip(V4, 0, 44)],
        **inner(44),
    ),
    over_ip(
        "ah-and-esp",
        51,
        f"32 04 00 00 {AH_12} 00 00 01 01 00 00 00 01 de ad be ef",
        layers=[("ah", 20), ("esp", 44)],
        stop_layer="esp",
        stop_offset=44,
    ),
    over_ip(
        "ah-no-next-header",
        51,
        f"3b 04 00 00 {AH_12}",
        layers=[("ah", 20)],
        stop_offset=20,
    ),
    over_ip(
        "ah-unknown-protocol",
        51,
        f"6c 04 00 00 {AH_12} 00  # IPComp",
        layers=[("ah", 20), ("ip-proto-108", 44)],
        stop="unsupported",
        stop_layer="ip-proto-108",
        stop_offset=44,
    ),
    over_ip(
        "ah-length-below-the-header",
        51,
        f"11 00 00 00 {AH_12} {UDP}  # 8 octets",
        layers=[("ah", 20)],
        stop="malformed",
        stop_layer="ah",
        stop_offset=20,
    ),
    over_ip(
        "ah-length-beyond-the-packet",
        51,
        f"11 05 00 00 {AH_12} 01 02 03  # 28 octets",
        layers=[("ah", 20)],
        stop="malformed",
        stop_layer="ah",
        stop_offset=20,
    ),
    over_ip(
        "ah-beyond-the-packet",
        51,
        "11 04 00 00 00 00 01 00 00 00 00",
        layers=[],
        stop="malformed",
        stop_layer="ah",
        stop_offset=20,
    ),
    vector(
        "ah-over-ipv6",
        f"60 00 00 00 00 22 33 40 {V6_A_TO_B} 11 04 00 00 {AH_12} {UDP}",
        link_type=IPV6,
        layers=[("ipv6", 0), ("ah", 40), ("udp", 64)],
        stop_offset=64,
        ip={**V6, **UDP_PORTS, "protocol": 51, "bytes": 74, "ttl": 64},
        payload=(72, 2),
    ),
]


def over_ethernet(name, text, *, ip=None, layers, **expected):
    """A vector of MACsec behind an Ethernet header."""
    if ip is not None:
        expected = {**inner(ip), **expected}
        expected["ip"] = expected.pop("inner")
    return vector(
        name,
        octets(f"{MACS} 88 e5 {text}"),
        link_type=ETHERNET,
        link=LINK,
        layers=[("ethernet", 0), ("macsec", 14), *layers],
        **expected,
    )


SCI = "02 00 00 00 00 0c 00 01  # SCI\n"

MACSEC_VECTORS = [
    over_ethernet(
        "macsec-encrypted",
        f"2c 00 00 00 00 05 {SCI} de ad be ef {ICV_16}  # SC, E, C; packet 5",
        layers=[],
        stop_layer="macsec",
        stop_offset=14,
    ),
    over_ethernet(
        "macsec-changed-text",
        f"04 00 00 00 00 05 de ad be ef {ICV_16}  # C: not encrypted, and yet not to be read",
        layers=[],
        stop_layer="macsec",
        stop_offset=14,
    ),
    over_ethernet(
        "macsec-integrity-only",
        f"20 00 00 00 00 05 {SCI} 08 00 {INNER} {ICV_16}",
        ip=30,
        layers=[("ipv4", 30), ("udp", 50)],
    ),
    over_ethernet(
        "macsec-short-length",
        f"00 20 00 00 00 05 08 00 {INNER} {ICV_16} 00 00 00 00  # 32 octets of user data, no SCI",
        ip=22,
        layers=[("ipv4", 22), ("udp", 42)],
    ),
    over_ethernet(
        "macsec-vlan",
        f"00 00 00 00 00 05 81 00 00 64 08 00 {INNER} {ICV_16}",
        ip=26,
        layers=[("vlan", 22), ("ipv4", 26), ("udp", 46)],
    ),
    over_ethernet(
        "macsec-version-1",
        f"80 00 00 00 00 05 08 00 {INNER} {ICV_16}",
        layers=[],
        stop="unsupported",
        stop_layer="macsec",
        stop_offset=14,
    ),
    over_ethernet(
        "macsec-sci-beyond-the-frame",
        "20 00 00 00 00 05 02 00 00",
        layers=[],
        stop="malformed",
        stop_layer="macsec",
        stop_offset=14,
    ),
    over_ethernet(
        "macsec-no-room-for-the-icv",
        "00 00 00 00 00 05 08 00 01 02 03",
        layers=[],
        stop="malformed",
        stop_layer="macsec",
        stop_offset=14,
    ),
    over_ethernet(
        "macsec-short-length-of-one",
        f"00 01 00 00 00 05 08 00 {ICV_16}  # an EtherType has two octets",
        layers=[],
        stop="malformed",
        stop_layer="macsec",
        stop_offset=14,
    ),
    vector(
        "macsec-too-short",
        f"{MACS} 88 e5 2c 00 00 00 00",
        link_type=ETHERNET,
        link=LINK,
        layers=[("ethernet", 0)],
        stop="malformed",
        stop_layer="macsec",
        stop_offset=14,
    ),
    over_udp(
        "macsec-in-vxlan",
        4789,
        f"""
        08 00 00 00 00 00 07 00
        {INNER_ETHERNET} 88 e5
        00 00 00 00 00 05 08 00 {INNER} {ICV_16}""",
        ip=False,
        layers=[("vxlan", 28), ("ethernet", 36), ("macsec", 50), ("ipv4", 58), ("udp", 78)],
        link=LINK,
        tunnels=[
            {
                **V4,
                "kind": "vxlan",
                "vni": 7,
                "source_port": 40000,
                "destination_port": 4789,
                "ip_offset": 0,
                "header_offset": 28,
                "flags": 0x08000000,
                "overhead_bytes": 58,
            }
        ],
        **inner(58),
    ),
]

WIREGUARD_STOP = {"layers": [("wireguard", 28)], "stop_layer": "wireguard", "stop_offset": 28}

WIREGUARD_VECTORS = [
    over_udp(
        "wireguard-initiation", 51820, "01 00 00 00 00 00 01 02" + " aa" * 140, **WIREGUARD_STOP
    ),
    over_udp("wireguard-response", 51820, "02 00 00 00" + " aa" * 88, **WIREGUARD_STOP),
    over_udp("wireguard-cookie", 51820, "03 00 00 00" + " aa" * 60, **WIREGUARD_STOP),
    over_udp(
        "wireguard",
        51820,
        """
        04 00 00 00           # transport data
        01 00 00 00           # receiver 1
        07 00 00 00 00 00 00 00  # counter 7
        a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  # a keep-alive""",
        **WIREGUARD_STOP,
    ),
    answer("wireguard-answer", 51820, "04 00 00 00" + " aa" * 44, **WIREGUARD_STOP),
    over_udp("wireguard-of-cilium", 51871, "04 00 00 00" + " aa" * 44, **WIREGUARD_STOP),
    over_udp("not-wireguard-type", 51820, "05 00 00 00" + " aa" * 28, layers=[], stop_offset=20),
    over_udp(
        "not-wireguard-reserved", 51820, "04 00 01 00" + " aa" * 28, layers=[], stop_offset=20
    ),
    over_udp("not-wireguard-size", 51820, "01 00 00 00" + " aa" * 143, layers=[], stop_offset=20),
    over_udp("not-wireguard-short", 51820, "04 00 00 00" + " aa" * 27, layers=[], stop_offset=20),
]


def over_stt(name, sequence, flags, text, **expected):
    """A vector of a segment to STT's port."""
    size = len(octets(text))
    stt = expected.pop("stt", True)
    if stt:
        expected |= {"stop": "unsupported", "stop_layer": "stt", "stop_offset": 40}
    return over_ip(
        name,
        6,
        f"9c 40 1d 2f {sequence:08x} 00 00 00 02 50 {flags:02x} 01 f6 00 00 00 00 {text}",
        ports={"source_port": 40000, "destination_port": 7471},
        layers=[("tcp", 20), ("stt", 40)] if stt else [("tcp", 20)],
        payload=(40, size) if size else (40, 0),
        tcp={"flags": flags, "sequence": sequence, "acknowledgment": 2, "window": 502},
        **(expected if stt else {"stop_offset": 20}),
    )


STT_HEADER = """
    00 0c 2a 00           # version 0, IPv4 and TCP, layer 4 at 42
    05 78 10 64           # segments of 1400; VLAN 100
    00 00 00 00 00 00 03 e8  # context 1000
    00 00                 # padding
"""

STT_VECTORS = [
    over_stt("stt", 0x05DC0000, 0x18, f"{STT_HEADER} {INNER_ETHERNET} 08 00"),
    over_stt("stt-whole-frame", 0x00200000, 0x18, f"{STT_HEADER} {INNER_ETHERNET} 08 00"),
    over_stt("stt-second-segment", 0x05DC0578, 0x10, "01 02 03 04"),
    over_stt("not-stt-handshake", 0x05DC0000, 0x02, STT_HEADER, stt=False),
    over_stt("not-stt-acknowledgment", 0x05DC0000, 0x10, "", stt=False),
    over_stt("not-stt-version", 0x05DC0000, 0x18, f"01 {STT_HEADER}", stt=False),
    over_stt("not-stt-length", 0x00110000, 0x18, STT_HEADER, stt=False),
    over_stt("not-stt-short", 0x05DC0000, 0x18, "00 00 00 00", stt=False),
]

VECTORS = [*ESP_VECTORS, *AH_VECTORS, *MACSEC_VECTORS, *WIREGUARD_VECTORS, *STT_VECTORS]
