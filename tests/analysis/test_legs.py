# SPDX-License-Identifier: Apache-2.0
"""analysis/legs: which endpoints are one connection, and which end opened it."""

from __future__ import annotations

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.capture.spec import CaptureSpec
from tests.build.journeys import ACK, PSH, SYN, Journeys, Segment

MS = 1_000_000
CLIENT = ("10.244.1.4", 40000)


def legs(tmp_path, journeys, **files):
    """Legs and directions by (from, to)."""
    specs = []
    for name, points in files.items():
        path = tmp_path / f"{name}.pcapng"
        journeys.write(path, points=points)
        specs.append(CaptureSpec(path=str(path), name=name, host="one"))
    found = latency(specs).hops
    return {
        (h.origin.split("/")[1], h.to.split("/")[1]): (h.leg, h.direction, h.packets) for h in found
    }


def connection(j, there, back, server, client=CLIENT, n=0, **changes):
    """A handshake and a message each way, past the points of `there` and `back`."""
    up = Segment(
        source=client, destination=server, flags=SYN, sequence=100 + n, stamp=10 + n, echo=0
    ).but(**changes)
    down = up.but(
        source=server, destination=client, flags=SYN | ACK, sequence=900, acknowledgment=101 + n,
        stamp=20, echo=up.stamp or 0,
    )  # fmt: skip
    later = {"flags": ACK | PSH, "octets": 10}
    j.way(n * MS, up, *there)
    j.way(n * MS + MS // 4, down, *back)
    j.way(n * MS + MS // 2, up.but(sequence=101 + n, acknowledgment=901, **later), *there)
    j.way(n * MS + MS // 2 + 9, down.but(sequence=901, acknowledgment=111 + n, **later), *back)


@pytest.mark.parametrize(
    ("port", "leg"), [(15008, "hbone"), (8080, "outbound")], ids=["hbone", "plain"]
)
def test_the_syn_says_which_end_is_the_client(tmp_path, port, leg):
    j = Journeys()
    # The client's port is the lower one: only the handshake tells.
    connection(
        j, [("a", 0), ("b", 500)], [("b", 0), ("a", 700)], ("10.244.2.5", port), ("10.244.1.4", 99)
    )
    assert legs(tmp_path, j, all=["a", "b"]) == {
        ("a", "b"): (leg, "forward", 2),
        ("b", "a"): (leg, "reverse", 2),
    }


def test_without_a_handshake_ports_decide(tmp_path):
    j = Journeys()
    for n in range(3):
        segment = Segment(
            source=CLIENT, destination=("10.244.2.5", 15008), octets=5, sequence=n * 5
        )
        j.way(n * MS, segment, ("a", 0), ("b", 500))
    assert legs(tmp_path, j, all=["a", "b"]) == {("a", "b"): ("hbone", "forward", 3)}


def test_names_without_time_stamps_need_one_end_in_common(tmp_path):
    """A Service's address and its pod's; no other connection that begins with the same number."""
    j = Journeys()
    vip, pod = ("10.96.0.50", 80), ("10.244.2.5", 8080)
    there = [("a", 0), ("b", 500, {"destination": pod})]
    back = [("b", 0), ("a", 700, {"source": vip})]
    up = Segment(source=CLIENT, destination=vip, flags=SYN, sequence=77, stamp=None)
    down = Segment(
        source=pod, destination=CLIENT, flags=SYN | ACK, sequence=5, acknowledgment=78, stamp=None
    )
    j.way(0, up, *there)
    j.way(MS, down, *back)
    j.way(2 * MS, up.but(flags=ACK, sequence=78, acknowledgment=6, octets=9), *there)
    stranger = up.but(source=("10.244.9.9", 1234), destination=("10.244.8.8", 80))
    j.way(3 * MS, stranger, ("a", 0))
    assert legs(tmp_path, j, all=["a", "b"]) == {
        ("a", "b"): ("outbound", "forward", 2),
        ("b", "a"): ("outbound", "reverse", 1),
    }
