# SPDX-License-Identifier: Apache-2.0
"""What `flows` says of a recorded set beside what its truth.json says."""

from __future__ import annotations

import gzip
import json
import math
import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.sessions.helps import Helps
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.lab import variants

VARIANTS = ("full", "blanked", "short")
LINKED_KINDS = ("hbone", "multi-network")
CANDIDATES = 16
SURE = 0.99
ENHANCED_PACKET = 6


def write_variant(folder: Path, target: Path, variant: str) -> list[Path]:
    """Write the multi-interface captures of a set in a variant; return their paths."""
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in sorted((*folder.glob("*.pcapng.gz"), *folder.glob("*.pcapng"))):
        if ".any-" in source.name:
            continue
        path = target / source.name.removesuffix(".gz")
        if variant != "full":
            variants.write(source, path, variant)
        elif source.suffix == ".gz":
            path.write_bytes(gzip.decompress(source.read_bytes()))
        else:
            path.write_bytes(source.read_bytes())
        paths.append(path)
    return paths


def thin(path: Path, keep: Callable[[], bool]) -> None:
    """Leave packets of a little-endian pcapng capture out."""
    octets, place, parts = path.read_bytes(), 0, []
    while place < len(octets):
        kind, size = struct.unpack_from("<II", octets, place)
        if kind != ENHANCED_PACKET or keep():
            parts.append(octets[place : place + size])
        place += size
    path.write_bytes(b"".join(parts))


@dataclass
class Score:
    """How one kind of link did: how many, how many right, and by confidence."""

    total: int = 0
    right: int = 0
    sure: int = 0
    sure_wrong: list[str] = field(default_factory=list)
    in_candidates: int = 0
    bins: dict[int, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0.0]))

    def add(self, name, choices, wanted):
        """Count a session: `choices` are (endpoints, probability), the likeliest first."""
        self.total += 1
        first = choices[0] if choices else (None, 0.0)
        right = first[0] == wanted
        self.right += right
        if first[1] >= SURE:
            self.sure += 1
            if not right:
                self.sure_wrong.append(f"{name}: {first[0]} at {first[1]:.4f}, not {wanted}")
        row = self.bins[min(int(first[1] * 10), 9) if first[1] < SURE else 10]
        row[0] += 1
        row[1] += right
        row[2] += first[1]
        added = 0.0
        for endpoints, probability in choices[:CANDIDATES]:
            if endpoints == wanted:
                self.in_candidates += 1
                break
            added += probability
            if added >= SURE:
                break

    def share(self):
        return self.right / max(self.total, 1)

    def table(self):
        """Return the reliability by confidence, and whether each bin is honest."""
        rows = []
        for number, (count, right, confidence) in sorted(self.bins.items()):
            mean = confidence / count
            low, high = binomial_interval(int(count), mean)
            rows.append((number, int(count), mean, int(right), low <= right <= high))
        return rows


def binomial_interval(n, p, level=0.99):
    """Return the counts between which n draws of probability p lie with this probability."""
    weights = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    tail = (1 - level) / 2
    low, below = 0, 0.0
    while low < n and below + weights[low] <= tail:
        below += weights[low]
        low += 1
    high, above = n, 0.0
    while high > 0 and above + weights[high] <= tail:
        above += weights[high]
        high -= 1
    return low, high


@dataclass
class Comparison:
    """A set's sessions beside its truth."""

    result: object
    truth: dict
    hbone: Score = field(default_factory=Score)
    inbound: Score = field(default_factory=Score)
    streams: Score = field(default_factory=Score)
    kinds: list = field(default_factory=list)
    """(client, what we say, what is true) where kind or outcome differ."""
    missing: list = field(default_factory=list)


def compare(paths, folder, *, keylogs=(), selector=None):
    """Run `flows` on captures of a set and hold it against the set's truth."""
    specs = on_one_clock([CaptureSpec.parse(str(path)) for path in paths])
    result = flows(specs, selector=selector, helps=Helps(keylogs=tuple(keylogs)))
    truth = json.loads((folder / "truth.json").read_text())
    comparison = Comparison(result, truth)
    sessions = defaultdict(list)
    for session in result.sessions:
        sessions[session.client, session.destination].append(session)
    for flow in truth["flows"]:
        if flow.get("session_kind", "hbone") in {"self", "outside"}:
            continue
        key = flow["conn1"]["client"], flow["conn1"]["dst"]
        if not sessions[key]:
            comparison.missing.append(key)
            continue
        session = min(sessions[key], key=lambda s, f=flow: abs(s.legs[0].first_ns - opened_ns(f)))
        judge(comparison, flow, session)
    return comparison


def opened_ns(flow):
    return flow["conn1"].get("t_connect") or flow["conn1"]["t_accept"]


def judge(comparison, flow, session):
    """Compare one session with one flow of the truth."""
    name = f"{flow['conn1']['client']} ({flow['conn1']['kind']})"
    kind = flow.get("session_kind", "hbone")
    said = (session.kind, session.outcome)
    true = (kind, outcome(flow))
    if said != true:
        comparison.kinds.append((name, said, true))
    second, third = flow.get("conn2"), flow.get("conn3")
    if kind not in LINKED_KINDS or not second or not third:
        return
    legs = {leg.role: leg for leg in session.legs}
    comparison.hbone.add(name, choices(legs.get("hbone")), (second["client"], second["dst"]))
    comparison.inbound.add(name, choices(legs.get("inbound")), (third["client"], third["dst"]))
    if second.get("forwarded") and ":" in second["forwarded"]:
        leg = legs.get("hbone")
        found = [] if leg is None else [((leg.source, leg.stream), leg.confidence)]
        comparison.streams.add(name, found, (second["client"], second["stream"]))


def choices(leg):
    """Return a leg's candidates as ((source, destination), probability)."""
    if leg is None:
        return []
    rows = [((leg.source, leg.destination), leg.confidence)]
    rows += [((o.source, o.destination), o.confidence) for o in leg.alternatives]
    return sorted(rows, key=lambda row: -row[1])


def outcome(flow):
    """Return a flow's outcome in CONTRACT's words."""
    if "outcome" not in flow:
        if flow["conn1"]["kind"] == "refused":
            return "refused"
        return "aborted" if flow["conn1"]["kind"] == "abort" else "completed"
    if flow["outcome"] == "ok":
        return "aborted" if flow["conn1"]["kind"] == "abort" else "completed"
    return flow["outcome"]
