# SPDX-License-Identifier: Apache-2.0
"""analysis/run_findings: the quality of captures, and which findings recorded traffic has."""

from __future__ import annotations

import gzip
from itertools import chain
from pathlib import Path

import pytest

from genevecap.analysis.run_findings import LEAST_CONNECTIONS
from genevecap.analysis.select import Selector
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from tests.analysis.inspected import found_in
from tests.build import packets as p
from tests.build.captures import LITTLE, pcap, pcap_header, pcap_record
from tests.conftest import SAMPLES, recorded_set

SYN = 0x02


def segment(port=1000, payload=b"", *, back=False, flags=0x10, ports=(8080, 8080)):
    ends = ("10.0.0.2", "10.0.0.1") if back else ("10.0.0.1", "10.0.0.2")
    there, here = (port, ports[0]) if not back else (ports[1], port)
    octets = p.tcp(payload, source_port=there, destination_port=here, flags=flags)
    return p.ethernet(p.ipv4(octets, 6, *ends))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pcap"


# --- files ---------------------------------------------------------------------------------------


def test_a_whole_file_has_no_finding(path):
    assert found_in(path, pcap(segment(), segment(back=True))) == {}


def test_a_file_that_ends_inside_a_record(path):
    found = found_in(path, pcap(segment(), segment())[:-5])["C09"]
    assert (found.severity, found.packets, found.display_filter) == ("warning", 0, "")
    (detail,) = found.details
    assert detail.startswith(f"{path}: record 2 at offset ")


def test_a_damaged_file(path):
    everything = found_in(path, pcap(segment()) + pcap_record(b"", captured=1 << 30))
    assert everything.keys() == {"C10"}  # it does not end too early: C09 has nothing to say
    found = everything["C10"]
    assert found.severity == "error"
    assert found.details == (f"{path}: record 2, offset {24 + 16 + len(segment()):#x}",)


def test_a_compression_without_end(tmp_path):
    octets = gzip.compress(pcap(*[segment(payload=bytes([n]) * 50) for n in range(200)]))
    assert "C09" in found_in(tmp_path / "a.pcap.gz", octets[:-8])


@pytest.mark.parametrize(
    ("statistics", "detail", "lost"),
    [
        ({"ifdrop": 3, "osdrop": 4}, "7 by the kernel, 0 by dumpcap", 7),
        ({"ifdrop": 3, "comment": "dumpcap:5"}, "3 by the kernel, 5 by dumpcap", 8),
        ({"ifdrop": 0}, None, 0),
        ({}, None, 0),
    ],
)
def test_drops(statistics, detail, lost, tmp_path):
    octets = LITTLE.section() + LITTLE.interface(name="eth0") + LITTLE.packet(segment())
    found = found_in(tmp_path / "a.pcapng", octets + LITTLE.statistics(**statistics))
    if detail is None:
        assert "C02" not in found
    else:
        assert found["C02"].details == (f"a/eth0: {detail}",)
        assert found["C02"].packets == lost


# --- packets -------------------------------------------------------------------------------------


def test_a_snap_length_inside_the_headers(path):
    tunnel = p.ethernet(p.ipv4(p.udp(p.vxlan(segment()), 50000, 4789)))
    records = (pcap_record(tunnel[:60], seconds=n, original=len(tunnel)) for n in range(3))
    found = found_in(path, pcap_header() + b"".join(records))["C03"]
    assert (found.packets, [each.frame for each in found.frames]) == (3, [1, 2, 3])


def test_a_snap_length_behind_the_headers(path):
    whole = segment(payload=bytes(900))
    record = pcap_record(whole[:60], original=len(whole))
    assert found_in(path, pcap_header() + record) == {}


