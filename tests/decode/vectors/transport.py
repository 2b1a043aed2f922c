# SPDX-License-Identifier: Apache-2.0
"""UDP, TCP, SCTP, ICMP, ICMPv6."""

from __future__ import annotations

from .vector import vector

IPV4 = 228
IPV6 = 229
ADDRESSES = "0a 00 00 01 0a 00 00 02  # 10.0.0.1 > 10.0.0.2"


def ipv4(protocol, size):
    """An IPv4 header of 20 octets in front of `size`, and what it gives."""
    total = 20 + size
    text = f"45 00 {total:04x} 00 00 40 00 40 {protocol:02x} 00 00 {ADDRESSES}\n"
    return text, {
        "version": 4,
        "protocol": protocol,
        "source": "10.0.0.1",
        "destination": "10.0.0.2",
        "bytes": total,
        "ttl": 64,
        "fragment": 0x4000,
    }


def over_ipv4(name, protocol, size, text, *, ports=None, missing=0, **expected):
    """A vector of what an IPv4 header carries; `size` octets of it by its total length."""
    header, ip = ipv4(protocol, size)
    if ports:
        ip["source_port"], ip["destination_port"] = ports
    expected["layers"] = [("ipv4", 0), *expected["layers"]]
    return vector(name, header + text, link_type=IPV4, ip=ip, missing=missing, **expected)


