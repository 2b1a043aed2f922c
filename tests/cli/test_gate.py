# SPDX-License-Identifier: Apache-2.0
"""Which findings fail a run."""

from __future__ import annotations

import pytest

from genevecap.cli.gate import Gate


@pytest.mark.parametrize(
    ("fail_on", "ignore", "met"),
    [
        ((), (), False),
        (("error",), (), True),
        (("warning",), (), True),
        (("G01",), (), True),
        (("G02",), (), False),
        (("error",), ("G01",), False),
    ],
)
def test_an_error(fail_on, ignore, met):
    assert Gate(fail_on=fail_on, ignore=frozenset(ignore)).met_by("G01", "error") == met


def test_graver_ones_count_and_lesser_ones_do_not():
    gate = Gate(fail_on=("error",), ignore=frozenset())
    assert not gate.met_by("G02", "warning")
    assert not gate.met_by("V01", "info")
