# SPDX-License-Identifier: Apache-2.0
"""analysis/sidebyside: several captures in the order of one clock."""

from __future__ import annotations

import random

import numpy as np
import pytest

from genevecap.analysis import sidebyside
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.select import Selector
from genevecap.analysis.sidebyside import SideBySide
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.build.journeys import Journeys, Segment

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


@pytest.fixture
def small(monkeypatch):
    """Bounds that a test can reach."""
    monkeypatch.setattr(sidebyside, "MIN_ROWS", 10_000)
    monkeypatch.setattr(sidebyside, "MAX_ROWS", 40_000)


def times_of(found):
    return np.concatenate([window.rows.time_ns for window in found])


def test_captures_are_merged_by_time(tmp_path, small):
    a = write(tmp_path / "a.pcapng", [n * MS for n in range(30_000)])
    b = write(tmp_path / "b.pcapng", [n * MS + 7 for n in range(30_000)])
    run, problems = reader(a, b)
    run.inputs.points  # noqa: B018
    windows = list(run.windows())
    times = times_of(windows)
    assert len(windows) > 2
    assert len(times) == 60_000
    assert np.all(np.diff(times) > 0)
    assert (run.late, run.segments, problems) == (0, 60_000, [])
    for window in windows:
        assert window.rows.time_ns.max() < window.until_ns


def test_a_capture_one_hour_later_waits(tmp_path, small):
    early = write(tmp_path / "a.pcapng", [n * MS for n in range(50_000)])
    late = write(tmp_path / "b.pcapng", [HOUR + n * MS for n in range(50_000)])
    for order in ((early, late), (late, early)):
        run, _ = reader(*order)
        most = 0
        seen = []
        for window in run.windows():
            most = max(most, run._held)
            seen.append(window)
        assert np.all(np.diff(times_of(seen)) > 0)
        assert most < 20_000


def test_disorder_within_the_slack_is_put_right(tmp_path, small):
    rng = random.Random(2)
    times = [n * MS + rng.randrange(-234, 234) * MS for n in range(40_000)]
    run, _ = reader(write(tmp_path / "a.pcapng", times))
    found = times_of(run.windows())
    assert np.array_equal(found, np.sort(found))
    assert run.late == 0


def test_a_small_capture_may_be_in_any_order(tmp_path):
    times = [n * MS for n in range(5000)][::-1]
    run, _ = reader(write(tmp_path / "a.pcapng", times))
    (window,) = run.windows()
    assert np.all(np.diff(window.rows.time_ns) > 0)


def test_what_comes_too_late_is_counted_and_given(tmp_path, small):
    times = [60_000 * MS + n * MS for n in range(60_000)] + [n * MS for n in range(500)]
    run, _ = reader(write(tmp_path / "a.pcapng", times))
    assert len(times_of(run.windows())) == 60_500
    assert run.late == 500


def test_one_frame_of_the_far_future_stops_nothing(tmp_path, small):
    times = [n * MS for n in range(50_000)]
    times[100] = 100_000 * HOUR
    a = write(tmp_path / "a.pcapng", times)
    b = write(tmp_path / "b.pcapng", [n * MS + 7 for n in range(50_000)])
    run, _ = reader(a, b)
    most = 0
    for _ in run.windows():
        most = max(most, run._held)
    assert run.late == 0
    assert most < 20_000


def test_times_are_corrected_before_they_are_compared(tmp_path, small):
    a = write(tmp_path / "a.pcapng", [n * MS for n in range(20_000)])
    b = write(tmp_path / "b.pcapng", [HOUR + n * MS + 7 for n in range(20_000)])
    run, _ = reader(a, b, correct=lambda time_ns, point: time_ns - np.where(point == 1, HOUR, 0))
    assert np.all(np.diff(times_of(run.windows())) > 0)
    assert run.spans[1][0] - run.spans[0][0] == 7


def test_an_interrupt_gives_what_was_read(tmp_path):
    a = write(tmp_path / "a.pcapng", [n * MS for n in range(9000)])
    calls = []

    def observe(batch, rows, flags):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt

    run, _ = reader(a, observe=observe)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(run.windows())
    assert len(times_of(seen)) == calls[0]


def test_what_goes_wrong_with_one_is_told_and_the_others_go_on(tmp_path):
    good = write(tmp_path / "a.pcapng", [n * MS for n in range(100)])
    damaged = write(tmp_path / "b.pcapng", [n * MS for n in range(100)])
    damaged.write_bytes(damaged.read_bytes()[:4000] + b"\xff" * 100)
    text = tmp_path / "text"
    text.write_text("no capture")
    run, problems = reader(text, damaged, good, tmp_path / "nowhere")
    found = times_of(run.windows())
    assert 100 < len(found) < 200
    assert [problem.severity for problem in problems].count("error") == 3
