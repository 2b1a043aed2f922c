# SPDX-License-Identifier: Apache-2.0
"""ESP that does not encrypt (RFC 2410): read where the user says so, by both decoders."""

from __future__ import annotations

import random

import pytest

from genevecap.columns import TUNNEL_NAMES, Stop
from genevecap.decode import DecodeSettings
from genevecap.decode.detail import detail
from genevecap.decode.layers import Layer, layer_name
from genevecap.decode.readable import ReadableDecoder
from genevecap.kernels import load
from tests.build import packets

from .vectors import decode_all, frame_batch

IPV4 = 228
SETTINGS = DecodeSettings(esp_icv_bytes=12)
UDP_TABLE = SETTINGS.udp_table()


def esp(payload, following, *, padding=None, icv=12):
    """ESP around a payload, padded to a multiple of 4 as RFC 4303 section 2.4 has it."""
    if padding is None:
        padding = bytes(range(1, 1 + (-len(payload) - 2) % 4))
    trailer = bytes((len(padding), following))
    return packets.esp(payload + padding + trailer + b"\xee" * icv)


TRANSPORT = packets.ipv4(esp(packets.udp(b"abc", 1000, 1001), 17), 50)
TUNNEL = packets.ipv4(esp(packets.ipv4(packets.tcp(b"abcde"), 6), 4), 50)
OVER_UDP = packets.ipv4(packets.udp(esp(packets.ipv4(packets.udp(b"a")), 4), 4500, 4500))
WRONG_PADDING = packets.ipv4(esp(packets.udp(b"abc"), 17, padding=b"\1\3"), 50)
DUMMY = packets.ipv4(esp(b"abcd", 59), 50)
FRAMES = (TRANSPORT, TUNNEL, OVER_UDP, WRONG_PADDING, DUMMY)


@pytest.fixture(params=["compiled", "readable"])
def decoder(request):
    if request.param == "readable":
        return ReadableDecoder(UDP_TABLE, 12)
    kernel = load("genevecap.decode._kernel_driver")
    if kernel is None:
        pytest.skip("no compiled kernels here")
    return kernel.KernelDecoder(UDP_TABLE, 12)


def decode(decoder, octets, original_length=None):
    length = len(octets) if original_length is None else original_length
    (found,) = decode_all(decoder, [(IPV4, octets, length)])
    return found["columns"], [layer_name(code) for code, _ in found["layers"]], found["tunnels"]


def test_transport_mode(decoder):
    columns, layers, tunnels = decode(decoder, TRANSPORT)
    assert layers == ["ipv4", "esp", "udp"]
    assert tunnels == []
    assert columns["stop"] == Stop.COMPLETE
    assert columns["stop_layer"] == 0
    assert (columns["inner_protocol"], columns["inner_destination_port"]) == (50, 1001)
    assert (columns["payload_offset"], columns["payload_bytes"]) == (36, 3)


def test_payload_ends_before_the_trailer_where_tcp_does_not_say_it(decoder):
    octets = packets.ipv4(esp(packets.tcp(b"abcde"), 6), 50)
    columns, layers, _ = decode(decoder, octets)
    assert layers == ["ipv4", "esp", "tcp"]
    assert (columns["payload_offset"], columns["payload_bytes"]) == (48, 5)


@pytest.mark.parametrize("octets", [TUNNEL, OVER_UDP])
def test_tunnel_mode(decoder, octets):
    columns, layers, (tunnel,) = decode(decoder, octets)
    assert layers[-3:-1] == ["esp", "ipv4"]
    assert TUNNEL_NAMES[tunnel["kind"]] == "ipip"
    assert tunnel["overhead_bytes"] == columns["inner_offset"]
    assert columns["stop"] == Stop.COMPLETE


