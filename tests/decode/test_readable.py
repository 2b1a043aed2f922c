# SPDX-License-Identifier: Apache-2.0
"""The readable decoder: hostile octets, random stacks, batches and side tables."""

from __future__ import annotations

import random
from operator import le

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.columns import BATCH_ROWS, TUNNEL_NAMES, DecodedBatch, Finding, Stop
from genevecap.decode import DecodeSettings
from genevecap.decode.layers import Layer, layer_name
from genevecap.decode.protocols import PROTOCOLS, Protocol
from genevecap.decode.readable import ReadableDecoder
from tests.build import packets

from .mutations import frames, mutated
from .test_vectors import assert_inside
from .vectors import VECTORS, as_found, decode_all, frame_batch

DECODER = ReadableDecoder(DecodeSettings().udp_table())


@given(st.lists(frames(), min_size=1, max_size=20))
def test_hostile_octets(batch):
    for (_, data, original_length), found in zip(batch, decode_all(DECODER, batch), strict=True):
        assert_inside(found, len(data))
        columns = found["columns"]
        assert columns["findings"] < Finding.C01
        window = max(len(data), original_length)
        if columns["inner_version"]:
            assert columns["inner_offset"] + columns["inner_bytes"] <= window
        assert columns["stop_offset"] <= len(data)
        assert columns["payload_offset"] <= columns["inner_offset"] + columns["inner_bytes"] + 60
        if columns["stop"] == Stop.TRUNCATED:
            assert len(data) < window


def test_many_mutated_frames():
    """100,000 of them, with checks that are cheap enough for it."""
    generator = random.Random(20260)
    decoded = DecodedBatch()
    seen = 0
    while seen < 100_000:
        batch = frame_batch(mutated(generator, BATCH_ROWS))
        first = 0
        while first < batch.count:
            following = DECODER.decode(batch, first, decoded)
            captured = batch.captured_bytes[first:following]
            assert max(decoded.stop[: decoded.count]) <= Stop.FRAGMENT
            assert sum(decoded.layer_count[: decoded.count]) == decoded.layers.count
            assert sum(decoded.tunnel_count[: decoded.count]) == decoded.tunnels.count
            listed = decoded.tunnels.option_count[: decoded.tunnels.count]
            assert sum(listed) == decoded.options.count
            assert all(map(le, decoded.stop_offset, captured))
            assert max(decoded.layers.offset[: decoded.layers.count]) <= max(captured)
            first = following
        seen += batch.count


@given(st.integers(0, 300), st.binary(max_size=200), st.integers(0, 400))
def test_any_octets(link_type, data, original_length):
    (found,) = decode_all(DECODER, [(link_type, data, original_length)])
    assert_inside(found, len(data))


# --- stacks that are known by how they were built ---------------------------------------------


@st.composite
def transports(draw):
    """(octets, layer, protocol, ports, payload octets)"""
    payload = draw(st.binary(max_size=20))
    ports = draw(st.tuples(st.integers(0, 2000), st.integers(0, 2000)))
    kind = draw(st.sampled_from(("udp", "tcp", "sctp", "icmp")))
    if kind == "udp":
        return packets.udp(payload, *ports), "udp", 17, ports, len(payload)
    if kind == "tcp":
        options = draw(st.sampled_from((b"", b"\x01\x01\x08\x0a" + bytes(8), b"\x02\x04\x05\xb4")))
        return packets.tcp(payload, *ports, options=options), "tcp", 6, ports, len(payload)
    if kind == "sctp":
        return packets.sctp(payload, *ports), "sctp", 132, ports, len(payload)
    return packets.icmp(payload), "icmp", 1, (-1, -1), len(payload)


@st.composite
def networks(draw, carried, layers, protocol):
    """(octets, layers, ethertype, addresses): an IP header, perhaps with more to it."""
    if draw(st.booleans()):
        options = b"\x01\x01\x01\x00" * draw(st.integers(0, 10))
        octets = packets.ipv4(carried, protocol, "192.0.2.1", "192.0.2.2", options=options)
        return octets, ["ipv4", *layers], 0x0800, 20 + len(options)
    size = 40
    for _ in range(draw(st.integers(0, 3))):
        data = bytes(6 + 8 * draw(st.integers(0, 2)))
        carried = packets.ipv6_options(carried, protocol, data)
        protocol = 60
        size += 2 + len(data)
    octets = packets.ipv6(carried, protocol, "2001:db8::1", "2001:db8::2")
    return octets, ["ipv6", *layers], 0x86DD, size


