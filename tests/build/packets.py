# SPDX-License-Identifier: Apache-2.0
"""Builds packets octet by octet from the RFCs; must not import `genevecap.decode`.

Each function returns the header followed by its payload.  Lengths and checksums are right unless
they are given.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

MAC_A = bytes.fromhex("02000000000a")
MAC_B = bytes.fromhex("02000000000b")


def checksum(octets):
    """RFC 1071."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    total = (total >> 16) + (total & 0xFFFF)
    return ~((total >> 16) + total) & 0xFFFF


# --- link layer ----------------------------------------------------------------------------------


def ethernet(payload, ethertype=0x0800, source=MAC_A, destination=MAC_B):
    return destination + source + struct.pack(">H", ethertype) + payload


def ethernet_802_3(payload, source=MAC_A, destination=MAC_B, length=None):
    return ethernet(payload, len(payload) if length is None else length, source, destination)


def vlan(payload, ethertype=0x0800, vlan_id=1, priority=0, drop=0):
    return struct.pack(">HH", priority << 13 | drop << 12 | vlan_id, ethertype) + payload


def llc(payload, dsap=0x42, ssap=0x42, control=3):
    return bytes((dsap, ssap, control)) + payload


def snap(payload, ethertype=0x0800, oui=0):
    return llc(oui.to_bytes(3, "big") + struct.pack(">H", ethertype) + payload, 0xAA, 0xAA)


def mpls(payload, label=16, bottom=1, traffic_class=0, ttl=64):
    return struct.pack(">I", label << 12 | traffic_class << 9 | bottom << 8 | ttl) + payload


def control_word(payload, sequence=0):
    return struct.pack(">HH", 0, sequence) + payload


def sll(payload, protocol=0x0800, packet_type=0, arphrd=1):
    return struct.pack(">HHH8sH", packet_type, arphrd, 6, MAC_A + b"\0\0", protocol) + payload


def sll2(payload, protocol=0x0800, interface=3, packet_type=4, arphrd=1):
    return (
        struct.pack(">HHIHBB8s", protocol, 0, interface, arphrd, packet_type, 6, MAC_A + b"\0\0")
        + payload
    )


def null(payload, family=2, order="<"):
    return struct.pack(f"{order}I", family) + payload


def arp(operation=1, sender="10.0.0.1", target="10.0.0.2"):
    return (
        struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation)
        + MAC_A
        + IPv4Address(sender).packed
        + bytes(6)
        + IPv4Address(target).packed
    )


# --- network layer -------------------------------------------------------------------------------


def ipv4(
    payload,
    protocol=17,
    source="10.0.0.1",
    destination="10.0.0.2",
    *,
    ttl=64,
    tos=0,
    identification=0,
    flags=0,
    fragment_offset=0,
    options=b"",
    total_length=None,
):
    """`flags`: the three bits; `fragment_offset` in octets; `options` padded by the caller."""
    words = 5 + len(options) // 4
    header = bytearray(
        struct.pack(
            ">BBHHHBBH4s4s",
            4 << 4 | words,
            tos,
            4 * words + len(payload) if total_length is None else total_length,
            identification,
            flags << 13 | fragment_offset >> 3,
            ttl,
            protocol,
            0,
            IPv4Address(source).packed,
            IPv4Address(destination).packed,
        )
        + options
    )
    struct.pack_into(">H", header, 10, checksum(bytes(header)))
    return bytes(header) + payload


def ipv6(
    payload,
    next_header=17,
    source="fd00::1",
    destination="fd00::2",
    *,
    hop_limit=64,
    traffic_class=0,
    flow_label=0,
    payload_length=None,
):
    return (
        struct.pack(
            ">IHBB16s16s",
            6 << 28 | traffic_class << 20 | flow_label,
            len(payload) if payload_length is None else payload_length,
            next_header,
            hop_limit,
            IPv6Address(source).packed,
            IPv6Address(destination).packed,
        )
        + payload
    )


