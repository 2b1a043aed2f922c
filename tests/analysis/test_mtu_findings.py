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
