# SPDX-License-Identifier: Apache-2.0
"""The field tree: of every vector, every cut of one, and of hostile octets."""

from __future__ import annotations

import pytest
from hypothesis import given

from genevecap.columns import Stop
from genevecap.decode import DecodeSettings
from genevecap.decode.detail import detail
from genevecap.decode.layers import layer_name
from genevecap.decode.readable import ReadableDecoder
from tests.build import packets

from ..mutations import frames
from ..vectors import VECTORS, decode_all, frame_batch

IDS = [vector.name for vector in VECTORS]
DECODER = ReadableDecoder(DecodeSettings().udp_table())
UNDECODED = {
    "ike",
    "nat-keep-alive",
    "payload",
    "trailer",
    "undecoded",
    "dns",
    "http",
    "http2",
    "tls",
}


def tree(link_type, data, original_length=None):
    length = len(data) if original_length is None else original_length
    return detail(frame_batch([(link_type, data, length)]), 0)


def bit_range(field):
    start = 8 * field.offset
    if field.bit_offset is None:
        return start, start + 8 * field.length
    return start + field.bit_offset, start + field.bit_offset + field.bit_length


def assert_sound(found, captured):
    """Every range lies inside what was captured and inside its parent; siblings are apart."""
    end = 0
    for layer in found.layers:
        assert end <= layer.offset
        assert layer.length >= 0
        end = layer.offset + layer.length
        assert end <= captured
        assert layer.name
        assert layer.summary.isprintable()
        assert_apart(layer.fields, 8 * layer.offset, 8 * end)
    if found.layers and captured:
        assert end == captured  # every octet belongs to something


def assert_apart(fields, start, end):
    place = start
    for field in fields:
        assert field.name.replace("_", "").replace("-", "").isalnum()
        assert field.name.islower()
        assert field.text.isprintable()
        assert field.source
        first, last = bit_range(field)
        if field.length == 0:
            assert start <= first <= end
            assert_apart(field.children, first, first)  # a header of which nothing is there
            continue
        assert last <= 8 * (field.offset + field.length)
        assert place <= first < last <= end
        place = last
        assert_apart(field.children, first, last)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_vectors_and_their_cuts(vector):
    for size in range(len(vector.data) + 1):
        data = vector.data[:size]
        for original_length in (vector.original_length, size):
            found = tree(vector.link_type, data, original_length)
            assert_sound(found, size)
            (row,) = decode_all(DECODER, [(vector.link_type, data, original_length)])
            assert_agrees(found, row)


def assert_agrees(found, row):
    """The tree shows the layers of the row, then at most the header that did not fit."""
    names = [layer_name(code) for code, _ in row["layers"]]
    shown = [layer.name for layer in found.layers if layer.name not in UNDECODED]
    assert shown[: len(names)] == names
    columns = row["columns"]
    assert found.stop == columns["stop"]
    assert found.stop_offset == columns["stop_offset"]
    if found.stop == Stop.COMPLETE:
        assert found.stop_layer is None
        assert shown == names
    else:
        assert found.stop_layer == layer_name(columns["stop_layer"])
        assert shown[len(names) :] in ([], [found.stop_layer])


@given(frames())
def test_hostile_octets(frame):
    link_type, data, original_length = frame
    found = tree(link_type, data, original_length)
    assert_sound(found, len(data))
    (row,) = decode_all(DECODER, [frame])
    assert_agrees(found, row)


# --- what is shown ----------------------------------------------------------------------------


def fields_of(found, name, nth=0):
    layer = [layer for layer in found.layers if layer.name == name][nth]
    return {field.name: field for field in layer.fields}


def vector_tree(name):
    vector = next(vector for vector in VECTORS if vector.name == name)
    return tree(vector.link_type, vector.data, vector.original_length)


def test_ipv4_fields():
    octets = packets.ipv4(packets.udp(b"ab", 1, 2), options=b"\x94\x04\x00\x00", tos=0xB9, flags=2)
    fields = fields_of(tree(228, octets), "ipv4")
    assert fields["source"].value == "10.0.0.1"
    assert (fields["source"].offset, fields["source"].length) == (12, 4)
    assert fields["source"].source == "RFC 791 section 3.1"
    assert (fields["ihl"].bit_offset, fields["ihl"].bit_length, fields["ihl"].value) == (4, 4, 6)
    assert fields["dscp"].value == 46
    assert fields["ecn"].text == "ECT(1) (1)"
    assert fields["flags"].text == "don't fragment"
    assert fields["header_checksum"].text.endswith("(correct)")
    (option,) = fields["options"].children
    assert option.name == "router_alert"
    broken = bytes([*octets[:8], octets[8] ^ 1, *octets[9:]])
    assert "wrong" in fields_of(tree(228, broken), "ipv4")["header_checksum"].text


