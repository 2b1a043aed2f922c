# SPDX-License-Identifier: Apache-2.0
"""Packets of a real kernel's VXLAN that come again: replayed ones are told, retransmissions not.

The replays are made by `replayer`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.lab import captures, replayer, traffic, vxlan_kernel
from tests.lab.namespaces import Lab, LabUnavailable, wait_until, why_unavailable
from tests.lab.topology import build
from tests.lab.traffic import Exchange

SERVERS = ("10.244.2.5", "10.100.0.2", "fd00:100::2")
TRAFFIC = [
    Exchange(namespace="pod-a" if target.startswith("10.244") else "node-a", kind=kind,
             target=target, port=vxlan_kernel.PORT, send_bytes=100,
             receive_bytes=400 if kind == "tcp" else 0)
    for _ in range(8) for target in SERVERS for kind in ("tcp", "udp")
]  # fmt: skip


def recorded(lab: Lab, path: Path) -> dict[str, int]:
    """Record the traffic as the other node gets it; return the findings, with their packets."""
    recording = captures.start_tcpdump(lab, "node-b", path, "-i", "eth0")
    traffic.run_exchanges(lab, TRAFFIC)
    captures.stop(lab, [recording])
    found = inspect([CaptureSpec.parse(str(path))]).findings
    return {each.code: each.packets for each in found}


@pytest.fixture
def lab():
    reason = why_unavailable((*vxlan_kernel.TOOLS, "iptables", "ip6tables"))
    if reason:
        pytest.skip(reason)
    try:
        with Lab() as network:
            build(network, vxlan_kernel.TOPOLOGY)
            for server in ("pod-b", "node-b"):
                traffic.start_server(network, server, vxlan_kernel.PORT)
            for target in SERVERS:
                client = "pod-a" if target.startswith("10.244") else "node-a"
                traffic.warm_up(network, client, target)
            yield network
    except LabUnavailable as error:
        pytest.skip(str(error))


def test_replayed_packets(lab: Lab, tmp_path: Path) -> None:
    log = lab.folder / "replayer.log"
    command = (sys.executable, str(Path(replayer.__file__)), "eth0", "4789", "8472")
    lab.start("node-a", *command, log=log)
    wait_until(lambda: b"ready" in log.read_bytes(), "the replayer")
    found = recorded(lab, tmp_path / "replayed.pcap")
    replayed = log.read_bytes().count(b"again")
    assert replayed > 20
    assert found["U07"] == replayed


def test_retransmissions(lab: Lab, tmp_path: Path) -> None:
    """The server's kernel loses segments behind the point where they are captured."""
    for filter_ in ("iptables", "ip6tables"):
        for namespace, device in (("pod-b", "eth0"), ("node-b", "vxlan100")):
            lab.run(namespace, filter_, "-A", "INPUT", "-i", device, "-p", "tcp", "-m", "statistic",
                    "--mode", "nth", "--every", "7", "--packet", "3", "-j", "DROP")  # fmt: skip
    path = tmp_path / "lost.pcap"
    assert "U07" not in recorded(lab, path)
    shown = lab.run(None, "tshark", "-r", str(path), "-Y", "tcp.analysis.retransmission")
    assert len(shown.splitlines()) > 3
