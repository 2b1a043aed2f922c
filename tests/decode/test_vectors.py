# SPDX-License-Identifier: Apache-2.0
"""Every vector through the readable decoder: column by column, and at every cut."""

from __future__ import annotations

import pytest

from genevecap.columns import Stop
from genevecap.decode import DecodeSettings
from genevecap.decode.layers import Layer
from genevecap.decode.readable import ReadableDecoder

from .vectors import VECTORS, decode_all

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
