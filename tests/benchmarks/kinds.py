# SPDX-License-Identifier: Apache-2.0
"""Frames of each kind of tunnel and protection around the same workload, to compare their cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.build import captures
from tests.build import packets as p

FLOWS = 64
PAYLOAD = bytes(160)
OPTIONS = (
    p.geneve_option(0x0102, 0x80, bytes(4))
    + p.geneve_option(0x0104, 0x01, bytes(16))
    + p.geneve_option(0xFFFF, 0x02, bytes(8))
)
EXTENSION = bytes.fromhex("00000085 01100900")
"""GTP-U: no sequence number, and a PDU session container."""
ICV = bytes(16)


def _in_udp(port: int, header: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda inner: p.ipv4(p.udp(header(inner), 50000, port))


def _stt(inner: bytes) -> bytes:
    octets = p.stt(p.ethernet(inner))
    return p.ipv4(p.tcp(octets, 50000, 7471, sequence=len(octets) << 16), 6)


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda inner: inner,
    "ipip, 4 in 4": lambda inner: p.ipv4(inner, 4),
    "ipip, 4 in 6": lambda inner: p.ipv6(inner, 4),
    "gre": lambda inner: p.ipv4(p.gre(inner), 47),
    "gre, key and sequence": lambda inner: p.ipv4(p.gre(inner, key=1, sequence=1), 47),
    "nvgre": lambda inner: p.ipv4(p.gre(p.ethernet(inner), 0x6558, key=0x100), 47),
    "erspan I": lambda inner: p.ipv4(p.gre(p.ethernet(inner), 0x88BE), 47),
    "erspan II": lambda inner: p.ipv4(p.gre(p.erspan_2(p.ethernet(inner)), 0x88BE, sequence=1), 47),
    "erspan III": lambda inner: p.ipv4(
        p.gre(p.erspan_3(p.ethernet(inner)), 0x22EB, sequence=1), 47
    ),
    "vxlan": _in_udp(4789, lambda inner: p.vxlan(p.ethernet(inner))),
    "vxlan-gpe": _in_udp(4790, lambda inner: p.vxlan_gpe(inner, next_protocol=1)),
    "vxlan-gpe, nsh": _in_udp(4790, lambda inner: p.vxlan_gpe(p.nsh(inner), next_protocol=4)),
    "geneve": _in_udp(6081, lambda inner: p.geneve(p.ethernet(inner))),
    "geneve, 3 options": _in_udp(
        6081, lambda inner: p.geneve(p.ethernet(inner), options=OPTIONS, critical=1)
    ),
    "gtpu": _in_udp(2152, p.gtpu),
    "gtpu, extension header": _in_udp(
        2152, lambda inner: p.gtpu(inner, flags=0x34, optional=EXTENSION)
    ),
    "vxlan in geneve": lambda inner: _geneve_of(p.ipv4(p.udp(p.vxlan(p.ethernet(inner)), 1, 4789))),
    "esp": lambda inner: p.ipv4(p.esp(inner), 50),
    "esp in udp": _in_udp(4500, p.esp),
    "ah": lambda inner: p.ipv4(p.ah(inner, 4), 51),
    "macsec, integrity only": lambda inner: p.macsec(b"\x08\0" + inner + ICV),
    "macsec, encrypted": lambda inner: p.macsec(inner + ICV, 0x0C),
    "wireguard": _in_udp(51820, p.wireguard),
    "stt": _stt,
}
"""By name, what makes the carrying packet of an IPv4 one; MACsec is not carried by IP."""


def _geneve_of(inner: bytes) -> bytes:
    return p.ipv4(p.udp(p.geneve(p.ethernet(inner)), 50000, 6081))


def frame(kind: str, flow: int) -> bytes:
    """Return a frame of one of the flows."""
    segment = p.tcp(PAYLOAD, 40_000 + flow, 443)
    inner = p.ipv4(segment, 6, f"10.1.0.{flow + 1}", f"10.2.0.{flow + 1}")
    carried = KINDS[kind](inner)
    if kind.startswith("macsec"):
        return p.ethernet(carried, 0x88E5)
    return p.ethernet(carried, 0x86DD if carried[0] >> 4 == 6 else 0x0800)


def generate(path: Path, kind: str, frames: int) -> int:
    """Write a capture of one kind; return the octets of a frame."""
    known = [frame(kind, flow) for flow in range(FLOWS)]
    with path.open("wb") as out:
        out.write(captures.pcap_header())
        for number in range(frames):
            out.write(captures.pcap_record(known[number % FLOWS], seconds=number))
    return len(known[0])
