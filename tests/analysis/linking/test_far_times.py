# SPDX-License-Identifier: Apache-2.0
"""Times near the end of what int64 holds, under clocks of which next to nothing is known."""

from __future__ import annotations

import pytest

from genevecap.analysis.clock import ClockSegment, HostClock
from genevecap.analysis.grouping import group
from genevecap.analysis.linking.link import link
from genevecap.analysis.linking.views import Views
from genevecap.analysis.sessions.clocks import MOST_SLACK_NS, CommonClock
from tests.analysis.test_grouping import connection
from tests.analysis.tracking import halves_of

LAST_NS, FIRST_NS = (1 << 63) - 1, -(1 << 63) + 1


@pytest.mark.parametrize("start", [LAST_NS - 6_000, FIRST_NS], ids=["latest", "earliest"])
@pytest.mark.parametrize("fins", [True, False], ids=["closed", "open"])
def test_legs_of_such_times_are_linked(start, fins):
    rows = connection(start=start)
    (one,) = group(halves_of(rows if fins else rows[:5]))
    views = Views([], lambda _point, times_ns: times_ns)
    outbound, inbound = (views.events(one, inbound=inbound) for inbound in (False, True))
    outbound.partners = frozenset({inbound.source})
    links = link([outbound], [], [inbound], slack_ns=MOST_SLACK_NS)
    assert [found[0].index for found in links.partners.values()] == [0]


def test_slack_has_an_end():
    segment = ClockSegment(
        from_ns=0, to_ns=1, at_ns=0, offset_ns=0, drift_ppm=0.0, uncertainty_ns=(1 << 63) - 1
    )
    clock = HostClock(host="b", reference="a", pairs=1, dropped=0, segments=(segment,))
    assert CommonClock([clock], ["a", "b"]).slack_ns == MOST_SLACK_NS
