# SPDX-License-Identifier: Apache-2.0
"""M01 to M04 (analysis/costs/mtu_findings): each flow once, with the points that show it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genevecap.analysis.costs.mtu_findings import note_mtu
from genevecap.analysis.costs.overhead import overhead
from genevecap.analysis.costs.results import MtuFlow, PointMtu
from genevecap.analysis.findings.noted import Noted
from genevecap.analysis.results import FrameRef
from genevecap.capture.spec import CaptureSpec
from tests.build import captures as c
from tests.build import packets as p

FLOW = MtuFlow(
    kind="too-big", source="10.1.0.1:4", destination="10.1.0.2:80", packets=2, packet_bytes=1500,
    next_hop_mtu_bytes=1450, obeyed=False,
    frames=(FrameRef(capture="a.pcap", frame=7), FrameRef(capture="b.pcap", frame=3)),
)  # fmt: skip
POINT = PointMtu(
    point="node/eth0", largest_frame_bytes=1514, largest_packet_bytes=1500, mtu_bytes=1500,
    mtu_basis="mss", headroom_bytes=0, fragments=0, outer_fragments=0, df_packets=3,
    icmp_too_big=1, super_packets=0, largest_super_packet_bytes=0, over_mtu=0, black_hole=True,
    flows=(FLOW,),
)  # fmt: skip


def findings(*points):
    noted = Noted()
    note_mtu(noted, points, ["a.pcap", "b.pcap"])
    return noted.summaries(["a.pcap", "b.pcap"])


@pytest.mark.parametrize(
    ("flow", "code", "words"),
    [
        (FLOW, "M03", "10.1.0.1:4 > 10.1.0.2:80: 1500 octets, MTU 1450: the sender did not obey"),
        (replace(FLOW, obeyed=True), "M04", "the sender obeyed"),
        (replace(FLOW, obeyed=None, next_hop_mtu_bytes=None), "M04", "is not seen"),
        (replace(FLOW, kind="black-hole"), "M01", "1500 octets, sent 2 times"),
        (replace(FLOW, kind="mss", mss=1460), "M02", "announces 1460"),
    ],
)
def test_each_kind(flow, code, words):
    (found,) = findings(replace(POINT, flows=(flow,)))
    assert found.code == code
    assert found.packets == 2
    assert found.frames == FLOW.frames
    assert words in found.details[0]


def test_one_flow_at_many_points_is_one_detail():
    (found,) = findings(*(replace(POINT, point=f"p{n}") for n in range(5)))
    assert found.details[0].endswith("(p0, p1, p2 and 2 more)")
    assert found.packets == 10


def test_nothing_is_said_where_nothing_is_wrong():
    assert findings(replace(POINT, flows=())) == ()


def test_overhead_tells_what_inspect_tells_and_sizes_besides(samples):
    path = str(samples / "vxlan-kernel.pcapng")
    found = {each.code: each for each in overhead([CaptureSpec.parse(path)]).findings}
    assert {"V08", "U01", "V03", "M02"} <= found.keys()
    assert found["M02"].packets == 4
    # The SYNs and SYN-ACKs in tunnels, as tshark numbers them.
    assert [at.frame for at in found["M02"].frames] == [34, 35, 139, 140]
    roomy = overhead([CaptureSpec.parse(path)], mtu_bytes=1600).findings
    assert "M02" not in {each.code for each in roomy}


def of_port(port, payload=b"", **options):
    return p.ethernet(p.ipv4(p.tcp(payload, port, 80, **options), 6, "10.1.0.1", "10.1.0.2"))


def too_big(port):
    quoted = p.ipv4(p.tcp(b"", port, 80), 6, "10.1.0.1", "10.1.0.2", total_length=1500)
    message = p.icmp(quoted, 3, 4, (1450).to_bytes(4, "big"))
    return p.ethernet(p.ipv4(message, 1, "10.9.9.9", "10.1.0.1"))


def test_the_last_of_many_flows_counts_as_the_first_does(tmp_path):
    """Thirty senders obey, and the last one does not; thirty are lost; thirty announce too much."""
    obeying = [
        frame
        for port in range(30)
        for frame in (too_big(1000 + port), of_port(1000 + port, bytes(1300)))
    ]
    lost = [
        frame
        for port in range(2000, 2030)
        for frame in (
            of_port(port, bytes(1448), sequence=401),
            p.ethernet(p.ipv4(p.tcp(b"", 80, port, acknowledgment=401), 6, "10.1.0.2", "10.1.0.1")),
            *[of_port(port, bytes(1448), sequence=401)] * 4,
        )
    ]
    announced = [
        p.ethernet(p.ipv4(p.udp(p.vxlan(syn), 50000, 4789), 17, "172.18.0.2", "172.18.0.3"))
        for mss in range(1431, 1461)
        for syn in [of_port(mss, flags=2, options=b"\2\4" + mss.to_bytes(2, "big"))]
    ]
    bare = of_port(999, flags=2, options=b"\2\4\5\xb4")
    path = tmp_path / "many.pcap"
    path.write_bytes(
        c.pcap(bare, *obeying, too_big(1030), of_port(1030, bytes(1460)), *lost, *announced)
    )
    found = {each.code: each for each in overhead([CaptureSpec.parse(str(path))]).findings}
    assert {code: found[code].packets for code in ("M01", "M02", "M03", "M04")} == {
        "M01": 30 * 5, "M02": 30, "M03": 1, "M04": 30,
    }  # fmt: skip
    assert [at.frame for at in found["M03"].frames] == [62]
