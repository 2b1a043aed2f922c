# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies: vectors, mutated."""

from __future__ import annotations

from hypothesis import strategies as st

from .vectors import VECTORS

_LINK_TYPES = (0, 1, 12, 101, 108, 113, 127, 228, 229, 276)
_EDGES = (0, 1, 4, 8, 15, 0x45, 0x4F, 0x60, 0x7F, 0x80, 0xFF)


@st.composite
def frames(draw):
    """A (link type, captured octets, original length) that began as a vector."""
    vector = draw(st.sampled_from(VECTORS))
    data = bytearray(vector.data)
    for _ in range(draw(st.integers(0, 6))):
        if not data:
            break
        place = draw(st.integers(0, len(data) - 1))
        change = draw(st.sampled_from(("edge", "any", "bit", "insert", "delete", "repeat")))
        if change == "edge":
            data[place] = draw(st.sampled_from(_EDGES))
        elif change == "any":
            data[place] = draw(st.integers(0, 255))
        elif change == "bit":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif change == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif change == "delete":
            del data[place : place + draw(st.integers(1, 8))]
        else:
            data[place:place] = data[place : place + draw(st.integers(1, 64))]
    data = bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)
    original_length = draw(
        st.sampled_from((len(data), vector.original_length, len(data) + 9, 0, 0xFFFFFFFF))
    )
    link_type = draw(
        st.sampled_from((vector.link_type,) * 9 + (draw(st.sampled_from(_LINK_TYPES)),))
    )
    return link_type, data, original_length


def mutated(generator, count):
    """Return `count` frames like those of `frames`, made by a seeded `random.Random`, quickly."""
    return [_mutate(generator) for _ in range(count)]


def _mutate(generator):
    vector = generator.choice(VECTORS)
    data = bytearray(vector.data)
    for _ in range(generator.choice((0, 1, 1, 1, 2, 3, 5))):
        if data:
            place = generator.randrange(len(data))
            data[place] = generator.choice(
                (
                    generator.choice(_EDGES),
                    generator.randrange(256),
                    data[place] ^ 1 << generator.randrange(8),
                )
            )
    original_length = len(data)
    change = generator.randrange(6)
    if change == 0:
        del data[generator.randrange(len(data) + 1) :]
    elif change == 1:
        del data[generator.randrange(len(data) + 1) :]
        original_length = len(data)
    elif change == 2:
        original_length += generator.randrange(200)
    elif change == 3:
        data += bytes(generator.randrange(20))
        original_length = generator.choice((0, len(data), len(data) - 1, 70000))
    elif change == 4 and data:
        place = generator.randrange(len(data))
        data[place:place] = data[place : place + generator.randrange(64)]
        original_length = len(data)
    link_type = vector.link_type if generator.random() < 0.97 else generator.choice(_LINK_TYPES)
    return link_type, bytes(data), max(0, original_length)
