# SPDX-License-Identifier: Apache-2.0
"""analysis/sessions/clocks: times of hosts whose clocks nothing relates are said to be that."""

from __future__ import annotations

from itertools import chain

import pytest

from genevecap.analysis.hops.latency import latency, latency_by_session
from genevecap.capture.spec import CaptureSpec, on_one_clock
from genevecap.reports.budgets import budgets
from genevecap.reports.layout import Style
from tests.benchmarks.generate_sessions import main

NAMES = ("cli", "nA", "nB", "srv")


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Captures of the pods' `lo`, which shares no packet with what the nodes see."""
    folder = tmp_path_factory.mktemp("sessions")
    main(folder, 6_000, 60)
    return [CaptureSpec.parse(str(folder / f"{name}.pcapng")) for name in NAMES]


def test_what_lies_between_such_clocks_has_no_uncertainty(specs):
    result, times = latency_by_session(specs)
    strange = [hop for hop in result.hops if {"cli/lo", "srv/lo"} & {hop.origin, hop.to}]
    between = {hop for hop in strange if hop.origin != hop.to}
    assert {hop.kind for hop in between} == {"proxy"}
    assert {hop.uncertainty_ns for hop in between} == {None}
    assert {(name.origin, name.to) for name in times}.isdisjoint(
        (hop.origin, hop.to) for hop in between
    )
    (served,) = [hop for hop in strange if hop.origin == hop.to]
    assert served.uncertainty_ns < served.p50_ns
    wire = [hop for hop in result.hops if hop.kind == "wire"]
    assert len(wire) == 2
    assert all(3_000_000 < hop.uncertainty_ns < 6_000_000 for hop in wire)


def test_budgets_say_it(specs):
    sessions = latency(specs).sessions
    parts = list(chain.from_iterable(session.timing.by_segment for session in sessions))
    assert {p.uncertainty_ns for p in parts if p.segment.startswith("ztunnel")} == {None}
    assert "(clocks not compared)" in "\n".join(budgets(sessions, Style(width=400)))


def test_one_clock_makes_all_of_it_certain(specs):
    result = latency(on_one_clock(specs))
    assert all(hop.uncertainty_ns is not None for hop in result.hops if hop.kind == "proxy")
    parts = chain.from_iterable(session.timing.by_segment for session in result.sessions)
    assert {part.uncertainty_ns for part in parts} == {0}