@st.composite
def links(draw, octets, layers, ethertype):
    """(octets, layers, octets of link header): Ethernet, perhaps with tags or labels."""
    size = 14
    if draw(st.integers(0, 4)) == 0:
        octets = packets.mpls(octets)
        layers, ethertype, size = ["mpls", *layers], 0x8847, size + 4
    for tag in (0x8100, 0x88A8)[: draw(st.integers(0, 2))]:
        octets = packets.vlan(octets, ethertype)
        layers, ethertype, size = ["vlan", *layers], tag, size + 4
    return packets.ethernet(octets, ethertype), ["ethernet", *layers], size


UDP_KINDS = ("geneve", "vxlan", "vxlan-gpe")
IP_KINDS = ("gre", "nvgre", "erspan", "ipip", "gtpu")


@st.composite
def ip_tunnels(draw, kind, octets, layers, ethertype, vni):
    """(octets, layers, ethertype, (kind, VNI, overhead, options)) of the other tunnels."""
    link = size = 0
    if kind in ("nvgre", "erspan") or (kind == "gre" and draw(st.booleans())):
        octets, layers, link = draw(links(octets, layers, ethertype))
        ethertype = 0x6558
    if kind == "ipip":
        protocol = {0x0800: 4, 0x86DD: 41}[ethertype]
    elif kind == "gtpu":
        octets = packets.udp(packets.gtpu(octets, vni), 50000, 2152)
        protocol, size, layers = 17, 16, ["udp", "gtpu", *layers]
    elif kind == "erspan":
        octets = packets.gre(packets.erspan_2(octets), 0x88BE, sequence=vni)
        protocol, size, layers = 47, 16, ["gre", "erspan", *layers]
    elif kind == "nvgre":
        octets = packets.gre(octets, 0x6558, key=vni << 8)
        protocol, size, layers = 47, 8, ["nvgre", *layers]
    else:
        sequence = draw(st.none() | st.integers(0, 9))
        octets = packets.gre(octets, ethertype, sequence=sequence)
        protocol, size, layers = 47, 4 if sequence is None else 8, ["gre", *layers]
    octets, layers, ethertype, ip = draw(networks(octets, layers, protocol))
    return octets, layers, ethertype, (kind, vni if kind == "nvgre" else -1, ip + size + link, [])


@st.composite
def stacks(draw):
    """(octets, layers, tunnels as (kind, VNI, overhead, options), ports, payload octets)"""
    octets, name, protocol, ports, payload = draw(transports())
    octets, layers, ethertype, _ = draw(networks(octets, [name], protocol))
    tunnels = []
    for _ in range(draw(st.integers(0, 4))):
        vni = draw(st.integers(0, 0xFFFFFF))
        kind = draw(st.sampled_from((*UDP_KINDS, *IP_KINDS)))
        if kind in IP_KINDS:
            octets, layers, ethertype, row = draw(ip_tunnels(kind, octets, layers, ethertype, vni))
            tunnels.insert(0, row)
            continue
        link = 0
        inner_protocol = ethertype
        if kind == "vxlan" or draw(st.booleans()):
            octets, layers, link = draw(links(octets, layers, ethertype))
            inner_protocol = 0x6558
        options = []
        size = 8
        if kind == "geneve":
            options = draw(
                st.lists(
                    st.tuples(
                        st.integers(0, 0xFFFF),
                        st.integers(0, 0xFF),
                        st.integers(0, 6).map(lambda words: bytes(4 * words)),
                    ),
                    max_size=5,
                )
            )
            area = b"".join(packets.geneve_option(*option) for option in options)
            size += len(area)
            critical = any(option_type & 0x80 for _, option_type, _ in options)
            octets = packets.geneve(octets, vni, inner_protocol, area, critical=critical)
            port = 6081
        elif kind == "vxlan":
            octets, port = packets.vxlan(octets, vni), 4789
        else:
            following = {0x0800: 1, 0x86DD: 2, 0x6558: 3}[inner_protocol]
            octets, port = packets.vxlan_gpe(octets, vni, following), 4790
        octets = packets.udp(octets, 50000, port, check=0xBEEF)
        octets, layers, ethertype, ip = draw(networks(octets, ["udp", kind, *layers], 17))
        listed = [(number, kind_, len(data)) for number, kind_, data in options]
        tunnels.insert(0, (kind, vni, ip + 8 + size + link, listed))
    octets, layers, _ = draw(links(octets, layers, ethertype))
    return octets, layers, tunnels, ports, payload


