# SPDX-License-Identifier: Apache-2.0
"""analysis/health/syn_retries: SYNs to port 15008 that nobody answers, told without connections."""

from __future__ import annotations

import pytest

from genevecap.analysis.health import syn_retries
from genevecap.analysis.select import Selector
from genevecap.analysis.summary import inspect
from genevecap.capture.linktypes import LINUX_SLL
from genevecap.capture.spec import CaptureSpec
from tests.analysis.inspected import found_in
from tests.build import packets as p
from tests.build.captures import LITTLE, pcap
from tests.conftest import recorded_set

CLIENT, SERVER = "10.244.1.4", "10.244.2.6"
SYN, ACK, SYN_ACK, RST_ACK = 0x02, 0x10, 0x12, 0x14


def segment(flags=SYN, *, port=40000, sequence=7, to=SERVER, server_port=15008, payload=b""):
    octets = p.tcp(payload, port, server_port, flags=flags, sequence=sequence)
    return p.ethernet(p.ipv4(octets, 6, CLIENT, to))


def answer(flags=SYN_ACK, *, port=40000, server_port=15008):
    octets = p.tcp(b"", server_port, port, flags=flags, sequence=9)
    return p.ethernet(p.ipv4(octets, 6, SERVER, CLIENT))


OTHER = [
    segment(port=50000, server_port=8080),
    answer(port=50000, server_port=8080),
    segment(ACK, port=50000, server_port=8080),
]
"""Another connection of the client, which shows that answers are captured."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pcap"


def test_a_syn_that_is_repeated_and_nothing_else(path):
    found = found_in(path, pcap(*OTHER, segment(), segment(), segment(port=40001), segment()))
    assert found["A03"].severity == "error"
    assert found["A03"].packets == 3
    assert found["A03"].details == (f"{CLIENT}:40000 > {SERVER}:15008: 3 SYNs, no answer",)
    assert [each.frame for each in found["A03"].frames] == [4, 5, 7]


@pytest.mark.parametrize(
    "frames",
    [
        [segment()],  # the capture may end here
        [segment(), segment(sequence=8)],  # the port is used anew
        [segment(), segment(), answer()],
        [segment(), segment(), segment(ACK)],  # so there was an answer, which was not captured
        [segment(), segment(), answer(RST_ACK)],
        [segment(server_port=8080)] * 3,
    ],
)
def test_what_is_not_meant(frames, path):
    assert "A03" not in found_in(path, pcap(*OTHER, *frames))


def test_a_capture_of_one_direction_says_nothing(path):
    assert "A03" not in found_in(path, pcap(*OTHER[::2], segment(), segment()))


def test_a_selection_says_nothing(path):
    frames = pcap(*OTHER, segment(), segment())
    assert "A03" in found_in(path, frames)
    assert "A03" not in found_in(path, frames, selector=Selector(ports=(15008, 8080)))


def test_sightings_at_several_points_are_no_repetitions(tmp_path):
    octets = LITTLE.section() + LITTLE.interface() + LITTLE.interface()
    for frame in (*OTHER, segment()):
        octets += LITTLE.packet(frame) + LITTLE.packet(frame, interface=1)
    assert "A03" not in found_in(tmp_path / "a.pcapng", octets)
    octets += LITTLE.packet(segment()) + LITTLE.packet(segment(), interface=1)
    found = found_in(tmp_path / "a.pcapng", octets)
    assert found["A03"].packets == 2  # at one point; four sightings


def test_an_interface_that_shows_packets_twice_is_left_out(path):
    frames = [p.sll(frame[14:]) for frame in (*OTHER, segment(), segment())]
    assert "A03" not in found_in(path, pcap(*frames, link=LINUX_SLL))


def test_tunnels_say_nothing_by_themselves(path):
    """Istio's carry SYNs alone, and what follows goes another way."""
    tunnelled = [
        p.ethernet(p.ipv4(p.udp(p.geneve(segment(), 1000), 50000, 6081), 17, "10.0.0.1"))
    ] * 3
    assert "A03" not in found_in(path, pcap(*OTHER, *tunnelled))
    # Once in the tunnel, and then beside it.
    outside = [segment(), segment()]
    assert "A03" in found_in(path, pcap(*OTHER, tunnelled[0], *outside))
    assert "A03" not in found_in(path, pcap(*OTHER, tunnelled[0], *outside, segment(ACK)))


def test_an_underlays_tunnel_is_a_way_like_any_other(path):
    def in_vxlan(frame, destination="172.18.0.3"):
        datagram = p.udp(p.vxlan(frame, 1), 50000, 4789)
        return p.ethernet(p.ipv4(datagram, 17, "172.18.0.2", destination))

    other = [in_vxlan(frame) for frame in OTHER]
    found = found_in(path, pcap(*other, *[in_vxlan(segment())] * 3))
    assert found["A03"].packets == 3
    assert [each.frame for each in found["A03"].frames] == [4, 5, 6]
    # One SYN that is flooded to all ends of a VNI was sent once.
    flooded = [in_vxlan(segment(), f"172.18.0.{n}") for n in (3, 4, 5)]
    assert "A03" not in found_in(path, pcap(*other, *flooded))
    assert found_in(path, pcap(*other, *flooded * 2))["A03"].packets == 2


def test_ipv6(path):
    def six(flags, source, destination, *ports):
        octets = p.tcp(b"", *ports, flags=flags)
        return p.ethernet(p.ipv6(octets, 6, source, destination), 0x86DD)

    other = [six(SYN, "fd00::1", "fd00::2", 5, 80), six(SYN_ACK, "fd00::2", "fd00::1", 80, 5)]
    found = found_in(path, pcap(*other, *[six(SYN, "fd00::1", "fd00::2", 6, 15008)] * 2))["A03"]
    assert found.details == ("[fd00::1]:6 > [fd00::2]:15008: 2 SYNs, no answer",)


def test_memory_is_bounded(path, monkeypatch):
    monkeypatch.setattr(syn_retries, "_MOST_CLIENTS", 1)
    frames = [segment(port=port) for port in (1, 2, 2, 1)]
    assert found_in(path, pcap(*OTHER, *frames))["A03"].packets == 2


def test_the_recorded_set_in_which_15008_is_blocked():
    paths = sorted(recorded_set("ztunnel-1.31-faults").glob("*.pcap*"))
    found = {
        each.code: each for each in inspect([CaptureSpec.parse(str(f)) for f in paths]).findings
    }
    assert found["A03"].packets == 20
    assert len(found["A03"].details) == 3
