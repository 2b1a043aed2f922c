# SPDX-License-Identifier: Apache-2.0
"""Sessions that are put together when they are looked at, and objects that are collected later."""

from __future__ import annotations

import gc

from genevecap.analysis.garbage import collected_later
from genevecap.analysis.sessions.later import LaterSessions


def test_sessions_are_made_once_and_only_when_they_are_looked_at():
    calls = []

    def make():
        calls.append(gc.isenabled())
        return ["one", "other"]

    later = LaterSessions(make)
    assert calls == []
    assert len(later) == 2
    assert list(later) == ["one", "other"]
    assert later[0] == "one"
    assert later[-1:] == ("other",)
    assert later == ("one", "other")
    assert later == LaterSessions(make)
    assert later != ["one"]
    assert len({later, LaterSessions(make)}) == 1
    assert calls == [False, False, False]


def test_the_collector_is_left_as_it_was():
    assert gc.isenabled()
    with collected_later():
        assert not gc.isenabled()
        with collected_later():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
