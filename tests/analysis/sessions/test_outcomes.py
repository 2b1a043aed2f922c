# SPDX-License-Identifier: Apache-2.0
"""How connections ended, in `sessions.outcomes`."""

from __future__ import annotations

import pytest

from genevecap.analysis.sessions.outcomes import Ending, outcome_of


def end(**changed):
    values = {
        "answered": True,
        "client_fin": True,
        "server_fin": True,
        "client_reset_ns": None,
        "server_reset_ns": None,
        "syns": 1,
        "payload": True,
    }
    return Ending(**(values | changed))


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, "completed"),
        ({"client_fin": False, "server_fin": False}, "open"),
        ({"server_fin": False}, "open"),
        ({"client_fin": False, "client_reset_ns": 5}, "aborted"),
        # A reset after both have closed is how some stacks say goodbye.
        ({"client_reset_ns": 5}, "completed"),
        # ztunnel resets a client that it has nothing for: other legs tell why.
        ({"server_reset_ns": 5, "payload": False, "server_fin": False}, "unknown"),
        ({"client_reset_ns": 9, "server_reset_ns": 5, "client_fin": False}, "unknown"),
    ],
)
def test_outcomes(changed, outcome):
    assert outcome_of(end(**changed)) == outcome


@pytest.mark.parametrize(
    ("changed", "unreachable"),
    [
        ({"syns": 3}, True),
        ({"syns": 1, "server_reset_ns": 5}, True),
        ({"syns": 1}, False),
        # Seen in one direction only: the client would not go on if there were no answer.
        ({"syns": 2, "went_on": True}, False),
        ({"syns": 2, "answered": True}, False),
    ],
)
def test_unreachable_needs_repeated_syns(changed, unreachable):
    assert end(**({"answered": False} | changed)).unreachable is unreachable