def test_ipv6_extension_headers():
    fields = fields_of(vector_tree("ipv6-extension-headers"), "ipv6")
    names = ["hop_by_hop_options", "routing_header", "destination_options"]
    assert list(fields)[-3:] == names
    assert fields["routing_header"].text == "type 4, 0 segments left"
    assert [part.name for part in fields["hop_by_hop_options"].children] == [
        "next_header",
        "header_length",
        "router_alert",
        "padn",
    ]
    fragment = fields_of(vector_tree("ipv6-first-fragment"), "ipv6")["fragment_header"]
    assert fragment.text == "0x0001e240, offset 0, more fragments"


def test_tcp_options():
    options = fields_of(vector_tree("tcp-syn"), "tcp")["options"].children
    assert {option.name: option.text for option in options} == {
        "mss": "1460",
        "sack_permitted": "permitted",
        "timestamps": "TSval 16909060, TSecr 0",
        "no_operation": "no operation",
        "window_scale": "7 bits",
    }
    flags = fields_of(vector_tree("tcp-syn"), "tcp")["flags"]
    assert (flags.value, flags.text) == (0x0C2, "CWR, ECE, SYN")
    sack = fields_of(vector_tree("tcp-sack"), "tcp")["options"].children[2]
    assert (sack.name, sack.text) == ("sack", "16-32")


def test_geneve_options():
    found = vector_tree("geneve-ovn")
    fields = fields_of(found, "geneve")
    assert fields["vni"].value == 5
    assert fields["protocol_type"].text == "ethernet (0x6558)"
    (option,) = fields["options"].children
    parts = {part.name: part for part in option.children}
    assert parts["class"].value == 0x0102
    assert parts["type"].value == 0x80
    assert parts["type"].children[0].value == 1
    assert parts["length"].text == "4 octets"
    assert parts["data"].value == bytes.fromhex("00030002")
    named = {part.name: part.value for part in parts["data"].children}
    assert 3 in named.values()
    assert 2 in named.values()
    assert "critical" in option.text


def test_vxlan_fields():
    fields = fields_of(vector_tree("vxlan-group-policy"), "vxlan")
    assert fields["group_id"].value == 42
    assert fields["dont_learn"].value == 1
    assert "group_id" not in fields_of(vector_tree("vxlan"), "vxlan")
    gpe = fields_of(vector_tree("nsh-in-gpe"), "vxlan-gpe")
    assert gpe["next_protocol"].text == "nsh (4)"


def test_a_quoted_packet_is_no_layer():
    found = vector_tree("icmp-port-unreachable")
    assert [layer.name for layer in found.layers] == ["ipv4", "icmp"]
    quoted = fields_of(found, "icmp")["quoted_packet"]
    assert [part.name for part in quoted.children] == ["ipv4", "udp", "geneve"]
    assert quoted.children[0].children[-1].value == "10.0.0.1"


def test_a_quoted_header_without_decoder_is_named():
    octets = packets.ipv4(packets.icmp(packets.ipv4(b"\4\0\0\0", 89), 3, 2), protocol=1)
    found = tree(228, octets)
    assert_sound(found, len(octets))
    quoted = fields_of(found, "icmp")["quoted_packet"].children
    assert [(part.name, part.text) for part in quoted][1] == ("ip-proto-89", "not decoded")


def test_quotes_end():
    """An ICMP error about an ICMP error about ...: the tree does not follow for ever."""
    octets = packets.ipv4(packets.udp(b""))
    for _ in range(40):
        octets = packets.ipv4(packets.icmp(octets, 3, 1), protocol=1)
    found = tree(228, octets)
    depth = 0
    fields = found.layers[-1].fields
    while fields:
        depth += 1
        fields = [child for field in fields for child in field.children]
    assert depth < 12


def test_what_is_missing_is_said():
    octets = packets.ipv4(packets.tcp(b"", 1000, 2000), 6)[:28]
    fields = fields_of(tree(228, octets, 40), "tcp")
    assert list(fields) == ["source_port", "destination_port", "sequence_number", "missing"]
    assert fields["missing"].text == "12 octets needed, 8 were captured"
    octets = packets.ipv4(packets.tcp(b"", 1000, 2000), 6, total_length=28)
    fields = fields_of(tree(228, octets), "tcp")
    assert fields["missing"].text == "12 octets needed, 8 are left by an enclosing length"


def test_findings_have_their_codes():
    assert vector_tree("geneve-reserved-bits-and-oam").findings == ("G08", "G09")