def ipv6_options(payload, next_header=17, data=bytes(6)):
    """Hop-by-hop or destination options; `data` fills up to a multiple of 8 with the 2 before."""
    return bytes((next_header, (len(data) + 2) // 8 - 1)) + data + payload


def ipv6_fragment(payload, next_header=17, offset=0, more=0, identification=1):
    return struct.pack(">BBHI", next_header, 0, offset | more, identification) + payload


# --- transport -----------------------------------------------------------------------------------


def udp(payload, source_port=40000, destination_port=40001, length=None, check=0):
    return (
        struct.pack(
            ">HHHH",
            source_port,
            destination_port,
            8 + len(payload) if length is None else length,
            check,
        )
        + payload
    )


def tcp(
    payload=b"",
    source_port=40000,
    destination_port=80,
    *,
    sequence=1,
    acknowledgment=2,
    flags=0x018,
    window=1000,
    options=b"",
    data_offset=None,
):
    words = 5 + len(options) // 4 if data_offset is None else data_offset
    return (
        struct.pack(
            ">HHIIHHHH",
            source_port,
            destination_port,
            sequence,
            acknowledgment,
            words << 12 | flags,
            window,
            0,
            0,
        )
        + options
        + payload
    )


def sctp(payload=b"", source_port=5000, destination_port=5001, tag=1):
    return struct.pack(">HHII", source_port, destination_port, tag, 0) + payload


def icmp(payload=b"", kind=8, code=0, rest=b"\0\1\0\1"):
    head = bytes((kind, code))
    return head + struct.pack(">H", checksum(head + b"\0\0" + rest + payload)) + rest + payload


def icmpv6(payload=b"", kind=128, code=0, rest=b"\0\1\0\1"):
    """The checksum covers a pseudo-header that is not known here; it is left 0."""
    return bytes((kind, code, 0, 0)) + rest + payload


# --- tunnels -------------------------------------------------------------------------------------


def geneve_option(option_class, option_type, data=b"", reserved=0, words=None):
    words = len(data) // 4 if words is None else words
    return struct.pack(">HBB", option_class, option_type, reserved << 5 | words) + data


def geneve(
    payload,
    vni=1,
    protocol=0x6558,
    options=b"",
    *,
    version=0,
    oam=0,
    critical=0,
    reserved=0,
    reserved_low=0,
    words=None,
):
    words = len(options) // 4 if words is None else words
    return (
        struct.pack(
            ">BBHI",
            version << 6 | words,
            oam << 7 | critical << 6 | reserved,
            protocol,
            vni << 8 | reserved_low,
        )
        + options
        + payload
    )


def vxlan(payload, vni=1, flags=0x08000000, reserved_low=0):
    return struct.pack(">II", flags, vni << 8 | reserved_low) + payload


def vxlan_gpe(payload, vni=1, next_protocol=3, flags=0x0C000000, reserved_low=0):
    return struct.pack(">II", flags | next_protocol, vni << 8 | reserved_low) + payload


def gtpu(payload, teid=1, message_type=255, *, flags=0x30, optional=b""):
    """`optional`: the four octets that E, S and N announce, and extension headers."""
    payload = optional + payload
    return struct.pack(">BBHI", flags, message_type, len(payload), teid) + payload


def gre(payload, protocol=0x0800, *, key=None, sequence=None):
    flags = (0x2000 if key is not None else 0) | (0x1000 if sequence is not None else 0)
    words = b"".join(struct.pack(">I", word) for word in (key, sequence) if word is not None)
    return struct.pack(">HH", flags, protocol) + words + payload


def erspan_2(frame, session=1, vlan_id=1):
    """Behind GRE of type 0x88be with a sequence number."""
    return struct.pack(">HHI", 1 << 12 | vlan_id, session, 0) + frame


def erspan_3(frame, session=1, vlan_id=1, timestamp=0):
    """Behind GRE of type 0x22eb."""
    return struct.pack(">HHIHH", 2 << 12 | vlan_id, session, timestamp, 0, 0) + frame


def nsh(payload, next_protocol=1, path=1, index=255):
    """MD type 2 without metadata."""
    return struct.pack(">BBBBI", 0x0F, 0xC2, 2, next_protocol, path << 8 | index) + payload


def esp(payload, spi=0x100, sequence=1):
    return struct.pack(">II", spi, sequence) + payload


def ah(payload, next_header=17, spi=0x100, sequence=1, icv=bytes(12)):
    words = (12 + len(icv)) // 4 - 2
    return struct.pack(">BBHII", next_header, words, 0, spi, sequence) + icv + payload


def macsec(user_data, flags=0, number=1):
    """`user_data` begins with an EtherType, and no ICV is added."""
    return struct.pack(">BBI", flags, 0, number) + user_data


def stt(frame, context=1):
    """The header of a whole frame; the TCP header before it says how long that is."""
    return struct.pack(">BBBBHHQH", 0, 0, 0, 0, 1400, 0, context, 0) + frame


def wireguard(payload, kind=4):
    return bytes((kind, 0, 0, 0)) + payload
