# SPDX-License-Identifier: Apache-2.0
"""Hand-written vectors for every layout (`vendors/int_telemetry` and the rest), and any bytes.

What they give is `result.OptionField`.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genevecap.decode.options import OptionField, decode_option, is_known
from genevecap.decode.options.registry import layouts

# Each: class, type, data, then (name, value, text, first bit, bits) read off the diagram by hand.
VECTORS = {
    "ovn-unicast": (
        0x0102,
        0x80,
        (
            "0003"  # R = 0, ingress port 3
            "0005"
        ),  # egress port 5
        [
            ("reserved", 0, "0", 0, 1),
            ("logical_ingress_port", 3, "3", 1, 15),
            ("logical_egress_port", 5, "5", 16, 16),
        ],
    ),
    "ovn-multicast-and-reserved-bit": (
        0x0102,
        0x80,
        (
            "ffff"  # R = 1, ingress port 2^15 - 1
            "8001"
        ),  # the second multicast group
        [
            ("reserved", 1, "1", 0, 1),
            ("logical_ingress_port", 32767, "32767", 1, 15),
            ("logical_egress_port", 32769, "32769 (multicast group)", 16, 16),
        ],
    ),
    "ovn-first-multicast-group": (
        0x0102,
        0x80,
        "00007fff",
        [
            ("reserved", 0, "0", 0, 1),
            ("logical_ingress_port", 0, "0", 1, 15),
            ("logical_egress_port", 32767, "32767", 16, 16),
        ],
    ),
    "aws-endpoint": (
        0x0108,
        0x01,
        "0123456789abcdef",
        [("gwlbe_eni_id", 81985529216486895, "0x0123456789abcdef", 0, 64)],
    ),
    "aws-attachment": (
        0x0108,
        0x02,
        "0000000000000000",
        [("attachment_id", 0, "0x0000000000000000", 0, 64)],
    ),
    "aws-flow-cookie": (
        0x0108,
        0x03,
        "00c0ffee",
        [("flow_cookie", 12648430, "0x00c0ffee", 0, 32)],
    ),
    "tencent-endpoint": (
        0x0167,
        0x01,
        "0000000000000102",
        [("gwlbe_id", 258, "0x0000000000000102", 0, 64)],
    ),
    "tencent-attachment": (
        0x0167,
        0x02,
        "8000000000000000",
        [("attachment_id", 1 << 63, "0x8000000000000000", 0, 64)],
    ),
    "tencent-flow": (
        0x0167,
        0x03,
        "a0000001",  # 101 | 0 0000 ... 0001
        [("flow_direction", 5, "5", 0, 3), ("flow_cookie", 1, "0x00000001", 3, 29)],
    ),
    "google-network-egress": (
        0x0132,
        0x01,
        "fabcdef1",  # 28 bits 0xfabcdef, 3 bits 000, 1 bit 1
        [
            ("virtual_network_id", 262917615, "262917615", 0, 28),
            ("reserved", 0, "0", 28, 3),
            ("direction", 1, "1 (egress)", 31, 1),
        ],
    ),
    "google-network-ingress-reserved": (
        0x0132,
        0x01,
        "0000001e",  # 1, 111, 0
        [
            ("virtual_network_id", 1, "1", 0, 28),
            ("reserved", 7, "7", 28, 3),
            ("direction", 0, "0 (ingress)", 31, 1),
        ],
    ),
    "google-endpoint": (
        0x0132,
        0x02,
        "0abcdef00a0102030000000000000000",
        [
            (
                "endpoint_id",
                b"\x0a\xbc\xde\xf0\x0a\x01\x02\x03" + bytes(8),
                "0abcdef00a0102030000000000000000",
                0,
                128,
            )
        ],
    ),
    "google-profile": (
        0x0132,
        0x03,
        "000000000000002a",
        [("profile_id", 42, "42", 0, 64)],
    ),
    "google-profile-short": (
        0x0132,
        0x03,
        "00010002",
        [("profile_id", 65538, "65538", 0, 32)],
    ),
    "cilium-ipv4": (
        0x014B,
        0x81,
        (
            "0a600001"  # 10.96.0.1
            "01bb"  # 443
            "0000"
        ),
        [
            ("service_address", "10.96.0.1", "10.96.0.1", 0, 32),
            ("service_port", 443, "443", 32, 16),
            ("padding", 0, "0", 48, 16),
        ],
    ),
    "cilium-ipv6": (
        0x014B,
        0x81,
        (
            "fd000000000000000000000000000001"  # fd00::1
            "1f90"  # 8080
            "0102"
        ),  # padding that somebody filled
        [
            ("service_address", "fd00::1", "fd00::1", 0, 128),
            ("service_port", 8080, "8080", 128, 16),
            ("padding", 258, "258", 144, 16),
        ],
    ),
    "linux-gro-hint": (
        0x0100,
        0x01,
        (
            "05"  # 00000 | 1 | 01
            "3e"  # network header at 62
            "66"  # transport header at 102
            "6e"
        ),  # 110 octets of headers
        [
            ("reserved", 0, "0", 0, 5),
            ("nested_is_v6", True, "set", 5, 1),
            ("inner_proto_id", 1, "1 (IPv6)", 6, 2),
            ("nested_nh_offset", 62, "62 bytes", 8, 8),
            ("nested_tp_offset", 102, "102 bytes", 16, 8),
            ("nested_hdr_len", 110, "110 bytes", 24, 8),
        ],
    ),
    "linux-gro-hint-unknown-protocol": (
        0x0100,
        0x01,
        "fb000000",  # 11111 | 0 | 11
        [
            ("reserved", 31, "31", 0, 5),
            ("nested_is_v6", False, "not set", 5, 1),
            ("inner_proto_id", 3, "3", 6, 2),
            ("nested_nh_offset", 0, "0 bytes", 8, 8),
            ("nested_tp_offset", 0, "0 bytes", 16, 8),
            ("nested_hdr_len", 0, "0 bytes", 24, 8),
        ],
    ),
    "cpacket": (
        0x0164,
        0x00,
        (
            "00000007"  # sequence number
            "05dc"  # 1500 octets
            "00"
            "01"  # version
            "000065a1b2c3"  # 1705095875 s
            "0001e240"  # 123456 ns
            "8000"  # half a nanosecond
            "000a"  # device
            "000b"
        ),  # port
        [
            ("sequence_number", 7, "7", 0, 32),
            ("original_length_bytes", 1500, "1500 bytes", 32, 16),
            ("reserved", 0, "0", 48, 8),
            ("version", 1, "1", 56, 8),
            ("timestamp_s", 1705095875, "1705095875 s", 64, 48),
            ("timestamp_ns", 123456, "123456 ns", 112, 32),
            ("timestamp_fraction_ns", 32768, "32768", 144, 16),
            ("device_id", 10, "10", 160, 16),
            ("port_id", 11, "11", 176, 16),
        ],
    ),
    "oxide": (0x0129, 0x00, "", []),
    "antrea": (
        0x0104,
        0x80,
        "10000000",
        [("traceflow_tag", 268435456, "0x10000000", 0, 32)],
    ),
    "int-md-two-hops": (  # the example of the specification, "INT over TCP"
        0x0103,
        0x01,
        (
            "2000"  # version 2, D, E, M clear, reserved
            "0206"  # 000 | 00010 | 00000110: 2 words a hop, 6 hops left
            "9000"  # bits 0 and 3
            "0000"
            "00000000"
            "0000000200000011"  # hop 2
            "0000000100000022"
        ),  # hop 1
        [
            ("version", 2, "2", 0, 4),
            ("discard", False, "not set", 4, 1),
            ("max_hop_count_exceeded", False, "not set", 5, 1),
            ("mtu_exceeded", False, "not set", 6, 1),
            ("reserved", 0, "0", 7, 12),
            ("hop_metadata_length_words", 2, "2 (8 bytes)", 19, 5),
            ("remaining_hop_count", 6, "6", 24, 8),
            ("instruction_bitmap", 0x9000, "0x9000 (switch ID, queue ID and occupancy)", 32, 16),
            ("domain_specific_id", 0, "0x0000", 48, 16),
            ("ds_instruction", 0, "0x0000", 64, 16),
            ("ds_flags", 0, "0x0000", 80, 16),
            (
                "metadata_stack",
                bytes.fromhex("00000002000000110000000100000022"),
                "00000002000000110000000100000022",
                96,
                128,
            ),
        ],
    ),
    "int-md-flags-and-no-hop": (
        0x0103,
        0x01,
        (
            "2e"  # version 2, 1 1 1, and the first of the reserved bits
            "00"
            "1f00"  # 31 words a hop, no hop left
            "0040"  # bit 9, which has no meaning
            "ffff"
            "00010002"
        ),
        [
            ("version", 2, "2", 0, 4),
            ("discard", True, "set", 4, 1),
            ("max_hop_count_exceeded", True, "set", 5, 1),
            ("mtu_exceeded", True, "set", 6, 1),
            ("reserved", 0, "0", 7, 12),
            ("hop_metadata_length_words", 31, "31 (124 bytes)", 19, 5),
            ("remaining_hop_count", 0, "0", 24, 8),
            ("instruction_bitmap", 0x0040, "0x0040 (bit 9)", 32, 16),
            ("domain_specific_id", 0xFFFF, "0xffff", 48, 16),
            ("ds_instruction", 1, "0x0001", 64, 16),
            ("ds_flags", 2, "0x0002", 80, 16),
        ],
    ),
    "int-mx": (
        0x0103,
        0x03,
        (
            "20000000"  # version 2, the rest reserved
            "8001"  # bits 0 and 15
            "00ab"  # domain
            "0001"
            "0002"
        ),
        [
            ("version", 2, "2", 0, 4),
            ("discard", False, "not set", 4, 1),
            ("max_hop_count_exceeded", False, "not set", 5, 1),
            ("mtu_exceeded", False, "not set", 6, 1),
            ("reserved", 0, "0", 7, 25),
            ("instruction_bitmap", 0x8001, "0x8001 (switch ID, checksum complement)", 32, 16),
            ("domain_specific_id", 171, "0x00ab", 48, 16),
            ("ds_instruction", 1, "0x0001", 64, 16),
            ("ds_flags", 2, "0x0002", 80, 16),
        ],
    ),
    "int-destination": (
        0x0103,
        0x02,
        "01020304",
        [("data", b"\x01\x02\x03\x04", "01020304", 0, 32)],
    ),
}


@pytest.mark.parametrize(
    ("option_class", "option_type", "data", "expected"), VECTORS.values(), ids=VECTORS
)
def test_vector(option_class, option_type, data, expected):
    fields = decode_option(option_class, option_type, bytes.fromhex(data))
    assert fields == tuple(OptionField(*each) for each in expected)
    for field, each in zip(fields, expected, strict=True):
        assert type(field.value) is type(each[1])  # True == 1, so equality does not tell


def test_every_layout_has_a_vector():
    covered = {
        (option_class, option_type, len(data) // 2)
        for option_class, option_type, data, _ in VECTORS.values()
    }
    for layout in layouts():
        assert any(
            (layout.option_class, layout.option_type, length) in covered
            for length in layout.data_bytes
        ), layout.name


@pytest.mark.parametrize(
    ("option_class", "option_type", "data"),
    [
        (0x0102, 0x80, "0003000500000000"),  # two words where OVN sends one
        (0x0102, 0x80, "000300"),  # cut
        (0x0102, 0x00, "00030005"),  # not critical: not OVN's option
        (0x0108, 0x00, "11111111"),
        (0x014B, 0x81, "0a60000101bb000000000000"),
        (0x0129, 0x00, "00000001"),  # Oxide's option has no data
        (0x0103, 0x01, "1000020690000000000000000000"),  # INT version 1
        (0x0103, 0x01, "2000020690000000"),  # shorter than its header
        (0xFFFF, 0x80, "deadbeef"),
        (0x0000, 0x80, "0000000c"),
    ],
)
def test_what_does_not_fit_stays_data(option_class, option_type, data):
    raw = bytes.fromhex(data)
    whole = OptionField("data", raw, data, 0, 8 * len(raw))
    assert decode_option(option_class, option_type, raw) == (whole,)


def test_no_data_no_fields():
    assert decode_option(0x0102, 0x80, b"") == ()
    assert decode_option(0xFFFF, 0x00, b"") == ()


known = st.sampled_from(sorted({(each.option_class, each.option_type) for each in layouts()}))
anything = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFF))


@given(known | anything, st.binary(max_size=140))
@example((0x0103, 0x01), b"\x20" + bytes(123))
@example((0x0132, 0x02), bytes(125))
def test_any_bytes_decode_to_fields_that_tile_them(option, data):
    fields = decode_option(*option, data)
    bits = "".join(f"{octet:08b}" for octet in data)
    end = 0
    for field in fields:
        assert field.bit_offset == end
        assert field.bit_length > 0
        end += field.bit_length
        if isinstance(field.value, int):
            assert field.value == int(bits[field.bit_offset : end], 2)
        elif isinstance(field.value, bytes):
            assert field.value == data[field.bit_offset // 8 : end // 8]
        assert field.text.isprintable()
    assert end == 8 * len(data)
    if not is_known(*option, len(data)):
        assert [field.name for field in fields] == (["data"] if data else [])


@given(known, st.integers(0, 124))
def test_what_is_known_is_decoded(option, length):
    """Every length that a layout claims is one that its fields can read."""
    if is_known(*option, length):
        data = b"\x20" + bytes(124)  # the version that INT asks for
        fields = decode_option(*option, data[:length])
        assert sum(field.bit_length for field in fields) == 8 * length
        assert option == (0x0103, 0x02) or "data" not in {field.name for field in fields}
