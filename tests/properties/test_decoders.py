# SPDX-License-Identifier: Apache-2.0
"""The compiled and the readable decoder are one decoder: value by value, on whatever bytes.

Stands for `decode/_kernel_driver`, `_kernel_walk`, `_kernel_link`, `_kernel_network`,
`_kernel_security`, `_kernel_transport`, `_kernel_tunnels` and `_kernel_gre`, with
`decode/readable` as the reference.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from genevecap.columns import MAX_LAYERS, MAX_TUNNELS, Stop
from genevecap.decode.layers import Layer
from genevecap.decode.protocols import PROTOCOLS
from genevecap.errors import CaptureError
from tests.decode.vectors import VECTORS

from .decoders import (
    Frame,
    batch_of,
    decode_all,
    difference,
    frames_of,
    kernel_decoder,
    mutated,
    prefixes,
    readable_decoder,
    rows_of,
)

SAMPLES = Path(__file__).parents[2] / "samples"
MUTATED_FRAMES = 100_000
CHUNK = 2_000


@cache
def seeds() -> tuple[Frame, ...]:
    """Return what to mutate and cut: every vector, and some frames of every sample."""
    frames = [(v.link_type, v.data, v.original_length) for v in VECTORS]
    for path in sorted(SAMPLES.glob("*.pcap*")):
        frames += [(link, data[:400], wire) for link, data, wire in frames_of(path, 120)]
    return tuple(dict.fromkeys(frames))


@pytest.fixture
def kernel() -> object:
    """Return a compiled decoder; skips where none was built."""
    decoder = kernel_decoder()
    if decoder is None:
        pytest.skip("no compiled kernels here")
    return decoder


def assert_equal(kernel: object, frames: list[Frame]) -> None:
    """Decode with both and compare every column."""
    batch = batch_of(frames)
    compiled = rows_of(kernel, batch)
    readable = rows_of(readable_decoder(), batch)
    for frame, one, other in zip(frames, compiled, readable, strict=True):
        assert one == other, difference(frame, one, other)
    assert kernel.overruns == 0  # type: ignore[attr-defined]


def chunks(frames: list[Frame]) -> list[list[Frame]]:
    """Cut a long list into batches."""
    return [frames[i : i + CHUNK] for i in range(0, len(frames), CHUNK)]


def test_whole_frames(kernel: object) -> None:
    assert_equal(kernel, list(seeds()))


def test_every_sample_frame(kernel: object) -> None:
    for path in sorted(SAMPLES.glob("*.pcap*")):
        assert_equal(kernel, frames_of(path))


def test_corpus(kernel: object, corpus: Path) -> None:
    files = 0
    for path in sorted((corpus / "captures").iterdir()):
        try:
            frames = frames_of(path, 400)
        except CaptureError:
            continue
        if frames:
            assert_equal(kernel, frames)
            files += 1
    assert files > 300


def test_every_prefix_of_every_vector(kernel: object) -> None:
    vectors = [(v.link_type, v.data[:200], v.original_length) for v in VECTORS]
    for part in chunks(list(prefixes(vectors))):
        assert_equal(kernel, part)


def test_every_prefix_of_sample_frames(kernel: object) -> None:
    frames = [(link, data[:160], wire) for link, data, wire in seeds()[len(VECTORS) :: 12]]
    for part in chunks(list(prefixes(frames))):
        assert_equal(kernel, part)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames(kernel: object, seed: int) -> None:
    frames = list(mutated(list(seeds()), MUTATED_FRAMES // 8, seed))
    for part in chunks(frames):
        assert_equal(kernel, part)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_mutated_frames(kernel: object, seed: int) -> None:
    for part in chunks(list(mutated(list(seeds()), MUTATED_FRAMES, seed))):
        assert_equal(kernel, part)


@pytest.mark.parametrize("which", ["compiled", "readable"])
def test_nothing_behind_the_cut_is_read(which: str) -> None:
    """What stands behind a frame in the buffer changes nothing of its row."""
    decoder = kernel_decoder() if which == "compiled" else readable_decoder()
    if decoder is None:
        pytest.skip("no compiled kernels here")
    frames = list(mutated(list(seeds()), MUTATED_FRAMES // 4, 7))
    for part in chunks(frames):
        zeros, ones = (rows_of(decoder, batch_of(part, padding)) for padding in (0x00, 0xFF))
        for frame, one, other in zip(part, zeros, ones, strict=True):
            assert one == other, difference(frame, one, other)


@pytest.mark.parametrize("which", ["compiled", "readable"])
def test_rows_are_possible(which: str) -> None:
    """Offsets lie inside the frame, counts inside their limits, stops are told with their layer."""
    decoder = kernel_decoder() if which == "compiled" else readable_decoder()
    if decoder is None:
        pytest.skip("no compiled kernels here")
    for part in chunks(list(mutated(list(seeds()), MUTATED_FRAMES // 4, 11))):
        batch = batch_of(part)
        for d in decode_all(decoder, batch):
            for i in range(d.count):
                captured = batch.captured_bytes[d.first + i]
                assert d.layer_count[i] <= MAX_LAYERS
                assert d.tunnel_count[i] <= MAX_TUNNELS
                if d.stop[i] == Stop.COMPLETE:
                    assert d.stop_layer[i] in {0, Layer.ESP, Layer.MACSEC, Layer.WIREGUARD}
                else:
                    assert d.stop_layer[i]
                begin = d.layer_start[i]
                offsets = d.layers.offset[begin : begin + d.layer_count[i]]
                assert list(offsets) == sorted(offsets)
                assert all(offset <= captured for offset in offsets)
                for t in range(d.tunnel_start[i], d.tunnel_start[i] + d.tunnel_count[i]):
                    assert d.tunnels.header_offset[t] <= captured
                    first = d.tunnels.option_start[t]
                    for o in range(first, first + d.tunnels.option_count[t]):
                        end = d.options.data_offset[o] + d.options.data_bytes[o]
                        assert end <= captured


def test_registry_is_shared() -> None:
    """What the readable decoder decodes, the kernel decodes too, and nothing else."""
    kernel = kernel_decoder()
    if kernel is None:
        pytest.skip("no compiled kernels here")
    assert set(kernel.handled_layers()) == set(PROTOCOLS)  # type: ignore[attr-defined]


def test_environment_asks_for_the_readable_decoder() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import genevecap.decode as d; print(d.decoder_name())"],
        env={**os.environ, "GENEVECAP_DISABLE_KERNELS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "readable\n"
