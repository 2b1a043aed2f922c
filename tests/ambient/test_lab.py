# SPDX-License-Identifier: Apache-2.0
"""The recorded ambient sets: each is recognised, and no file of one is called something else."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.conftest import SHARED

VARIABLE = "GENEVECAP_LAB"
MODES = {
    "iptables-geneve": "iptables-geneve",
    "vxlan-4789": "iptables-geneve",
    "ovs-geneve-underlay": "iptables-geneve",
    "ebpf-redirect": "ebpf",
    "inpod": "in-pod",
    "ztunnel-1.24": "in-pod",
    "ztunnel-1.31": "in-pod",
    "ztunnel-1.31-storm": "in-pod",
    "ztunnel-1.31-waypoint": "in-pod",
    "ztunnel-1.31-multinetwork": "in-pod",
    "ztunnel-1.31-ingress": "in-pod",
    "ztunnel-1.31-faults": "in-pod",
}
GENEVE_AT_ZTUNNEL = (
    "nA.pcapng", "nB.pcapng", "nA.any-sll2.pcap", "nB.any-sll2.pcap", "nA.any-dumpcap.pcapng",
    "nA.veth08baa690.pcap", "nB.veth07706a33.pcap", "ztA.eth0.pcap", "ztB.eth0.pcap",
    "ztA.pcapng", "ztB.pcapng",
)  # fmt: skip
PODS = ("cli.lo.pcap", "cli.pcapng", "cli2.pcapng")
PROBES = ("srv.pcapng", "nA.pcapng", "nB.pcapng", "nA.any-sll2.pcap", "nB.any-sll2.pcap",
          "nB.veth935904a0.pcap")  # fmt: skip
ENOUGH_ALONE = {
    # Files that hold the sign itself: the tunnel to ztunnel, both veths of one redirected SYN,
    # the pod's own lo, or the probes that are translated.
    "iptables-geneve": GENEVE_AT_ZTUNNEL,
    "vxlan-4789": GENEVE_AT_ZTUNNEL,
    "ovs-geneve-underlay": GENEVE_AT_ZTUNNEL,
    "ebpf-redirect": ("nA.pcapng", "nB.pcapng"),
    "inpod": (*PODS, "cli2.lo.pcap"),
} | {name: PODS + PROBES for name in MODES if name.startswith("ztunnel")}


def lab():
    folder = Path(os.environ.get(VARIABLE, SHARED / "lab"))
    if not folder.is_dir():
        pytest.skip(
            f"no lab captures at {VARIABLE} or ../shared/lab: {len(MODES)} sets are not recognised"
        )
    return folder


def files(name):
    found = sorted((lab() / name).glob("*.pcap*.gz"))
    assert found
    return found


@cache
def mode_of(*paths):
    result = inspect([CaptureSpec.parse(str(path)) for path in paths])
    assert [problem.message for problem in result.problems] == []
    return result.ambient.mode


def test_every_set_is_known():
    assert {path.name for path in lab().iterdir() if path.is_dir()} == set(MODES)


@pytest.mark.parametrize("name", MODES)
def test_whole_set(name):
    assert mode_of(*files(name)) == MODES[name]


@pytest.mark.parametrize("name", MODES)
def test_each_file_alone_is_right_or_silent(name):
    wrong = {
        path.name: mode_of(path)
        for path in files(name)
        if mode_of(path) not in {MODES[name], "unknown", "none"}
    }
    assert wrong == {}


@pytest.mark.parametrize("name", MODES)
def test_files_that_hold_the_sign_are_enough(name):
    recognised = {path.name.removesuffix(".gz") for path in files(name)
                  if mode_of(path) == MODES[name]}  # fmt: skip
    assert recognised == set(ENOUGH_ALONE[name])


@pytest.mark.parametrize("name", MODES)
def test_between_the_nodes_only_hbone_shows(name):
    """What leaves a node does not tell how its pods' traffic came to ztunnel."""
    for path in files(name):
        if path.name in {"nA.eth0.pcap.gz", "nB.eth0.pcap.gz", "wire.pcapng.gz"}:
            assert mode_of(path) == "unknown", path.name
