# SPDX-License-Identifier: Apache-2.0
"""Both decoders on the same frames, and what they must agree on: every column of every row."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec
from genevecap.columns import Columns, DecodedBatch, FrameBatch
from genevecap.decode.readable import ReadableDecoder
from genevecap.decode.settings import DecodeSettings
from genevecap.kernels import load

Frame = tuple[int, bytes, int]
"""Link type, octets that were captured, original length."""

UDP_TABLE = DecodeSettings().udp_table()
INTERESTING = (0, 1, 2, 4, 5, 6, 8, 0x11, 0x40, 0x45, 0x46, 0x60, 0x7F, 0x80, 0x81, 0xFF)
"""Octets that headers give a meaning to: versions, lengths, types, flags."""


def kernel_decoder() -> object | None:
    """Return a new compiled decoder, or None where it was not built."""
    module = load("genevecap.decode._kernel_driver")
    return None if module is None else module.KernelDecoder(UDP_TABLE)


def readable_decoder() -> ReadableDecoder:
    """Return a new readable decoder."""
    return ReadableDecoder(UDP_TABLE)


def frames_of(path: Path, most: int = 10_000) -> list[Frame]:
    """Return the frames of a capture file."""
    frames: list[Frame] = []
    for batch in Capture(CaptureSpec.parse(str(path)), PointTable(), 0).batches():
        for i in range(batch.count):
            begin = batch.offset[i]
            frames.append(
                (
                    batch.link_types[batch.point[i]],
                    bytes(batch.buffer[begin : begin + batch.captured_bytes[i]]),
                    batch.wire_bytes[i],
                )
            )
            if len(frames) == most:
                return frames
    return frames


def batch_of(frames: list[Frame], padding: int = 0xA5) -> FrameBatch:
    """Lay frames out in one batch, with a gap of `padding` octets behind each."""
    batch = FrameBatch(len(frames))
    links = sorted({link for link, _, _ in frames})
    batch.link_types.extend(links)
    gap = bytes([padding]) * 64
    for i, (link, data, original) in enumerate(frames):
        batch.frame[i] = i + 1
        batch.point[i] = links.index(link)
        batch.offset[i] = len(batch.buffer)
        batch.captured_bytes[i] = len(data)
        batch.wire_bytes[i] = original
        batch.buffer += data
        batch.buffer += gap
    batch.count = len(frames)
    return batch


def mutated(frames: list[Frame], count: int, seed: int) -> Iterator[Frame]:
    """Yield frames with a few octets changed, and some of them cut, the same for one seed."""
    rng = random.Random(seed)
    for _ in range(count):
        link, data, original = rng.choice(frames)
        octets = bytearray(data[:512])
        for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
            if octets:
                place = rng.randrange(min(len(octets), rng.choice((24, 64, 128, 512))))
                octets[place] = (
                    rng.choice(INTERESTING) if rng.random() < 0.7 else rng.randrange(256)
                )
        how = rng.randrange(4)
        if how == 1:
            octets = octets[: rng.randrange(len(octets) + 1)]
        elif how == 2:
            original = rng.randrange(len(octets) + 1)
            octets = octets[:original]
        elif how == 3:
            original = rng.choice((0, len(octets), 0xFFFFFFFF, rng.randrange(1 << 32)))
        yield link, bytes(octets), original


def prefixes(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield every prefix of every frame twice: cut by the capture, and that long on the wire."""
    for link, data, original in frames:
        for size in range(len(data) + 1):
            yield link, data[:size], original
            yield link, data[:size], size


def decode_all(decoder: object, batch: FrameBatch) -> Iterator[DecodedBatch]:
    """Decode a batch, one `DecodedBatch` at a time; it is used again."""
    decoded = DecodedBatch(512)
    first = 0
    while first < batch.count:
        following = decoder.decode(batch, first, decoded)  # type: ignore[attr-defined]
        assert following > first, "a decoder must get on"
        first = following
        yield decoded


def rows_of(decoder: object, batch: FrameBatch) -> list[dict[str, object]]:
    """Decode a batch into plain values, one dictionary a frame, side tables included."""
    rows = []
    for d in decode_all(decoder, batch):
        for i in range(d.count):
            row: dict[str, object] = {
                name: getattr(d, name)[i]
                for name, _, _ in DecodedBatch.SCHEMA
                if name not in ("layer_start", "tunnel_start")
            }
            begin = d.layer_start[i]
            row["layers"] = _slice(d.layers, begin, d.layer_count[i])
            begin = d.tunnel_start[i]
            row["tunnels"] = _slice(d.tunnels, begin, d.tunnel_count[i], "row", "option_start")
            row["options"] = [
                _slice(d.options, d.tunnels.option_start[t], d.tunnels.option_count[t])
                for t in range(begin, begin + d.tunnel_count[i])
            ]
            rows.append(row)
    return rows


def _slice(table: Columns, begin: int, count: int, *without: str) -> list[dict[str, int]]:
    names = [name for name, _, _ in table.SCHEMA if name not in without]
    return [{n: getattr(table, n)[k] for n in names} for k in range(begin, begin + count)]


def difference(frame: Frame, one: dict[str, object], other: dict[str, object]) -> str:
    """Describe the first column in which two rows differ, with the frame to try again."""
    name = next(name for name in one if one[name] != other[name])
    link, data, original = frame
    return (
        f"{name}: {one[name]!r} != {other[name]!r} for link type {link}, original length "
        f"{original}, octets {data.hex()}"
    )
