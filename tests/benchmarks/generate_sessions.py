# SPDX-License-Identifier: Apache-2.0
"""Makes the benchmark captures of ambient sessions: one client pod, one server pod, two nodes.

    python -m tests.benchmarks.generate_sessions FOLDER FRAMES SESSIONS [SEED [CONTENT]]

Writes `cli.pcapng` (pod's lo), `nA.pcapng` (pod's veth, eth0 with VXLAN), `nB.pcapng` (eth0),
`srv.pcapng` (pod's lo), and `truth.json`: the ports of each session's connections, and of each hop
the packets and quantiles of the time.  In-pod redirection as Istio 1.21 and later have it: a
client's connection is on `lo` as two half-flows (`C:p1 > 127.0.0.1:15001`, `S:8080 > C:p1`), one
HBONE connection carries `POOL` sessions one after the other and side by side, and what the server's
ztunnel opens is on the server's `lo`.  Record lengths are those of ztunnel 1.31.

A hundred sessions begin in a second.  Each has as many requests as its share of the frames allows
(4 requests: 95 frames).  Frames are cut after the TCP header, or that of the TLS record; CONTENT
is how many octets of the pods' payload are captured (0; a request differs from others in its
first 16).  Proxies take 0.15 ms and more, the wire 5 ms and 4 ms back; nothing is lost.

`latency --same-clock` of 200,000, 1,000,000 and 2,000,000 frames with 2,000, 10,000 and 20,000
sessions: 3.4, 9.9 and 17.9 s of CPU time and 133, 364 and 634 MB (medians of three, on a machine
that takes 0.92 s to `inspect` 2,000,000 frames; 3.0 and 7.6 s where that took 0.7 s).  Per session
0.6 to 0.8 ms and 28 kB.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from .generate_hops import START_NS, Columns, Truth, Writer, put

FILES = {"cli": ("lo",), "nA": ("veth0a", "eth0"), "nB": ("eth0",), "srv": ("lo",)}
POOL = 1_000
"""Sessions of one HBONE connection."""
PER_SECOND = 100
BEFORE_NS = 100_000_000
"""How long an HBONE connection is open before its first session."""
CLIENT, SERVER, LOOPBACK = 0x0AF40104, 0x0AF40205, 0x7F000001
PORTS = 40_000
FIRST_PORT = 20_000
REQUEST_BYTES = np.array([117, 143, 148, 205, 260, 311, 402, 590])
RESPONSE_BYTES = np.array([32, 96, 183, 192, 240, 377, 512, 640, 800, 980])
CONNECT, OK, END, FRAME = 91, 28, 26, 26
"""TLS record lengths of frames; of DATA that of its header, beyond the payload."""
UP_OPENING = ((22, 200), (20, 1), (23, 768), (23, 41), (23, 26))
DOWN_OPENING = ((22, 122), (20, 1), (23, 849), (23, 179), (23, 50))
"""Records of a handshake (content type, length), SETTINGS and session tickets."""
FIN, SYN, PSH, ACK = 1, 2, 8, 16
HEADER = 5


def main(folder, frames, sessions, seed=1, content=0):
    """Write the captures and what is true of them."""
    requests = max(round((frames / sessions - 27) / 17), 1)
    rng = np.random.default_rng(seed)
    writers = {name: Writer(folder / f"{name}.pcapng", points) for name, points in FILES.items()}
    truth = Truth()
    ports = []
    start = START_NS
    for first in range(0, sessions, POOL):
        numbers = np.arange(first, min(first + POOL, sessions))
        pool = Pool(rng, start, numbers, requests)
        pool.write(writers, content)
        pool.tell(truth)
        ports += pool.ports()
        start = pool.end_ns
        for writer in writers.values():
            writer.flush(start)
    for writer in writers.values():
        writer.close()
    said = {"sessions": ports, "hops": truth.hops()}
    (folder / "truth.json").write_text(json.dumps(said) + "\n", "utf-8")


class Pool:
    """The sessions of one HBONE connection, as columns: a row a session, a column a request."""

    def __init__(self, rng, start, numbers, requests):
        self.numbers, self.requests = numbers, requests
        count = len(numbers)
        shape = (count, requests)
        self.port = FIRST_PORT + numbers % PORTS
        self.server_port = FIRST_PORT + numbers * 26_903 % PORTS
        self.hbone_port = FIRST_PORT + numbers[0] // POOL % PORTS
        self.request_bytes = rng.choice(REQUEST_BYTES, shape)
        self.response_bytes = rng.choice(RESPONSE_BYTES, shape)
        self.start, self.end_ns = start, start + count * 1_000_000_000 // PER_SECOND
        self.up = Way(rng, self, ("nA/veth0a", "nA/eth0", "nB/eth0"), (9_000, 5_000_000))
        self.down = Way(rng, self, ("nB/eth0", "nA/eth0", "nA/veth0a"), (4_000_000, 7_000))
        self.isn = rng.integers(0, 2**32, (6, count), np.int64)
        self._happen(rng)
        self._share(rng)

    def _happen(self, rng):
        """When what passes the proxies."""
        count, shape = self.request_bytes.shape[0], self.request_bytes.shape

        def proxy():
            return 150_000 + rng.exponential(80_000, count).astype(np.int64)

        begin = np.sort(rng.integers(self.start, self.end_ns, count) + BEFORE_NS)
        one, other = ({name: np.zeros(shape, np.int64) for name in ("ask", "answer")} for _ in "12")
        self.asked, self.answered = ({"left": np.zeros(shape, np.int64)} for _ in "12")
        self.asked["came"], self.answered["came"] = np.zeros((2, *shape), np.int64)
        self.connect = begin + proxy()
        opened = self.up.arrives(self.connect) + proxy()
        self.ok = opened + 12_000 + proxy()
        ready = self.down.arrives(self.ok)
        ask = begin + 227_000 + rng.exponential(50_000, count).astype(np.int64)
        for k in range(self.requests):
            one["ask"][:, k] = ask
            self.asked["left"][:, k] = np.maximum(ask, ready) + proxy()
            self.asked["came"][:, k] = self.up.arrives(self.asked["left"][:, k])
            other["ask"][:, k] = self.asked["came"][:, k] + proxy()
            served = 2_000_000 + rng.exponential(3_000_000, count).astype(np.int64)
            other["answer"][:, k] = other["ask"][:, k] + served
            self.answered["left"][:, k] = other["answer"][:, k] + proxy()
            self.answered["came"][:, k] = self.down.arrives(self.answered["left"][:, k])
            one["answer"][:, k] = self.answered["came"][:, k] + proxy()
            ask = one["answer"][:, k] + 1_012_000 + rng.exponential(5e6, count).astype(np.int64)
        close = one["answer"][:, -1] + 100_000 + rng.exponential(50_000, count).astype(np.int64)
        self.end_up = close + proxy()
        close_server = self.up.arrives(self.end_up) + proxy()
        self.end_down = close_server + 100_000 + proxy()
        self.end_came = self.down.arrives(self.end_down)
        closed = self.end_came + proxy()
        self.outbound = Plain(self, one, (begin, 15_000), (close, closed), self.isn[0:2])
        self.inbound = Plain(
            self, other, (opened, 12_000), (close_server, close_server + 100_000), self.isn[2:4]
        )

    def _share(self, rng):
        """All records and acknowledgments on the HBONE connection, in order."""
        request, response = self.request_bytes + FRAME, self.response_bytes + FRAME
        acknowledged = self.asked["came"].ravel() + 30_000
        opening = self.start + 20_000_000 * np.arange(1, 6)
        last = self.end_came.max() + 50_000_000
        up = Stream(opening, UP_OPENING, self.start)
        up.add(self.connect, np.full(len(self.connect), CONNECT))
        up.add(self.asked["left"].ravel(), request.ravel())
        up.add(self.end_up, np.full(len(self.end_up), END))
        up.add(self.end_came + 40_000)
        down = Stream(opening + 10_000_000, DOWN_OPENING, self.start + 10_000_000)
        down.add(self.ok, np.full(len(self.ok), OK))
        down.add(self.answered["left"].ravel(), response.ravel())
        down.add(self.end_down, np.full(len(self.end_down), END))
        down.add(acknowledged)
        up.finish(last, self.up, int(rng.integers(2**32)))
        down.finish(last + 20_000_000, self.down, int(rng.integers(2**32)))
        self.streams = (up, down)

    def write(self, writers, content):
        """Hand all sightings to the writers."""
        self.outbound.write(writers["cli"], self, content, redirected=True)
        self.inbound.write(writers["srv"], self, content, redirected=False)
        up, down = self.streams
        for mine, other, way in ((up, down, self.up), (down, up, self.down)):
            columns = mine.columns(other, self.hbone_port, upward=mine is up)
            hops = 64 if mine is up else 63  # the server's own veth is not captured
            for point, seen, ttl in zip(way.points, mine.seen, (hops, 63, hops - 1), strict=True):
                name, interface = point.split("/")
                tunnel = point.endswith("eth0")
                for rows, header in ((mine.data, HEADER), (~mine.data, 0)):
                    some = columns.take(rows)
                    frames = some.frames(
                        tunnel=tunnel,
                        ttl=ttl,
                        payload=mine.headers(rows) if header else None,
                    )
                    wire_bytes = frames.shape[1] - header + some.octets
                    interfaces = FILES[name]
                    writers[name].add(seen[rows], interfaces.index(interface), frames, wire_bytes)

    def tell(self, truth):
        """Note what is true of the hops."""
        for stream, way, direction in zip(
            self.streams, (self.up, self.down), ("forward", "reverse"), strict=True
        ):
            for i in (0, 1):
                names = way.points[i : i + 2]
                truth.note((*names, direction), stream.seen[i + 1] - stream.seen[i])
        one, other = self.outbound, self.inbound
        for origin, to, direction, begin, end in (
            ("cli/lo", "nA/veth0a", "forward", one.ask, self.asked["left"]),
            ("nB/eth0", "srv/lo", "forward", self.asked["came"], other.ask),
            ("srv/lo", "nB/eth0", "reverse", other.answer, self.answered["left"]),
            ("nA/veth0a", "cli/lo", "reverse", self.answered["came"], one.answer),
        ):
            for phase, some in (("first", np.s_[:, :1]), ("later", np.s_[:, 1:])):
                elapsed = (end - begin)[some].ravel()
                if len(elapsed):
                    truth.note((origin, to, direction, "proxy", phase), elapsed)
        served = (other.answer - other.ask).ravel()
        truth.note(("srv/lo", "srv/lo", "forward", "server", None), served)

    def ports(self):
        """Client's port, HBONE's, and that of the server's connection, of each session."""
        hbone = np.full(len(self.port), self.hbone_port)
        return np.stack((self.port, hbone, self.server_port), axis=1).tolist()


