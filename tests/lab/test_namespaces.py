# SPDX-License-Identifier: Apache-2.0
"""Whatever happens, the lab leaves the machine as it found it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.lab import namespaces
from tests.lab.namespaces import Lab, LabError, why_unavailable

ROOT = Path(__file__).resolve().parents[2]

ONE_THAT_WAITS = textwrap.dedent("""
    import sys, time
    from tests.lab.namespaces import Lab
    with Lab(limit_s=float(sys.argv[1])) as lab:
        lab.add_namespace("one")
        lab.start("one", "sleep", "300", log=lab.folder / "log")
        print(lab.token, lab.folder, flush=True)
        time.sleep(60)
""")


@pytest.fixture
def rooted():
    reason = why_unavailable(())
    if reason:
        pytest.skip(reason)


def names() -> str:
    return subprocess.run(
        ["ip", "netns", "list"], capture_output=True, text=True, check=True, timeout=20
    ).stdout


def test_missing_programs_are_named():
    assert "no-such-program" in why_unavailable(["no-such-program"])


def test_without_root_the_message_says_so(monkeypatch):
    monkeypatch.setattr(namespaces, "_found", lambda tool: tool)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_unavailable(()) == "network namespaces need root: run it with sudo"


def test_waiting_ends_with_the_name_of_what_did_not_come():
    with pytest.raises(LabError, match=r"waited 0\.05 s in vain for Godot"):
        namespaces.wait_until(lambda: False, "Godot", limit_s=0.05)


def test_a_namespace_that_the_lab_did_not_make_is_refused():
    with Lab() as lab, pytest.raises(LabError, match="'other' is not one of this lab"):
        lab.run("other", "true")


def test_a_failing_command_is_shown_with_what_it_said():
    with Lab() as lab, pytest.raises(LabError, match=r"host: sh -c .*exit 3: no luck"):
        lab.run(None, "sh", "-c", "echo no luck >&2; exit 3")


def test_a_command_that_hangs_is_ended():
    with Lab() as lab, pytest.raises(LabError, match=r"took more than 0\.2 s"):
        lab.run(None, "sleep", "30", limit_s=0.2)


def test_signal_handlers_are_put_back():
    before = [signal.getsignal(number) for number in namespaces._CAUGHT]
    with Lab():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in namespaces._CAUGHT] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.root
def test_an_error_leaves_no_namespace_process_or_file(rooted):
    lab = Lab()
    seen = {}

    def run():
        with lab:
            lab.add_namespace("one")
            seen["process"] = lab.start("one", "sleep", "300", log=lab.folder / "log")
            seen["folder"] = lab.folder
            assert lab.name("one") in names()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        run()
    assert lab.token not in names()
    assert seen["process"].poll() is not None
    assert not seen["folder"].exists()


@pytest.mark.root
def test_a_process_that_hides_from_the_lab_is_ended_with_its_namespace(rooted):
    with Lab() as lab:
        lab.add_namespace("one")
        pid = int(lab.run("one", "sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & echo $!"))
        assert Path(f"/proc/{pid}").exists()
    deadline_s = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in status_of(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def status_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "\nState:\tZ"


@pytest.mark.root
def test_an_existing_namespace_is_neither_used_nor_deleted(rooted):
    with Lab() as owner:
        owner.add_namespace("one")
        other = Lab()
        other.token = owner.token
        with other, pytest.raises(LabError, match="File exists"):
            other.add_namespace("one")
        assert owner.name("one") in names()


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None])
def test_a_signal_or_the_end_of_its_time_removes_everything(rooted, number):
    limit_s = "60" if number else "1"
    with subprocess.Popen(
        [sys.executable, "-c", ONE_THAT_WAITS, limit_s],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        token, folder = process.stdout.readline().split()
        assert token in names()
        if number:
            process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode != 0
    assert (number.name if number else "the lab's time is over: 1 s") in said
    assert token not in names()
    assert not Path(folder).exists()
