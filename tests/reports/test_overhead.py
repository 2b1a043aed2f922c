# SPDX-License-Identifier: Apache-2.0
"""`overhead` as text: troubles in words, text from captures made harmless."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genevecap.analysis.costs.results import (
    LayerOverhead,
    MtuFlow,
    MtuSum,
    OverheadResult,
    OverheadTotals,
    PointMtu,
    Spread,
    Term,
)
from genevecap.analysis.results import FindingSummary
from genevecap.reports.layout import Style
from genevecap.reports.overhead import lines

LAYER = LayerOverhead(
    kind="vxlan", purpose="underlay", packets=11, overhead_bytes=550, option_bytes=0, share=0.04,
    basis="estimated", uncertainty_bytes=50, per_packet=Spread(min=50, p50=50, max=50),
)  # fmt: skip
POINT = PointMtu(
    point="node\x1b/eth0", largest_frame_bytes=1514, largest_packet_bytes=1500, mtu_bytes=1500,
    mtu_basis="mss", headroom_bytes=0, fragments=0, outer_fragments=0, df_packets=3,
    icmp_too_big=1, super_packets=2, largest_super_packet_bytes=4420, over_mtu=0, black_hole=True,
    flows=(),
)  # fmt: skip
FLOW = MtuFlow(
    kind="too-big", source="10.1.0.1:4", destination="10.1.0.2:80", packets=2, packet_bytes=1500,
    next_hop_mtu_bytes=1450, obeyed=False,
)  # fmt: skip
RESULT = OverheadResult(
    layers=(LAYER, replace(LAYER, kind="ip", purpose="extra-leg", host_only=True)),
    mtu=(POINT,),
    totals=OverheadTotals(
        packets=11, wire_bytes=14_000, overhead_bytes=550, overhead_share=0.04,
        application_bytes=12_000, overhead_per_application_byte=0.0458, host_only_packets=3,
        host_only_bytes=300, super_packets=1,
    ),
    sums=(
        MtuSum(
            tunnels=("vxlan VNI 1",), purpose="underlay", packets=11, mtu_bytes=1500,
            basis="assumed", terms=(Term(name="IPv4", octets=20),), inner_mtu_bytes=1450,
            text="1500 − 50 = 1450",
        ),
    ),
    paths=("a.pcap",),
    interrupted=True,
)  # fmt: skip


def text(*flows, width=120, **changes):
    result = replace(RESULT, mtu=(replace(POINT, flows=flows),), **changes)
    return "\n".join(lines(result, Style(width=width)))


def test_the_whole():
    found = text(FLOW)
    assert "estimated ± 50" in found
    assert "extra-leg, on lo" in found
    assert "on lo: 3 packets, 300 B, in no share and no MTU" in found
    assert "1 super-packet counted as segments: an estimate" in found
    assert "MTU assumed: give --mtu" in found
    assert "interrupted" in found
    assert "node\\x1b/eth0" in found
    assert "\x1b" not in found


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    found = text(FLOW, width=width)
    assert max(map(len, found.splitlines())) <= max(width, 20)


def test_findings_have_three_details_until_they_are_asked_for():
    finding = FindingSummary(
        code="M01", severity="error", message="vanish", packets=5, frames=(), display_filter="tcp",
        details=tuple(f"flow {n}\x1b" for n in range(5)),
    )  # fmt: skip
    found = text(FLOW, findings=(finding,))
    assert "Findings  1 error" in found
    assert "flow 2\\x1b" in found
    assert "flow 3" not in found
    assert "… 2 more (--table findings)" in found
    whole = replace(RESULT, findings=(finding,))
    assert "flow 4" in "\n".join(lines(whole, Style(width=80), "findings"))
