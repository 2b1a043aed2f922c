# SPDX-License-Identifier: Apache-2.0
"""How long octets stayed in proxies and servers of a recorded set, frame by frame, with its keys.

Links are those of truth.json and segments are read by tshark.  Of genevecap only the opening of
HBONE is used: where each DATA frame ends in its stream, and where its TLS record begins.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from genevecap.analysis.hbone import open_hbone
from genevecap.capture.spec import CaptureSpec, on_one_clock
from genevecap.decode import DecodeSettings
from tests.conftest import recorded_set

POD_OF = {"10.244.1.4": "cli", "10.244.1.6": "cli2", "10.244.2.5": "srv"}
FIELDS = (
    "frame.time_epoch", "frame.interface_name", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport",
    "tcp.seq_raw", "tcp.len", "tcp.flags.syn", "tcp.payload",
)  # fmt: skip
RECORD_HEADER_BYTES = 5


@dataclass(frozen=True, kw_only=True)
class Stay:
    """How long the last octet of one DATA frame stayed in one proxy."""

    kind: str
    """Of its connection, in the words of truth.json."""
    client: str
    """Pods at both ends."""
    server: str
    passed: str
    """`client_up`, `server_up`, `server_down` or `client_down`."""
    phase: str
    ns: int


@cache
def stays(name):
    """Return all stays in the proxies of a set."""
    folder = recorded_set(name)
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    frames = _data_frames(folder)
    captures = _captured(name)
    found = []
    for flow in truth["flows"]:
        pods = [_pod(flow[leg][end]) for leg, end in (("conn1", "client"), ("conn3", "dst"))
                if flow.get(leg)]  # fmt: skip
        carried = flow.get("session_kind") == "hbone" and flow["conn1"]["kind"] != "self_vip"
        if carried and flow.get("conn2") and None not in pods and len(pods) == 2:
            found += _of_flow(flow, pods, frames, captures)
    return found


@cache
def _captured(name):
    folder = recorded_set(name)
    return {pod: _segments(folder / f"{pod}.pcapng.gz") for pod in POD_OF.values()}


def _pod(endpoint):
    return POD_OF.get(endpoint.rpartition(":")[0])


def _of_flow(flow, pods, frames, captures):
    first, second, third = flow["conn1"], flow["conn2"], flow["conn3"]
    client, server = pods
    opened_ns = first["t_connected"] + 10**6, second["t_connect"], second["t_connect"] + 10**8
    forward = first.get("redirected_as") or first["client"], "127.0.0.1:15001"
    ways = {
        True: ((client, "lo", *forward), (server, "lo", third["client"], third["dst"])),
        False: ((client, "lo", first["dst"], first["client"]),
                (server, "lo", third["dst"], third["client"])),
    }  # fmt: skip
    for upward, legs in ways.items():
        ends = (second["client"], second["dst"]) if upward else (second["dst"], second["client"])
        at = [Direction(captures, *leg, before_ns=opened_ns[2 * i]) for i, leg in enumerate(legs)]
        on = [Direction(captures, pod, "eth0", *ends, before_ns=opened_ns[2]) for pod in pods]
        key = second["client"], second["dst"], second["stream"], upward
        for number, (end, record) in enumerate(frames.get(key, ())):
            for side, where in enumerate(("client", "server")):
                octet_ns = at[side].seen_ns(end - 1)
                record_ns = on[side].record_ns(record)
                into = (side == 0) == upward
                yield Stay(
                    kind=first["kind"],
                    client=client,
                    server=server,
                    passed=f"{where}_{'up' if upward else 'down'}",
                    phase="later" if number else "first",
                    ns=record_ns - octet_ns if into else octet_ns - record_ns,
                )


class Direction:
    """Octets of one direction at one interface, of the connection opened last before a time."""

    def __init__(self, captures, pod, interface, source, destination, *, before_ns):
        rows = captures[pod][interface, source, destination]
        syns = [(time_ns, sequence) for time_ns, sequence, _, syn in rows if syn]
        since_ns, isn = max(syn for syn in syns if syn[0] <= before_ns)
        until_ns = min((t for t, other in syns if t > since_ns and other != isn), default=2**63)
        self.rows = [
            ((sequence - isn - 1) % 2**32, payload, time_ns)
            for time_ns, sequence, payload, _ in rows
            if payload and since_ns <= time_ns < until_ns
        ]

    def seen_ns(self, octet):
        """Return when an octet was first seen."""
        return min(t for begin, payload, t in self.rows if 0 <= octet - begin < len(payload))

    def record_ns(self, offset):
        """Return when all of the TLS record that begins at an offset had been seen."""
        size = 256 * self._octet(offset + 3) + self._octet(offset + 4)
        last = offset + RECORD_HEADER_BYTES + size - 1
        return max(
            self.seen_ns(octet)
            for octet in {offset, last, *(b for b, _, _ in self.rows if offset < b <= last)}
        )

    def _octet(self, offset):
        return next(p[offset - b] for b, p, _ in self.rows if 0 <= offset - b < len(p))


def _data_frames(folder):
    """Return {(client, server, stream, upward): [(end of a DATA frame, begin of its record)]}."""
    frames = defaultdict(list)

    def take(piece):
        connection = piece.stream.connection
        key = connection.client, connection.server, piece.stream.stream, piece.upward
        frames[key].append((piece.offset + len(piece.payload), piece.record_offset))

    paths = [folder / f"{pod}.pcapng.gz" for pod in POD_OF.values()]
    specs = on_one_clock([CaptureSpec.parse(str(path)) for path in paths])
    keylogs = [str(folder / "sslkeylog.txt")]
    open_hbone(specs, settings=DecodeSettings(), keylogs=keylogs, on_data=take)
    return frames


def _segments(path):
    """Return {(interface, source, destination): [(time_ns, sequence, payload, is SYN)]}."""
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp && !icmp", "-T", "fields"]
    command += [part for field in FIELDS for part in ("-e", field)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = defaultdict(list)
    for line in lines.splitlines():
        time, interface, source, port, destination, port_2, sequence, size, syn, payload = (
            line.split("\t")
        )
        seconds, fraction = time.split(".")
        time_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
        octets = bytes.fromhex(payload.replace(":", ""))
        assert len(octets) == int(size)
        ends = f"{source}:{port}", f"{destination}:{port_2}"
        found[interface, *ends].append((time_ns, int(sequence), octets, syn in {"1", "True"}))
    return found


@cache
def server_times(name):
    """Return how long servers of `srv` took, from a request's last octet to the first response."""
    folder = recorded_set(name)
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    captured = {"srv": _captured(name)["srv"]}
    found = []
    for flow in truth["flows"]:
        third = flow.get("conn3")
        if not third or _pod(third["dst"]) != "srv" or flow.get("session_kind") != "hbone":
            continue
        ends = third["client"], third["dst"]
        before_ns = (flow["conn1"].get("t_connected") or 0) + 10**8
        ways = [
            Direction(captured, "srv", "lo", *way, before_ns=before_ns)
            for way in (ends, ends[::-1])
        ]
        events = sorted((t, i) for i, way in enumerate(ways) for _, _, t in way.rows)
        for (came_ns, one), (left_ns, other) in pairwise(events):
            if (one, other) == (0, 1):
                found.append(left_ns - came_ns)
    return found
