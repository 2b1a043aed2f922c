# SPDX-License-Identifier: Apache-2.0
"""Linking held against the truth of the recorded ambient sets, whole and with evidence taken away.

blanked: payload but HBONE's is zeroed, so content says nothing.  short: 96 octets of each frame.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from genevecap.analysis.select import Selector, TimeBound
from tests.conftest import recorded_set

from .truth import VARIANTS, choices, compare, opened_ns, thin, write_variant

SETS = {
    "ztunnel-1.24": "in-pod",
    "ztunnel-1.31": "in-pod",
    "ztunnel-1.31-storm": "in-pod",
    "ztunnel-1.31-faults": "in-pod",
    "ztunnel-1.31-ingress": "in-pod",
    "ztunnel-1.31-waypoint": "in-pod",
    "ztunnel-1.31-multinetwork": "in-pod",
    "inpod": "in-pod",
    "iptables-geneve": "iptables-geneve",
    "ebpf-redirect": "ebpf",
    "vxlan-4789": "iptables-geneve",
    "ovs-geneve-underlay": "iptables-geneve",
}

ORDINARY = ("ztunnel-1.24", "ztunnel-1.31")
"""The sets of which the truth must be found in nearly all sessions even without content."""

STORM = "ztunnel-1.31-storm"
STORM_SHARE = 0.85
"""A storm without content stays partly ambiguous; learnt delays alone reach 0.67 there."""


@pytest.fixture(scope="module", params=SETS)
def folder(request) -> Path:
    return recorded_set(request.param)


@pytest.mark.parametrize("variant", VARIANTS)
def test_links_are_right_and_honest(folder, variant, tmp_path):
    found = compare(write_variant(folder, tmp_path, variant), folder)
    name = folder.name
    for what, score in (("HBONE", found.hbone), ("server leg", found.inbound)):
        print(f"{name} {variant} {what}: {score.right} of {score.total} right, {score.sure} sure")
        for number, count, mean, right, honest in score.table():
            print(f"   bin {number:2}: {count:4} at {mean:.3f}, {right:4} right")
            assert honest, f"{what}, bin {number}: {right} of {count} right at {mean:.3f}"
        assert not score.sure_wrong
        assert score.in_candidates >= 0.97 * score.total
    assert found.result.mode == SETS[name]
    assert not found.missing
    for session in found.result.sessions:  # its confidence: that all of its legs are right
        assert session.confidence <= min(leg.confidence for leg in session.legs)
    if not found.inbound.total:
        return
    assert found.hbone.share() >= 0.98
    if variant == "full":
        for score in (found.hbone, found.inbound):
            assert score.share() >= 0.98
            assert score.sure >= 0.9 * score.total
    elif name in ORDINARY:
        assert found.inbound.share() >= 0.96
    elif name == STORM:
        assert found.inbound.share() >= STORM_SHARE


@pytest.mark.parametrize("name", [*ORDINARY, STORM, "iptables-geneve"])
def test_headers_alone_link_too(name, tmp_path):
    """Of HBONE its segments were captured, and not one TLS record header."""
    folder = recorded_set(name)
    found = compare(write_variant(folder, tmp_path, "headers"), folder)
    assert found.hbone.share() >= 0.98
    assert found.inbound.share() >= (STORM_SHARE if name == STORM else 0.96)
    for score in (found.hbone, found.inbound):
        assert not score.sure_wrong
        assert score.in_candidates >= 0.97 * score.total


def test_sessions_that_go_on_have_candidates(tmp_path):
    """The capture ends while clients wait for their answers, long after their last packets."""
    folder = recorded_set(STORM)
    first_ns = min(
        opened_ns(flow) for flow in json.loads((folder / "truth.json").read_text())["flows"]
    )
    end_ns = first_ns + 300_000_000
    selector = Selector(until=TimeBound(ns=end_ns, relative=False))
    found = compare(write_variant(folder, tmp_path, "full"), folder, selector=selector)
    sessions = {session.client: session for session in found.result.sessions}
    waiting = [
        (sessions[flow["conn1"]["client"]], flow["conn3"])
        for flow in found.truth["flows"]
        if flow["conn2"]["t_status"] < end_ns
    ]
    waiting = [(session, third) for session, third in waiting if session.outcome == "open"]
    assert len(waiting) > 50
    for session, third in waiting:
        named = [row for leg in session.legs if leg.role == "inbound" for row in choices(leg)]
        assert (third["client"], third["dst"]) in [row[0] for row in named]
    assert not found.inbound.sure_wrong


def test_lost_frames_lose_no_session(tmp_path):
    """Of frames that the capture lost, SYNs and SYN-ACKs on a pod's loopback matter most."""
    folder = recorded_set(STORM)
    paths = write_variant(folder, tmp_path, "full")
    chance = random.Random(7)
    for path in paths:
        thin(path, lambda: chance.random() >= 0.05)
    found = compare(paths, folder)
    assert not found.missing
    for score in (found.hbone, found.inbound):
        assert score.share() >= 0.98
        assert not score.sure_wrong


def test_kinds_and_outcomes_are_those_of_the_truth(folder, tmp_path):
    found = compare(write_variant(folder, tmp_path, "full"), folder)
    assert found.kinds == []
    assert not found.result.bypass


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing")
def test_with_keys_every_stream_is_known(folder, tmp_path):
    keylog = folder / "sslkeylog.txt"
    found = compare(write_variant(folder, tmp_path, "full"), folder, keylogs=(str(keylog),))
    assert found.streams.right == found.streams.total
    assert not found.hbone.sure_wrong
    assert not found.inbound.sure_wrong


def test_the_gateways_streams_are_sessions(tmp_path):
    folder = recorded_set("ztunnel-1.31-ingress")
    result = compare(write_variant(folder, tmp_path, "full"), folder).result
    own = [s for s in result.sessions if s.origin == "gateway"]
    assert len(own) == 24
    assert {s.kind for s in own} == {"hbone"}
    assert not result.unlinked_legs


@pytest.mark.parametrize("files", ["nodes", "classic"])
def test_a_pod_whose_own_connections_were_not_captured_is_no_gateway(files):
    folder = recorded_set("ztunnel-1.31")
    paths = (
        [folder / "nA.pcapng.gz", folder / "nB.pcapng.gz"]
        if files == "nodes"
        else [path for path in folder.glob("*.pcap.gz") if ".any-" not in path.name]
    )
    result = compare(paths, folder).result
    assert {session.kind for session in result.sessions} <= {
        "hbone",
        "passthrough",
        "plaintext-inbound",
    }
    assert not result.bypass
