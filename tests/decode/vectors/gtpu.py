# SPDX-License-Identifier: Apache-2.0
"""GTP-U: 3GPP TS 29.281 sections 5.1 and 5.2."""

from __future__ import annotations

from .tunnels import CARRIER, INNER, inner, over_udp

GTPU = {**CARRIER, "kind": "gtpu", "destination_port": 2152}


def g_pdu(name, text, flags, end, **expected):
    """A vector of a G-PDU whose header ends at `end`; IPv4 follows."""
    return over_udp(
        name,
        2152,
        f"{text} {INNER}",
        ip=False,
        layers=[("gtpu", 28), ("ipv4", end), ("udp", end + 20)],
        tunnels=[{**GTPU, "identifier": 0x0A0B0C0D, "flags": flags, "overhead_bytes": end}],
        **inner(end),
        **expected,
    )


def stopped(name, text, flags, overhead, stop="malformed"):
    """A vector of a G-PDU that ends at its header."""
    return over_udp(
        name,
        2152,
        text,
        layers=[("gtpu", 28)],
        stop=stop,
        stop_layer="gtpu",
        stop_offset=28,
        tunnels=[{**GTPU, "identifier": 0x0A0B0C0D, "flags": flags, "overhead_bytes": overhead}],
    )


VECTORS = [
    g_pdu(
        "gtpu",
        """
        30 ff 00 1e           # version 1, GTP, no flags; G-PDU; length 30
        0a 0b 0c 0d           # TEID""",
        0x30FF001E,
        36,
    ),
    g_pdu(
        "gtpu-sequence-number",
        """
        32 ff 00 22 0a 0b 0c 0d  # S
        00 05 00 85           # sequence number 5; the rest is to be ignored""",
        0x32FF0022,
        40,
    ),
    g_pdu(
        "gtpu-pdu-session-container",
        """
        34 ff 00 26 0a 0b 0c 0d  # E
        00 00 00 85           # PDU session container
        01 10 09 00           # 4 octets, uplink, QFI 9, no further one""",
        0x34FF0026,
        44,
    ),
    g_pdu(
        "gtpu-three-extension-headers",
        """
        37 ff 00 36 0a 0b 0c 0d  # E, S, N
        00 05 07 40           # UDP port
        01 9c 40 c0           # port 40000; PDCP PDU number
        01 00 11 82           # 17; long PDCP PDU number
        02 00 00 12 00 00 00 00  # 8 octets""",
        0x37FF0036,
        56,
    ),
    over_udp(
        "gtpu-ipv6",
        2152,
        """
        30 ff 00 28 0a 0b 0c 0d
        60 00 00 00 00 00 3b 40  # IPv6 without anything
        20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01
        20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02""",
        ip=False,
        layers=[("gtpu", 28), ("ipv6", 36)],
        stop_offset=36,
        inner={
            "version": 6,
            "protocol": 59,
            "source": "2001:db8::1",
            "destination": "2001:db8::2",
            "offset": 36,
            "bytes": 40,
            "ttl": 64,
        },
        tunnels=[
            {**GTPU, "identifier": 0x0A0B0C0D, "flags": 0x30FF0028, "overhead_bytes": 36}
        ],
    ),
    over_udp(
        "gtpu-in-gtpu",
        2152,
        f"""
        30 ff 00 42 0a 0b 0c 0d
        45 00 00 42 00 07 00 00 40 11 00 00 0a 00 00 01 0a 00 00 02
        9c 40 08 68 00 2e 00 00
        30 ff 00 1e 0a 0b 0c 0e {INNER}""",
        ip=False,
        layers=[
            ("gtpu", 28), ("ipv4", 36), ("udp", 56), ("gtpu", 64), ("ipv4", 72), ("udp", 92),
        ],
        tunnels=[
            {**GTPU, "identifier": 0x0A0B0C0D, "flags": 0x30FF0042, "overhead_bytes": 36},
            {
                **GTPU, "identifier": 0x0A0B0C0E, "flags": 0x30FF001E, "overhead_bytes": 36,
                "ip_offset": 36, "header_offset": 64,
            },
        ],
        **inner(72),
    ),
    over_udp(
        "gtpu-echo-request",
        2152,
        "32 01 00 04 00 00 00 00 00 01 00 00",
        layers=[("gtpu", 28)],
        stop_offset=28,
    ),
    over_udp(
        "gtpu-end-marker", 2152, "30 fe 00 00 0a 0b 0c 0d", layers=[("gtpu", 28)], stop_offset=28
    ),
    stopped(
        "gtpu-no-ip",
        "30 ff 00 04 0a 0b 0c 0d ff 03 00 21  # PPP",
        0x30FF0004,
        36,
        stop="unsupported",
    ),
    stopped("gtpu-nothing-inside", "30 ff 00 00 0a 0b 0c 0d", 0x30FF0000, 36),
    stopped(
        "gtpu-length-ends-in-the-header",
        "32 ff 00 03 0a 0b 0c 0d 00 05 00 00 45 00",
        0x32FF0003,
        36,
    ),
    stopped(
        "gtpu-extension-header-without-length",
        "34 ff 00 08 0a 0b 0c 0d 00 00 00 85 00 10 09 00",
        0x34FF0008,
        40,
    ),
    stopped(
        "gtpu-extension-header-beyond-the-length",
        "34 ff 00 08 0a 0b 0c 0d 00 00 00 85 02 10 09 00",
        0x34FF0008,
        40,
    ),
    stopped(
        "gtpu-extension-header-missing",
        "34 ff 00 04 0a 0b 0c 0d 00 00 00 85",
        0x34FF0004,
        40,
    ),
    g_pdu(
        "gtpu-eight-extension-headers",
        "34 ff 00 42 0a 0b 0c 0d 00 00 00 85" + " 01 00 00 85" * 7 + " 01 00 00 00",
        0x34FF0042,
        72,
    ),
    stopped(
        "gtpu-nine-extension-headers",
        f"34 ff 00 46 0a 0b 0c 0d 00 00 00 85{' 01 00 00 85' * 8} 01 00 00 00 {INNER}",
        0x34FF0046,
        72,
        stop="too_deep",
    ),
    over_udp("gtp-prime", 2152, "20 ff 00 04 00 00 00 01", layers=[], stop_offset=20),
    over_udp("gtpu-too-short", 2152, "30 ff 00 04 00 00 00", layers=[], stop_offset=20),
]  # fmt: skip
