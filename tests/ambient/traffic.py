# SPDX-License-Identifier: Apache-2.0
"""Small captures of what ambient's modes, and what only looks like them, put on the wire."""

from __future__ import annotations

from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.build import packets as p
from tests.build.captures import LITTLE

CLIENT, SERVER, NODE, ZTUNNEL = "10.244.1.4", "10.244.2.5", "10.244.1.1", "10.244.1.2"
SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10
MAC_POD, MAC_ZTUNNEL, MAC_BRIDGE = (bytes.fromhex(f"0200000000{i:02x}") for i in (1, 2, 3))


def connection(
    source=CLIENT, destination=SERVER, ports=(40000, 8080), *,
    flags=SYN, ttl=64, mac=p.MAC_B, sequence=7, six=False,
):  # fmt: skip
    """One TCP packet in an Ethernet frame."""
    segment = p.tcp(b"", *ports, sequence=sequence, flags=flags)
    if six:
        packet, ethertype = p.ipv6(segment, 6, source, destination, hop_limit=ttl), 0x86DD
    else:
        packet, ethertype = p.ipv4(segment, 6, source, destination, ttl=ttl), 0x0800
    return p.ethernet(packet, ethertype, destination=mac)


def hbone(**changes):
    """The client's first packet towards HBONE."""
    return connection(ports=(40001, 15008), sequence=9, **changes)


def in_tunnel(
    frame, vni, *, source=NODE, destination=ZTUNNEL, port=6081, options=b"", kind="geneve"
):
    """A frame in a tunnel, in a frame."""
    header = p.geneve(frame, vni, options=options) if kind == "geneve" else p.vxlan(frame, vni)
    return p.ethernet(p.ipv4(p.udp(header, 2275, port), 17, source, destination))


def recognised(folder, **points):
    """Inspect one pcapng with an interface for each point; return its `AmbientSummary`."""
    octets = LITTLE.section()
    for name in points:
        octets += LITTLE.interface(name=name.replace("__", "."))
    for number, frames in enumerate(points.values()):
        for frame in frames:
            octets += LITTLE.packet(frame, interface=number, units=1_700_000_000_000_000)
    path = folder / "traffic.pcapng"
    path.write_bytes(octets)
    result = inspect([CaptureSpec.parse(str(path))])
    assert result.problems == ()
    return result.ambient
