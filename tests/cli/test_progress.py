# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import pytest

from genevecap.cli import progress
from genevecap.reports.text import cells


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def test_nothing_for_the_first_second_and_nothing_left_at_the_end(monkeypatch, clock):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.show_progress() as line:
        clock[0] += 0.9
        line.update(1, 10, 1)
        assert terminal.getvalue() == ""
        clock[0] += 0.2
        line.update(500, 1000, 7)
        drawn = terminal.getvalue()
        assert "50 %" in drawn
        line.update(600, 1000, 8)
        assert terminal.getvalue() == drawn
    assert terminal.getvalue() == f"{drawn}\r\x1b[K"


@pytest.mark.parametrize("wanted", [True, False])
def test_none_in_pipes_or_where_results_appear(monkeypatch, wanted):
    monkeypatch.setattr("sys.stderr", io.StringIO() if wanted else Terminal())
    with progress.show_progress(wanted=wanted) as line:
        assert line is None


def test_none_on_a_dumb_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    with progress.show_progress() as line:
        assert line is None


def test_text_has_share_rate_and_time_left():
    text = progress.progress_text(25 * 10**6, 100 * 10**6, 12_345, 5.0)
    assert text == "█████░░░░░░░░░░░░░░░  25 %  12,345 packets  5.00 MB/s  0:16 left"
    assert progress.progress_text(100, 100, 1, 1.0).endswith("100 %  1 packet  100 B/s")
    assert progress.progress_text(200, 100, 1, 1.0).endswith("100 %  1 packet  200 B/s")
    assert progress.progress_text(2_000, None, 3, 2.0) == "2.00 kB  3 packets  1.00 kB/s"
    assert "left" not in progress.progress_text(0, 100, 0, 2.0)
    assert progress.progress_text(1, 10**9, 0, 100.0).endswith("left")


def test_the_line_fits_the_terminal(monkeypatch, clock):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "30")
    line = progress.TerminalProgress()
    clock[0] += 2
    line.update(1, 10**12, 10**9)
    assert cells(terminal.getvalue().removeprefix("\r").removesuffix("\x1b[K")) <= 29
    line.erase()


def test_a_terminal_that_went_away_is_no_reason_to_stop(monkeypatch, clock):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    line = progress.TerminalProgress()
    terminal.close()
    clock[0] += 2
    line.update(1, 2, 3)
    line.erase()
