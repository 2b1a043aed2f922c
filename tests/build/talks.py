# SPDX-License-Identifier: Apache-2.0
"""TCP connections as capture points see them, each segment at each point, written as pcapng."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.build import packets as p
from tests.build.captures import Pcapng

START_NS = 1_700_000_000_000_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 1_000_000
STEP_NS = 20_000
"""From one point to the next."""
LOOPBACK = ("127.0.0.1", 15001)


def in_vxlan(vni, source="172.18.0.2", destination="172.18.0.3"):
    """Return what puts a frame into VXLAN."""
    return lambda frame: p.ethernet(
        p.ipv4(p.udp(p.vxlan(frame, vni), 50000, 4789), 17, source, destination)
    )


def in_geneve(vni, source="10.244.1.1", destination="10.244.1.2", port=6081):
    """Return what puts a frame into Geneve."""
    return lambda frame: p.ethernet(
        p.ipv4(p.udp(p.geneve(frame, vni=vni), 50000, port), 17, source, destination)
    )


@dataclass
class Talks:
    """What capture points saw."""

    sightings: list[tuple[int, str, bytes]] = field(default_factory=list)

    def begin(self, client, server, *at, **options):
        """Return a new connection that these points see."""
        return Talk(
            self, client, server, at, isn=10_000 + 1_000_000 * len(self.sightings), **options
        )

    def write(self, path, *names):
        """Write what these points saw, all by default, as one file with as many interfaces."""
        rows = sorted(row for row in self.sightings if not names or row[1] in names)
        known = list(names) or list(dict.fromkeys(row[1] for row in self.sightings))
        w = Pcapng()
        blocks = [w.section()]
        blocks += [w.interface(name=name, resolution=9) for name in known]
        blocks += [
            w.packet(frame, interface=known.index(name), units=START_NS + time_ns)
            for time_ns, name, frame in rows
        ]
        path.write_bytes(b"".join(blocks))
        return str(path)


@dataclass
class Talk:
    """One connection; times are milliseconds from the start."""

    talks: Talks
    client: tuple[str, int]
    server: tuple[str, int]
    at: tuple[str, ...]
    isn: int
    wrap: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    """How a point sees the frames."""
    only: dict[str, bool] = field(default_factory=dict)
    """Points that see one direction only: True for the client's."""
    redirected: bool = False
    """On lo: the client's segments go to 127.0.0.1:15001."""

    def __post_init__(self):
        self.sequence = {True: self.isn + 1, False: self.isn + 500_001}

    def send(self, ms, upward, flags, payload=b"", *, back=0):
        """Let all points see one segment; back: that many octets before what was sent last."""
        source, destination = (self.client, self.server) if upward else (self.server, self.client)
        if self.redirected and upward:
            destination = LOOPBACK
        sequence = self.sequence[upward] - back - (flags & SYN > 0)
        segment = p.tcp(
            payload, source[1], destination[1], sequence=sequence % 2**32,
            acknowledgment=self.sequence[not upward] % 2**32 if flags & ACK else 0, flags=flags,
        )  # fmt: skip
        if ":" in source[0]:
            frame = p.ethernet(p.ipv6(segment, 6, source[0], destination[0]), 0x86DD)
        else:
            frame = p.ethernet(p.ipv4(segment, 6, source[0], destination[0]))
        seen = [name for name in self.at if self.only.get(name, upward) == upward]
        for place, name in enumerate(seen if upward else reversed(seen)):
            seen_as = self.wrap.get(name, bytes)(frame)
            self.talks.sightings.append((round(ms * MS) + place * STEP_NS, name, seen_as))
        if not back:
            self.sequence[upward] += len(payload) + (flags & FIN)
        return self

    def up(self, ms, payload=b"", flags=ACK | PSH, **options):
        return self.send(ms, True, flags, payload, **options)

    def down(self, ms, payload=b"", flags=ACK | PSH, **options):
        return self.send(ms, False, flags, payload, **options)

    def open(self, ms, round_trip_ms=1.0):
        """A handshake."""
        self.up(ms, flags=SYN)
        self.down(ms + round_trip_ms, flags=SYN | ACK)
        return self.up(ms + round_trip_ms + 0.1, flags=ACK)

    def close(self, ms):
        """FIN from both ends."""
        self.up(ms, flags=ACK | FIN)
        self.down(ms + 0.5, flags=ACK | FIN)
        return self.up(ms + 0.6, flags=ACK)
