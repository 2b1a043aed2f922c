# SPDX-License-Identifier: Apache-2.0
"""Which pairs of legs are possible, held against the rules written out for one pair."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.linking import gates
from genevecap.analysis.linking.events import LegEvents, LegTable, Message
from genevecap.analysis.linking.gates import possible

SLACK_NS = 50


def legs(rng, count, *, side):
    """Legs of three addresses with random times, of which some were not captured."""

    def maybe(value):
        return None if rng.random() < 0.2 else int(value)

    found = []
    for _ in range(count):
        begin = int(rng.integers(1, 2_000))
        moments = np.sort(begin + rng.integers(0, 300, 5))
        source = int(rng.integers(0, 3))
        down = [Message(offset=0, time_ns=int(moments[1]), first_bytes=1, bytes=1)]
        found.append(
            LegEvents(
                address=source // 2,
                source=source,
                partners=frozenset({source, 1}) if side == 0 else frozenset(),
                open_ns=maybe(begin),
                down=down if rng.random() < 0.7 else (),
                up_bytes=maybe(rng.integers(0, 3)),
                down_bytes=maybe(rng.integers(0, 3)),
                close_up_ns=maybe(moments[2]),
                close_down_ns=maybe(moments[3]),
                last_ns=int(moments[4]),
            )
        )
    return found


def fits(one, other):
    """The rules, for one pair."""
    first = other.open_ns or (other.down[0].time_ns if other.down else None)
    response = other.down[0].time_ns if other.down else -1
    checks = [
        one.address == other.address and other.source in one.partners,
        None in (one.open_ns, other.open_ns) or other.open_ns >= one.open_ns - SLACK_NS,
        first is None or first <= one.last_ns + SLACK_NS,
        not one.down or response <= one.down[0].time_ns + SLACK_NS,
        None in (one.close_up_ns, other.close_up_ns)
        or other.close_up_ns >= one.close_up_ns - SLACK_NS,
        None in (one.close_down_ns, other.close_down_ns)
        or other.close_down_ns <= one.close_down_ns + SLACK_NS,
        None in (one.up_bytes, other.up_bytes) or one.up_bytes == other.up_bytes,
        None in (one.down_bytes, other.down_bytes) or one.down_bytes == other.down_bytes,
    ]
    return all(checks)


@pytest.mark.parametrize("block", [1, 1 << 18])
@pytest.mark.parametrize("seed", range(5))
def test_possible_pairs_are_those_that_the_rules_allow(seed, block, monkeypatch):
    monkeypatch.setattr(gates, "_BLOCK_ROWS", block)
    rng = np.random.default_rng(seed)
    outbound, inbound = legs(rng, 60, side=0), legs(rng, 80, side=1)
    rows, columns = possible(outbound, LegTable.of(outbound), LegTable.of(inbound), SLACK_NS)
    wanted = [
        (i, j)
        for i, one in enumerate(outbound)
        for j, other in enumerate(inbound)
        if fits(one, other)
    ]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == wanted
    assert wanted


def test_of_very_many_the_first_are_considered(monkeypatch):
    monkeypatch.setattr(gates, "_MOST_CANDIDATES", 3)
    leg = LegEvents(address=0, source=0, partners=frozenset({0}), open_ns=10, last_ns=20)
    rows, columns = possible([leg, leg], LegTable.of([leg, leg]), LegTable.of([leg] * 5), 0)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1]
    assert columns.tolist() == [0, 1, 2, 0, 1, 2]


def test_no_legs_are_no_pairs():
    leg = LegEvents(address=0, source=0, partners=frozenset({0}), open_ns=10, last_ns=20)
    for outbound, inbound in (([], [leg]), ([leg], []), ([], [])):
        rows, columns = possible(outbound, LegTable.of(outbound), LegTable.of(inbound), 0)
        assert (len(rows), len(columns)) == (0, 0)
