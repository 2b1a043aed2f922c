# SPDX-License-Identifier: Apache-2.0
"""The summary of every sample against a count that an independent dissector makes possible."""

from __future__ import annotations

import shutil

import pytest

from genevecap.analysis.summary import TOP_FLOWS, inspect
from genevecap.capture.spec import CaptureSpec

from .recount import Recount

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")

WHOLE = ("geneve-ovs.pcapng", "vxlan-kernel.pcapng", "vxlan-any-sll2.pcap")
CUT = ("geneve-short.pcap.gz",)


@pytest.fixture(scope="module", params=WHOLE)
def both(request, samples):
    path = samples / request.param
    return inspect([CaptureSpec.parse(str(path))]), Recount(path)


@pytest.fixture(scope="module", params=WHOLE + CUT)
def either(request, samples):
    path = samples / request.param
    return inspect([CaptureSpec.parse(str(path))]), Recount(path)


def test_packets(either):
    ours, theirs = either
    assert ours.selected_packets == sum(c.packets for c in ours.captures) == theirs.packets


def test_tunnels(either):
    ours, theirs = either
    assert theirs.tunnels
    assert {
        (t.kind, t.vni, t.source, t.destination, t.port, t.depth): (
            t.packets, t.wire_bytes, t.first_ns, t.last_ns,
        )
        for t in ours.tunnels
    } == {
        key: (t["packets"], t["wire_bytes"], min(t["times"]), max(t["times"]))
        for key, t in theirs.tunnels.items()
    }  # fmt: skip


def test_overhead_and_inner_flows(both):
    ours, theirs = both
    assert {
        (t.kind, t.vni, t.source, t.destination, t.port, t.depth): (t.overhead_bytes, t.inner_flows)
        for t in ours.tunnels
    } == {key: (t["overhead_bytes"], len(t["flows"])) for key, t in theirs.tunnels.items()}


def test_options(either):
    ours, theirs = either
    assert {
        (o.option_class, o.option_type, o.data_bytes): [o.packets, o.occurrences]
        for o in ours.options
    } == theirs.options


def test_flows(both):
    ours, theirs = both
    assert ours.flows == len(theirs.flows)
    largest = sorted(theirs.flows.values(), reverse=True)[:TOP_FLOWS]
    assert [[f.packets, f.wire_bytes] for f in ours.top_flows] == largest
    for flow in ours.top_flows:
        ends = flow.source, flow.destination, flow.protocol, flow.source_port
        key = (flow.vni, *ends, flow.destination_port)
        assert theirs.flows[key] == [flow.packets, flow.wire_bytes]


def test_stops(both):
    ours, theirs = both
    assert ours.stops.fragment == theirs.fragments
    assert ours.stops.complete == theirs.packets - theirs.fragments
