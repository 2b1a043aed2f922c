# SPDX-License-Identifier: Apache-2.0
"""HBONE through waypoints and gateways: application data once, HBONE inside HBONE twice."""

from __future__ import annotations

import pytest

from genevecap.analysis.costs.billing import LegBill
from genevecap.analysis.costs.hbone_account import HboneAccount
from genevecap.analysis.costs.overhead import OverheadCounter, overhead
from genevecap.analysis.costs.shapes import Leg
from genevecap.analysis.inputs import Inputs, read_into
from genevecap.analysis.run_counts import RunCounts
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings
from tests.conftest import SHARED

from .test_hbone_bytes import Talk

CLIENT, RELAY, SERVER = 1, 2, 3


def leg(source, destination, port=40000):
    return Leg(4, 0, source, 0, destination, 6, port, 15008)


def account(*talks, host_only=False):
    meters = {(0, each): talk.meter for each, talk in talks}
    bills = [
        LegBill(leg=way, host_only=host_only, own=(), levels={})
        for each, _ in talks
        for way in (each, each.reversed())
    ]
    return HboneAccount(meters, bills)


def conversation(up, down, hello=200, less=0):
    """A connection with one stream that carries so much data, each way so much less."""
    talk = Talk()
    talk.handshake(hello)
    talk.say(True, 26)
    talk.say(False, 110)
    for from_client, count in ((True, up), (False, down)):
        talk.say(from_client, *(16_346 for _ in range(count - 1)), 16_346 - less, 26)
    return talk


def application(found, each):
    return found.application_bytes(each) + found.application_bytes(each.reversed())


def test_a_waypoints_data_counts_once():
    before, behind = leg(CLIENT, RELAY), leg(RELAY, SERVER)
    found = account((before, conversation(20, 10)), (behind, conversation(20, 10)))
    assert application(found, before) == 30 * (16_346 - 26)
    assert application(found, behind) == 0
    assert list(found.inside()) == []


def test_a_waypoint_is_known_by_its_hello_where_octets_look_like_a_gateways():
    """It sends on less than came; with what TLS costs that is as much as came."""
    before, behind = leg(CLIENT, RELAY), leg(RELAY, SERVER)
    talks = [(before, conversation(20, 10)), (behind, conversation(20, 10, less=2_500))]
    assert list(account(*talks).inside())  # by octets alone
    talks[1] = (behind, conversation(20, 10, hello=1403, less=2_500))
    found = account(*talks)
    assert list(found.inside()) == []
    assert application(found, before) == 30 * (16_346 - 26)
    assert application(found, behind) == 0


def test_a_pod_that_gets_and_sends_something_else_is_no_waypoint():
    before, behind = leg(CLIENT, RELAY), leg(RELAY, SERVER)
    found = account((before, conversation(20, 10)), (behind, conversation(3, 40)))
    assert application(found, before) == 30 * (16_346 - 26)
    assert application(found, behind) == 43 * (16_346 - 26)


def test_hbone_inside_hbone_pays_twice():
    inner = conversation(20, 10)
    outer = Talk()
    outer.handshake()
    outer.say(True, 26)
    outer.say(False, 110)
    for from_client in (True, False):
        octets = inner.next[from_client] - 1
        while octets:
            outer.say(from_client, min(octets, 16_320) + 26)
            octets -= min(octets, 16_320)
    before, behind = leg(CLIENT, RELAY), leg(RELAY, SERVER)
    found = account((before, outer), (behind, inner))
    assert application(found, before) == 0
    assert application(found, behind) == 30 * (16_346 - 26)
    again = [each for _, each in found.inside()]
    inner_costs = [found.of(behind), found.of(behind.reversed())]
    assert [each.tls_bytes for each in again] == [each.tls_bytes for each in inner_costs]
    assert all(each.tls_uncertainty_bytes for each in again)
    assert not any(each.per_packet for each in again)


def test_the_point_that_saw_most_records_is_believed():
    talk, short = conversation(5, 5), Talk()
    short.meter.update(True, 1_000_000, b"", 9_000)
    each = leg(CLIENT, SERVER)
    found = HboneAccount({(0, each): short.meter, (1, each): talk.meter}, [])
    assert found.of(each) == talk.meter.result(True)
    assert found.of(leg(CLIENT, 9)) is None
    assert found.application_bytes(leg(CLIENT, 9)) == 0


def sent_by_applications(folder, names):
    """Octets of payload in what was redirected on the pods' lo, both directions."""
    specs = [CaptureSpec.parse(str(folder / f"{name}.pcapng.gz")) for name in names]
    inputs = Inputs(specs, DecodeSettings(), Selector(points=("*/lo",)), pytest.fail)
    counter = OverheadCounter(inputs.points, DecodeSettings(), RunCounts(inputs))
    read_into(inputs, counter.update)
    # In a pod's captures there is nothing else on lo but the name server's answers.
    return sum(
        sighting.shape.payload_bytes * sighting.frames
        for sighting in counter.traffic.result()
        if sighting.leg.protocol == 6
    )


@pytest.mark.parametrize("name", ["ztunnel-1.31-waypoint", "ztunnel-1.31-multinetwork"])
def test_application_data_is_what_the_applications_sent(name):
    """What the bill makes of encrypted records, beside the plain octets on the clients' lo."""
    folder = SHARED / "lab" / name
    if not folder.is_dir():
        pytest.skip("the lab's recordings (../shared/lab beside the checkout) are not here")
    result = overhead([CaptureSpec.parse(str(path)) for path in sorted(folder.glob("*.pcap*"))])
    sent = sent_by_applications(folder, ("cli", "cli2"))
    assert result.totals.application_bytes == pytest.approx(sent, rel=0.03)
