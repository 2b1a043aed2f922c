# SPDX-License-Identifier: Apache-2.0
"""Times in proxies and servers beside those that the recorded sets' own keys give."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.analysis.sessions.helps import Helps
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.analysis.linking.truth import write_variant
from tests.analysis.sessions.reference import server_times, stays
from tests.conftest import ROOT, recorded_set

MS = 1_000_000
SETS = ("ztunnel-1.24", "ztunnel-1.31", "ztunnel-1.31-storm", "ztunnel-1.31-ingress")
ALL = ("cli", "cli2", "nA", "nB", "srv", "out", "wp")
FOUR = ("cli", "nA", "nB", "srv")
UNCLEAR = {("ztunnel-1.31-storm", "srv/eth0", "srv/lo", "first")}
"""A hundred first requests of one length wait at once: which record each was in is not clear."""


def median(times):
    return sorted(times)[len(times) // 2]


def near(found_ns, wanted_ns):
    """Tell whether a median is as near as issue 5 asks for."""
    return abs(found_ns - wanted_ns) <= max(0.05 * wanted_ns, 0.1 * MS)


def measure(paths, *, keylogs=()):
    specs = [CaptureSpec.parse(str(path)) for path in paths]
    return latency(on_one_clock(specs), helps=Helps(keylogs=tuple(keylogs)))


def paths_of(name, points):
    folder = recorded_set(name)
    return [path for point in points if (path := folder / f"{point}.pcapng.gz").exists()]


def by_hop(name):
    """Return the true stays by (from, to, phase)."""
    found = defaultdict(list)
    for stay in stays(name):
        pod = stay.client if stay.passed.startswith("client") else stay.server
        ends = f"{pod}/lo", f"{pod}/eth0"
        into = stay.passed in {"client_up", "server_down"}
        found[*(ends if into else ends[::-1]), stay.passed, stay.phase].append(stay.ns)
    return found


PASSES = {
    ("hbone", "forward"): "client_up",
    ("inbound", "forward"): "server_up",
    ("hbone", "reverse"): "server_down",
    ("outbound", "reverse"): "client_down",
}


def beside_the_truth(name, result, points):
    """Yield (hop, its true stays) of all proxies that the truth knows; none of them is missing."""
    truth = by_hop(name)
    hops = {
        (hop.origin, hop.to, PASSES[hop.leg, hop.direction], hop.phase): hop
        for hop in result.hops
        if hop.kind == "proxy"
    }
    for key, wanted in truth.items():
        if key[0].partition("/")[0] in points:
            yield hops[key], wanted


@pytest.mark.parametrize("name", SETS)
def test_the_reference_is_what_the_recordings_say(name):
    said = json.loads((recorded_set(name) / "truth.json").read_text("utf-8"))
    found = defaultdict(list)
    for stay in stays(name):
        if stay.server == "srv":  # not of two pods of one node
            found[f"{stay.passed}.{stay.phase}"].append(stay.ns)
    for key, reference in said["proxy_captured_ms"].items():
        assert near(median(found[key]), reference["p50"] * MS), key
        # Some of what came to a server was not counted there.
        assert reference["frames"] * 1.07 >= len(found[key]) >= reference["frames"], key


@pytest.mark.parametrize("points", [ALL, FOUR, ("srv",), ("cli", "cli2")], ids="-".join)
@pytest.mark.parametrize("name", SETS)
def test_with_keys(name, points):
    keylog = recorded_set(name) / "sslkeylog.txt"
    result = measure(paths_of(name, points), keylogs=[str(keylog)])
    for hop, wanted in beside_the_truth(name, result, points):
        if (name, hop.origin, hop.to, hop.phase) in UNCLEAR and points in {FOUR, ("srv",)}:
            # Without the client's leg nothing names the stream that a server's leg is of.
            assert abs(hop.p50_ns - median(wanted)) <= hop.uncertainty_ns
        else:
            assert near(hop.p50_ns, median(wanted)), hop
        assert len(wanted) * 0.99 <= hop.packets


@pytest.mark.parametrize("points", [ALL, FOUR, ("srv",)], ids="-".join)
@pytest.mark.parametrize("name", SETS)
def test_without_keys(name, points):
    result = measure(paths_of(name, points))
    for hop, wanted in beside_the_truth(name, result, points):
        if (name, hop.origin, hop.to, hop.phase) in UNCLEAR:
            assert abs(hop.p50_ns - median(wanted)) <= hop.uncertainty_ns
        else:
            assert near(hop.p50_ns, median(wanted)), hop
        assert hop.packets >= len(wanted) * 0.98
        # At the server of the ingress set there are the gateway's sessions too.
        assert hop.packets <= len(wanted) * 1.02 + 1 or name == "ztunnel-1.31-ingress"


@pytest.mark.parametrize("name", SETS)
def test_of_the_clients_alone(name):
    """How long the first octets waited is then a guess, and so is which records they were in."""
    points = ("cli", "cli2")
    for hop, wanted in beside_the_truth(name, measure(paths_of(name, points)), points):
        allowed_ns = hop.uncertainty_ns if hop.direction == "forward" else 0
        assert near(hop.p50_ns, median(wanted)) or (
            abs(hop.p50_ns - median(wanted)) <= allowed_ns
        ), hop


@pytest.mark.parametrize("variant", ["blanked", "short"])
@pytest.mark.parametrize("name", SETS)
def test_what_was_captured_in_part(name, variant, tmp_path):
    """Without content linking is less sure; without the ends of frames records are not seen."""
    paths = write_variant(recorded_set(name), tmp_path, variant)
    for hop, wanted in beside_the_truth(name, measure(paths), ALL):
        error_ns = abs(hop.p50_ns - median(wanted))
        if hop.uncertainty_ns is None:
            assert variant == "short"
            assert hop.packets < len(wanted) / 2
        else:
            assert near(hop.p50_ns, median(wanted)) or error_ns <= hop.uncertainty_ns, hop


@pytest.mark.parametrize("name", SETS)
def test_servers(name):
    result = measure(paths_of(name, ALL))
    (hop,) = [h for h in result.hops if (h.kind, h.origin) == ("server", "srv/lo")]
    wanted = server_times(name)
    assert near(hop.p50_ns, median(wanted))
    assert hop.packets >= 0.98 * len(wanted)
    # Plain callers ask too.
    assert hop.packets <= 1.05 * len(wanted) or name == "ztunnel-1.31-ingress"


def test_a_gateway_between_is_no_proxy_of_the_client():
    """What passed from the client's pod to the gateway's took the network too."""
    result = measure(paths_of("ztunnel-1.31-multinetwork", ALL))
    inside = {(hop.origin, hop.to) for hop in result.hops if hop.kind == "proxy"}
    assert inside == {("srv/eth0", "srv/lo"), ("srv/lo", "srv/eth0")}


def test_the_clients_proxy_in_front_of_a_waypoint():
    """It is the same ztunnel, whoever ends the tunnel; keys say the same of it."""
    paths = paths_of("ztunnel-1.31-waypoint", ALL)
    keylog = recorded_set("ztunnel-1.31-waypoint") / "sslkeylog.txt"
    found, opened = (
        {
            (hop.origin, hop.to, hop.phase): hop
            for hop in measure(paths, keylogs=keylogs).hops
            if hop.kind == "proxy" and hop.origin.partition("/")[0] in {"cli", "cli2"}
        }
        for keylogs in ((), [str(keylog)])
    )
    assert found.keys() == opened.keys()
    for key, hop in opened.items():
        assert found[key].packets >= 0.9 * hop.packets
        assert near(found[key].p50_ns, hop.p50_ns) or (
            abs(found[key].p50_ns - hop.p50_ns) <= found[key].uncertainty_ns
        )


def test_latency_shows_the_hops_inside_proxies():
    sample = ROOT / "samples" / "ztunnel-in-pod"
    result = measure([sample / f"{n}.pcapng" for n in ("cli2", "nA", "nB", "srv")])
    inside = {(h.origin, h.to, h.direction, h.phase) for h in result.hops if h.kind == "proxy"}
    assert ("cli2/lo", "cli2/eth0", "forward", "first") in inside
    assert ("srv/eth0", "srv/lo", "forward", "first") in inside
    assert ("cli2/eth0", "cli2/lo", "reverse", "first") in inside
    (server,) = [h for h in result.hops if h.kind == "server"]
    assert (server.origin, server.to) == ("srv/lo", "srv/lo")
    # The sample's server waits 8 ms and more.
    assert 8 * MS < server.p50_ns < 25 * MS
    for hop in result.hops:
        if hop.kind == "proxy":
            assert 0 <= hop.min_ns <= hop.p50_ns <= hop.p90_ns <= hop.p99_ns <= hop.max_ns
