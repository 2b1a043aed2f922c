# SPDX-License-Identifier: Apache-2.0
"""Waypoints and gateways, told apart in one place for sessions and for the bill."""

from __future__ import annotations

import pytest

from genevecap.analysis.relays import Relay, by_hellos, by_octets, is_ztunnels, went_on


def came(*records):
    """Records that came to an address, as `by_hellos` asks for them."""
    return lambda lengths: sum(length in lengths for length in records)


@pytest.mark.parametrize(
    ("leaving", "records", "known", "relay"),
    [
        ((1403,), (), (), Relay.WAYPOINT),
        ((200,), (231,), (), Relay.GATEWAY),
        ((200, 202, 200), (231, 90, 231), (200,), Relay.GATEWAY),
        ((200,), (143, 209), (), None),  # a pod whose own connections were not captured
        ((200, 200, 200), (231,), (), None),
        ((), (231,), (), None),
        ((200, 1403), (231, 1434), (), Relay.WAYPOINT),
        ((517,), (548,), (517,), Relay.GATEWAY),  # a ztunnel with other hellos, as it shows
        ((517,), (548,), (200,), Relay.WAYPOINT),
    ],
)
def test_by_hellos(leaving, records, known, relay):
    assert by_hellos(leaving, came(*records), known) is relay


@pytest.mark.parametrize(
    ("data", "behind_data", "behind_streams", "relay"),
    [
        ((1000, 2000), (1000, 2000), (1300, 2300), Relay.WAYPOINT),
        ((1000, 2000), (1100, 1900), (1400, 2200), Relay.WAYPOINT),
        ((1300, 2300), (1000, 2000), (1300, 2290), Relay.GATEWAY),
        ((1000, 2000), (10, 90_000), (300, 90_300), None),
        ((1000, 0), (1000, 0), (1300, 300), None),
        ((0, 0), (0, 0), (0, 0), None),
    ],
)
def test_by_octets(data, behind_data, behind_streams, relay):
    assert by_octets(data, behind_data, behind_streams) is relay


def test_what_did_not_all_leave_did_not_go_on():
    assert went_on(Relay.WAYPOINT, (1000, 2000), (1000, 2000), (9000, 9000))
    assert not went_on(Relay.WAYPOINT, (1000, 2000), (100, 200), (1000, 2000))
    assert went_on(Relay.GATEWAY, (1000, 2000), (1, 2), (1000, 2000))
    assert not went_on(Relay.GATEWAY, (1000, 2000), (1000, 2000), (1300, 2300))


@pytest.mark.parametrize(("size", "known", "yes"), [
    (200, (), True), (1403, (), False), (149, (), False), (517, (517,), True), (517, (202,), False),
])  # fmt: skip
def test_a_ztunnels_hello(size, known, yes):
    assert is_ztunnels(size, known) is yes
