# SPDX-License-Identifier: Apache-2.0
"""Results made by hand, for tests of what reports do with them."""

from __future__ import annotations

from dataclasses import replace

from genevecap.analysis.results import (
    AmbientSummary,
    CaptureSummary,
    Damage,
    FindingSummary,
    FlowSummary,
    FrameRef,
    InnerRow,
    InspectResult,
    OptionRow,
    OptionSummary,
    PacketRow,
    PointSummary,
    StopCounts,
    StopLayerCount,
    TunnelRow,
    TunnelSummary,
)

START_NS = 1_769_860_800_123_456_789  # 2026-01-31T12:00:00.123456789Z

POINT = PointSummary(
    name="node-a/eth0",
    interface="eth0",
    link_type="ETHERNET",
    packets=40,
    dropped=3,
    dropped_by_dumpcap=None,
)

CAPTURE = CaptureSummary(
    path="node-a.pcapng.gz",
    format="pcapng",
    compression="gzip",
    packets=40,
    captured_bytes=5_000,
    wire_bytes=12_345,
    first_ns=START_NS,
    last_ns=START_NS + 2_410_000_000,
    cut_short=False,
    damage=None,
    points=(POINT, replace(POINT, name="node-a/lo", interface="lo", packets=0, dropped=None)),
    comments=("recorded for a test",),
    application="dumpcap",
)

DAMAGE = Damage(record=7, offset=0x1F3A0, needed=1514, had=96)

TUNNEL = TunnelSummary(
    kind="geneve",
    vni=1000,
    source="10.244.1.1",
    destination="10.244.1.2",
    port=6081,
    depth=0,
    packets=30,
    wire_bytes=10_000,
    overhead_bytes=1_500,
    inner_flows=4,
    first_ns=START_NS,
    last_ns=START_NS + 1,
)

OPTION = OptionSummary(
    option_class=0x0102,
    class_name="Open Virtual Networking (OVN)",
    option_type=0x80,
    name="OVN logical ports",
    critical=True,
    data_bytes=4,
    packets=30,
    occurrences=31,
)

FLOW = FlowSummary(
    vni=1000,
    source="10.244.1.4",
    destination="10.244.2.5",
    protocol="tcp",
    source_port=53696,
    destination_port=8080,
    packets=12,
    wire_bytes=3_000,
)

FINDING = FindingSummary(
    code="G03",
    severity="error",
    message="Geneve options do not add up to the option length",
    packets=2,
    frames=(FrameRef(capture="node-a.pcapng.gz", frame=12),),
    display_filter="geneve && _ws.malformed",
)

RESULT = InspectResult(
    captures=(CAPTURE,),
    tunnels=(
        TUNNEL,
        TUNNEL._replace(
            source="2001:db8:1234:5678:9abc:def0:1234:5678",
            destination="2001:db8:1234:5678:9abc:def0:1234:5679",
        ),
    ),
    options=(OPTION, replace(OPTION, option_class=0xFF01, name=None, critical=False)),
    top_flows=(FLOW, replace(FLOW, vni=None, protocol="icmp", source_port=None)),
    stops=StopCounts(complete=37, truncated=2, unsupported=1),
    findings=(FINDING,),
    ambient=AmbientSummary(
        mode="iptables-geneve",
        evidence=("VNI 1000 between two pods",),
        description="iptables and Geneve redirection (Istio 1.18 to 1.20)",
    ),
    stop_layers=(
        StopLayerCount(stop="truncated", layer="tcp", packets=2),
        StopLayerCount(stop="unsupported", layer="ip-proto-89", packets=1),
    ),
    selected_packets=40,
    flows=9,
)

PACKET = PacketRow(
    capture="node-a.pcapng.gz",
    frame=12,
    point="node-a/eth0",
    time_ns=START_NS,
    captured_bytes=124,
    wire_bytes=1500,
    layers=("ethernet", "ipv4", "udp", "geneve", "ethernet", "ipv4", "tcp"),
    tunnels=(
        TunnelRow(
            kind="geneve",
            vni=1000,
            source="10.244.1.1",
            destination="10.244.1.2",
            source_port=683,
            destination_port=6081,
            overhead_bytes=58,
            options=(
                OptionRow(
                    option_class=0x0102, option_type=0x80, critical=True, data=b"\x00\x05\x00\x03"
                ),
            ),
            flags=(("version", 0), ("oam", False), ("critical", True), ("protocol", 0x6558)),
        ),
    ),
    inner=InnerRow(
        source="10.244.1.4",
        destination="10.244.2.5",
        protocol="tcp",
        source_port=53696,
        destination_port=8080,
    ),
    stop="complete",
    stop_layer=None,
    findings=("G08",),
)
