# SPDX-License-Identifier: Apache-2.0
"""Selectors: what each one looks at, how they go together, and what cannot be understood."""

from __future__ import annotations

import pytest

from genevecap.analysis.packets import packets
from genevecap.analysis.select import RowFilter, Selector, TimeBound
from genevecap.analysis.summary import inspect
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import UsageError
from tests.build import packets as p
from tests.build.captures import LITTLE

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND


def nested(inner, vni, source, destination, **header):
    return p.ipv4(p.udp(p.geneve(inner, vni, **header), 5000, 6081), 17, source, destination)


def plain(source, destination, ports=(40000, 80)):
    return p.ethernet(p.ipv4(p.tcp(b"", *ports), 6, source, destination))


# Frame 1: VNI 5 around VNI 7.  Frame 2: VNI 9.  Frame 3: no tunnel.  Frame 4: IPv6.  Frame 5: ARP.
FRAMES = (
    p.ethernet(
        nested(
            p.ethernet(nested(plain("10.0.0.1", "10.0.0.2"), 7, "192.168.0.1", "192.168.0.2")),
            5,
            "172.16.0.1",
            "172.16.0.2",
        )
    ),
    p.ethernet(nested(plain("10.0.0.3", "10.0.0.4", (40001, 443)), 9, "172.16.0.1", "172.16.0.3")),
    plain("10.0.0.1", "172.16.0.2", (40002, 6081)),
    p.ethernet(p.ipv6(p.udp(b"", 53, 40003), 17, "fd00::a", "fd00::b"), 0x86DD),
    p.ethernet(p.arp(), 0x0806),
)


@pytest.fixture
def capture(tmp_path):
    """One frame a second; odd frames on eth0, even ones on lo."""
    octets = LITTLE.section() + b"".join(
        LITTLE.interface(name=name, resolution=9) for name in ("eth0", "lo")
    )
    for number, frame in enumerate(FRAMES):
        octets += LITTLE.packet(frame, interface=number % 2, units=START_NS + number * SECOND)
    path = tmp_path / "node.pcapng"
    path.write_bytes(octets)
    return str(path)


def selected(capture, **wanted):
    """The numbers of the frames that pass."""
    if isinstance(capture, str):
        capture = [capture]
    problems = []
    rows = packets(
        [CaptureSpec.parse(text) for text in capture],
        selector=Selector(**wanted),
        on_problem=problems.append,
    )
    numbers = [row.frame for row in rows]
    assert problems == []
    return numbers


def test_nothing_selected_is_everything(capture):
    assert not Selector()
    assert selected(capture) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("vnis", "frames"), [((5,), [1]), ((7,), [1]), ((9,), [2]), ((7, 9), [1, 2]), ((6,), [])]
)
def test_vni_of_any_tunnel(capture, vnis, frames):
    assert selected(capture, vnis=vnis) == frames


@pytest.mark.parametrize(
    ("addresses", "frames"),
    [
        (("172.16.0.1",), [1, 2]),  # outer source
        (("172.16.0.2",), [1, 3]),  # outer destination; innermost of a frame without tunnel
        (("192.168.0.1",), [1]),  # of a tunnel between
        (("192.168.0.2",), [1]),
        (("10.0.0.1",), [1, 3]),  # inner source
        (("10.0.0.4",), [2]),  # inner destination
        (("fd00::b",), [4]),
        (("fd00:0:0::0b",), [4]),  # the same in other words
        (("::10.0.0.1",), []),  # not the IPv4 address of the same number
        (("10.0.0.9",), []),
        (("10.0.0.4", "fd00::a"), [2, 4]),
    ],
)
def test_address_of_any_ip_header(capture, addresses, frames):
    assert selected(capture, addresses=addresses) == frames


@pytest.mark.parametrize(
    ("ports", "frames"),
    [
        ((6081,), [1, 2, 3]),  # outer, or of the only transport header
        ((5000,), [1, 2]),  # outer source
        ((443,), [2]),
        ((80,), [1]),
        ((53,), [4]),
        ((80, 53), [1, 4]),
        ((0,), []),
        ((1,), []),
    ],
)
def test_port_of_any_transport_header(capture, ports, frames):
    assert selected(capture, ports=ports) == frames


@pytest.mark.parametrize(
    ("points", "frames"),
    [
        (("node/eth0",), [1, 3, 5]),
        (("*/lo",), [2, 4]),
        (("lo",), []),
        (("node/*",), [1, 2, 3, 4, 5]),
        (("NODE/LO",), []),
        (("node/l[aeiou]", "x*"), [2, 4]),
    ],
)
def test_point_is_a_pattern_on_the_full_name(capture, points, frames):
    assert selected(capture, points=points) == frames


def test_points_of_the_second_capture(capture):
    assert selected([f"a={capture}", f"b={capture}"], points=("b/lo",)) == [2, 4]


