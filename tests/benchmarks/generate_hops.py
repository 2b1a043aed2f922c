# SPDX-License-Identifier: Apache-2.0
"""Makes the benchmark captures of `latency`: two nodes, five capture points, delays that are known.

    python -m tests.benchmarks.generate_hops FOLDER FRAMES [CONNECTIONS [SEED]]

Writes `nA.pcapng` (pod's veth, eth0 with VXLAN), `nB.pcapng` (eth0 with VXLAN, flannel.1, pod's
veth) and `truth.json`: of each hop the packets, the losses, and quantiles of the time.  Each
connection has a handshake, requests and answers, and both FINs: twenty segments.  One segment in
1000 is lost between the nodes.  Frames are cut after the TCP header.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.build import packets as p
from tests.build.captures import Pcapng

START_NS = 1_700_000_000_000_000_000
SEGMENTS = 20
FILES = {"nA": ("veth0a", "eth0"), "nB": ("eth0", "flannel.1", "veth0b")}
FORWARD = ("nA/veth0a", "nA/eth0", "nB/eth0", "nB/flannel.1", "nB/veth0b")
DELAY_NS = {True: (9_000, 5_000_000, 4_000, 12_000), False: (11_000, 3_000, 4_000_000, 7_000)}
"""Between neighbouring points, client to server and back; what is random comes on top."""
LOST = 0.001
WIRE = {True: 1, False: 2}
"""Which of the four is the way between the nodes."""
PLAIN_BYTES, TUNNEL_BYTES = 66, 116
BLOCK_BYTES = 32  # of an enhanced packet block, without the frame
FRAMES_PER_CONNECTION = SEGMENTS * len(FORWARD)

FLAGS = np.array([2, 18, 16] + [24] * 14 + [17, 17, 16], np.uint8)
FROM_CLIENT = np.array([1, 0, 1] + [1, 0] * 7 + [1, 0, 1], bool)
OCTETS = np.array([0, 0, 0] + [120, 900] * 7 + [0, 0, 0], np.int64)


def main(folder, frames, connections=0, seed=1):
    """Write the captures and what is true of them."""
    connections = connections or max(frames // FRAMES_PER_CONNECTION, 1)
    rounds = max(frames // (connections * FRAMES_PER_CONNECTION), 1)
    rng = np.random.default_rng(seed)
    writers = {name: Writer(folder / f"{name}.pcapng", points) for name, points in FILES.items()}
    truth = Truth()
    for number in range(rounds):
        _round(rng, writers, truth, connections, number)
    for writer in writers.values():
        writer.close()
    (folder / "truth.json").write_text(json.dumps(truth.hops(), indent=1) + "\n", "utf-8")


def _round(rng, writers, truth, connections, number, slice_ns=1_000_000_000):
    """One connection from each client port; a second of starts at a time, to bound memory."""
    slices = 100 * connections // 100_000 + 1
    per_slice = -(-connections // slices)
    for i in range(slices):
        count = min(per_slice, connections - i * per_slice)
        if count <= 0:
            break
        start = START_NS + (number * (slices + 1) + i) * slice_ns
        first = i * per_slice
        segments = Segments(rng, start, slice_ns, np.arange(first, first + count), number)
        times = segments.times(rng)
        truth.add(segments, times)
        for name, writer in writers.items():
            writer.write(segments, times, name)
            writer.flush(start + slice_ns)


class Segments:
    """The segments of some connections, as columns."""

    def __init__(self, rng, start, slice_ns, client, number):
        shape = (len(client), SEGMENTS)
        self.forward = np.broadcast_to(FROM_CLIENT, shape).ravel()
        self.flags = np.broadcast_to(FLAGS, shape).ravel()
        self.octets = np.broadcast_to(OCTETS, shape).ravel()
        taken = OCTETS + (FLAGS & 3 != 0)
        isn = rng.integers(0, 2**32, (2, len(client), 1), np.int64)
        sent = np.stack(
            [np.cumsum(np.where(side, taken, 0)) for side in (~FROM_CLIENT, FROM_CLIENT)]
        )
        before = sent - np.where(np.stack((~FROM_CLIENT, FROM_CLIENT)), taken, 0)
        up, down = isn[1] + before[1], isn[0] + before[0]
        self.sequence = np.where(FROM_CLIENT, up, down).ravel() % 2**32
        acknowledged = np.where(FROM_CLIENT, isn[0] + sent[0], isn[1] + sent[1])
        self.acknowledgment = np.where(FLAGS == 2, 0, acknowledged).ravel() % 2**32
        gaps = rng.integers(2_000_000, 30_000_000, shape)
        begin = np.sort(rng.integers(0, slice_ns, len(client)))
        self.time_ns = (start + begin[:, None] + np.cumsum(gaps, axis=1)).ravel()
        self.stamp = self.time_ns // 1_000_000 % 2**32
        self.client = np.repeat(client, SEGMENTS)
        self.port = 20_000 + (self.client // 250 + number * 977) % 40_000

    def times(self, rng):
        """When each of the five points saw each segment; -1 where it never came."""
        steps = np.where(
            self.forward[None], *np.array([DELAY_NS[True], DELAY_NS[False]])[..., None]
        )
        noise = rng.exponential(0.05, steps.shape) * steps
        total = self.time_ns + np.cumsum(steps + noise.astype(np.int64), axis=0)
        found = np.concatenate((self.time_ns[None], total))
        lost = rng.random(len(self.time_ns)) < LOST
        for forward, wire in WIRE.items():
            rows = np.flatnonzero(lost & (self.forward == forward))
            found[wire + 1 :, rows] = -1
        return found


class Truth:
    """Gathers what is true of each hop."""

    def __init__(self):
        self._elapsed = {}
        self._lost = {}

    def add(self, segments, times):
        for forward in (True, False):
            points = FORWARD if forward else FORWARD[::-1]
            some = times[:, segments.forward == forward]
            for i in range(4):
                key = (points[i], points[i + 1], "forward" if forward else "reverse")
                both = some[i + 1] >= 0
                self._lost[key] = self._lost.get(key, 0) + int(((some[i] >= 0) & ~both).sum())
                self.note(key, (some[i + 1] - some[i])[both])

    def note(self, key, elapsed):
        """Add times of a hop: (from, to, direction), of a proxy also kind and phase."""
        self._elapsed.setdefault(key, []).append(elapsed.astype(np.int32))

    def hops(self):
        rows = []
        for key, parts in self._elapsed.items():
            values = np.concatenate(parts)
            row = dict(zip(("from", "to", "direction", "kind", "phase"), key, strict=False))
            row |= {"packets": len(values), "lost": self._lost.get(key, 0)}
            row |= {"min_ns": int(values.min()), "max_ns": int(values.max())}
            row |= {f"p{q}_ns": int(np.percentile(values, q)) for q in (50, 90, 99)}
            rows.append(row)
        return rows


class Writer:
    """One pcapng file, in the order of time; records wait until their time has come.

    `add` takes records, `flush` writes those whose order is settled.
    """

    def __init__(self, path, points):
        w = Pcapng()
        self._stream = path.open("wb")
        self._stream.write(
            w.section() + b"".join(w.interface(name=n, resolution=9) for n in points)
        )
        self._points = points
        self._waiting = []

    def write(self, segments, times, node):
        """Take the sightings of one node."""
        for interface, name in enumerate(self._points):
            at = FORWARD.index(f"{node}/{name}")
            seen = np.where(segments.forward, times[at], times[4 - at])
            rows = np.flatnonzero(seen >= 0)
            tunnel = name == "eth0"
            frames = _frames(segments, rows, tunnel=tunnel, at=at)
            wire_bytes = frames.shape[1] + segments.octets[rows]
            self.add(seen[rows], interface, frames, wire_bytes)

    def add(self, time_ns, interface, frames, wire_bytes):
        """Take frames of one captured length, a row each."""
        self._waiting.append((time_ns, np.full(len(time_ns), interface), frames, wire_bytes))

    def flush(self, until_ns):
        """Write what is older than a moment."""
        time_ns = np.concatenate([part[0] for part in self._waiting])
        size = np.concatenate([np.full(len(t), f.shape[1]) for t, _, f, _ in self._waiting])
        part = np.concatenate([np.full(len(w[0]), i) for i, w in enumerate(self._waiting)])
        row = np.concatenate([np.arange(len(w[0])) for w in self._waiting])
        order = np.argsort(time_ns, kind="stable")
        order = order[: np.searchsorted(time_ns[order], until_ns)]
        total = BLOCK_BYTES + (size[order] + 3 & ~3)
        offset = np.concatenate(([0], np.cumsum(total)))
        buffer = np.zeros(int(offset[-1]), np.uint8)
        left = []
        for i, waiting in enumerate(self._waiting):
            mine = np.flatnonzero(part[order] == i)
            blocks = _blocks(*(column[row[order[mine]]] for column in waiting))
            buffer[offset[mine][:, None] + np.arange(blocks.shape[1])] = blocks
            kept = np.ones(len(waiting[0]), bool)
            kept[row[order[mine]]] = False
            if kept.any():
                left.append(tuple(column[kept] for column in waiting))
        self._stream.write(buffer.tobytes())
        self._waiting = left

    def close(self):
        if self._waiting:
            self.flush(2**63 - 1)
        self._stream.close()


def _blocks(times, interfaces, frames, wire_bytes):
    """Enhanced packet blocks."""
    captured = frames.shape[1]
    padded = captured + 3 & ~3
    blocks = np.zeros((len(times), BLOCK_BYTES + padded), np.uint8)
    words = blocks.view("<u4").reshape(len(times), blocks.shape[1] // 4)
    words[:, 0], words[:, 1], words[:, -1] = 6, BLOCK_BYTES + padded, BLOCK_BYTES + padded
    words[:, 2] = interfaces
    words[:, 3], words[:, 4] = times >> 32, times & 0xFFFFFFFF
    words[:, 5], words[:, 6] = captured, wire_bytes
    blocks[:, 28 : 28 + captured] = frames
    return blocks


def _frames(segments, rows, *, tunnel, at):
    """Frames up to the end of the TCP header, at one of the points.

    Both nodes route: the TTL is 64, 63 between them, and 62 in the end.
    """
    forward = segments.forward[rows]
    passed = np.where(forward, at, len(FORWARD) - 1 - at)
    client = 0x0AF40100 + segments.client[rows] % 250
    server, service = np.full(len(rows), 0x0AF40205), np.full(len(rows), 15008)
    port = segments.port[rows]
    columns = Columns(
        source=np.where(forward, client, server),
        destination=np.where(forward, server, client),
        source_port=np.where(forward, port, service),
        destination_port=np.where(forward, service, port),
        sequence=segments.sequence[rows],
        acknowledgment=segments.acknowledgment[rows],
        flags=segments.flags[rows],
        octets=segments.octets[rows],
        stamp=segments.stamp[rows],
        echo=np.zeros(len(rows), np.int64),
    )
    return columns.frames(tunnel=tunnel, ttl=np.array((64, 63, 63, 63, 62), np.uint8)[passed])


@dataclass(kw_only=True)
class Columns:
    """TCP segments over IPv4 with time stamps, a row each."""

    source: np.ndarray
    destination: np.ndarray
    source_port: np.ndarray
    destination_port: np.ndarray
    sequence: np.ndarray
    acknowledgment: np.ndarray
    flags: np.ndarray
    octets: np.ndarray
    """Of payload."""
    stamp: np.ndarray
    echo: np.ndarray

    def take(self, rows):
        """Some of the rows."""
        return Columns(**{name: values[rows] for name, values in vars(self).items()})

    def frames(self, *, tunnel, ttl=64, payload=None):
        """Frames up to the end of the TCP header, in VXLAN or not.

        payload: captured octets of the payload, a row each.
        """
        template = p.ethernet(
            p.ipv4(p.tcp(b"", options=b"\1\1\x08\x0a" + bytes(8)), 6, "10.244.1.0", "10.244.2.0")
        )
        start = 0
        if tunnel:
            outer = p.udp(p.vxlan(template, 1), 50000, 4789)
            template = p.ethernet(p.ipv4(outer, 17, "172.18.0.2", "172.18.0.3"))
            start = TUNNEL_BYTES - PLAIN_BYTES
        frames = np.tile(np.frombuffer(template, np.uint8), (len(self.source), 1))
        ip, tcp = start + 14, start + 34
        length = 52 + self.octets
        put(frames, ip + 2, length, 2)
        if tunnel:
            put(frames, 16, length + 50, 2)
            put(frames, 38, length + 30, 2)
        frames[:, ip + 8] = ttl
        put(frames, ip + 12, self.source, 4)
        put(frames, ip + 16, self.destination, 4)
        put(frames, tcp, self.source_port, 2)
        put(frames, tcp + 2, self.destination_port, 2)
        put(frames, tcp + 4, self.sequence, 4)
        put(frames, tcp + 8, self.acknowledgment, 4)
        frames[:, tcp + 13] = self.flags
        put(frames, tcp + 24, self.stamp, 4)
        put(frames, tcp + 28, self.echo, 4)
        return frames if payload is None else np.concatenate((frames, payload), axis=1)


def put(frames, offset, values, octets):
    """Write big-endian numbers into a column."""
    for i in range(octets):
        frames[:, offset + i] = values >> (8 * (octets - 1 - i)) & 0xFF


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
