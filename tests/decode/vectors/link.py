# SPDX-License-Identifier: Apache-2.0
"""Link layers: Ethernet, VLAN, MPLS, LLC, cooked captures, loopback, raw IP."""

from __future__ import annotations

from .vector import RAW, vector

SLL, SLL2, NULL, LOOP, IPV4, IPV6 = 113, 276, 0, 108, 228, 229

MACS = {"link": ("02:00:00:00:00:0a", "02:00:00:00:00:0b")}
ETHERNET = """
    02 00 00 00 00 0b     # destination
    02 00 00 00 00 0a     # source
"""
ICMP_OVER_IPV4 = """
    45 00 00 1c           # version 4, IHL 5, TOS 0, total length 28
    12 34 40 00           # identification, DF
    40 01 14 aa           # TTL 64, ICMP, checksum
    0a 00 00 01           # 10.0.0.1
    0a 00 00 02           # 10.0.0.2
    08 00 f7 fd 00 01 00 01  # echo request, identifier 1, sequence 1
"""


def icmp_over_ipv4(offset):
    """What the octets above give where they begin at `offset`."""
    return {
        "stop_offset": offset + 20,
        "ip": {
            "version": 4,
            "protocol": 1,
            "source": "10.0.0.1",
            "destination": "10.0.0.2",
            "offset": offset,
            "bytes": 28,
            "ttl": 64,
            "id": 0x1234,
            "fragment": 0x4000,
        },
        "payload": (offset + 28, 0),
    }


UDP_OVER_IPV6 = """
    62 40 00 00           # version 6, traffic class 0x24, flow label 0
    00 0a 11 ff           # payload length 10, UDP, hop limit 255
    fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01  # fd00::1
    fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02  # fd00::2
    03 e8 03 e9 00 0a 00 00  # 1000 > 1001, length 10, no checksum
    61 62                 # payload
"""


def udp_over_ipv6(offset):
    """What the octets above give where they begin at `offset`."""
    return {
        "stop_offset": offset + 40,
        "ip": {
            "version": 6,
            "protocol": 17,
            "source": "fd00::1",
            "destination": "fd00::2",
            "source_port": 1000,
            "destination_port": 1001,
            "offset": offset,
            "bytes": 50,
            "ttl": 255,
            "tos": 0x24,
        },
        "payload": (offset + 48, 2),
    }