@given(stacks())
def test_stacks(stack):
    """What was built is what is found."""
    octets, layers, tunnels, ports, payload = stack
    (found,) = decode_all(DECODER, [(1, octets, len(octets))])
    columns = found["columns"]
    names = [layer_name(code) for code, _ in found["layers"]]
    assert names == layers[:32]
    if len(layers) > 32:
        assert columns["stop"] == Stop.TOO_DEEP
        return
    assert columns["stop"] == Stop.COMPLETE
    # Options and tags are whatever was drawn.
    assert columns["findings"] & ~(Finding.G07 | Finding.G17 | Finding.V09) == 0
    assert (columns["inner_source_port"], columns["inner_destination_port"]) == ports
    assert columns["payload_bytes"] == payload
    assert columns["payload_offset"] == len(octets) - payload
    listed = [
        (option["option_class"], option["option_type"], option["data_bytes"])
        for option in found["options"]
    ]
    seen = []
    for tunnel in found["tunnels"]:
        count = tunnel["option_count"]
        kind = TUNNEL_NAMES[tunnel["kind"]]
        seen.append((kind, tunnel["vni"], tunnel["overhead_bytes"], listed[:count]))
        del listed[:count]
    assert seen == tunnels
    assert listed == []


# --- batches ----------------------------------------------------------------------------------


def test_ports_of_the_settings():
    octets = packets.ipv4(packets.udp(packets.vxlan(packets.ethernet(b"", 0x88CC)), 1, 9999))
    settings = DecodeSettings(vxlan_ports=(9999,))
    decoder = ReadableDecoder(settings.udp_table())
    (found,) = decode_all(decoder, [(228, octets, len(octets))])
    assert [layer_name(code) for code, _ in found["layers"]][2] == "vxlan"
    (found,) = decode_all(DECODER, [(228, octets, len(octets))])
    assert found["tunnels"] == []


def test_a_full_side_table_ends_the_batch_early():
    """63 options a frame: the option table is full long before the rows are."""
    options = packets.geneve_option(0x0101, 1) * 63
    octets = packets.ipv4(packets.udp(packets.geneve(b"", 1, 0x88CC, options), 1, 6081))
    count = BATCH_ROWS
    batch = frame_batch([(228, octets, len(octets))] * count)
    decoded = DecodedBatch()
    first, rounds = 0, 0
    while first < count:
        following = DECODER.decode(batch, first, decoded)
        assert first < following < first + count
        assert (decoded.first, decoded.count) == (first, following - first)
        assert decoded.options.count == 63 * decoded.count
        assert len(as_found(decoded, decoded.count - 1)["options"]) == 63
        first, rounds = following, rounds + 1
    assert rounds > 1


def test_a_small_batch_holds_the_worst_frame():
    decoded = DecodedBatch(1)
    worst = next(vector for vector in VECTORS if vector.name == "eight-tunnels")
    batch = frame_batch([(worst.link_type, worst.data, worst.original_length)] * 3)
    for first in range(3):
        assert DECODER.decode(batch, first, decoded) == first + 1
        assert as_found(decoded, 0) == worst.expected


def test_no_frames():
    decoded = DecodedBatch()
    assert DECODER.decode(frame_batch([]), 0, decoded) == 0
    assert (decoded.count, decoded.layers.count) == (0, 0)


# --- registry ---------------------------------------------------------------------------------


def test_two_protocols_may_not_have_one_layer():
    with pytest.raises(TypeError, match="UDP"):

        class Second(Protocol):
            layer = Layer.UDP

    assert PROTOCOLS[Layer.UDP].__name__ == "Udp"


def test_every_protocol_is_whole():
    for code, protocol in PROTOCOLS.items():
        assert protocol.layer == code
        assert protocol.SOURCE
        assert protocol.HEADER_BYTES >= 0
        assert protocol.decode is not Protocol.decode
        assert protocol.fields is not Protocol.fields
