# SPDX-License-Identifier: Apache-2.0
"""The same interface captured twice, against two ends of one link."""

from __future__ import annotations

from tests.analysis.pointing import (
    MAC_1,
    MAC_2,
    OTHER,
    POD,
    SYN,
    frame,
    roles_of,
    write,
)

COUNT = 40


def both_ways(shift_ns=0, back_ns=None, *, grain_ns=1, count=COUNT):
    """A conversation at one point, each direction shifted by its own time."""
    back_ns = shift_ns if back_ns is None else back_ns
    frames = []
    for n in range(count):
        there = 1_000_000 * n + 137 * n + shift_ns
        back = 1_000_000 * n + 500_311 + 137 * n + back_ns
        frames += [
            (there // grain_ns * grain_ns, frame(sequence=n)),
            (
                back // grain_ns * grain_ns,
                frame(OTHER, POD, ttl=62, macs=(MAC_2, MAC_1), ports=(8080, 40000), sequence=n),
            ),
        ]
    return frames


def twins(*paths):
    return [point.twin_of for point in roles_of(*paths)]


def test_two_programs_at_one_interface(tmp_path):
    a = write(tmp_path, "cli.eth0", {None: both_ways(300, grain_ns=1000)})
    b = write(tmp_path, "cli", {"eth0": both_ways()})
    assert twins(a, b) == [1, None]
    assert twins(b, a) == [None, 0]


def test_one_of_three_stands_for_the_others(tmp_path):
    paths = [
        write(tmp_path, name, {"eth0": both_ways(shift)})
        for name, shift in (("a", 0), ("b", 400), ("c", 900))
    ]
    assert twins(*paths) == [None, 0, 0]


def test_two_ends_of_a_link(tmp_path):
    """A packet is earlier at the end that sends it."""
    inside = write(tmp_path, "cli", {None: both_ways()})
    node = write(tmp_path, "node", {None: both_ways(2_500, -2_500)})
    assert twins(inside, node) == [None, None]


def test_names_that_differ_are_two_interfaces(tmp_path):
    a = write(tmp_path, "a", {"eth0": both_ways()})
    b = write(tmp_path, "b", {"veth1": both_ways(1)})
    assert twins(a, b) == [None, None]


def test_one_way_is_enough_only_with_names(tmp_path):
    def syns(shift_ns):
        return [(10**6 * n + shift_ns, frame(sequence=n, flags=SYN)) for n in range(6)]

    a = write(tmp_path, "node.istioout", {None: syns(500)})
    b = write(tmp_path, "node", {"istioout": syns(0)})
    c = write(tmp_path, "elsewhere", {None: syns(100)})
    assert twins(a, b, c) == [1, None, None]


def test_late_captures_share_what_both_have(tmp_path):
    frames = both_ways(count=200)
    a = write(tmp_path, "cli.eth0", {None: frames[300:]})
    b = write(tmp_path, "cli", {"eth0": frames})
    assert twins(a, b) == [1, None]


def test_the_name_of_one_serves_the_other(tmp_path):
    a = write(tmp_path, "wire.wA", {None: both_ways()})
    b = write(tmp_path, "wire", {"wA": both_ways(100)})
    first, second = roles_of(a, b)
    assert (first.interface, first.namespace, first.twin_of) == ("wA", "wire", 1)
    assert second.twin_of is None
    assert first.evidence[-1] == "is wire/wA: the same packets at the same times"


def test_two_nodes_are_further_apart_than_that(tmp_path):
    a = write(tmp_path, "nA", {"eth0": both_ways()})
    b = write(tmp_path, "nB", {"eth0": both_ways(40_000, -40_000)})
    assert twins(a, b) == [None, None]