@pytest.mark.parametrize(
    "octets",
    [
        WRONG_PADDING,
        packets.ipv4(packets.esp(b"\0" * 13), 50),  # no room for trailer and ICV
        packets.ipv4(packets.esp(b"\xff\x11" + b"\xee" * 12), 50),  # more padding than there is
    ],
)
def test_what_has_no_trailer_counts_as_encrypted(decoder, octets):
    columns, layers, _ = decode(decoder, octets)
    assert layers == ["ipv4", "esp"]
    assert (columns["stop"], columns["stop_layer"]) == (Stop.COMPLETE, Layer.ESP)


def test_a_dummy_packet_is_complete(decoder):
    columns, layers, _ = decode(decoder, DUMMY)
    assert layers == ["ipv4", "esp"]
    assert (columns["stop"], columns["stop_layer"]) == (Stop.COMPLETE, 0)


def test_a_trailer_that_was_not_captured(decoder):
    columns, layers, _ = decode(decoder, TRANSPORT[:-13], len(TRANSPORT))
    assert layers == ["ipv4", "esp"]
    assert (columns["stop"], columns["stop_layer"]) == (Stop.TRUNCATED, Layer.ESP)


def test_a_fragment_has_no_trailer(decoder):
    octets = packets.ipv4(esp(packets.udp(b"abc"), 17), 50, flags=1)
    columns, layers, _ = decode(decoder, octets)
    assert layers == ["ipv4", "esp"]
    assert (columns["stop"], columns["stop_layer"]) == (Stop.COMPLETE, Layer.ESP)


def test_an_unknown_next_header(decoder):
    columns, layers, _ = decode(decoder, packets.ipv4(esp(b"abcd", 200), 50))
    assert layers == ["ipv4", "esp", "ip-proto-200"]
    assert columns["stop"] == Stop.UNSUPPORTED


def test_without_the_option_it_is_encrypted():
    found = decode_all(ReadableDecoder(UDP_TABLE), [(IPV4, TRANSPORT, len(TRANSPORT))])
    assert found[0]["columns"]["stop_layer"] == Layer.ESP


@pytest.mark.parametrize("icv", [0, 12, 16])
def test_decoders_agree(icv):
    kernel = load("genevecap.decode._kernel_driver")
    if kernel is None:
        pytest.skip("no compiled kernels here")
    frames = []
    for octets in FRAMES:
        for size in range(len(octets) + 1):
            frames += [(IPV4, octets[:size], len(octets)), (IPV4, octets[:size], size)]
    rng = random.Random(4303)
    for _ in range(20_000):
        octets = bytearray(rng.choice(FRAMES))
        for _ in range(rng.choice((1, 1, 2, 3))):
            octets[rng.randrange(len(octets))] = rng.choice(
                (0, 1, 2, 4, 59, 255, rng.randrange(256))
            )
        frames.append((IPV4, bytes(octets[: rng.randrange(20, 80)]), len(octets)))
    compiled = kernel.KernelDecoder(UDP_TABLE, icv)
    readable = ReadableDecoder(UDP_TABLE, icv)
    assert decode_all(compiled, frames) == decode_all(readable, frames)
    assert compiled.overruns == 0


def test_the_trailer_is_described():
    batch = frame_batch([(IPV4, TRANSPORT, len(TRANSPORT))])
    found = detail(batch, 0, SETTINGS)
    assert [layer.name for layer in found.layers] == [
        "ipv4",
        "esp",
        "udp",
        "payload",
        "esp-trailer",
    ]
    trailer = found.layers[-1]
    assert {field.name: field.value for field in trailer.fields} == {
        "padding": b"\1\2\3",
        "pad_length": 3,
        "next_header": 17,
        "icv": b"\xee" * 12,
    }
    assert trailer.offset + trailer.length == len(TRANSPORT)


def test_trees_of_cuts_lie_inside_the_frame():
    for octets in FRAMES:
        for size in range(len(octets) + 1):
            for original_length in (size, len(octets)):
                batch = frame_batch([(IPV4, octets[:size], original_length)])
                end = 0
                for layer in detail(batch, 0, SETTINGS).layers:
                    assert layer.offset >= end
                    end = layer.offset + layer.length
                assert end == size
