# SPDX-License-Identifier: Apache-2.0
"""Several hosts: chains, stars, rings and a full mesh, relative to any of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from genevecap.analysis.clock import estimate

from .simulation import MS, Clock, Network, Path, S, worst_excess, wrong_to_reference

HOSTS = "abcde"
SHAPES = {
    "chain": list(itertools.pairwise(HOSTS)),
    "star": [("c", host) for host in HOSTS if host != "c"],
    "ring": [*itertools.pairwise(HOSTS), ("e", "a")],
    "mesh": list(itertools.combinations(HOSTS, 2)),
}


def network(shape, seed, **path):
    random = np.random.default_rng(seed)
    clocks = {
        host: Clock(
            offset_ns=int(10 ** random.uniform(4, 12.5)) * int(random.choice((-1, 1))),
            drift_ppm=float(random.uniform(-100, 100)),
        )
        for host in HOSTS
    }
    links = {
        link: (
            Path(count=400, least_ns=int(random.integers(0, 5 * MS)), **path),
            Path(count=400, least_ns=int(random.integers(0, 5 * MS)), **path),
        )
        for link in SHAPES[shape]
    }
    return Network(clocks=clocks, links=links, length_ns=20 * S, seed=seed)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reference", ["a", "c", None])
@pytest.mark.parametrize("seed", range(6))
def test_truth_is_inside_for_every_host(shape, reference, seed):
    net = network(shape, seed)
    clocks = estimate(net.samples(), reference=reference)
    chosen = reference or clocks[0].reference
    assert [clock.host for clock in clocks] == [host for host in HOSTS if host != chosen]
    for clock in clocks:
        assert clock.segments
        assert worst_excess(net, clock) <= 1
        assert wrong_to_reference(net, clock) <= 1


def test_a_way_around_makes_the_interval_narrower():
    direct = Path(count=400, least_ns=5 * MS), Path(count=400, least_ns=5 * MS)
    quick = Path(count=400, least_ns=1 * MS), Path(count=400, least_ns=1 * MS)
    net = Network(
        clocks={"a": Clock(), "b": Clock(offset_ns=3600 * S), "c": Clock(drift_ppm=-90.0)},
        links={("a", "c"): direct, ("a", "b"): quick, ("b", "c"): quick},
    )
    clocks = {clock.host: clock for clock in estimate(net.samples(), reference="a")}
    assert clocks["c"].segments[0].uncertainty_ns < 1.1 * 2 * MS
    assert worst_excess(net, clocks["c"]) <= 1


def test_one_way_around_a_ring_bounds_all():
    one_way = Path(count=400, least_ns=1 * MS), Path(count=0)
    net = Network(
        clocks={"a": Clock(), "b": Clock(offset_ns=-S, drift_ppm=50.0), "c": Clock(offset_ns=S)},
        links={("a", "b"): one_way, ("b", "c"): one_way, ("c", "a"): one_way},
    )
    clocks = estimate(net.samples(), reference="a")
    for clock in clocks:
        assert clock.segments[0].uncertainty_ns < 1.1 * 1.6 * MS
        assert worst_excess(net, clock) <= 1


def test_the_reference_is_the_host_with_most_packets():
    net = network("star", 0)
    assert {clock.reference for clock in estimate(net.samples())} == {"c"}


def test_hosts_that_share_no_packets_with_the_reference_are_unknown():
    path = Path(), Path()
    net = Network(
        clocks={host: Clock() for host in "abcd"}, links={("a", "b"): path, ("c", "d"): path}
    )
    clocks = {clock.host: clock for clock in estimate(net.samples(), reference="a")}
    assert clocks["b"].segments
    assert clocks["c"].segments == clocks["d"].segments == ()
    assert clocks["c"].pairs == 2000


def test_a_pair_that_contradicts_the_others_is_left_out():
    net = network("mesh", 1)
    samples = net.samples()
    strange = samples[3]
    wrong = type(strange)(
        first=strange.first,
        second=strange.second,
        forward_sent_ns=strange.forward_sent_ns[:50],
        forward_received_ns=strange.forward_received_ns[:50] + 7 * S,
        reverse_sent_ns=strange.reverse_sent_ns[:50] + 7 * S,
        reverse_received_ns=strange.reverse_received_ns[:50],
    )
    samples[3] = wrong
    for clock in estimate(samples, reference="a"):
        assert worst_excess(net, clock) <= 1
        assert clock.dropped == (100 if clock.host in {strange.first, strange.second} else 0)