def at(*times):
    """A capture with a packet at each of these times, in nanoseconds from a moment."""
    records = (
        pcap_record(segment(), seconds=1000 + time // 10**9, fraction=time % 10**9 // 1000)
        for time in times
    )
    return pcap_header() + b"".join(records)


def test_disorder_and_steps_of_the_clock(path):
    ms = 10**6
    assert found_in(path, at(0, 1 * ms, 1 * ms, 5 * ms)) == {}
    found = found_in(path, at(0, 9 * ms, 5 * ms, 6 * ms, 10 * ms))
    assert (found["C04"].packets, [each.frame for each in found["C04"].frames]) == (2, [3, 4])
    found = found_in(path, at(3000 * ms, 1000 * ms, 1001 * ms, 4000 * ms))
    assert found.keys() == {"C05"}
    assert [each.frame for each in found["C05"].frames] == [2]
    assert found_in(path, at(1999 * ms, 1000 * ms)).keys() == {"C04"}
    assert found_in(path, at(2000 * ms, 1000 * ms)).keys() == {"C05"}


def test_each_point_has_its_own_order(tmp_path):
    octets = LITTLE.section() + LITTLE.interface() + LITTLE.interface()
    for interface, units in ((0, 5_000_000), (1, 1_000_000), (0, 5_000_001), (1, 1_000_002)):
        octets += LITTLE.packet(segment(), interface=interface, units=units)
    assert found_in(tmp_path / "a.pcapng", octets) == {}


def test_super_packets(path):
    assert found_in(path, pcap(segment(payload=bytes(9000)))) == {}
    found = found_in(path, pcap(segment(), segment(payload=bytes(20_000))))
    assert found.keys() == {"C07"}
    assert found["C07"].severity == "info"
    udp = p.ethernet(p.ipv4(p.udp(bytes(20_000))))
    assert found_in(path, pcap(udp)) == {}


# --- directions ----------------------------------------------------------------------------------


def test_connections_with_one_direction(path):
    there = [segment(1000 + n) for n in range(LEAST_CONNECTIONS)]
    found = found_in(path, pcap(*there))
    assert found["C06"].details == (f"{LEAST_CONNECTIONS} of {LEAST_CONNECTIONS} connections",)
    assert found_in(path, pcap(*there[1:])) == {}
    assert found_in(path, pcap(*there), selector=Selector(ports=(8080,))) == {}


def test_a_connection_that_nobody_answered_is_not_the_captures_fault(path):
    frames = [segment(1000 + n) for n in range(50)] + [
        segment(1000 + n, back=True) for n in (3, 5, 7, 8, 9, 10)
    ]
    assert found_in(path, pcap(*frames)) == {}


def test_directions_that_redirection_tore_apart(path):
    """On a pod's `lo` the client speaks to ztunnel, and the original destination answers."""
    halves = chain.from_iterable(
        (
            p.ethernet(
                p.ipv4(p.tcp(source_port=n, destination_port=15001), 6, "10.1.0.1", "127.0.0.1")
            ),
            p.ethernet(
                p.ipv4(p.tcp(source_port=80, destination_port=n), 6, "10.2.0.1", "10.1.0.1")
            ),
        )
        for n in range(1000, 1020)
    )
    assert found_in(path, pcap(*halves)) == {}


# --- recorded traffic ----------------------------------------------------------------------------

PLAIN_UNDERLAY = (
    "nobody encrypts the underlay, and beside HBONE its tunnels carry plain HTTP: "
    "connections from and to the pod outside the mesh"
)
BLOCKED = "port 15008 of one pod is blocked: three connections' SYNs, 20 of them (`flows` agrees)"
EXPECTED = {
    "ztunnel-1.31": {"U01": PLAIN_UNDERLAY},
    "ztunnel-1.31-faults": {"A03": BLOCKED},
}
"""Findings of severity warning or error that a clean set has, each with the reason."""

SETS = (
    "ebpf-redirect",
    "inpod",
    "iptables-geneve",
    "ovs-geneve-underlay",
    "vxlan-4789",
    "ztunnel-1.24",
    "ztunnel-1.31",
    "ztunnel-1.31-faults",
    "ztunnel-1.31-ingress",
    "ztunnel-1.31-multinetwork",
    "ztunnel-1.31-storm",
    "ztunnel-1.31-waypoint",
)


def grave(*paths: Path) -> set[str]:
    """Return the codes of the findings of severity warning or error."""
    found = inspect([CaptureSpec.parse(str(path)) for path in paths]).findings
    return {each.code for each in found if each.severity != "info"}


@pytest.mark.parametrize("name", SETS)
def test_a_recorded_set_has_no_other_finding(name):
    folder = recorded_set(name)
    assert grave(*sorted(folder.glob("*.pcap*"))) == EXPECTED.get(name, {}).keys()


NOT_IN_A_MESH = "workloads that no mesh encrypts speak through the tunnels"
EXPECTED_OF_SAMPLES = {
    "ambient-ebpf/node-a.pcapng": {"U01": PLAIN_UNDERLAY},
    "ambient-ebpf/node-b.pcapng": {"U01": PLAIN_UNDERLAY},
    "ambient-iptables-geneve/node-a.pcapng": {"U01": PLAIN_UNDERLAY},
    "ambient-iptables-geneve/node-b.pcapng": {"U01": PLAIN_UNDERLAY},
    "geneve-ovs.pcapng": {"U01": NOT_IN_A_MESH},
    "geneve-short.pcap.gz": {"U01": NOT_IN_A_MESH, "C03": "recorded with a short snap length"},
    "vxlan-any-sll2.pcap": {"U01": NOT_IN_A_MESH},
    "vxlan-kernel.pcapng": {
        "U01": NOT_IN_A_MESH,
        "V08": "one device was given a larger MTU than the underlay leaves, to show fragments",
    },
    "ztunnel-unreachable/cli.pcapng": {"A03": BLOCKED},
}


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.rglob("*.pcap*")), ids=lambda path: str(path.relative_to(SAMPLES))
)
def test_a_sample_has_no_other_finding(path):
    name = str(path.relative_to(SAMPLES))
    assert grave(path) == EXPECTED_OF_SAMPLES.get(name, {}).keys()
