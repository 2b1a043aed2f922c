# SPDX-License-Identifier: Apache-2.0
"""Captures of ztunnel's own links alone: what it gets is a client's, what it sends is its own."""

from __future__ import annotations

from collections import Counter

import pytest

from genevecap.analysis.sessions.flows import flows
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.conftest import ROOT, recorded_set

from .truth import compare

LINKS = {
    "pods": ("ztA.pcapng.gz", "ztB.pcapng.gz"),
    "nodes' ends": ("nA.veth08baa690.pcap.gz", "nB.veth07706a33.pcap.gz"),
    "any": ("nA.any-sll2.pcap.gz", "nB.any-sll2.pcap.gz"),
}


@pytest.mark.parametrize("files", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize(
    "name", ["ebpf-redirect", "iptables-geneve", "vxlan-4789", "ovs-geneve-underlay"]
)
def test_every_connection_is_one_session(name, files):
    folder = recorded_set(name)
    found = compare([folder / file for file in files], folder)
    assert len(found.result.sessions) == len(found.truth["flows"])
    assert not found.missing
    assert found.kinds == []
    assert found.inbound.right == found.inbound.total > 60
    assert found.hbone.right == found.hbone.total
    assert not found.result.unlinked_legs


@pytest.mark.parametrize(
    "name", ["ebpf-redirect", "iptables-geneve", "vxlan-4789", "ovs-geneve-underlay"]
)
def test_one_ztunnel_alone_shows_one_side(name):
    folder = recorded_set(name)
    roles = {}
    for end in ("ztA", "ztB"):
        specs = [CaptureSpec.parse(str(folder / f"{end}.pcapng.gz"))]
        result = flows(specs)
        legs = [leg for session in result.sessions for leg in session.legs]
        roles[end] = {leg.role for leg in (*legs, *result.unlinked_legs)}
    assert roles == {"ztA": {"outbound", "hbone"}, "ztB": {"hbone", "inbound"}}


@pytest.mark.parametrize("name", ["ambient-ebpf", "ambient-iptables-geneve"])
def test_what_stays_on_one_node_goes_both_ways(name):
    """One ztunnel gets a client's connection and opens its own, between the same addresses."""
    paths = [ROOT / "samples" / name / f"ztunnel-{end}.pcapng" for end in "ab"]
    result = flows(on_one_clock([CaptureSpec.parse(str(path)) for path in paths]))
    # In memory there is no HBONE between client and server of one node.
    assert Counter(session.kind for session in result.sessions) == {
        "hbone": 6,
        "passthrough": 2,
        "plaintext-inbound": 1,
    }
    assert not result.unlinked_legs
