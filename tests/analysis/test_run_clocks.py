# SPDX-License-Identifier: Apache-2.0
"""run_clocks and clock_samples: hops between hosts whose clocks differ."""

from __future__ import annotations

import os
import random
import threading

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.analysis.sessions.helps import Helps
from genevecap.capture.manifest import Manifest
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import NotEnoughData, UsageError
from tests.build.journeys import ACK, START_NS, Journeys, Segment

US, MS = 1_000, 1_000_000
CLIENT, SERVER = ("10.244.1.4", 40000), ("10.244.2.5", 8080)
UP_NS, DOWN_NS = 5 * MS, 4 * MS


def shifted(journeys, points, offset_ns, drift_ppm):
    """What those points saw, by a clock that is ahead and runs faster."""
    moved = Journeys()
    for time_ns, point, frame in journeys.sightings:
        if point in points:
            elapsed_ns = time_ns - START_NS
            ahead_ns = offset_ns + round(elapsed_ns * drift_ppm * 1e-6)
            moved.sightings.append((time_ns + ahead_ns, point, frame))
    return moved


def traffic(ttl=True, both=True, seed=3):
    rng = random.Random(seed)
    lower = {"ttl": 63} if ttl else {}
    j = Journeys()
    for n in range(1500):
        connection = n // 100
        up = Segment(
            source=("10.244.1.4", 40000 + connection), destination=SERVER, octets=100,
            sequence=1000 + 100 * n, acknowledgment=7 + n, stamp=n, flags=ACK,
        )  # fmt: skip
        j.way(
            n * 20 * MS, up, ("veth1", 0), ("eth0", 9 * US, lower),
            ("eth1", UP_NS + int(rng.expovariate(1 / MS))),
            ("veth2", 11 * US, lower and {"ttl": 62}),
        )  # fmt: skip
        if both:
            down = up.but(source=SERVER, destination=up.source, sequence=n, octets=1)
            j.way(
                (n * 20 + 7) * MS, down, ("veth2", 0), ("eth1", 8 * US, lower),
                ("eth0", DOWN_NS + int(rng.expovariate(1 / MS))),
                ("veth1", 7 * US, lower and {"ttl": 62}),
            )  # fmt: skip
    return j


def files(tmp_path, journeys, offset_ns=0, drift_ppm=0.0):
    near, far = tmp_path / "near.pcapng", tmp_path / "far.pcapng"
    journeys.write(near, points=["veth1", "eth0"])
    shifted(journeys, ["eth1", "veth2"], offset_ns, drift_ppm).write(far, points=["eth1", "veth2"])
    return [CaptureSpec(path=str(path), name=path.stem, host=path.stem) for path in (near, far)]


@pytest.mark.parametrize("ttl", [True, False], ids=["by ttl", "by connection"])
@pytest.mark.parametrize(
    ("offset_ns", "drift_ppm"),
    [(10 * US, 0), (-3 * MS, 20), (250 * MS, -60), (7 * 10**9, 200), (-3600 * 10**9, 100)],
)
def test_the_truth_lies_in_the_interval(tmp_path, offset_ns, drift_ppm, ttl):
    result = latency(files(tmp_path, traffic(ttl=ttl), offset_ns, drift_ppm))
    (clock,) = result.clocks
    ahead = 1 if clock.host == "far" else -1
    for segment in clock.segments:
        middle = (segment.from_ns + segment.to_ns) // 2
        by_near = middle if ahead > 0 else middle - offset_ns
        true_ns = ahead * (offset_ns + (by_near - START_NS) * drift_ppm * 1e-6)
        assert abs(segment.offset_at(middle) - true_ns) <= segment.uncertainty_ns + 300
        assert segment.uncertainty_ns <= 0.55 * 1.05 * (UP_NS + DOWN_NS + 40 * US)
    hops = {(h.origin.split("/")[1], h.to.split("/")[1]): h for h in result.hops}
    there, back = hops["eth0", "eth1"], hops["eth1", "eth0"]
    assert (there.kind, there.packets, there.lost) == ("wire", 1500, 0)
    assert (back.kind, back.packets, back.lost) == ("wire", 1500, 0)
    for hop, base_ns in ((there, UP_NS), (back, DOWN_NS)):
        assert abs(hop.p50_ns - (base_ns + 0.693 * MS)) <= hop.uncertainty_ns
        assert hop.uncertainty_ns > 4 * MS
    both_ns = UP_NS + DOWN_NS + 2 * 0.693 * MS
    assert there.p50_ns + back.p50_ns == pytest.approx(both_ns, rel=0.05)
    # Inside a host, clocks add nothing but what a drift bends.
    assert hops["veth1", "eth0"].p50_ns == pytest.approx(9 * US, abs=10)
    assert hops["veth1", "eth0"].uncertainty_ns < 200


def test_one_way_is_not_enough(tmp_path):
    with pytest.raises(NotEnoughData, match="both directions are needed; give --same-clock"):
        latency(files(tmp_path, traffic(both=False)))


def test_what_is_said_of_a_clock_serves_instead(tmp_path):
    specs = files(tmp_path, traffic(both=False), 2 * MS)
    result = latency(specs, helps=Helps(clocks={"far": 3 * MS}))
    hop = next(h for h in result.hops if h.kind == "wire")
    assert abs(hop.p50_ns - UP_NS - 0.693 * MS) <= hop.uncertainty_ns
    with pytest.raises(UsageError, match="contradict"):
        latency(files(tmp_path, traffic(), 100 * MS), helps=Helps(clocks={"far": MS}))
    with pytest.raises(UsageError, match="no such host; there are far, near"):
        latency(specs, helps=Helps(clocks={"fare": MS}))


def test_hosts_that_share_nothing(tmp_path):
    j = traffic()
    specs = files(tmp_path, j)
    alone = Journeys()
    for n in range(10):
        segment = Segment(
            source=("10.9.9.9", 1), destination=("10.9.9.8", 80), sequence=n, octets=1
        )
        alone.way(n * MS, segment, ("a", 0), ("b", 5 * US))
    alone.write(tmp_path / "alone.pcapng")
    specs.append(CaptureSpec(path=str(tmp_path / "alone.pcapng"), name="alone", host="alone"))
    result = latency(specs)
    assert {clock.host: bool(clock.segments) for clock in result.clocks}["alone"] is False
    assert {h.packets for h in result.hops if h.origin == "alone/a"} == {10}


def test_hosts_of_a_manifest(tmp_path):
    specs = [
        CaptureSpec(path=spec.path, name=spec.name, host="one")
        for spec in files(tmp_path, traffic(), 50 * MS)
    ]
    given = '[[point]]\nmatch = "far/*"\nhost = "other"\n'
    result = latency(specs, manifest=Manifest.parse(given.encode(), "x"))
    (clock,) = result.clocks
    assert {clock.host, clock.reference} == {"one", "other"}
    assert next(h for h in result.hops if h.kind == "wire").min_ns < 20 * MS


def test_what_can_be_read_only_once(tmp_path):
    near, _ = files(tmp_path, traffic(), 2 * MS)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    once = CaptureSpec(path=str(pipe), name="far", host="far")
    with pytest.raises(NotEnoughData, match="can be read only once"):
        latency([near, once, CaptureSpec(path=near.path, name="x", host="x")])
    octets = (tmp_path / "far.pcapng").read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(octets,))
    writer.start()
    result = latency([near, once], helps=Helps(clocks={"far": 5 * MS}))
    writer.join()
    assert next(h for h in result.hops if h.kind == "wire").packets == 1500