class Way:
    """One direction of HBONE: the points it passes, and times that never let a segment overtake."""

    def __init__(self, rng, pool, points, delays):
        self.points, self._delays = points, delays
        self._knots = np.arange(pool.start, pool.end_ns + 20_000_000_000, 1_000_000)
        self._noise = [
            np.minimum(rng.exponential(0.05 * delay, len(self._knots)), 800_000) for delay in delays
        ]

    def seen(self, left):
        """When each point saw what left at these times."""
        times = [left]
        for delay, noise in zip(self._delays, self._noise, strict=True):
            more = np.interp(times[-1] - self._knots[0], self._knots - self._knots[0], noise)
            times.append(times[-1] + delay + more.astype(np.int64))
        return times

    def arrives(self, left):
        """When it was at the last point."""
        return self.seen(left)[-1]


class Plain:
    """Connections between a pod and its ztunnel; a row a session, a column a segment."""

    def __init__(self, pool, messages, opened, closed, isn):
        self.ask, self.answer = messages["ask"], messages["answer"]
        begin, answer_ns = opened
        n, requests = self.ask.shape
        pause = 10_000
        turns = np.stack((self.ask, self.ask + pause, self.answer, self.answer + pause), axis=2)
        none = np.zeros((n, requests), np.int64)
        octets = np.stack((pool.request_bytes, none, pool.response_bytes, none), axis=2)
        opening = np.stack((begin, begin + answer_ns, begin + answer_ns + 12_000), axis=1)
        closing = np.stack((closed[0], closed[1], closed[1] + 12_000), axis=1)
        three = np.zeros((n, 3), np.int64)
        self._time = np.concatenate((opening, turns.reshape(n, -1), closing), axis=1)
        self._octets = np.concatenate((three, octets.reshape(n, -1), three), axis=1)
        turn = (PSH | ACK, ACK, PSH | ACK, ACK)
        self._flags = np.array((SYN, SYN | ACK, ACK, *turn * requests, FIN | ACK, FIN | ACK, ACK))
        self._client = np.array((1, 0, 1, *(1, 0, 0, 1) * requests, 1, 0, 1), bool)
        self._isn = isn

    def write(self, writer, pool, content, *, redirected):
        """Hand the segments to the writer of a file whose first interface is `lo`."""
        for captured in np.unique(np.minimum(self._octets, content)).tolist():
            rows = np.minimum(self._octets, content).ravel() == captured
            columns = self._columns(pool, redirected=redirected).take(rows)
            payload = self._payload(pool, captured)[rows] if captured else None
            frames = columns.frames(tunnel=False, payload=payload)
            frames[:, :12] = 0  # loopback has no MAC addresses
            wire_bytes = frames.shape[1] - captured + columns.octets
            writer.add(self._time.ravel()[rows], 0, frames, wire_bytes)

    def _columns(self, pool, *, redirected):
        shape, client = self._time.shape, self._client
        taken = self._octets + (self._flags & 3 != 0)
        sides = {side: np.where(client == side, taken, 0) for side in (True, False)}
        sent = {side: np.cumsum(of_side, axis=1) for side, of_side in sides.items()}
        first = {True: self._isn[0][:, None], False: self._isn[1][:, None]}
        before = {side: first[side] + sent[side] - sides[side] for side in sides}
        after = {side: first[side] + sent[side] for side in sides}
        acknowledged = np.where(client, after[False], after[True])
        stamp = self._time // 1_000_000 % 2**32
        last = [
            max((j for j in range(i) if client[j] != client[i]), default=-1)
            for i in range(len(client))
        ]
        echo = np.where(np.array(last) < 0, 0, stamp[:, last])
        to = np.where(client, LOOPBACK if redirected else SERVER, CLIENT)
        port = (pool.port if redirected else pool.server_port)[:, None]
        return Columns(
            source=np.broadcast_to(np.where(client, CLIENT, SERVER), shape).ravel(),
            destination=np.broadcast_to(to, shape).ravel(),
            source_port=np.where(client, port, 8080).ravel(),
            destination_port=np.where(client, 15001 if redirected else 8080, port).ravel(),
            sequence=(np.where(client, before[True], before[False]) % 2**32).ravel(),
            acknowledgment=np.where(self._flags == SYN, 0, acknowledged % 2**32).ravel(),
            flags=np.broadcast_to(self._flags, shape).ravel(),
            octets=self._octets.ravel(),
            stamp=stamp.ravel(),
            echo=echo.ravel(),
        )

    def _payload(self, pool, octets):
        """Octets of which the first 16 say which session and message it is."""
        rows = np.zeros((self._time.size, max(octets, 16)), np.uint8)
        number = np.repeat(pool.numbers, self._time.shape[1])
        for i in range(8):
            rows[:, i] = ord("0") + number // 10**i % 10
        rows[:, 8:16] = np.tile(np.arange(self._time.shape[1]), len(self._time))[:, None] % 64 + 48
        return rows[:, :octets]