VECTORS = [
    vector(
        "ethernet",
        f"{ETHERNET} 08 00  # IPv4\n {ICMP_OVER_IPV4}",
        layers=[("ethernet", 0), ("ipv4", 14), ("icmp", 34)],
        **MACS,
        **icmp_over_ipv4(14),
    ),
    vector(
        "ethernet-padded-to-60",
        f"{ETHERNET} 08 00  # IPv4\n {ICMP_OVER_IPV4} {'00 ' * 18}",
        layers=[("ethernet", 0), ("ipv4", 14), ("icmp", 34)],
        **MACS,
        **icmp_over_ipv4(14),
    ),
    vector(
        "ethernet-unknown-type",
        f"{ETHERNET} 88 cc  # LLDP\n 02 07 04 00",
        layers=[("ethernet", 0), ("ethertype-0x88cc", 14)],
        stop="unsupported",
        stop_layer="ethertype-0x88cc",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "vlan-802.1ad-and-802.1q",
        f"""{ETHERNET}
        88 a8                 # service tag
        60 64                 # priority 3, VLAN 100
        81 00                 # customer tag
        10 c8                 # drop eligible, VLAN 200
        08 00                 # IPv4
        {ICMP_OVER_IPV4}""",
        layers=[("ethernet", 0), ("vlan", 14), ("vlan", 18), ("ipv4", 22), ("icmp", 42)],
        **MACS,
        **icmp_over_ipv4(22),
    ),
    vector(
        "vlan-with-a-length",
        f"""{ETHERNET}
        81 00                 # tag
        00 01                 # VLAN 1
        00 07                 # length 7
        42 42 03              # LLC: spanning tree
        00 00 00 00           # its first octets
        ff ff                 # padding""",
        layers=[("ethernet", 0), ("vlan", 14), ("llc", 18)],
        stop="unsupported",
        stop_layer="llc",
        stop_offset=18,
        **MACS,
    ),
    vector(
        "mpls-two-labels",
        f"""{ETHERNET}
        88 47                 # MPLS
        00 01 00 40           # label 16, not the last, TTL 64
        00 01 1b 3f           # label 17, class 5, bottom of the stack, TTL 63
        {ICMP_OVER_IPV4}""",
        layers=[("ethernet", 0), ("mpls", 14), ("mpls", 18), ("ipv4", 22), ("icmp", 42)],
        **MACS,
        **icmp_over_ipv4(22),
    ),
    vector(
        "mpls-pseudowire",
        f"""{ETHERNET}
        88 47                 # MPLS
        00 01 01 40           # label 16, bottom of the stack
        00 00 00 07           # control word, sequence 7
        02 00 00 00 00 0d     # inner destination
        02 00 00 00 00 0c     # inner source
        86 dd                 # IPv6
        {UDP_OVER_IPV6}""",
        layers=[("ethernet", 0), ("mpls", 14), ("ethernet", 22), ("ipv6", 36), ("udp", 76)],
        **MACS,
        **udp_over_ipv6(36),
    ),
    vector(
        "mpls-unknown-payload",
        f"{ETHERNET} 88 48  # MPLS multicast\n 00 01 01 40  # bottom\n 10 00 00 00",
        layers=[("ethernet", 0), ("mpls", 14)],
        stop="unsupported",
        stop_layer="mpls",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "mpls-nothing-below",
        f"{ETHERNET} 88 47  # MPLS\n 00 01 01 40  # bottom",
        layers=[("ethernet", 0), ("mpls", 14)],
        stop="malformed",
        stop_layer="mpls",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "llc-spanning-tree",
        f"""{ETHERNET}
        00 26                 # length 38
        42 42 03              # LLC: spanning tree, unnumbered information
        {"00 " * 35}
        {"00 " * 8}           # padding""",
        layers=[("ethernet", 0), ("llc", 14)],
        stop="unsupported",
        stop_layer="llc",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "llc-snap",
        f"""{ETHERNET}
        00 24                 # length 36
        aa aa 03              # LLC: SNAP
        00 00 00              # OUI: EtherTypes
        08 00                 # IPv4
        {ICMP_OVER_IPV4}
        ff ff                 # padding""",
        layers=[("ethernet", 0), ("llc", 14), ("ipv4", 22), ("icmp", 42)],
        **MACS,
        **icmp_over_ipv4(22),
    ),
    vector(
        "llc-snap-other-organisation",
        f"{ETHERNET} 00 0a\n aa aa 03 00 00 0c 20 00  # Cisco: CDP\n 02 b4",
        layers=[("ethernet", 0), ("llc", 14)],
        stop="unsupported",
        stop_layer="llc",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "llc-snap-beyond-its-length",
        f"{ETHERNET} 00 05  # length 5: no room for SNAP's 8\n aa aa 03 00 00 00 08 00 45",
        layers=[("ethernet", 0), ("llc", 14)],
        stop="malformed",
        stop_layer="llc",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "802.3-length-rules-out-ipv4",
        f"""{ETHERNET}
        00 18                 # length 24: 8 of SNAP and 16, IPv4 needs 20
        aa aa 03 00 00 00 08 00
        {ICMP_OVER_IPV4}""",
        layers=[("ethernet", 0), ("llc", 14)],
        stop="malformed",
        stop_layer="ipv4",
        stop_offset=22,
        **MACS,
    ),
    vector(
        "sll",
        f"""
        00 04                 # sent by us
        00 01                 # ARPHRD: Ethernet
        00 06                 # address length 6
        02 00 00 00 00 0a 00 00
        08 00                 # IPv4
        {ICMP_OVER_IPV4}""",
        link_type=SLL,
        layers=[("sll", 0), ("ipv4", 16), ("icmp", 36)],
        **icmp_over_ipv4(16),
    ),
    vector(
        "sll-802.2",
        """
        00 02 00 01 00 06     # multicast, Ethernet, address length 6
        02 00 00 00 00 0a 00 00
        00 04                 # LLC
        42 42 03 00 00""",
        link_type=SLL,
        layers=[("sll", 0), ("llc", 16)],
        stop="unsupported",
        stop_layer="llc",
        stop_offset=16,
    ),
    vector(
        "sll-can",
        """
        00 01 01 18 00 00     # broadcast, CAN
        00 00 00 00 00 00 00 00
        00 0c                 # CAN frame
        00 00 00 00""",
        link_type=SLL,
        layers=[("sll", 0), ("ethertype-0x000c", 16)],
        stop="unsupported",
        stop_layer="ethertype-0x000c",
        stop_offset=16,
    ),
    vector(
        "sll2",
        f"""
        86 dd 00 00           # IPv6
        00 00 00 03           # interface 3
        00 01                 # ARPHRD: Ethernet
        00 06                 # to us, address length 6
        02 00 00 00 00 0a 00 00
        {UDP_OVER_IPV6}""",
        link_type=SLL2,
        layers=[("sll2", 0), ("ipv6", 20), ("udp", 60)],
        **udp_over_ipv6(20),
    ),
    vector(
        "null-little-endian",
        f"02 00 00 00  # AF_INET, written by a little-endian machine\n{ICMP_OVER_IPV4}",
        link_type=NULL,
        layers=[("null", 0), ("ipv4", 4), ("icmp", 24)],
        **icmp_over_ipv4(4),
    ),
    vector(
        "null-big-endian",
        f"00 00 00 1e  # AF_INET6 of macOS, written by a big-endian machine\n{UDP_OVER_IPV6}",
        link_type=NULL,
        layers=[("null", 0), ("ipv6", 4), ("udp", 44)],
        **udp_over_ipv6(4),
    ),
    vector(
        "null-unknown-family",
        "17 05 00 00 00 00",
        link_type=NULL,
        layers=[("null", 0)],
        stop="unsupported",
        stop_layer="null",
        stop_offset=0,
    ),
    vector(
        "loop",
        f"00 00 00 18  # AF_INET6 of OpenBSD\n{UDP_OVER_IPV6}",
        link_type=LOOP,
        layers=[("loop", 0), ("ipv6", 4), ("udp", 44)],
        **udp_over_ipv6(4),
    ),
    vector(
        "loop-in-the-other-octet-order",
        f"02 00 00 00  # not a family in network order\n{ICMP_OVER_IPV4}",
        link_type=LOOP,
        layers=[("loop", 0)],
        stop="unsupported",
        stop_layer="loop",
        stop_offset=0,
    ),
    vector(
        "raw-ipv4",
        ICMP_OVER_IPV4,
        link_type=RAW,
        layers=[("raw", 0), ("ipv4", 0), ("icmp", 20)],
        **icmp_over_ipv4(0),
    ),
    vector(
        "raw-ipv6",
        UDP_OVER_IPV6,
        link_type=RAW,
        layers=[("raw", 0), ("ipv6", 0), ("udp", 40)],
        **udp_over_ipv6(0),
    ),
    vector(
        "raw-neither",
        "55 00 00 14",
        link_type=RAW,
        layers=[("raw", 0)],
        stop="malformed",
        stop_layer="raw",
        stop_offset=0,
    ),
    vector(
        "linktype-ipv4",
        ICMP_OVER_IPV4,
        link_type=IPV4,
        layers=[("ipv4", 0), ("icmp", 20)],
        **icmp_over_ipv4(0),
    ),
    vector(
        "linktype-ipv6",
        UDP_OVER_IPV6,
        link_type=IPV6,
        layers=[("ipv6", 0), ("udp", 40)],
        **udp_over_ipv6(0),
    ),
    vector(
        "linktype-unknown",
        "00 00 0c 00 de 40 00 00",
        link_type=127,
        layers=[("linktype-127", 0)],
        stop="unsupported",
        stop_layer="linktype-127",
        stop_offset=0,
    ),
    vector(
        "arp",
        f"""{ETHERNET}
        08 06                 # ARP
        00 01 08 00 06 04     # Ethernet, IPv4, lengths 6 and 4
        00 01                 # request
        02 00 00 00 00 0a 0a 00 00 01  # sender
        00 00 00 00 00 00 0a 00 00 02  # target
        {"00 " * 18}          # padding""",
        layers=[("ethernet", 0), ("arp", 14)],
        stop_offset=14,
        **MACS,
    ),
    vector(
        "arp-addresses-do-not-fit",
        f"{ETHERNET} 08 06\n 00 01 08 00 20 04 00 01  # hardware addresses of 32\n {'00 ' * 20}",
        layers=[("ethernet", 0), ("arp", 14)],
        stop="malformed",
        stop_layer="arp",
        stop_offset=14,
        **MACS,
    ),
    vector(
        "empty-frame",
        "",
        layers=[],
        stop="malformed",
        stop_layer="ethernet",
        stop_offset=0,
    ),
    vector(
        "nothing-captured",
        "",
        missing=60,
        layers=[],
        stop="truncated",
        stop_layer="ethernet",
        stop_offset=0,
    ),
]
