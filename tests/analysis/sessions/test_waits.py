# SPDX-License-Identifier: Apache-2.0
"""Waits that have a name: `sessions.waits`, on made-up connections and on recorded ones."""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np
import pytest

from genevecap.analysis.connections import Endpoint, Half
from genevecap.analysis.grouping import Connection
from genevecap.analysis.linking.events import HboneRecords, RecordColumns
from genevecap.analysis.sessions.flows import flows
from genevecap.analysis.sessions.waits import handshake, waits_of
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.conftest import recorded_set

MS = 1_000_000
CLIENT, SERVER = Endpoint(4, 0, 1, 40000), Endpoint(4, 0, 2, 8080)
WHOLE = (0, 10**12)


def half(point, moments, *, upward=True, size=100, duplicates=0, mss=1460, syns=1, syn_ms=0):
    """One direction: at each moment (ms) the octets of the number beside it, or the next ones."""
    ends = (CLIENT, SERVER) if upward else (SERVER, CLIENT)
    result = Half(point, point, 0, upward, *ends, 1, syn_ms * MS)
    result.syn_ns, result.syn_count = syn_ms * MS, syns
    result.duplicates, result.mss = duplicates, mss
    events = []
    for number, moment in enumerate(moments):
        place, ms = moment if isinstance(moment, tuple) else (number, moment)
        events += [place * size, (place + 1) * size, int(ms * MS), number + 2]
    result.events = array("q", events)
    return result


def connection(*halves):
    made = Connection()
    for one in halves:
        (made.forward if one.source == CLIENT else made.reverse)[one.point] = one
    return made


def waits(*halves, span_ns=WHOLE):
    found = waits_of("outbound", connection(*halves), lambda _point, ns: ns, span_ns)
    assert all(one.at_ns <= other.at_ns for one, other in pairwise(found))
    return [(wait.name, wait.at_ns // MS, wait.ns // MS) for wait in found]


def test_octets_that_were_late_behind_a_point_with_duplicates_were_retransmitted():
    sent, came = [1, 2, 3, 4], [6, 7, 8 + 220, 9]
    assert waits(half(0, sent, duplicates=1), half(1, came)) == [("retransmission-timeout", 3, 220)]
    # Late alone is a queue.
    assert waits(half(0, sent), half(1, [6, 7, 8, 9 + 30])) == []
    assert waits(half(0, sent, duplicates=1), half(1, [6, 7, 8, 9])) == []


def test_what_is_slower_on_all_the_way_is_the_way():
    sent = list(range(1, 9))
    assert waits(half(0, sent, duplicates=2), half(1, [ms + 300 for ms in sent])) == []


def test_a_hole_that_is_filled_was_retransmitted():
    alone = half(1, [(0, 1), (2, 2), (3, 3), (1, 32), (4, 33)])
    assert waits(alone) == [("retransmission", 2, 30)]
    reordered = half(1, [(0, 1), (2, 2), (1, 3), (3, 4)])
    assert waits(reordered) == []


def test_a_syn_that_was_repeated():
    forward, reverse = half(0, [1100], syns=2), half(0, [], upward=False, syn_ms=1020)
    assert waits(forward, reverse) == [("syn-retransmission", 0, 1020)]
    # Seen twice in a tunnel and outside it.
    assert waits(half(0, [12], syns=2), half(0, [], upward=False, syn_ms=10)) == []


def test_a_pause_like_that_of_a_delayed_acknowledgment():
    answer = half(0, [50], upward=False)
    assert waits(half(0, [1, 42]), answer) == [("delayed-ack", 1, 41)]
    # Something came back meanwhile; the segment was full; the pause is another one.
    assert waits(half(0, [1, 42]), half(0, [20], upward=False)) == []
    assert waits(half(0, [1, 42], mss=100), answer) == []
    assert waits(half(0, [1, 61]), half(0, [90], upward=False)) == []


def test_only_waits_of_the_session_are_its_own():
    late = half(1, [(0, 1), (2, 2), (1, 32), (4, 60), (3, 90)])
    assert waits(late, span_ns=(50 * MS, 100 * MS)) == [("retransmission", 60, 30)]


def test_the_longest_are_named_where_there_are_very_many():
    moments = [(n ^ 1, 10 * n + (n % 2) * (n / 100)) for n in range(200)]
    assert len(waits(half(1, moments))) == 16


def records(*moments):
    times = np.array(moments, np.int64) * MS
    return RecordColumns(
        length=np.full(len(times), 91),
        client_first_ns=times,
        client_last_ns=times,
        server_first_ns=times,
        server_last_ns=times,
    )


@pytest.mark.parametrize(
    ("session_ms", "expected"),
    [
        ((0, 99), [(10, 22)]),
        ((20, 99), [(20, 12)]),  # another session had begun to open it
        ((33, 99), []),
        ((0, 30), []),
    ],
)
def test_a_session_that_waits_for_hbone(session_ms, expected):
    hbone = HboneRecords(address=0, source=0, open_ns=10 * MS, up=records(32, 33, 80))
    first, last = session_ms
    found = handshake("hbone", hbone, (first * MS, last * MS))
    assert [(wait.at_ns // MS, wait.ns // MS) for wait in found] == expected
    assert handshake("hbone", HboneRecords(address=0, source=0, open_ns=0), WHOLE) == []
    assert handshake("hbone", HboneRecords(address=0, source=0, up=records(1)), WHOLE) == []


def named(name):
    folder = recorded_set(name)
    files = [folder / f"{point}.pcapng.gz" for point in ("cli", "nA", "nB", "srv")]
    result = flows(on_one_clock([CaptureSpec.parse(str(path)) for path in files]))
    return [(wait.name, wait.leg, wait.ns) for s in result.sessions for wait in s.timing.waits]


def test_where_packets_were_dropped_retransmissions_are_named():
    """The set drops 26 segments at node A, two SYNs of HBONE among them."""
    found = named("ztunnel-1.31-faults")
    assert {(name, leg) for name, leg, _ in found} == {
        ("hbone-handshake", "hbone"),
        ("syn-retransmission", "hbone"),
        ("retransmission", "hbone"),
    }
    assert all(1.0e9 < ns < 1.1e9 for name, _, ns in found if name == "syn-retransmission")


@pytest.mark.parametrize("name", ["ztunnel-1.31", "inpod"])
def test_where_nothing_was_lost_there_are_handshakes_alone(name):
    assert {(name, leg) for name, leg, _ in named(name)} == {("hbone-handshake", "hbone")}
