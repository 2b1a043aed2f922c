# SPDX-License-Identifier: Apache-2.0
"""Options that commands share."""

from __future__ import annotations

import click
from click.testing import CliRunner

from genevecap.cli.options import Evidence, evidence_options


def test_evidence_is_handed_over_as_one_value():
    seen = []

    @click.command()
    @evidence_options
    def command(evidence: Evidence) -> None:
        seen.append(evidence)

    words = ["--keylog", "a", "--ztunnel-log", "x", "--keylog", "b", "--ztunnel-log", "y"]
    assert CliRunner().invoke(command, words).exit_code == 0
    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen == [
        Evidence(keylogs=("a", "b"), ztunnel_logs=("x", "y")),
        Evidence(keylogs=(), ztunnel_logs=()),
    ]