class Stream:
    """One direction of an HBONE connection."""

    def __init__(self, opening, records, syn_ns):
        """Begin with a SYN and the records of the handshake, at these times."""
        kind, length = np.array(records).T
        self._parts = [(opening, length, kind)]
        self._syn_ns = syn_ns

    def add(self, left, length=None, kind=23):
        """Add records of these lengths, or bare acknowledgments."""
        length = np.full(len(left), -HEADER) if length is None else length
        self._parts.append((left, length, np.full(len(left), kind)))

    def finish(self, fin_ns, way, isn):
        """Put all in order, and see it arrive."""
        ends = np.array([-HEADER])
        self._parts.append((np.array([fin_ns]), ends, ends))
        left, length, kind = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.argsort(left, kind="stable")
        self.left = np.concatenate(([self._syn_ns], left[order]))
        self.length = np.concatenate((ends, length[order]))
        self.kind = np.concatenate((ends, kind[order]))
        self.octets = self.length + HEADER
        self.data = self.octets > 0
        taken = self.octets.copy()
        taken[[0, -1]] = 1
        self.after = isn + np.cumsum(taken)
        self.sequence = self.after - taken
        self.seen = way.seen(self.left)

    def columns(self, other, port, *, upward):
        """The segments; other: the other direction."""
        got = np.searchsorted(other.seen[-1], self.left, "right") - 1
        any_yet = got >= 0
        flags = np.where(self.data, PSH | ACK, ACK)
        flags[0], flags[-1] = SYN | (0 if upward else ACK), FIN | ACK
        count = len(self.left)
        ends = [(np.full(count, CLIENT), np.full(count, port))]
        ends.append((np.full(count, SERVER), np.full(count, 15008)))
        if not upward:
            ends.reverse()
        return Columns(
            source=ends[0][0],
            destination=ends[1][0],
            source_port=ends[0][1],
            destination_port=ends[1][1],
            sequence=self.sequence % 2**32,
            acknowledgment=np.where(any_yet, other.after[got], 0) % 2**32,
            flags=flags,
            octets=self.octets,
            stamp=self.left // 1_000_000 % 2**32,
            echo=np.where(any_yet, other.left[got] // 1_000_000, 0) % 2**32,
        )

    def headers(self, rows):
        """The five octets in front of records."""
        headers = np.zeros((int(rows.sum()), HEADER), np.uint8)
        headers[:, 0] = self.kind[rows]
        headers[:, 1:3] = 3
        put(headers, 3, self.length[rows], 2)
        return headers


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