VECTORS = [
    over_ipv4(
        "udp-length-shorter-than-ip",
        17,
        16,
        """
        00 35 d4 31           # 53 > 54321
        00 0a 00 00           # length 10
        61 62                 # payload
        00 00 00 00 00 00     # surplus octets (RFC 9868), not payload""",
        ports=(53, 54321),
        layers=[("udp", 20)],
        stop_offset=20,
        payload=(28, 2),
    ),
    over_ipv4(
        "udp-length-7",
        17,
        8,
        "00 35 d4 31 00 07 00 00",
        ports=(53, 54321),
        layers=[("udp", 20)],
        stop="malformed",
        stop_layer="udp",
        stop_offset=20,
    ),
    over_ipv4(
        "udp-cut-in-the-datagram",
        17,
        6,
        "00 35 d4 31 00 08",
        ports=(53, 54321),
        layers=[],
        stop="malformed",
        stop_layer="udp",
        stop_offset=20,
    ),
    over_ipv4(
        "tcp-syn",
        6,
        40,
        """
        9c 40 00 50           # 40000 > 80
        11 22 33 44 00 00 00 00  # sequence, acknowledgment
        a0 c2 fa f0           # data offset 10, CWR ECE SYN, window 64240
        00 00 00 00           # checksum, urgent pointer
        02 04 05 b4           # MSS 1460
        04 02                 # SACK permitted
        08 0a 01 02 03 04 00 00 00 00  # TSval 16909060, TSecr 0
        01                    # no operation
        03 03 07              # window scale 7""",
        ports=(40000, 80),
        layers=[("tcp", 20)],
        stop_offset=20,
        payload=(60, 0),
        tcp={
            "flags": 0x0C2,
            "sequence": 0x11223344,
            "window": 64240,
            "options": 1 | 2 | 4 | 8,
            "mss": 1460,
            "window_scale": 7,
            "timestamp": 0x01020304,
        },
    ),
    over_ipv4(
        "tcp-data-with-time-stamps",
        6,
        35,
        """
        00 50 9c 40 00 00 00 01 ff ff ff ff  # 80 > 40000
        81 18 01 f6 00 00 00 00  # data offset 8, NS PSH ACK, window 502
        01 01 08 0a ff ff ff fe 01 02 03 04
        61 62 63""",
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop_offset=20,
        payload=(52, 3),
        tcp={
            "flags": 0x118,
            "sequence": 1,
            "acknowledgment": 0xFFFFFFFF,
            "window": 502,
            "options": 8,
            "timestamp": 0xFFFFFFFE,
            "timestamp_echo": 0x01020304,
        },
    ),
    over_ipv4(
        "tcp-sack",
        6,
        32,
        """
        00 50 9c 40 00 00 00 01 00 00 00 02
        80 10 01 f6 00 00 00 00
        01 01 05 0a 00 00 00 10 00 00 00 20  # one SACK block""",
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop_offset=20,
        payload=(52, 0),
        tcp={"flags": 0x010, "sequence": 1, "acknowledgment": 2, "window": 502},
    ),
    over_ipv4(
        "tcp-broken-option",
        6,
        32,
        """
        00 50 9c 40 00 00 00 01 00 00 00 02
        80 10 01 f6 00 00 00 00
        02 04 05 78           # MSS 1400
        fd 01                 # length 1: ends the options
        02 04 05 b4 01 01     # not seen""",
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop_offset=20,
        payload=(52, 0),
        tcp={
            "flags": 0x010,
            "sequence": 1,
            "acknowledgment": 2,
            "window": 502,
            "options": 1,
            "mss": 1400,
        },
    ),
    over_ipv4(
        "tcp-options-after-the-end",
        6,
        28,
        """
        00 50 9c 40 00 00 00 01 00 00 00 02
        70 10 01 f6 00 00 00 00
        03 03 0e 00           # window scale 14, end of options
        02 04 05 b4           # not seen""",
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop_offset=20,
        payload=(48, 0),
        tcp={
            "flags": 0x010,
            "sequence": 1,
            "acknowledgment": 2,
            "window": 502,
            "options": 2,
            "window_scale": 14,
        },
    ),
    over_ipv4(
        "tcp-option-beyond-the-header",
        6,
        28,
        """
        00 50 9c 40 00 00 00 01 00 00 00 02
        60 10 01 f6 00 00 00 00
        01 01 08 0a           # time stamps of which the header has no room
        00 00 00 01           # payload""",
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop_offset=20,
        payload=(44, 4),
        tcp={"flags": 0x010, "sequence": 1, "acknowledgment": 2, "window": 502},
    ),
    over_ipv4(
        "tcp-data-offset-4",
        6,
        20,
        "00 50 9c 40 00 00 00 01 00 00 00 02 40 10 01 f6 00 00 00 00",
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop="malformed",
        stop_layer="tcp",
        stop_offset=20,
        tcp={"flags": 0x010, "sequence": 1, "acknowledgment": 2, "window": 502},
    ),
    over_ipv4(
        "tcp-options-not-captured",
        6,
        62,
        """
        00 50 9c 40 00 00 00 01 00 00 00 02
        80 10 01 f6 00 00 00 00
        01 01 08 0a""",
        missing=38,
        ports=(80, 40000),
        layers=[("tcp", 20)],
        stop="truncated",
        stop_layer="tcp",
        stop_offset=20,
        payload=(52, 30),
        tcp={"flags": 0x010, "sequence": 1, "acknowledgment": 2, "window": 502},
    ),
    over_ipv4(
        "tcp-ports-only",
        6,
        20,
        "00 50 9c 40 00 00",
        missing=14,
        ports=(80, 40000),
        layers=[],
        stop="truncated",
        stop_layer="tcp",
        stop_offset=20,
    ),
    over_ipv4(
        "sctp",
        132,
        16,
        """
        13 88 13 89           # 5000 > 5001
        00 00 00 01 00 00 00 00  # verification tag, checksum
        0b 00 00 04           # COOKIE ACK""",
        ports=(5000, 5001),
        layers=[("sctp", 20)],
        stop_offset=20,
        payload=(32, 4),
    ),
    over_ipv4(
        "icmp-port-unreachable",
        1,
        36,
        """
        03 03 00 00 00 00 00 00  # destination unreachable, port
        45 00 00 20 00 00 00 00 3f 11 00 00  # what is quoted is no header of this frame
        0a 00 00 02 0a 00 00 01
        30 39 17 c1 00 0c 00 00""",
        layers=[("icmp", 20)],
        stop_offset=20,
        payload=(28, 28),
    ),
    vector(
        "icmpv6-packet-too-big",
        """
        60 00 00 00 00 38 3a 40  # payload length 56, ICMPv6
        fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01
        fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02
        02 00 00 00 00 00 05 14  # packet too big, MTU 1300
        60 00 00 00 05 dc 11 3f  # what is quoted is no header of this frame
        fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02
        fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01
        30 39 12 b5 05 dc 00 00""",
        link_type=IPV6,
        layers=[("ipv6", 0), ("icmpv6", 40)],
        stop_offset=40,
        ip={
            "version": 6,
            "protocol": 58,
            "source": "fd00::1",
            "destination": "fd00::2",
            "bytes": 96,
            "ttl": 64,
        },
        payload=(44, 52),
    ),
]
