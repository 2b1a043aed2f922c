# SPDX-License-Identifier: Apache-2.0
"""Traffic, segments and billing: what is counted, as how much, and at which point."""

from __future__ import annotations

from array import array

import pytest

from genevecap.analysis.costs.billing import bills
from genevecap.analysis.costs.shapes import Leg, Level, Shape, Sighting, TunnelShape
from genevecap.analysis.costs.traffic import Traffic
from genevecap.analysis.super_packets import SegmentCounts
from genevecap.decode.layers import Layer
from tests.build import packets as p
from tests.properties.decoders import batch_of, decode_all, readable_decoder

LEG = Leg(4, 0, 1, 0, 2, 6, 1000, 80)
BACK = LEG.reversed()
LEVEL = Level(2, 1, 4, 0, 101, 0, 102, 4789)


def shape(payload=1000, tunnels=(), transport_bytes=20):
    size = 20 + transport_bytes + payload
    return Shape(14, tunnels, size, size, 20, Layer.TCP, 0, transport_bytes, payload, 4)


IN_VXLAN = (TunnelShape(50, 20, 8, 8, 0, 14, ()),)


def traffic_of(*frames, points=None):
    """Count frames, each at the point of the same place in `points`."""
    made = batch_of([(1, frame, len(frame)) for frame in frames])
    for row, point in enumerate(points or ()):
        made.point[row] = point
        made.link_types[:] = array("i", [1] * (max(points) + 1))
    traffic = Traffic()
    for decoded in decode_all(readable_decoder(), made):
        traffic.update(made, decoded, 0)
    return traffic


def test_the_parts_of_a_geneve_packet():
    option = p.geneve_option(0x0102, 0x80, bytes(4))
    inner = p.vlan(p.ipv4(p.tcp(bytes(100), options=bytes(12)), 6, "10.1.0.1", "10.1.0.2"))
    frame = p.ethernet(
        p.ipv4(p.udp(p.geneve(p.ethernet(inner, 0x8100), 7, options=option), 1, 6081))
    )
    (sighting,) = traffic_of(frame).result()
    assert sighting.shape == Shape(
        link_bytes=14,
        tunnels=(
            TunnelShape(
                overhead_bytes=20 + 8 + 8 + 8 + 18,
                ip_bytes=20,
                udp_bytes=8,
                header_bytes=8,
                option_bytes=8,
                link_bytes=18,
                options=((0x0102, 0x80, 4),),
            ),
        ),
        packet_bytes=152,
        whole_bytes=152,
        ip_bytes=20,
        transport=Layer.TCP,
        encryption=0,
        transport_bytes=32,
        payload_bytes=100,
        version=4,
    )
    assert sighting.leg.source_port == 40000
    assert [level.vni for level in sighting.stack] == [7]


def test_the_parts_of_an_erspan_packet():
    inside = p.ethernet(p.ipv4(p.tcp(), 6))
    frame = p.ethernet(p.ipv4(p.gre(p.erspan_2(inside), 0x88BE, sequence=1), 47))
    (sighting,) = traffic_of(frame).result()
    # GRE with a sequence number (RFC 2890), and ERSPAN's own header.
    assert sighting.shape.tunnels == (TunnelShape(20 + 16 + 14, 20, 0, 16, 0, 14, ()),)


def test_merging_is_counting_together():
    frames = [
        p.ethernet(p.ipv4(p.tcp(bytes(n), flags=2 if n < 3 else 16, options=b"\2\4\5\xb4"), 6))
        for n in (0, 1, 2, 3, 3)
    ]
    whole, first, second = traffic_of(*frames), traffic_of(*frames[:2]), traffic_of(*frames[2:])
    second.merge(first)
    assert second.result() == whole.result()
    assert (second.mss, second.frames, second.loopback) == (whole.mss, 5, whole.loopback)


def test_a_loopback_is_known_by_its_addresses():
    nowhere = bytes(6)
    on_lo = p.ethernet(p.ipv4(p.tcp(), 6), source=nowhere, destination=nowhere)
    traffic = traffic_of(on_lo, on_lo, p.ethernet(p.ipv4(p.tcp(), 6)), on_lo, points=(0, 0, 1, 1))
    assert traffic.loopback == {0}


