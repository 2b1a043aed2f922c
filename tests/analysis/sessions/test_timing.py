# SPDX-License-Identifier: Apache-2.0
"""The time budget of a session, in `sessions.timing`: the parts are the whole."""

from __future__ import annotations

import pytest

from genevecap.analysis.clock import UNKNOWN_NS
from genevecap.analysis.linking.events import Kind, LegEvents, Message
from genevecap.analysis.linking.moments import RecordMoments
from genevecap.analysis.sessions.timing import by_segment, through_waypoint

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


def test_clocks_that_nothing_relates_leave_no_figure():
    client, server = legs()
    parts = by_segment(client, server, RecordMoments(WAY), UNKNOWN_NS)
    assert {p.segment: p.uncertainty_ns for p in parts if p.segment in {"wire", "server"}} == {
        "wire": 0,
        "server": None,
    }


# --- through a waypoint ---

INSIDE = {
    Kind.OPEN: (300, 300, 5300, 5300),
    Kind.ACCEPT: (10400, 10400, 6300, 6300),
    Kind.REQUEST: (10500, 10500, 15500, 15500),
    Kind.RESPONSE: (31000, 31000, 26900, 26900),
}
ONWARD = {Kind.REQUEST: (16000, 16000, 16100, 16100), Kind.RESPONSE: (26000, 26000, 25900, 25900)}


def through(inside=INSIDE, onward=ONWARD, served=(16300, 25500), asked=100):
    client, _ = legs(asked=asked, responses=(31200, 0))
    parts = through_waypoint(client, RecordMoments(inside), RecordMoments(onward), served, 7)
    return {part.segment: part.ns for part in parts}


def test_a_waypoint_has_its_own_part():
    assert through() == {
        "ztunnel-client": 300 + 100 + 200,
        "wire": 5000 + 4100 + 5000 + 100 + 100 + 4100,
        "waypoint": 1000 + 500 + 900,
        "ztunnel-server": 200 + 400,
        "server": 9200,
    }
    assert through(asked=10450)["client-stack"] == 50


@pytest.mark.parametrize("missing", [*Kind, "served", "inside", "onward"])
def test_with_a_waypoint_the_parts_add_up_whatever_is_missing(missing):
    parts = through(
        {} if missing == "inside" else {k: v for k, v in INSIDE.items() if k is not missing},
        {} if missing == "onward" else {k: v for k, v in ONWARD.items() if k is not missing},
        None if missing == "served" else (16300, 25500),
    )
    assert sum(parts.values()) == 31200
    assert min(parts.values()) >= 0
