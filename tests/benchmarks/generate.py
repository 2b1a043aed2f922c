# SPDX-License-Identifier: Apache-2.0
"""Makes the benchmark capture: overlay traffic of many conversations, the same for one seed.

    python -m tests.benchmarks.generate OUT.pcap FRAMES [CONVERSATIONS [SEED]]

49 % Geneve with 0 to 3 options, 42 % VXLAN, 9 % without tunnel; 5 % have an outer VLAN tag, 3 % an
inner one, 3 % IPv6 outside, 10 % IPv6 inside; about 360 octets on average.  The outermost IPv4
header numbers the frames, so that each is another one.  A process of its own, since what a process
held before `exec` counts as its child's peak memory.
"""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path

from tests.build import captures
from tests.build import packets as p

CONVERSATIONS = 20_000
SIZES = (0, 0, 0, 48, 160, 420, 1240)
"""Octets of TCP or UDP payload; what is drawn for a frame of a conversation."""
CHUNK = 20_000
IPV4_BEGINS = b"\x08\x00\x45\x00"
"""An EtherType, and the first octets of the header that it says."""
NODES, VNIS = 16, 32
OPTIONS = (
    p.geneve_option(0x0102, 0x80, bytes(4)),
    p.geneve_option(0x0104, 0x01, bytes(16)),
    p.geneve_option(0xFFFF, 0x02, bytes(8)),
)


class Conversation:
    """What stays the same in the frames of two workloads."""

    def __init__(self, rng, number):
        self.kind = rng.choices(("geneve", "vxlan", "plain"), (49, 42, 9))[0]
        self.vni = 2000 + rng.randrange(VNIS)
        self.nodes = rng.sample(range(NODES), 2)
        self.pods = [number % 60_000, (number * 7 + 1) % 60_000]
        self.ports = [rng.randrange(32768, 61000), rng.choice((80, 443, 8080, 9000, 15008))]
        self.outer_vlan, self.inner_vlan = rng.random() < 0.05, rng.random() < 0.03
        self.outer_six, self.inner_six = rng.random() < 0.03, rng.random() < 0.10
        self.options = b"".join(rng.sample(OPTIONS, rng.randrange(4)))
        self.source_port = rng.randrange(49152, 65536)
        self.transport = rng.choices(("tcp", "udp"), (9, 1))[0]

    def frame(self, size, reverse):
        """A frame with so much payload, in one of the two directions."""
        way = -1 if reverse else 1
        inner, ethertype = self._workload(bytes(size), way)
        if self.kind == "plain":
            return self._link(inner, ethertype)
        if self.inner_vlan:
            inner, ethertype = p.vlan(inner, ethertype, vlan_id=20), 0x8100
        inner = p.ethernet(inner, ethertype)
        if self.kind == "geneve":
            options = self.options
            inner = p.geneve(inner, self.vni, options=options, critical=_has_critical(options))
            port = 6081
        else:
            inner, port = p.vxlan(inner, self.vni), 4789
        fours = [f"172.18.0.{n + 1}" for n in self.nodes][::way]
        sixes = [f"fd00:18::{n + 1:x}" for n in self.nodes][::way]
        datagram = p.udp(inner, self.source_port, port)
        return self._link(*self._network(datagram, 17, fours, sixes, self.outer_six))

    def _workload(self, payload, way):
        source, destination = self.ports[::way]
        if self.transport == "tcp":
            segment, protocol = p.tcp(payload, source, destination), 6
        else:
            segment, protocol = p.udp(payload, source, destination), 17
        fours = [f"10.244.{n >> 8}.{n & 255}" for n in self.pods][::way]
        sixes = [f"fd00:244::{n:x}" for n in self.pods][::way]
        return self._network(segment, protocol, fours, sixes, self.inner_six)

    @staticmethod
    def _network(payload, protocol, fours, sixes, six):
        if six:
            return p.ipv6(payload, protocol, *sixes), 0x86DD
        return p.ipv4(payload, protocol, *fours), 0x0800

    def _link(self, payload, ethertype):
        if self.outer_vlan:
            payload, ethertype = p.vlan(payload, ethertype, vlan_id=10), 0x8100
        return p.ethernet(payload, ethertype)


def _has_critical(options):
    return int(OPTIONS[0] in options)


def templates(rng, conversations):
    """Frames of every conversation in both directions, two sizes each."""
    result = []
    for number in range(conversations):
        conversation = Conversation(rng, number)
        for reverse in (False, True):
            result += [conversation.frame(size, reverse) for size in rng.sample(SIZES, 2)]
    return result


def identification_of(frame):
    """Return where a frame's first IPv4 identification is, 0 where it has none."""
    begin = frame.find(IPV4_BEGINS)
    return begin + 6 if begin >= 0 else 0


def numbered(frame, place, sent):
    """Return a frame, whose identification is 0 so far, with this one: in parts."""
    if not place:
        return (frame,)
    checksum = int.from_bytes(frame[place + 6 : place + 8], "big")
    checksum = (checksum + 0xFFFF - sent) % 0xFFFF
    number, checksum = sent.to_bytes(2, "big"), checksum.to_bytes(2, "big")
    return frame[:place], number, frame[place + 2 : place + 6], checksum, frame[place + 8 :]


def generate(path, frames, conversations=CONVERSATIONS, seed=1):
    """Write the capture: frames of random conversations, a few of which are much busier."""
    rng = random.Random(seed)
    known = templates(rng, conversations)
    lengths = [struct.pack("<II", len(frame), len(frame)) for frame in known]
    places = [identification_of(frame) for frame in known]
    stamp, count = struct.Struct("<II").pack, len(known)
    time_ns = 1_700_000_000 * 10**9
    with Path(path).open("wb") as out:
        out.write(captures.pcap_header(magic=captures.NANOSECONDS))
        for begin in range(0, frames, CHUNK):
            parts = []
            for sent in range(begin, begin + min(CHUNK, frames - begin)):
                number = int(count * rng.random() ** 1.5)
                time_ns += 300
                parts += (stamp(*divmod(time_ns, 10**9)), lengths[number])
                parts += numbered(known[number], places[number], sent & 0xFFFF)
            out.write(b"".join(parts))


if __name__ == "__main__":
    generate(sys.argv[1], *map(int, sys.argv[2:]))
