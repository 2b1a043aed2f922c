# SPDX-License-Identifier: Apache-2.0
"""TCP segments as columns: what becomes a row, and what the key and direction tell apart."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from genevecap.analysis.segments import FIN, SYN, Segments, extract
from genevecap.columns import NO_TIME
from tests.build import packets as p
from tests.properties.decoders import batch_of, decode_all, readable_decoder

ETHERNET = 1
TIMESTAMPS = b"\x01\x01\x08\x0a" + struct.pack(">II", 700, 600)


def segments(*frames, kept=False, untimed=()):
    batch = batch_of([(ETHERNET, frame, len(frame)) for frame in frames])
    for row in range(batch.count):
        batch.time_ns[row] = NO_TIME if row in untimed else 1_000 + row
    return Segments.concatenate(
        [extract(batch, d, 3, kept=kept) for d in decode_all(readable_decoder(), batch)]
    )


def segment(source="10.0.0.1", destination="10.0.0.2", payload=b"", **tcp):
    return p.ethernet(p.ipv4(p.tcp(payload, **tcp), 6, source=source, destination=destination))


def test_only_tcp_that_can_be_recognised_is_a_row():
    whole = segment()
    datagram = p.ethernet(p.ipv4(p.udp(b"x")))
    cut = segment()[:40]  # ports and sequence number, no flags
    found = segments(whole, datagram, cut, segment(flags=0), whole, untimed=(4,))
    assert found.frame.tolist() == [1]


def test_what_a_control_packet_holds_is_nobodys_traffic():
    def tunnelled(oam):
        return p.ethernet(p.ipv4(p.udp(p.geneve(segment(), oam=oam), 1, 6081)))

    assert segments(tunnelled(1), tunnelled(0)).frame.tolist() == [2]


def test_columns_hold_what_the_header_says():
    frame = segment(payload=b"abc", sequence=5, acknowledgment=9, options=TIMESTAMPS, window=77)
    found = segments(frame)
    one = {name: getattr(found, name).tolist() for name in found.__dataclass_fields__}
    assert one["capture"] == [3]
    assert one["time_ns"] == [1_000]
    assert (one["sequence"], one["acknowledgment"], one["window"]) == ([5], [9], [77])
    assert (one["timestamp"], one["timestamp_echo"]) == ([700], [600])
    assert (one["payload_bytes"], one["payload_offset"]) == ([3], [len(frame) - 3])
    assert (one["source_lo"], one["destination_lo"]) == ([0x0A000001], [0x0A000002])
    assert (one["tunnels"], one["vni"], one["inner_offset"]) == ([0], [-1], [14])


def test_both_directions_have_one_key_and_differ_in_direction():
    there = segment(source_port=1000, destination_port=80)
    back = segment("10.0.0.2", "10.0.0.1", source_port=80, destination_port=1000)
    found = segments(there, back)
    assert found.key[0] == found.key[1]
    assert found.upward[0] != found.upward[1]


@pytest.mark.parametrize(
    "other",
    [
        segment(source_port=80, destination_port=1000),
        segment(source_port=1001, destination_port=80),
        segment("10.0.0.2", "10.0.0.1", source_port=1000, destination_port=80),
        segment("10.0.0.3", source_port=1000, destination_port=80),
    ],
)
def test_another_endpoint_is_another_key(other):
    found = segments(segment(source_port=1000, destination_port=80), other)
    assert found.key[0] != found.key[1]


def test_the_vni_is_that_of_the_innermost_tunnel():
    inner = segment(payload=b"x")
    twice = p.ethernet(
        p.ipv4(
            p.udp(
                p.geneve(p.ethernet(p.ipv4(p.udp(p.vxlan(inner, vni=7), 1, 4789)))),
                1,
                6081,
            )
        )
    )
    found = segments(inner, twice)
    assert found.tunnels.tolist() == [0, 2]
    assert found.vni.tolist() == [-1, 7]
    assert found.key[0] == found.key[1]


def test_the_end_counts_syn_fin_and_payload_and_wraps():
    found = segments(
        segment(flags=SYN, sequence=5),
        segment(flags=0x10 | FIN, sequence=5, payload=b"ab"),
        segment(sequence=2**32 - 1, payload=b"ab"),
    )
    assert found.end_sequence.tolist() == [6, 8, 1]
    assert found.end_sequence.dtype == np.uint32


def test_rows_can_be_taken_by_mask_and_joined():
    found = segments(segment(), segment(source_port=9), segment(source_port=10))
    ends = found.take(found.source_port != 9)
    assert Segments.concatenate([ends, found]).source_port.tolist() == [40000, 10, 40000, 9, 10]


def test_selected_rows_only_where_asked():
    batch = batch_of([(ETHERNET, segment(), 54), (ETHERNET, segment(source_port=9), 54)])
    (decoded,) = decode_all(readable_decoder(), batch)
    decoded.keep[0], decoded.keep[1] = 0, 1
    assert extract(batch, decoded, 0, kept=True).source_port.tolist() == [9]
    assert len(extract(batch, decoded, 0, kept=False)) == 2
