# SPDX-License-Identifier: Apache-2.0
"""Small captures of several points, and what they are recognised as."""

from __future__ import annotations

from genevecap.analysis.inputs import Inputs
from genevecap.analysis.points.roles import PointRole, RoleSigns
from genevecap.analysis.select import Selector
from genevecap.capture.points import PointTable
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.build import packets as p
from tests.build.captures import LITTLE

POD, OTHER, THIRD = "10.244.1.4", "10.244.2.5", "10.244.2.9"
NODE_A, NODE_B, ZTUNNEL = "172.18.0.2", "172.18.0.3", "10.244.1.2"
MAC_1, MAC_2, MAC_3 = (bytes.fromhex(f"0200000000{i:02x}") for i in (1, 2, 3))

SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10


def frame(
    source=POD, destination=OTHER, *, ttl=64, macs=(MAC_1, MAC_2), ports=(40000, 8080), sequence=1,
    flags=ACK, link=None,
):  # fmt: skip
    """One TCP packet; `link` makes the link header of it instead of Ethernet."""
    segment = p.tcp(b"", *ports, sequence=sequence, flags=flags)
    six = ":" in source
    if six:
        packet = p.ipv6(segment, 6, source, destination, hop_limit=ttl)
    else:
        packet = p.ipv4(segment, 6, source, destination, ttl=ttl)
    protocol = 0x86DD if six else 0x0800
    if link is not None:
        return link(packet, protocol)
    return p.ethernet(packet, protocol, source=macs[0], destination=macs[1])


def talk(own=POD, peers=(OTHER, THIRD), *, ttl=64, peer_ttl=62, macs=(MAC_1, MAC_2), **more):
    """Packets between one address and others, both ways."""
    frames = []
    for number, peer in enumerate(peers, 1):
        ports = (40000 + number, 8080)
        frames += [
            frame(own, peer, ttl=ttl, macs=macs, ports=ports, sequence=10 * number, **more),
            frame(
                peer, own, ttl=peer_ttl, macs=macs[::-1], ports=ports[::-1], sequence=10 * number,
                **more,
            ),
        ]  # fmt: skip
    return frames


def tunnelled(
    inner, source=NODE_A, destination=NODE_B, *, vni=1, port=4789, macs=(MAC_1, MAC_2), options=b""
):
    """A frame in VXLAN or (other ports) Geneve."""
    header = p.vxlan(inner, vni) if port == 4789 else p.geneve(inner, vni, options=options)
    packet = p.ipv4(p.udp(header, 50000, port), 17, source, destination)
    return p.ethernet(packet, source=macs[0], destination=macs[1])


def write(folder, name, points, *, link=1, begin_ns=0, step_ns=1_000_000):
    """Write one pcapng: {interface: frames or (ns, frame) pairs}; return its path."""
    octets = LITTLE.section()
    for interface in points:
        octets += LITTLE.interface(name=interface, resolution=9, link=link)
    for number, frames in enumerate(points.values()):
        for place, item in enumerate(frames):
            time_ns, data = item if isinstance(item, tuple) else (place * step_ns, item)
            octets += LITTLE.packet(
                data, interface=number, units=1_700_000_000_000_000_000 + begin_ns + time_ns
            )
    path = folder / f"{name}.pcapng"
    path.write_bytes(octets)
    return str(path)


def roles_of(*captures: str, points: PointTable | None = None) -> tuple[PointRole, ...]:
    """Return what the points of captures, given as on the command line, are."""
    signs, _ = signs_of(*captures, points=points)
    return signs.result()


def signs_of(*captures: str, points: PointTable | None = None):
    problems = []
    inputs = Inputs(
        [CaptureSpec.parse(text) for text in captures],
        DecodeSettings(),
        Selector(),
        problems.append,
        points=PointTable() if points is None else points,
    )
    signs = RoleSigns(inputs.points)
    for batch in inputs.batches():
        signs.update(batch)
    assert [problem for problem in problems if problem.severity == "error"] == []
    return signs, problems


def found(point: PointRole) -> tuple[str, tuple[str, ...]]:
    return str(point.role), point.addresses
