# SPDX-License-Identifier: Apache-2.0
"""The counters: compiled and readable say the same, in any order, and what they say is right.

Both the tables and the rows that they hold: `readable_tables` and `readable_rows`.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.readable_tables import ReadableTables
from genevecap.analysis.tables import FIRST_FRAMES, summary_tables
from genevecap.columns import NO_TIME, Finding, Stop
from genevecap.decode.layers import Layer
from tests.build import packets as p
from tests.decode.mutations import frames as mutated_frames
from tests.decode.mutations import mutated
from tests.decode.vectors import VECTORS
from tests.properties.decoders import batch_of, decode_all, frames_of, readable_decoder

from .counting import (
    Row,
    Tunnel,
    answers,
    assert_same,
    batch,
    counted,
    implementations,
    kernel_tables,
)

INT64_MAX = 2**63 - 1
HALF_32 = 2**31

# --- few values, so that keys meet and differ in one field only -----------------------------------

ADDRESSES = st.sampled_from((0, 1, 2, HALF_32, 2**32 - 1, 2**63, 2**64, 2**127, 2**128 - 1))
PORTS = st.sampled_from((-1, 0, 1, 80, 15008, HALF_32 >> 16, 65535))
VNIS = st.sampled_from((-1, 0, 1, 1000, 2**24 - 1))
OPTIONS = st.tuples(
    st.sampled_from((0, 0x0102, 0xFFFF)), st.sampled_from((0, 1, 0x80, 0xFF)),
    st.sampled_from((0, 4, 124)),
)  # fmt: skip
TUNNELS = st.builds(
    Tunnel,
    kind=st.sampled_from((1, 2, 3, 8)),
    vni=VNIS,
    version=st.sampled_from((4, 6)),
    source=ADDRESSES,
    destination=ADDRESSES,
    port=PORTS,
    source_port=PORTS,
    overhead=st.sampled_from((0, 50, 2**32 - 1)),
    options=st.lists(OPTIONS, max_size=4).map(tuple),
)
INNER = st.tuples(
    st.sampled_from((4, 6)), ADDRESSES, ADDRESSES, st.sampled_from((0, 6, 17, 255)), PORTS, PORTS
)
ROWS = st.lists(
    st.builds(
        Row,
        inner=st.none() | INNER,
        tunnels=st.lists(TUNNELS, max_size=3).map(tuple),
        wire_bytes=st.sampled_from((0, 60, HALF_32 - 1, HALF_32, 2**32 - 1)),
        time_ns=st.sampled_from((NO_TIME, NO_TIME + 1, -1, 0, 1, HALF_32, INT64_MAX)),
        stop=st.sampled_from(tuple(map(int, Stop))),
        stop_layer=st.sampled_from((0, Layer.IPV4, 0x20059)),
        findings=st.sampled_from((0, 1, 3, 1 << 9)),
        keep=st.sampled_from((0, 1, 1, 1)),
        tcp_flags=st.sampled_from((0, 0x02, 0x12, 0x10, 0x1FF, 0x102)),
        point=st.sampled_from((0, 1, 40)),
    ),
    max_size=30,
)


@given(ROWS)
def test_both_count_the_same(rows):
    counted(rows)


@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 5))
def test_merged_in_any_order_equals_one_pass(rows, shuffle, parts):
    for whole, *pieces in zip(*(implementations() for _ in range(parts + 1)), strict=True):
        frames, decoded = batch(rows)
        whole.update(frames, decoded, 0)
        step = -(-len(rows) // parts) or 1
        for number, piece in enumerate(pieces):
            part = rows[number * step : (number + 1) * step]
            piece.update(*batch(part, first=2, frame=1 + number * step), 0)
        order = list(pieces)
        shuffle.shuffle(order)
        while len(order) > 1:  # as a tree, not only one after the other
            other = order.pop(shuffle.randrange(len(order)))
            order[shuffle.randrange(len(order))].merge(other)
        assert_same(unordered(answers(whole)), unordered(answers(order[0])))


def unordered(answer):
    """Leave out what compares a frame with the one before it, which merging cannot know."""
    for name in ("moves", "scattered"):
        del answer[name]
    order = Finding.C04 | Finding.C05
    answer["findings"] = [each for each in answer["findings"] if not each.bit & order]
    return answer


@given(ROWS, ROWS)
def test_counting_goes_on_after_a_merge(earlier, later):
    for whole, one, other in zip(*(implementations() for _ in range(3)), strict=True):
        for tables in (whole, one):
            tables.update(*batch(earlier), 0)
        other.update(*batch(earlier), 0)
        whole.update(*batch(earlier), 0)
        one.merge(other)
        for tables in (whole, one):
            tables.update(*batch(later, frame=1000), 1)
        left, right = answers(whole), answers(one)
        # The same frames were counted twice: a merge names them once, as it must.
        assert left.pop("findings") is not None
        assert right.pop("findings") is not None
        assert_same(
            {name: left[name] for name in left if name not in ("moves", "scattered")}, right
        )


@given(st.lists(mutated_frames(), min_size=1, max_size=8))
def test_both_count_hostile_frames_alike(frames):
    tables = implementations()
    for number, each in enumerate(decode_all(readable_decoder(), batch_of(frames))):
        for table in tables:
            table.update(batch_of(frames), each, number)
    for table in tables[1:]:
        assert_same(answers(tables[0]), answers(table))


@pytest.mark.parametrize("seed", range(2))
def test_both_count_samples_and_many_mutated_frames_alike(samples, seed):
    count_both_ways(samples, seed, 3_000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_both_count_very_many_mutated_frames_alike(samples, seed):
    count_both_ways(samples, seed, 100_000)


def count_both_ways(samples, seed, count):
    frames = [frame for path in sorted(samples.glob("*.pcap*")) for frame in frames_of(path)]
    frames += [(v.link_type, v.data, v.original_length) for v in VECTORS]
    frames += mutated(random.Random(seed), count)
    tables = implementations()
    whole = batch_of(frames)
    decoder = readable_decoder()
    for decoded in decode_all(decoder, whole):
        for i in range(decoded.count):
            decoded.keep[i] = (i * 7 + seed) % 5 != 0
        for table in tables:
            table.update(whole, decoded, 3)
    assert tables[0].selected() > count // 2
    for table in tables[1:]:
        assert_same(answers(tables[0]), answers(table))


# --- what the counts mean -------------------------------------------------------------------------


def test_the_compiled_ones_are_used_where_they_were_built():
    kernel = kernel_tables()
    assert type(summary_tables()) is (ReadableTables if kernel is None else type(kernel))


def test_nothing_counted():
    answer = counted([])
    assert answer["selected"] == answer["flow_count"] == 0
    assert not any(answer[name] for name in ("tunnels", "top_flows", "options", "stops"))


def test_nested_tunnels_count_the_same_flow_once_each():
    outer, inner = Tunnel(vni=5), Tunnel(kind=2, vni=7, source=3, destination=4, port=4789)
    rows = [Row(tunnels=(outer, inner)) for _ in range(3)]
    answer = counted(rows)
    assert [(t.vni, t.depth, t.packets, t.inner_flows) for t in answer["tunnels"]] == [
        (5, 0, 3, 1),
        (7, 1, 3, 1),
    ]
    assert [(f.vni, f.packets) for f in answer["top_flows"]] == [(7, 3)]


def test_the_same_tunnel_at_two_depths_is_two_rows():
    tunnel = Tunnel()
    answer = counted([Row(tunnels=(tunnel, tunnel)), Row(tunnels=(tunnel,))])
    assert [(t.depth, t.packets, t.wire_bytes, t.inner_flows) for t in answer["tunnels"]] == [
        (0, 2, 200, 1),
        (1, 1, 100, 1),
    ]


def test_inner_flows_are_5_tuples_whatever_is_between():
    """One 5-tuple in two inner VNIs is two flows in all, but one 5-tuple of the outer tunnel."""
    outer = Tunnel(vni=5)
    rows = [Row(tunnels=(outer, Tunnel(vni=vni))) for vni in (7, 8)] + [Row(tunnels=(outer,))]
    answer = counted(rows)
    assert [(t.vni, t.inner_flows) for t in answer["tunnels"]] == [(5, 1), (7, 1), (8, 1)]
    assert answer["flow_count"] == 3


def test_a_flow_in_two_tunnels_by_turns():
    one, two = Tunnel(source=1), Tunnel(source=9)
    answer = counted([Row(tunnels=(tunnel,)) for tunnel in (one, two) * 5])
    assert [t.inner_flows for t in answer["tunnels"]] == [1, 1]


def test_a_tunnel_without_an_ip_header_inside_has_no_flow():
    answer = counted([Row(inner=None, tunnels=(Tunnel(),))])
    assert [t.inner_flows for t in answer["tunnels"]] == [0]
    assert answer["flow_count"] == 0


def test_arp_in_a_tunnel_counts_the_outer_header_as_inner():
    """That header is not inside the tunnel, so its flow has no VNI."""
    frame = p.ethernet(p.ipv4(p.udp(p.geneve(p.ethernet(p.arp(), 0x0806), vni=5), 12345, 6081)))
    frames = batch_of([(1, frame, len(frame))])
    for tables in implementations():
        for decoded in decode_all(readable_decoder(), frames):
            tables.update(frames, decoded, 0)
        (tunnel,), (flow,) = tables.tunnels(), tables.top_flows(9)
        assert (tunnel.vni, tunnel.inner_flows, tunnel.packets) == (5, 1, 1)
        assert (flow.vni, flow.protocol, flow.source_port, flow.destination_port) == (
            -1, 17, 12345, 6081,
        )  # fmt: skip
        assert flow.source_lo == 0x0A000001


def test_options_count_frames_and_occurrences():
    a, b, longer = (0x102, 0x80, 4), (0x102, 1, 4), (0x102, 0x80, 8)
    rows = [
        Row(tunnels=(Tunnel(options=(a, a, b)), Tunnel(vni=9, options=(a, longer)))),
        Row(tunnels=(Tunnel(options=(b, a, b)),)),
        Row(tunnels=(Tunnel(),)),
    ]
    answer = counted(rows)
    assert {tuple(option[:3]): tuple(option[3:]) for option in answer["options"]} == {
        a: (2, 4),
        b: (2, 3),
        longer: (1, 1),
    }
    assert [(t.vni, t.depth, t.packets, t.option_packets) for t in answer["tunnels"]] == [
        (5, 0, 3, 2),
        (9, 1, 1, 1),
    ]


def test_an_option_of_the_last_frame_counts_anew_in_the_next():
    answer = counted([Row(tunnels=(Tunnel(options=((1, 1, 4),)),))] * 3)
    assert [tuple(option) for option in answer["options"]] == [(1, 1, 4, 3, 3)]


def test_findings_name_the_first_frames():
    rows = [Row(findings=Finding.G03 if i % 2 else Finding.G03 | Finding.V02) for i in range(20)]
    answer = counted(rows, capture=4)
    assert [(f.bit, f.packets) for f in answer["findings"]] == [
        (Finding.G03, 20),
        (Finding.V02, 10),
    ]
    assert answer["findings"][0].frames == tuple((4, i) for i in range(1, FIRST_FRAMES + 1))
    assert answer["findings"][1].frames == tuple((4, i) for i in (1, 3, 5, 7, 9))


def test_merged_findings_name_the_first_frames_of_all():
    for one, two in zip(implementations(), implementations(), strict=True):
        one.update(*batch([Row(findings=1)] * 3, frame=50), 1)
        two.update(*batch([Row(findings=1)] * 4, frame=7), 0)
        one.merge(two)
        assert one.findings() == [(1, 7, ((0, 7), (0, 8), (0, 9), (0, 10), (1, 50)))]


def numbered(number, vni=5):
    """A packet in a tunnel, with the same identification outside and inside."""
    inner = p.ethernet(p.ipv4(p.tcp(), 6, identification=number))
    carrier = p.udp(p.vxlan(inner, vni), 50000, 4789)
    return p.ethernet(p.ipv4(carrier, 17, identification=number))


def count_numbered(tables, frames, first, capture):
    """Count packets of Ethernet with a millisecond between two."""
    whole = batch_of([(1, octets, len(octets)) for octets in frames])
    for i in range(whole.count):
        whole.frame[i], whole.time_ns[i] = first + i, i * 1_000_000
    for decoded in decode_all(readable_decoder(), whole):
        tables.update(whole, decoded, capture)


def test_merged_repeats_add_up_and_name_the_first_frames_of_all():
    for one, two in zip(implementations(), implementations(), strict=True):
        count_numbered(one, [numbered(1)] * 4, 50, capture=1)
        assert one.repeats() == []  # nothing shows that identifications change
        # Here the tunnel is the second one that is met, so kernels give it another number.
        others = [numbered(1, vni=6), numbered(2, vni=6), numbered(2, vni=6)]
        count_numbered(two, [*others, *[numbered(2)] * 5], 7, capture=0)
        one.merge(two)
        found = {repeat.tunnel.vni: repeat[1:] for repeat in one.repeats()}
        assert found == {
            5: (7, [(0, 11), (0, 12), (0, 13), (0, 14), (1, 51)]),
            6: (1, [(0, 9)]),
        }
        one.merge(one)
        assert {repeat.tunnel.vni: repeat.packets for repeat in one.repeats()} == {5: 14, 6: 2}
        assert sorted(repeat.frames for repeat in one.repeats()) == sorted(
            frames for _, frames in found.values()
        )


def test_merged_flows_whose_source_port_keeps_changing_name_the_first_change_of_all():
    rows = [Row(tunnels=(Tunnel(source_port=port),)) for port in range(20)]
    for one, two in zip(implementations(), implementations(), strict=True):
        one.update(*batch(rows, frame=50), 1)
        assert one.scattered(3).flows == 0  # too few packets to tell
        # Here the flow is the second one that is met, so kernels give it another number.
        steady = Row(inner=(4, 9, 9, 6, 9, 9), tunnels=(Tunnel(),))
        two.update(*batch([steady, *rows], frame=7), 0)
        one.merge(two)
        found = one.scattered(3)
        assert (found.flows, found.packets, found.frames) == (1, 40, [(0, 9)])
        one.merge(one)
        found = one.scattered(3)
        assert (found.flows, found.packets, found.frames) == (1, 80, [(0, 9)])


def test_rows_not_kept_leave_no_trace():
    hidden = Row(
        keep=0, findings=1, stop=1, stop_layer=9, tcp_flags=2,
        inner=(4, 9, 9, 6, 9, 9), tunnels=(Tunnel(vni=99, options=((1, 1, 4),)),),
    )  # fmt: skip
    answer = counted([hidden, Row(), hidden])
    assert answer["selected"] == answer["flow_count"] == 1
    assert answer["stops"] == [(0, 0, 1)]
    assert [answer[name] for name in ("tunnels", "options", "findings")] == [[], [], []]


def test_syns_are_rows_with_syn_and_without_ack():
    rows = [Row(tcp_flags=flags) for flags in (0x02, 0x12, 0x10, 0xC2, 0, 0x102)]
    for tables in implementations():
        assert list(tables.update(*batch(rows, first=3), 0)) == [0, 3, 5]


def test_times_of_a_tunnel():
    times = (NO_TIME, 5, -7, NO_TIME, 2, INT64_MAX, NO_TIME + 1)
    answer = counted([Row(time_ns=time, tunnels=(Tunnel(),)) for time in times])
    assert [(t.first_ns, t.last_ns) for t in answer["tunnels"]] == [(NO_TIME + 1, INT64_MAX)]
    answer = counted([Row(time_ns=-7, tunnels=(Tunnel(),))])
    assert [(t.first_ns, t.last_ns) for t in answer["tunnels"]] == [(-7, -7)]
    answer = counted([Row(tunnels=(Tunnel(),))])
    assert [(t.first_ns, t.last_ns) for t in answer["tunnels"]] == [(NO_TIME, NO_TIME)]


def test_sums_pass_32_bits():
    rows = [Row(wire_bytes=2**32 - 1, tunnels=(Tunnel(overhead=HALF_32),))] * 5
    answer = counted(rows)
    assert answer["top_flows"][0].wire_bytes == 5 * (2**32 - 1)
    assert answer["tunnels"][0].wire_bytes == 5 * (2**32 - 1)
    assert answer["tunnels"][0].overhead_bytes == 5 * HALF_32


@pytest.mark.parametrize("bit", [7, 8, 15, 16, 23, 24, 31, 32, 33, 62, 63, 64, 95, 96, 127])
def test_addresses_differ_in_any_bit(bit):
    rows = [Row(inner=(6, a, b, 6, 1, 1)) for a, b in ((0, 0), (1 << bit, 0), (0, 1 << bit))]
    ends = [row.inner[1:3] for row in rows]
    rows += [
        Row(inner=None, tunnels=(Tunnel(version=6, source=source, destination=destination),))
        for source, destination in ends
    ]
    answer = counted(rows)
    assert answer["flow_count"] == 3
    assert len(answer["tunnels"]) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"inner": (6, 1, 2, 17, 1000, 2000)},
        {"inner": (4, 1, 2, 6, 1000, 2000)},
        {"inner": (4, 1, 2, 17, -1, 2000)},
        {"inner": (4, 1, 2, 17, 0, 2000)},
        {"inner": (4, 1, 2, 17, 65535, 2000)},
        {"inner": (4, 1, 2, 17, 1000, -1)},
        {"inner": (4, 1, 2, 17, 2000, 1000)},
        {"inner": (4, 2, 1, 17, 1000, 2000)},
        {"tunnels": (Tunnel(vni=0),)},
        {"tunnels": (Tunnel(vni=2**24 - 1),)},
    ],
)
def test_flows_differ_in_any_part_of_the_key(change):
    answer = counted([Row(), Row(**change), Row()])
    assert sorted(flow.packets for flow in answer["top_flows"]) == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 2}, {"vni": 6}, {"vni": -1}, {"version": 6}, {"source": 3}, {"destination": 3},
        {"port": -1}, {"port": 6082},
    ],
)  # fmt: skip
def test_tunnels_differ_in_any_part_of_the_key(change):
    answer = counted([Row(tunnels=(Tunnel(),)), Row(tunnels=(Tunnel(**change),))])
    assert [tunnel.packets for tunnel in answer["tunnels"]] == [1, 1]


def test_order_of_the_largest_flows():
    rows = [Row(inner=(4, a, 2, 17, 1, 1), wire_bytes=w) for a, w in ((3, 10), (1, 10), (2, 20))]
    rows += [Row(inner=(4, 9, 2, 17, 1, 1), wire_bytes=1)] * 2
    assert [flow.source_lo for flow in counted(rows)["top_flows"]] == [9, 2, 1, 3]


# --- many, and hostile ----------------------------------------------------------------------------


def many_rows(count):
    """Rows whose flows, tunnels and options are all different."""
    return [
        Row(
            inner=(4 + i % 2 * 2, i, i << 64 | 7, 6, i % 65536, -1),
            tunnels=(Tunnel(vni=i, source=i, options=((i % 65536, i % 256, i // 65536 * 4),)),),
            wire_bytes=i,
        )
        for i in range(count)
    ]


def test_tables_grow():
    rows = many_rows(5_000)
    tables = implementations()
    answer = counted(rows, tables=tables)
    assert answer["flow_count"] == len(answer["tunnels"]) == len(answer["options"]) == 5_000
    again = counted(rows, tables=tables)
    assert again["flow_count"] == 5_000
    assert {tunnel.packets for tunnel in again["tunnels"]} == {2}
    assert {tunnel.inner_flows for tunnel in again["tunnels"]} == {1}


def test_many_merge_into_few_and_few_into_many():
    few, many = batch(many_rows(10)), batch(many_rows(4_000))
    results = []
    for first, second in ((few, many), (many, few)):
        for one, other in zip(implementations(), implementations(), strict=True):
            one.update(*first, 0)
            other.update(*second, 0)
            one.merge(other)
            results.append(answers(one))
    for result in results[1:]:
        assert_same(results[0], result)


def test_one_flow_in_thousands_of_tunnels_and_the_reverse():
    flow = [Row(tunnels=(Tunnel(source=i),)) for i in range(3_000)]
    tunnel = [Row(inner=(4, i, 2, 17, 1, 1), tunnels=(Tunnel(),)) for i in range(3_000)]
    answer = counted(flow + tunnel)
    # The row of `flow` and that of `tunnel` with source 1 are one tunnel, which has both.
    assert {t.source_lo: t.inner_flows for t in answer["tunnels"]} == {
        i: 3_000 + 1 if i == 1 else 1 for i in range(3_000)
    }


def test_hundred_thousand_distinct_options_take_linear_time():
    kernel = kernel_tables()
    tables = [kernel] if kernel is not None else [ReadableTables()]
    options = [(i & 0xFFFF, i >> 16 & 0xFF, 4) for i in range(100_000)]
    rows = [Row(tunnels=(Tunnel(options=tuple(options[i : i + 60])),))
            for i in range(0, len(options), 60)]  # fmt: skip
    for each in tables:
        for _ in range(2):
            for begin in range(0, len(rows), 50):
                each.update(*batch(rows[begin : begin + 50]), 0)
        assert sorted(each.options()) == sorted((*option, 2, 2) for option in options)


def test_tables_may_be_merged_with_themselves():
    for tables in implementations():
        tables.update(*batch(many_rows(50)), 0)
        before = tables.tunnels()
        tables.merge(tables)
        assert tables.selected() == 100
        assert sorted(t.packets for t in tables.tunnels()) == [2] * len(before)
        assert {t.inner_flows for t in tables.tunnels()} == {1}