@pytest.mark.parametrize(
    ("since", "until", "frames"),
    [
        ("+2", None, [3, 4, 5]),
        (None, "+2", [1, 2, 3]),
        ("+1", "+3", [2, 3, 4]),
        ("+1.000000001", "+2.999999999", [3]),
        ("1700000003", None, [4, 5]),
        (None, "1700000000.999999999", [1]),
        ("2023-11-14T22:13:22Z", None, [3, 4, 5]),
        ("2023-11-14T22:13:22.000000001Z", None, [4, 5]),
        ("2023-11-14T23:13:22+01:00", "2023-11-14T22:13:22", [3]),
        ("+3", "+1", []),
        ("0", "99999999999", [1, 2, 3, 4, 5]),
    ],
)
def test_times_are_inclusive_and_exact(capture, since, until, frames):
    bounds = [None if text is None else TimeBound.parse(text) for text in (since, until)]
    assert selected(capture, since=bounds[0], until=bounds[1]) == frames


def test_relative_times_count_from_the_first_packet_of_all(capture):
    since = TimeBound.parse("+4")
    assert selected([capture, capture], since=since) == [5, 5]


def test_a_frame_without_a_time_is_in_no_period(tmp_path):
    path = tmp_path / "simple.pcapng"
    path.write_bytes(
        LITTLE.section() + LITTLE.interface() + LITTLE.simple(FRAMES[2])
        + LITTLE.packet(FRAMES[2], units=5)
    )  # fmt: skip
    assert selected(str(path)) == [1, 2]
    assert selected(str(path), until=TimeBound.parse("2030-01-01")) == [2]
    assert selected(str(path), since=TimeBound.parse("-99999999999")) == [2]
    assert selected(str(path), since=TimeBound.parse("+0")) == [2]


def test_selectors_of_several_kinds_must_all_match(capture):
    assert selected(capture, vnis=(5, 9), ports=(443,)) == [2]
    assert selected(capture, vnis=(5,), ports=(443,)) == []
    assert selected(capture, addresses=("10.0.0.1",), points=("*/eth0",), ports=(40002,)) == [3]


def test_the_summary_counts_what_is_selected_and_describes_the_whole_capture(capture):
    result = inspect([CaptureSpec.parse(capture)], selector=Selector(vnis=(7,)))
    assert result.selected_packets == 1
    assert [(t.vni, t.depth, t.packets) for t in result.tunnels] == [(5, 0, 1), (7, 1, 1)]
    assert result.captures[0].packets == 5
    assert [point.packets for point in result.captures[0].points] == [3, 2]


@pytest.mark.parametrize(
    ("text", "ns", "relative"),
    [
        ("0", 0, False),
        ("1.5", 1_500_000_000, False),
        ("1.", SECOND, False),
        ("-1.25", -1_250_000_000, False),
        ("1700000000.123456789", 1_700_000_000_123_456_789, False),
        ("1700000000.1234567899", 1_700_000_000_123_456_789, False),
        ("9007199254740993.000000001", 9_007_199_254_740_993_000_000_001, False),
        ("+0.000000001", 1, True),
        ("+3600", 3600 * SECOND, True),
        ("1970-01-01T00:00:00Z", 0, False),
        ("1970-01-01", 0, False),
        ("1970-01-01 00:01", 60 * SECOND, False),
        ("1970-01-01t00:00:00.000000001z", 1, False),
        ("1969-12-31T23:59:59.999999999Z", -1, False),
        ("1970-01-01T01:00:00+01:00", 0, False),
        ("1969-12-31T18:30:00.25-05:30", SECOND // 4, False),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1, False),
    ],
)
def test_times_are_read_to_the_nanosecond(text, ns, relative):
    assert TimeBound.parse(text) == TimeBound(ns=ns, relative=relative)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "now", "nan", "inf", "1e9", "1_0", "0x10", "+", "-", ".5", "++1", "+-1", " 1",
        "1 ", "٣", "9" * 5000, "2026-13-01", "2026-02-30T00:00:00Z", "2026-01-31T25:00:00Z",
        "2026-01-31.5", "2026-01-31T12:00.5", "2026-01-31T12:00:00.", "2026-01-31T12:00:00+99:00",
        "2026-01-31Z", "2026-1-31", "20260131T120000Z", "2026-01-31T12:00:00ZZ", "+2026-01-31",
    ],
)  # fmt: skip
def test_what_is_no_time_is_said_with_the_three_forms(text):
    with pytest.raises(UsageError) as caught:
        TimeBound.parse(text)
    assert str(caught.value) == (
        f"{text!r} is not a time: give 2026-01-31T12:00:00Z, epoch seconds, or +SECONDS"
    )


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "host", "fd00::g", "10.0.0.1/8"])
def test_what_is_no_address(text):
    with pytest.raises(UsageError, match="is not an IPv4 or IPv6 address"):
        RowFilter(Selector(addresses=(text,)))
