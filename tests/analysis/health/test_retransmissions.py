# SPDX-License-Identifier: Apache-2.0
"""analysis/health/retransmissions: sent again, overtaken, or seen twice."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest

from genevecap.analysis import records
from genevecap.analysis.connections import connection_tracker
from genevecap.analysis.grouping import group
from genevecap.analysis.health.retransmissions import retransmissions
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.analysis.tracking import HBONE, SYN, SYN_ACK, Sighting, halves_of
from tests.conftest import recorded_set

MS = 1_000_000
ROUND_TRIP_NS = 10 * MS
ISN = 1000


def segments(*rows, point=0, start_ns=0):
    """A handshake of 10 ms, then (begin, end, ms) as segments of the client."""
    way = Sighting(destination=HBONE, point=point)
    answered_ns = start_ns + ROUND_TRIP_NS
    octets = bytes([23, 3, 3, 0x3F, 0xF0]) + bytes(16368)
    found = [
        replace(way, sequence=ISN, flags=SYN, time_ns=start_ns),
        way.back(sequence=9, acknowledgment=ISN + 1, flags=SYN_ACK, time_ns=answered_ns),
        replace(way, sequence=ISN + 1, acknowledgment=10, time_ns=answered_ns + 1),
    ]
    found += [
        replace(
            way, sequence=ISN + 1 + begin, acknowledgment=10, payload=octets[begin:end],
            time_ns=start_ns + int(ms * MS),
        )
        for begin, end, ms in rows
    ]  # fmt: skip
    return found


def found(*rows, **options):
    (connection,) = group(halves_of(rows))
    return retransmissions(connection, forward=True, **options)


def test_nothing_comes_again():
    assert found(*segments((0, 100, 20), (100, 200, 21))) is None


def test_sent_again_after_a_round_trip():
    result = found(*segments((0, 100, 20), (100, 200, 21), (0, 100, 31)))
    assert (result.packets, result.frames) == (1, (6,))
    assert result.waits == ((20 * MS, 31 * MS),)


def test_lost_before_this_point():
    """What is missing was noticed when the segment behind it came."""
    result = found(*segments((0, 100, 20), (200, 300, 21), (300, 400, 22), (100, 200, 33)))
    assert (result.packets, result.frames) == (1, (7,))
    assert result.waits == ((21 * MS, 33 * MS),)


def test_overtaken_is_not_lost():
    assert found(*segments((0, 100, 20), (200, 300, 21), (100, 200, 21.2))) is None


def test_the_same_packets_twice_are_not_sent_again():
    rows = [(i, i + 100, 20 + i / 1000 + again) for i in range(0, 1000, 100) for again in (0, 0.01)]
    assert found(*segments(*rows)) is None


def test_sent_again_in_other_pieces():
    result = found(*segments((0, 1000, 20), (1000, 2000, 21), (500, 1500, 40)))
    assert result.waits == ((20 * MS, 40 * MS),)


def test_keep_alives_are_none():
    assert found(*segments((0, 100, 20), (99, 100, 5000), (99, 100, 15_000))) is None


def test_each_point_by_itself_and_the_one_that_saw_most_counts():
    near = segments((0, 100, 20), (100, 200, 21), (0, 100, 41), point=0)
    far = segments((100, 200, 26), (0, 100, 46), point=1, start_ns=5 * MS)
    rows = sorted([*near, *far], key=lambda row: row.time_ns)
    result = found(*rows)
    assert (result.half.point, result.packets) == (0, 1)
    assert found(*rows, without={0}).half.point == 1
    assert found(*rows, without={0, 1}) is None


def test_more_than_are_kept_count_as_those_did():
    rows = [(i * 10, i * 10 + 10, 20 + i / 100) for i in range(600)]
    rows += [(i * 10, i * 10 + 10, 100 + i / 100) for i in range(400)]
    result = found(*segments(*rows))
    assert result.packets == 400
    assert len(result.frames) == records.MAX_REPEATS


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", ["cli", "cli2", "nA.veth7a81c12c", "srv"])
def test_the_same_ones_as_tshark(name):
    """On the recorded set in which 3 % of HBONE's segments were lost between the nodes."""
    (path, *_) = recorded_set("ztunnel-1.31-faults").glob(f"{name}.pcap*")
    inputs = Inputs([CaptureSpec.parse(str(path))], DecodeSettings(), Selector(), pytest.fail)
    tracker = connection_tracker()
    for batch in inputs.batches():
        tracker.update(batch.frames, batch.decoded, batch.capture, kept=False)
    ours: set[int] = set()
    for connection in group(tracker.halves()):
        for forward in (True, False):
            result = retransmissions(connection, forward=forward)
            ours |= set(result.frames) if result is not None else set()
    # What tshark calls out of order is what was sent again soon after it was missed.
    again = (
        "tcp.port == 15008 && tcp.len > 0 && "
        "(tcp.analysis.retransmission || tcp.analysis.out_of_order)"
    )
    done = subprocess.run(
        ["tshark", "-r", str(path), "-Y", again, "-T", "fields", "-e", "frame.number"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {int(word) for word in done.stdout.split()} == ours
    assert ours
