# SPDX-License-Identifier: Apache-2.0
"""Every vector through the readable decoder: column by column, and at every cut."""

from __future__ import annotations

import pytest

from genevecap.columns import Stop, TunnelKind
from genevecap.decode import DecodeSettings
from genevecap.decode.layers import Layer
from genevecap.decode.protocols import PROTOCOLS
from genevecap.decode.readable import ReadableDecoder

from .vectors import VECTORS, decode_all

HIDING = (Layer.ESP, Layer.MACSEC, Layer.WIREGUARD)
"""Layers that complete a frame and hide what is inside: they are told as the layer of the stop."""

IDS = [vector.name for vector in VECTORS]


@pytest.fixture(scope="module")
def decoder():
    return ReadableDecoder(DecodeSettings().udp_table())


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_columns(decoder, vector):
    (found,) = decode_all(decoder, [(vector.link_type, vector.data, vector.original_length)])
    for part, expected in vector.expected.items():
        assert found[part] == expected, part


def test_rows_are_independent(decoder):
    """A row holds nothing of the frame that was decoded into it before, nor of its neighbour."""
    frames = [(each.link_type, each.data, each.original_length) for each in VECTORS]
    forward = decode_all(decoder, frames)
    assert forward == [vector.expected for vector in VECTORS]
    assert decode_all(decoder, frames[::-1]) == forward[::-1]


def test_every_protocol_has_a_vector():
    listed = {code for vector in VECTORS for code, _ in vector.expected["layers"]}
    assert set(PROTOCOLS) <= listed


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_every_snaplen(decoder, vector):
    """Less captured: what is found shrinks, and nothing is called malformed for it."""
    whole = vector.expected
    cuts = [
        (vector.link_type, vector.data[:size], vector.original_length)
        for size in range(len(vector.data) + 1)
    ]
    for (_, data, _), found in zip(cuts, decode_all(decoder, cuts), strict=True):
        assert_inside(found, len(data))
        assert found["layers"] == whole["layers"][: len(found["layers"])]
        columns = found["columns"]
        if len(found["layers"]) < len(whole["layers"]):
            # On a tentative port less may not look like the tunnel any more.
            ports = {columns["outer_source_port"], columns["outer_destination_port"]}
            tentative = bool(ports & _TENTATIVE)
            assert columns["stop"] in ({Stop.TRUNCATED, Stop.COMPLETE} if tentative else _CUT)
        else:
            assert columns["stop"] in {Stop.TRUNCATED, whole["columns"]["stop"]}
        assert columns["findings"] & ~whole["columns"]["findings"] == 0
        if whole["columns"]["stop"] != Stop.FRAGMENT:  # which takes tunnels back
            for tunnel, expected in zip(found["tunnels"], whole["tunnels"], strict=False):
                assert {name: tunnel[name] for name in _FIXED} == {
                    name: expected[name] for name in _FIXED
                }
            assert len(found["tunnels"]) <= len(whole["tunnels"])


_CUT = {Stop.TRUNCATED}
_FIXED = ("kind", "vni", "source_lo", "destination_lo", "flags", "ip_offset", "header_offset")
_FIXED_BYTES = {TunnelKind.IPIP: 0, TunnelKind.GRE: 4, TunnelKind.ERSPAN: 4}
"""What is there of a tunnel header at least, where that is not 8 octets."""
_TENTATIVE = {2152, 4500, 4754, 7471, 51820, 51821, 51871, *range(6082, 6090)}


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_every_length(decoder, vector):
    """A shorter frame, all of it captured: nothing is called truncated."""
    cuts = [(vector.link_type, vector.data[:size], size) for size in range(len(vector.data) + 1)]
    whole = vector.expected["layers"]
    for (_, data, _), found in zip(cuts, decode_all(decoder, cuts), strict=True):
        assert_inside(found, len(data))
        assert found["columns"]["stop"] != Stop.TRUNCATED
        assert found["layers"] == whole[: len(found["layers"])]


def assert_inside(found, captured):
    """Nothing lies beyond what was captured, and the tables agree with each other."""
    columns = found["columns"]
    offsets = [offset for _, offset in found["layers"]]
    assert offsets == sorted(offsets)
    for code, offset in found["layers"]:
        if (columns["stop"], columns["stop_offset"]) == (Stop.UNSUPPORTED, offset):
            continue  # listed, and perhaps nothing of it is there
        fixed = PROTOCOLS[code].HEADER_BYTES if code in PROTOCOLS else 0
        assert offset + fixed <= captured
    assert len(found["tunnels"]) == columns["tunnel_count"]
    for depth, tunnel in enumerate(found["tunnels"]):
        assert tunnel["depth"] == depth
        assert tunnel["ip_offset"] < tunnel["header_offset"]
        fixed = _FIXED_BYTES.get(tunnel["kind"], 8)
        assert tunnel["header_offset"] + fixed <= captured
        assert tunnel["overhead_bytes"] >= tunnel["header_offset"] + fixed - tunnel["ip_offset"]
    for option in found["options"]:
        assert option["data_offset"] + option["data_bytes"] <= captured
    if columns["stop"] == Stop.COMPLETE:
        assert columns["stop_layer"] in {0, *HIDING}
    else:
        assert columns["stop_layer"]
    assert (columns["inner_version"] == 0) == (columns["outer_version"] == 0)
