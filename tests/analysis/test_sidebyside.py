# SPDX-License-Identifier: Apache-2.0
"""analysis/sidebyside: several captures in the order of one clock."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np

from genevecap.analysis.hops.sidebyside import SideBySide
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.build.captures import Pcapng
from tests.build.journeys import START_NS, Journeys, Segment

MS = 1_000_000
HOUR = 3600 * 1000 * MS


def write(path, times, point="x"):
    j = Journeys()
    for i, time_ns in enumerate(times):
        j.see(point, time_ns, Segment(sequence=i, octets=1))
    j.write(path, sort=False)
    return path


def reader(*paths, **options):
    problems = []
    specs = [CaptureSpec.parse(str(path)) for path in paths]
    inputs = Inputs(specs, DecodeSettings(), Selector(), problems.append)
    return SideBySide(inputs, **options), problems


def read(run):
    """Read to the end; return the times, and how far ahead of what was complete they ever were."""
    times, ahead_ns = [], 0
    complete_ns = None
    for piece in run.pieces():
        if complete_ns is not None:
            # What was called complete stays complete.
            assert piece.rows.time_ns.min() >= complete_ns
        complete_ns = max(complete_ns or piece.complete_ns, piece.complete_ns)
        ahead_ns = max(ahead_ns, int(piece.rows.time_ns.max()) - complete_ns)
        times.append(piece.rows.time_ns)
    return np.concatenate(times), ahead_ns


def test_captures_are_read_in_step(tmp_path):
    a = write(tmp_path / "a.pcapng", [n * MS for n in range(30_000)])
    b = write(tmp_path / "b.pcapng", [n * MS + 7 for n in range(30_000)])
    run, problems = reader(a, b)
    times, _ = read(run)
    assert len(np.unique(times)) == run.segments == 60_000
    assert problems == []
    behind = [
        (int(piece.rows.time_ns.min()) // MS, int(piece.rows.point[0]))
        for piece in reader(a, b)[0].pieces()
    ]
    # Neither is ever more than two batches ahead of the other.
    for point in (0, 1):
        mine = [at for at, whose in behind if whose == point]
        others = [at for at, whose in behind if whose != point]
        assert all(abs(x - y) <= 2 * 4096 for x, y in zip(mine, others, strict=False))


def test_a_capture_one_hour_later_waits_with_one_batch(tmp_path):
    early = write(tmp_path / "a.pcapng", [n * MS for n in range(50_000)])
    late = write(tmp_path / "b.pcapng", [HOUR + n * MS for n in range(50_000)])
    for order in ((early, late), (late, early)):
        run, _ = reader(*order)
        hours = [int(piece.rows.time_ns[0] - START_NS) // HOUR for piece in run.pieces()]
        first = hours.index(1)
        assert hours.count(1) > 5
        assert 0 not in hours[max(first + 1, len(hours) - hours.count(1) + 1) :]


def test_disorder_within_the_slack_is_waited_for(tmp_path):
    rng = random.Random(2)
    times = [n * MS + rng.randrange(-234, 234) * MS for n in range(40_000)]
    run, _ = reader(write(tmp_path / "a.pcapng", times))
    assert len(read(run)[0]) == 40_000


def test_one_frame_of_the_far_future_stops_nothing(tmp_path):
    times = [n * MS for n in range(50_000)]
    times[100] = 100_000 * HOUR
    a = write(tmp_path / "a.pcapng", times)
    b = write(tmp_path / "b.pcapng", [n * MS + 7 for n in range(50_000)])
    order = [int(piece.rows.point[0]) for piece in reader(a, b)[0].pieces()]
    assert sum(x != y for x, y in pairwise(order)) > 15


def test_times_are_corrected_before_they_are_compared(tmp_path):
    a = write(tmp_path / "a.pcapng", [n * MS for n in range(20_000)])
    b = write(tmp_path / "b.pcapng", [HOUR + n * MS + 7 for n in range(20_000)])
    run, _ = reader(a, b, correct=lambda time_ns, point: time_ns - np.where(point == 1, HOUR, 0))
    times, _ = read(run)
    assert times.max() - times.min() < 20_001 * MS
    assert run.spans[1][0] - run.spans[0][0] == 7


def test_what_goes_wrong_with_one_is_told_and_the_others_go_on(tmp_path):
    good = write(tmp_path / "a.pcapng", [n * MS for n in range(100)])
    damaged = write(tmp_path / "b.pcapng", [n * MS for n in range(100)])
    damaged.write_bytes(damaged.read_bytes()[:4000] + b"\xff" * 100)
    text = tmp_path / "text"
    text.write_text("no capture")
    run, problems = reader(text, damaged, good, tmp_path / "nowhere")
    assert 100 < len(read(run)[0]) < 200
    assert [problem.severity for problem in problems].count("error") == 3


def test_frames_without_a_time_are_no_segments(tmp_path):
    path = tmp_path / "a.pcapng"
    w = Pcapng()
    frame = Segment(octets=4).frame()
    # A simple packet has none.
    path.write_bytes(w.section() + w.interface() + w.simple(frame) + w.packet(frame, units=10**6))
    run, _ = reader(path)
    assert read(run)[0].tolist() == [10**9]
