# SPDX-License-Identifier: Apache-2.0
"""What points are: every point of every recorded ambient set, all files together and each alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genevecap.analysis.inputs import Inputs
from genevecap.analysis.points.roles import PointRole, RoleSigns
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode import DecodeSettings

LAB = Path(__file__).parents[3] / "shared" / "lab"
SETS = sorted(path.name for path in LAB.glob("*") if (path / "truth.json").exists())

ZTUNNEL_VETHS = {"veth08baa690", "veth07706a33"}
ADDRESSES = {
    "cli": "10.244.1.4",
    "cli2": "10.244.1.6",
    "srv": "10.244.2.5",
    "out": "10.244.1.8",
    "veth7a81c12c": "10.244.1.4",
    "veth2c61d0f6": "10.244.1.6",
    "veth935904a0": "10.244.2.5",
    "veth5e0d77b1": "10.244.1.8",
}
GATEWAY = {"ztunnel-1.31-ingress": "10.244.1.9"}
ZTUNNEL = {"A": "10.244.1.2", "B": "10.244.2.3"}

pytestmark = pytest.mark.skipif(not SETS, reason="../shared/lab is not here")


def roles_of(*captures: str) -> tuple[PointRole, ...]:
    problems = []
    inputs = Inputs(
        [CaptureSpec.parse(text) for text in captures],
        DecodeSettings(),
        Selector(),
        problems.append,
    )
    signs = RoleSigns(inputs.points)
    for batch in inputs.batches():
        signs.update(batch)
    assert not problems
    return signs.result()


def where(point: PointRole, truth: dict) -> tuple[str, str]:
    """Return namespace and interface as the recording knows them, from the point's name alone."""
    name = point.name.replace("/", ".")
    namespace, interface = name.split(".", 1)
    if interface.startswith("any-dumpcap"):
        return namespace, "any"
    if interface.startswith("any-sll2.ifindex-"):
        number = int(interface.rpartition("-")[2])
        known = truth["interfaces"][f"gl-{namespace}"]
        return namespace, next(name for name, index in known.items() if index == number)
    return namespace, interface


def expected_role(namespace: str, interface: str, packets: int, *, in_pod: bool) -> str:
    if interface in {"lo", "any", "istioin", "istioout", "pistioin", "pistioout"}:
        return interface
    if interface in {"flannel.1", "ovn-k8s-mp0"}:
        return "overlay"
    if interface == "br-ex":
        return "bridge"
    if interface.startswith("veth"):
        return "ztunnel-veth" if interface in ZTUNNEL_VETHS and not in_pod else "node-veth"
    if interface in {"wA", "wB"}:
        return "wire"
    if namespace in {"nA", "nB"}:
        return "underlay"
    if not packets:  # nothing but a name that pods and nodes have alike
        return "unknown"
    return "ztunnel" if namespace in {"ztA", "ztB"} else "pod"


def expected_addresses(name: str, namespace: str, interface: str, role: str) -> tuple[str, ...]:
    if role in {"ztunnel", "ztunnel-veth"}:
        if name == "ebpf-redirect":  # ztunnel's own address is on none of its packets
            return ()
        return (ZTUNNEL["A" if interface == "veth08baa690" or namespace == "ztA" else "B"],)
    if role == "node-veth":
        gateway = GATEWAY.get(name, "10.244.2.7")
        return (gateway if interface == "vethc44f1d02" else ADDRESSES[interface],)
    if role in {"pod", "lo"}:
        return (ADDRESSES.get(namespace, GATEWAY.get(name, "10.244.2.7")),)
    return ()


def check(name: str, points: tuple[PointRole, ...], truth: dict) -> None:
    in_pod = name == "inpod" or name.startswith("ztunnel")
    for point in points:
        namespace, interface = where(point, truth)
        role = expected_role(namespace, interface, point.packets, in_pod=in_pod)
        assert point.role == role, point
        wanted = expected_addresses(name, namespace, interface, role) if point.packets else ()
        assert point.addresses == wanted, point


@pytest.fixture(params=SETS)
def lab(request):
    folder = LAB / request.param
    truth = json.loads((folder / "truth.json").read_text())
    return request.param, sorted(map(str, folder.glob("*.pcap*"))), truth


def test_every_point_of_a_set(lab):
    name, captures, truth = lab
    points = roles_of(*captures)
    check(name, points, truth)
    primary: dict[tuple[str, str], PointRole] = {}
    for point in points:
        namespace, interface = where(point, truth)
        assert point.interface == interface or (interface == "any" and point.role == "any")
        assert point.namespace == namespace
        home = {"nA": "nA", "cli": "nA", "cli2": "nA", "out": "nA", "ztA": "nA"} | {
            "nB": "nB",
            "srv": "nB",
            "ztB": "nB",
            "wp": "nA" if name in GATEWAY else "nB",
        }
        if point.role != "unknown":
            assert point.node == home.get(namespace)
        if point.packets and point.twin_of is None and point.role != "any":
            assert (namespace, interface) not in primary, "one interface stands for itself once"
            primary[namespace, interface] = point
    for point in points:
        if point.twin_of is not None:
            assert points[point.twin_of] == primary[where(point, truth)]


def test_every_file_of_a_set_alone(lab):
    name, captures, truth = lab
    for capture in captures:
        check(name, roles_of(capture), truth)
