# SPDX-License-Identifier: Apache-2.0
"""The time budget of a session, in `sessions.timing`: the parts are the whole."""

from __future__ import annotations

import pytest

from genevecap.analysis.linking.events import Kind, LegEvents, Message
from genevecap.analysis.linking.moments import RecordMoments
from genevecap.analysis.sessions.timing import by_segment

WAY = {
    # (client first, client last, server first, server last) of each record
    Kind.OPEN: (300, 300, 5300, 5300),
    Kind.ACCEPT: (10200, 10200, 6100, 6100),
    Kind.REQUEST: (10300, 10300, 15300, 15300),
    Kind.RESPONSE: (28000, 28000, 23900, 23900),
}


def message(moment):
    return [Message(offset=0, time_ns=moment, first_bytes=1, bytes=1)]


def legs(asked=100, responses=(28100, 23700)):
    client = LegEvents(
        address=0, source=0, open_ns=0, up=message(asked), down=message(responses[0])
    )
    server = LegEvents(
        address=0,
        source=0,
        open_ns=5500,
        accept_ns=6000,
        up=message(15500),
        down=message(responses[1]),
    )
    return client, server


def budget(client, server, way, wire_ns=0):
    parts = by_segment(client, server, RecordMoments(way), wire_ns)
    return {part.segment: part.ns for part in parts}


def test_every_moment_known():
    client, server = legs()
    assert budget(client, server, WAY) == {
        "ztunnel-client": 300 + 100 + 100,
        "wire": 5000 + 4100 + 5000 + 4100,
        "ztunnel-server": 200 + 100 + 200 + 200,
        "server": 500 + 8200,
    }


def test_the_parts_add_up_to_the_first_byte_whatever_is_missing():
    client, server = legs()
    for kind in Kind:
        way = {k: v for k, v in WAY.items() if k is not kind}
        assert sum(budget(client, server, way).values()) == 28100
    assert budget(client, server, {}).keys() >= {"unknown"}


def test_a_client_that_asks_late_is_not_billed_to_ztunnel():
    client, server = legs(asked=10250)
    parts = budget(client, server, WAY)
    assert parts["client-stack"] == 50
    assert sum(parts.values()) == 28100


def test_a_record_out_of_order_was_taken_for_another():
    client, server = legs()
    way = WAY | {Kind.RESPONSE: (1, 1, 2, 2)}
    parts = budget(client, server, way)
    assert parts["unknown"] > 0
    assert sum(parts.values()) == 28100


def test_without_a_server_leg_all_is_unknown():
    client, _ = legs()
    assert budget(client, None, WAY) == {"unknown": 28100}


def test_no_response_no_budget():
    client, server = legs()
    client.down = ()
    assert by_segment(client, server, RecordMoments(WAY), 0) == ()


@pytest.mark.parametrize(("way", "uncertain"), [(WAY, 0), ({Kind.OPEN: WAY[Kind.OPEN]}, 7)])
def test_the_clocks_uncertainty_cancels_between_ways_there_and_back(way, uncertain):
    client, server = legs()
    parts = {p.segment: p.uncertainty_ns for p in by_segment(client, server, RecordMoments(way), 7)}
    assert parts["wire"] == uncertain
