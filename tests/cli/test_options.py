# SPDX-License-Identifier: Apache-2.0
"""Options that commands share."""

from __future__ import annotations

import click
from click.testing import CliRunner

from genevecap.analysis.sessions.helps import Helps
from genevecap.cli.options import help_options


def test_what_helps_is_handed_over_as_one_value():
    seen = []

    @click.command()
    @help_options
    def command(helps: Helps) -> None:
        seen.append(helps)

    words = ["--keylog", "a", "--ztunnel-log", "x", "--keylog", "b", "--ztunnel-log", "y"]
    words += ["--clock", "a=±2ms"]
    assert CliRunner().invoke(command, words).exit_code == 0
    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen == [
        Helps(keylogs=("a", "b"), ztunnel_logs=("x", "y"), clocks={"a": 2_000_000}),
        Helps(keylogs=(), ztunnel_logs=(), clocks={}),
    ]
