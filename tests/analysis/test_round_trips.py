# SPDX-License-Identifier: Apache-2.0
"""round_trips: what one point sees by itself."""

from __future__ import annotations

import pytest

from genevecap.analysis.hops import round_trips
from genevecap.analysis.hops.latency import latency
from genevecap.capture.spec import CaptureSpec
from genevecap.reports.layout import Style
from genevecap.reports.round_trips import round_trip_lines
from tests.build.journeys import ACK, SYN, Journeys, Segment

US, MS = 1_000, 1_000_000
CLIENT, SERVER = ("10.244.1.4", 40000), ("10.244.2.5", 8080)


def trips(tmp_path, journeys, **options):
    path = tmp_path / "one.pcapng"
    journeys.write(path, **options)
    result = latency([CaptureSpec(path=str(path), name="one", host="one")])
    assert result.hops == ()
    return {(t.kind, t.direction): t for t in result.round_trips}


def conversation(j, begin_ns=0, client=CLIENT, requests=20):
    """A handshake and requests; the server answers after 9 ms, the client after 80 us."""
    syn = Segment(source=client, destination=SERVER, flags=SYN, sequence=99, stamp=1, echo=0)
    answer = Segment(
        source=SERVER, destination=client, flags=SYN | ACK, sequence=499, acknowledgment=100,
        stamp=5, echo=1,
    )  # fmt: skip
    j.see("eth0", begin_ns, syn)
    j.see("eth0", begin_ns + 9 * MS, answer)
    j.see("eth0", begin_ns + 9 * MS + 80 * US, syn.but(flags=ACK, sequence=100, acknowledgment=500))
    for n in range(requests):
        at_ns = begin_ns + (20 + 20 * n) * MS
        up = syn.but(
            flags=ACK, sequence=100 + 50 * n, acknowledgment=500 + 10 * n, octets=50, stamp=10 + n
        )
        j.see("eth0", at_ns, up)
        down = answer.but(
            flags=ACK, sequence=500 + 10 * n, acknowledgment=150 + 50 * n, octets=10, stamp=20 + n
        )
        j.see("eth0", at_ns + (9 * MS if n else 11 * MS), down)
        ack = up.but(sequence=150 + 50 * n, acknowledgment=510 + 10 * n, octets=0)
        j.see("eth0", at_ns + 11 * MS + 80 * US - (0 if n == 0 else 2 * MS), ack)


def test_handshakes_and_data_in_both_directions(tmp_path):
    j = Journeys()
    conversation(j)
    found = trips(tmp_path, j)
    opened = found["handshake", "forward"]
    assert (opened.packets, opened.p50_ns, opened.leg) == (1, 9 * MS, "outbound")
    assert found["handshake", "reverse"].max_ns == 80 * US
    data = found["data", "forward"]
    assert (data.packets, data.min_ns, data.max_ns) == (20, 9 * MS, 11 * MS)
    assert data.p50_ns == pytest.approx(9 * MS, rel=0.01)
    assert (found["data", "reverse"].packets, found["data", "reverse"].p50_ns) == (20, 80 * US)


def test_what_was_sent_twice_is_left_out(tmp_path):
    j = Journeys()
    conversation(j, requests=1)
    up = Segment(
        source=CLIENT, destination=SERVER, sequence=100, acknowledgment=500, octets=50, stamp=12
    )
    j.see("eth0", 25 * MS, up)
    assert ("data", "forward") not in trips(tmp_path, j)


def test_what_was_never_answered_is_left_out(tmp_path):
    j = Journeys()
    for n in range(5):
        j.see("eth0", n * MS, Segment(source=CLIENT, destination=SERVER, flags=SYN, sequence=n))
    assert trips(tmp_path, j) == {}


def test_of_many_some_connections_stand_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(round_trips, "MOST_ROWS", 2000)
    monkeypatch.setattr(round_trips, "_AT_ONCE", 500)
    j = Journeys()
    for n in range(400):
        conversation(j, n * MS, (f"10.244.{n // 200}.{n % 200}", 40000), requests=20)
    data = trips(tmp_path, j)["data", "forward"]
    assert 500 < data.packets < 6000
    assert (data.min_ns, data.max_ns) == (9 * MS, 11 * MS)
    assert data.p50_ns == pytest.approx(9 * MS, rel=0.01)


def test_who_answered_is_said(tmp_path):
    j = Journeys()
    conversation(j)
    text = "\n".join(round_trip_lines(list(trips(tmp_path, j).values()), Style(width=150)))
    assert "ztunnel, if it intercepts" in text
    assert "client" in text
