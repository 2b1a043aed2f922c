# SPDX-License-Identifier: Apache-2.0
"""Width and colour of what is printed, by where it goes; on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from genevecap.cli.output import is_terminal

PROGRAM = (sys.executable, "-m", "genevecap", "inspect")


def on_terminal(samples, columns, **environment):
    """Return what appears on a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "NO_COLOR"}}
    process = subprocess.Popen(
        [*PROGRAM, samples / "geneve-ovs.pcapng"],
        stdout=follower,
        stderr=follower,
        env={**env, "TERM": "xterm", **environment},
    )
    os.close(follower)
    output = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(leader)
    assert process.wait() == 0
    return output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_fit_the_terminal(samples, columns):
    text = on_terminal(samples, columns, NO_COLOR="1")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= columns


def test_colours_are_for_terminals(samples):
    assert "\x1b[1m" in on_terminal(samples, 80)
    assert "\x1b" not in on_terminal(samples, 80, TERM="dumb")


def test_columns_decides_the_width(samples):
    text = on_terminal(samples, 200, COLUMNS="70", NO_COLOR="1")
    assert max(map(len, text.splitlines())) <= 70


@pytest.mark.parametrize(("environment", "width"), [({}, 120), ({"COLUMNS": "64"}, 64)])
def test_what_is_no_terminal_has_120_columns(samples, environment, width):
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    done = subprocess.run(
        [*PROGRAM, samples / "geneve-ovs.pcapng"],
        capture_output=True,
        text=True,
        check=True,
        env={**env, **environment},
        timeout=60,
    )
    assert width - 40 < max(map(len, done.stdout.splitlines())) <= width


def test_a_missing_or_closed_stream_is_no_terminal(tmp_path):
    assert not is_terminal(None)
    with (tmp_path / "x").open("w") as stream:
        assert not is_terminal(stream)
    assert not is_terminal(stream)
