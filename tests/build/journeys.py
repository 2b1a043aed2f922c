# SPDX-License-Identifier: Apache-2.0
"""Packets on their way past capture points, with times that are known."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from tests.build import packets as p
from tests.build.captures import Pcapng

START_NS = 1_700_000_000_000_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_NAME, _RESOLUTION_NS = 2, 9


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A TCP segment and the headers that change on the way."""

    source: tuple[str, int] = ("10.244.1.4", 40000)
    destination: tuple[str, int] = ("10.244.2.5", 8080)
    sequence: int = 1000
    acknowledgment: int = 0
    flags: int = ACK
    octets: int = 0
    stamp: int | None = 1
    echo: int = 1
    window: int = 500
    ttl: int = 64
    identification: int = 0
    macs: tuple[bytes, bytes] = (p.MAC_A, p.MAC_B)

    def but(self, **changes):
        """The same with some things changed."""
        return replace(self, **changes)

    def piece(self, start, end):
        """A part of it, as GSO cuts: the flags of an end go with the last piece."""
        last = end == self.octets
        flags = self.flags if last else self.flags & ~(FIN | PSH)
        return replace(
            self,
            sequence=(self.sequence + start) % 2**32,
            octets=end - start,
            flags=flags,
        )

    def frame(self, vxlan=None):
        """The frame; inside VXLAN where a VNI is given."""
        options = b""
        if self.stamp is not None:
            options = b"\1\1" + struct.pack(">BBII", 8, 10, self.stamp, self.echo)
        segment = p.tcp(
            bytes(self.octets),
            self.source[1],
            self.destination[1],
            sequence=self.sequence,
            acknowledgment=self.acknowledgment,
            flags=self.flags,
            window=self.window,
            options=options,
        )
        packet = p.ipv4(
            segment,
            6,
            self.source[0],
            self.destination[0],
            ttl=self.ttl,
            identification=self.identification,
        )
        frame = p.ethernet(packet, source=self.macs[0], destination=self.macs[1])
        if vxlan is None:
            return frame
        outer = p.udp(p.vxlan(frame, vxlan), 50000, 4789)
        return p.ethernet(p.ipv4(outer, 17, "172.18.0.2", "172.18.0.3"))


@dataclass
class Journeys:
    """What capture points saw, to be written as one or several files."""

    sightings: list[tuple[int, str, bytes]] = field(default_factory=list)

    def see(self, point, time_ns, segment, vxlan=None):
        """Let a point see a segment; times count from the start."""
        self.sightings.append((START_NS + time_ns, point, segment.frame(vxlan)))

    def way(self, time_ns, segment, *steps):
        """Let points see a segment one after the other: (point, nanoseconds after the one before,
        changes, VNI)."""
        for point, later_ns, *rest in steps:
            time_ns += later_ns
            segment = segment.but(**(rest[0] if rest else {}))
            self.see(point, time_ns, segment, rest[1] if len(rest) > 1 else None)

    def write(self, path, *, points=None, sort=True, drops=None):
        """Write the sightings of some points as one pcapng with those interfaces."""
        rows = [row for row in self.sightings if points is None or row[1] in points]
        if sort:
            rows = sorted(rows, key=lambda row: row[0])
        names = points or list(dict.fromkeys(row[1] for row in self.sightings))
        w = Pcapng()
        blocks = [w.section()]
        blocks += [w.interface(name=name, resolution=_RESOLUTION_NS) for name in names]
        blocks += [
            w.packet(frame, interface=names.index(point), units=time_ns)
            for time_ns, point, frame in rows
        ]
        for name, count in (drops or {}).items():
            blocks.append(w.statistics(interface=names.index(name), ifdrop=count))
        path.write_bytes(b"".join(blocks))
        return str(path)