def test_segments_by_the_smaller_mss_less_options():
    segments = SegmentCounts([], {LEG: 1410, BACK: 1410})
    assert segments.of(LEG, shape(1410)) == 1
    assert segments.of(LEG, shape(1411)) == 2
    assert segments.of(LEG, shape(1410, transport_bytes=32)) == 2  # 1398 each
    assert segments.of(LEG, shape(0)) == 1
    assert segments.is_announced(BACK)


def test_segments_by_ordinary_payloads_where_there_is_no_syn():
    seen = [Sighting(LEG, (), 0, shape(n), 1) for n in (100, 1348, 5392)]
    segments = SegmentCounts(seen, {})
    assert segments.payload_of_segment(LEG, shape(5392)) == 1348
    assert segments.of(LEG, shape(5392)) == 4


def test_segments_by_the_mtu_where_there_is_nothing_else():
    assert SegmentCounts([], {}).of(LEG, shape(2920)) == 2  # 1500 − 40
    assert SegmentCounts([], {}, 9000).of(LEG, shape(8960)) == 1
    assert SegmentCounts([], {Leg(4, 0, 9, 0, 8, 6, 1, 2): 8960}).of(LEG, shape(8960)) == 1
    assert (
        SegmentCounts([], {BACK.reversed()._replace(source_port=1): 65495}).of(LEG, shape(2920))
        == 2
    )


def test_a_leg_is_billed_at_the_point_that_saw_most():
    seen = [
        Sighting(LEG, (), 0, shape(), 10),
        Sighting(LEG, (), 1, shape(), 7),
        Sighting(LEG, (LEVEL,), 2, shape(tunnels=IN_VXLAN), 8),
        Sighting(LEG, (LEVEL,), 3, shape(tunnels=IN_VXLAN), 7),
    ]
    (bill,) = bills(seen, SegmentCounts(seen, {}), set())
    assert bill.own == (seen[0],)
    assert bill.levels == {LEVEL: (seen[2],)}
    assert not bill.host_only


def test_of_equal_points_the_one_nearest_the_wire():
    seen = [
        Sighting(LEG, (), 0, shape(), 10),
        Sighting(LEG, (LEVEL,), 1, shape(tunnels=IN_VXLAN), 10),
    ]
    (bill,) = bills(seen, SegmentCounts(seen, {}), set())
    assert bill.own == (seen[1],)


def test_of_equal_points_the_one_with_fewer_super_packets():
    seen = [
        Sighting(LEG, (LEVEL,), 0, shape(14600, IN_VXLAN), 1),
        Sighting(LEG, (), 1, shape(1460), 10),
    ]
    (bill,) = bills(seen, SegmentCounts(seen, {LEG: 1460}), set())
    assert bill.own == (seen[1],)


@pytest.mark.parametrize(("points", "host_only"), [((0,), True), ((0, 1), False)])
def test_what_only_loopbacks_saw_is_host_only(points, host_only):
    seen = [Sighting(LEG, (), point, shape(), 10 - point) for point in points]
    (bill,) = bills(seen, SegmentCounts(seen, {}), {0})
    assert bill.host_only == host_only
    assert bill.own == (seen[-1],)


def test_two_networks_with_the_same_addresses_are_counted_together_where_they_meet():
    other = LEVEL._replace(vni=2)
    seen = [
        Sighting(LEG, (), 0, shape(), 5),
        Sighting(LEG, (), 1, shape(), 4),
        Sighting(LEG, (LEVEL,), 2, shape(tunnels=IN_VXLAN), 5),
        Sighting(LEG, (other,), 2, shape(tunnels=IN_VXLAN), 4),
    ]
    (bill,) = bills(seen, SegmentCounts(seen, {}), set())
    assert bill.own == (seen[2], seen[3])
    assert bill.levels == {LEVEL: (seen[2],), other: (seen[3],)}
