# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import gzip
import io
import os
import random
import struct
import subprocess
import sys
import threading
import time
import zlib

import pytest
import zstandard

from genevecap.capture.source import GzipSource, StreamDamage, ZstdSource, open_source
from genevecap.errors import NotACapture, UnreadableCapture
from tests.build import captures as build

from .reading import Octets

PACKETS = [bytes([i]) * (i * 7 % 300) for i in range(200)]
CAPTURE = build.pcap(*PACKETS)
SKIPPABLE = struct.pack("<II", 0x184D2A53, 5) + b"\x28\xb5\x2f\xfd!"


def zstd(data: bytes, **options) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


COMPRESS = {"gzip": gzip.compress, "zstd": lambda data: zstd(data, write_checksum=True)}


@pytest.fixture(params=sorted(COMPRESS))
def compression(request) -> str:
    return request.param


def everything(source, step: int = 1 << 16) -> tuple[bytes, StreamDamage | None]:
    """All octets that a source gives, asked for `step` at a time, and how it ends."""
    given = bytearray()
    buffer = bytearray(step)
    try:
        while count := source.readinto(memoryview(buffer)):
            given += buffer[:count]
    except StreamDamage as damage:
        return bytes(given), damage
    return bytes(given), None


def source_of(compression: str, stored: bytes, sizes=()):
    kind = GzipSource if compression == "gzip" else ZstdSource
    return kind(Octets(stored, sizes))


# --- whole streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.pcap", "x.gz", "x.zst"])
def test_compression_is_told_by_content_and_not_by_name(tmp_path, compression, name):
    path = tmp_path / name
    for stored, kind in ((CAPTURE, None), (COMPRESS[compression](CAPTURE), compression)):
        path.write_bytes(stored)
        source = open_source(str(path))
        try:
            assert everything(source)[0] == CAPTURE
            assert (source.compression, source.size) == (kind, len(stored))
            assert (source.live, source.truncated) == (False, False)
            assert source.position() == len(stored)
        finally:
            source.close()


@pytest.mark.parametrize("step", [1, 2, 7, 257, 65536, 1 << 20])
def test_any_size_of_reads_gives_the_same(compression, step):
    stored = COMPRESS[compression](CAPTURE)
    sizes = (random.Random(step).randint(1, 50) for _ in iter(int, 1))
    assert everything(source_of(compression, stored, sizes), step) == (CAPTURE, None)


@pytest.mark.parametrize(
    ("between", "after"), [(b"", b""), (b"\0" * 512, b"\0" * 70000), (b"\0", b"\0")]
)
def test_every_gzip_member_is_read_and_padding_allowed(read_octets, between, after):
    parts = [CAPTURE[:100], CAPTURE[100:101], b"", CAPTURE[101:]]
    told = read_octets(between.join(map(gzip.compress, parts)) + after)
    assert told.error is None
    assert told.data == PACKETS
    assert not told.cut_short


@pytest.mark.parametrize(
    "options",
    [
        {"level": 1},
        {"level": 19},
        {"write_checksum": True},
        {"write_content_size": False},
        {"level": -5, "write_checksum": True, "write_content_size": False},
    ],
)
def test_every_zstd_frame_is_read_and_skippable_ones_skipped(read_octets, options):
    parts = [CAPTURE[:100], CAPTURE[100:101], b"", CAPTURE[101:]]
    frames = [zstd(part, **options) for part in parts]
    told = read_octets(SKIPPABLE + (SKIPPABLE * 2).join(frames) + SKIPPABLE)
    assert told.error is None
    assert told.data == PACKETS
    assert not told.cut_short


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65535, 65536, 1 << 17, (1 << 17) + 1, 3_000_000])
@pytest.mark.parametrize("noise", [False, True])
def test_zstd_frames_of_every_size_of_header(size, noise):
    data = random.Random(size).randbytes(size) if noise else b"z" * size
    for content_size in (True, False):
        stored = zstd(data, write_content_size=content_size, write_checksum=noise)
        assert everything(source_of("zstd", stored)) == (data, None)


@pytest.mark.parametrize("program", [["zstd", "-q", "-19"], ["zstd", "-q", "--long=27"], ["gzip"]])
def test_what_the_programs_themselves_write(read_octets, program):
    try:
        written = subprocess.run([*program, "-c"], input=CAPTURE, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"{program[0]} is not installed")
    told = read_octets(written.stdout)
    assert (told.data, told.error) == (PACKETS, None)


# --- streams that end early ----------------------------------------------------------------------


def test_a_cut_stream_gives_all_that_can_be_decompressed(compression):
    data = random.Random(3).randbytes(300) * 20
    stored = COMPRESS[compression](data)
    library = {
        "gzip": lambda: zlib.decompressobj(31),
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    }[compression]
    for length in range(4, len(stored)):
        expected = library().decompress(stored[:length])
        for step in (1 << 16, 100):
            source = source_of(compression, stored[:length])
            assert everything(source, step) == (expected, None), length
            assert source.truncated


def test_zlib_keeps_nothing_back_when_its_input_ends():
    # A run of 258 octets is coded in a few bits: its input is gone before its output is asked for.
    data = b"a" * 5000
    stored = gzip.compress(data)
    assert everything(source_of("gzip", stored[:-8]), 1)[0] == data


def test_a_capture_cut_in_its_compression_is_cut_short(read_octets, compression):
    noise = [random.Random(i).randbytes(200) for i in range(50)]
    whole = build.pcap(*noise)
    stored = COMPRESS[compression](whole[: len(whole) // 2]) + COMPRESS[compression](
        whole[len(whole) // 2 :]
    )
    told = read_octets(stored[: len(stored) * 3 // 4])
    assert told.error is None
    assert told.cut_short
    assert 24 <= len(told.rows) < 50
    assert told.data == noise[: len(told.rows)]


def test_a_cut_between_records_is_cut_short_too(read_octets, compression):
    stored = COMPRESS[compression](CAPTURE)
    told = read_octets(stored[:-2])
    assert told.error is None
    assert told.cut_short
    assert told.data == PACKETS


def test_a_cut_before_any_output_is_one_clear_error(read_octets, compression):
    stored = COMPRESS[compression](CAPTURE)
    for length in (4, 5, 7, 9):
        told = read_octets(stored[:length])
        assert isinstance(told.error, NotACapture)
        assert f"its {compression} data ends before one begins" in str(told.error)


def test_a_cut_in_the_next_frame_is_cut_short(read_octets):
    for more in (SKIPPABLE[:3], SKIPPABLE[:10], zstd(b"more")[:6], zstd(b"more")[:2]):
        told = read_octets(zstd(CAPTURE) + more)
        assert told.error is None
        assert told.cut_short
        assert told.data == PACKETS


# --- damage --------------------------------------------------------------------------------------


def test_a_bad_checksum_loses_nothing(read_octets, compression):
    stored = bytearray(COMPRESS[compression](CAPTURE))
    stored[-6 if compression == "gzip" else -1] ^= 1
    told = read_octets(bytes(stored))
    assert told.data == PACKETS
    assert told.damage == (len(PACKETS) + 1, len(CAPTURE), 16, 0)
    assert f"{compression} data is damaged" in str(told.error)
    assert told.cut_short


def test_a_bad_length_at_the_end_of_a_member_loses_nothing(read_octets):
    stored = bytearray(gzip.compress(CAPTURE))
    stored[-1] ^= 1
    told = read_octets(bytes(stored) + gzip.compress(b"more"))
    assert told.data == PACKETS
    assert told.damage == (len(PACKETS) + 1, len(CAPTURE), 16, 0)


@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
def test_everything_before_gzip_damage_is_given(step):
    data = random.Random(1).randbytes(40_000) + bytes(100_000) + random.Random(2).randbytes(40_000)
    stored = bytearray(gzip.compress(data))
    at = len(stored) // 2
    stored[at : at + 200] = b"\xff" * 200
    member = zlib.decompressobj(31)
    expected = b""
    for octet in bytes(stored):
        try:
            expected += member.decompress(bytes([octet]))
        except zlib.error:
            break
    given, damage = everything(source_of("gzip", bytes(stored)), step)
    assert given == expected
    assert len(given) > 30_000
    assert damage is not None


def test_every_zstd_block_before_the_damage_is_given():
    data = random.Random(1).randbytes(1 << 20)
    stored = bytearray(zstd(data, write_content_size=True))
    # The fourth block's header: a kind that does not exist.
    position = 4 + 1 + 4
    for _ in range(3):
        position += 3 + (int.from_bytes(stored[position : position + 3], "little") >> 3)
    stored[position] |= 6
    given, damage = everything(source_of("zstd", bytes(stored)))
    assert damage is not None
    assert given == data[: 3 << 17]


@pytest.mark.parametrize("garbage", [b"G", b"garbage at the end", b"\x1f\x8c", b"\x28\xb5\x2f"])
def test_garbage_after_the_last_frame(read_octets, compression, garbage):
    told = read_octets(COMPRESS[compression](CAPTURE) + garbage)
    assert told.data == PACKETS
    assert told.cut_short
    begins_another = compression == "zstd" and garbage == b"\x28\xb5\x2f"
    assert (told.error is None) == begins_another
    if not begins_another:
        assert told.damage == (len(PACKETS) + 1, len(CAPTURE), 16, 0)


def test_damage_before_any_output_is_one_clear_error(read_octets, compression):
    stored = bytearray(COMPRESS[compression](CAPTURE))
    # A bit that is reserved in either format.
    stored[4 if compression == "zstd" else 3] |= 8 if compression == "zstd" else 0x80
    told = read_octets(bytes(stored))
    assert isinstance(told.error, NotACapture)
    assert f"nothing of it could be read: {compression} data is damaged" in str(told.error)


def test_a_zstd_window_over_the_limit_is_said_with_its_size(read_octets):
    frame = struct.pack("<IBB", 0xFD2FB528, 0, (28 - 10) << 3) + b"\1\0\0"
    told = read_octets(frame)
    assert isinstance(told.error, NotACapture)
    assert "window of 268435456 octets is over the limit of 134217728" in str(told.error)


def test_damage_inside_a_record_longer_than_the_buffer(read_octets, compression):
    # The buffer must still be able to grow when the damage is already known.
    noise = random.Random(5).randbytes(3 << 20)
    whole = build.pcap(b"abc", noise)
    stored = bytearray(COMPRESS[compression](whole[: 1 << 19])) + b"garbage"
    told = read_octets(bytes(stored))
    assert told.data == [b"abc"]
    assert told.damage == (2, 43, 16 + len(noise), (1 << 19) - 43)


# --- the operating system ------------------------------------------------------------------------


def message_of(path) -> str:
    with pytest.raises(UnreadableCapture) as caught:
        open_source(str(path))
    assert str(caught.value).startswith(f"{path}: cannot be read: ")
    return str(caught.value)


def test_what_cannot_be_opened_is_said_in_the_systems_words(tmp_path):
    assert os.strerror(errno.ENOENT) in message_of(tmp_path / "missing.pcap")
    assert os.strerror(errno.EISDIR) in message_of(tmp_path)
    assert os.strerror(errno.ENAMETOOLONG) in message_of(tmp_path / ("n" * 5000))
    assert os.strerror(errno.ENOTDIR) in message_of(tmp_path.joinpath(__file__, "below"))
    assert "null" in message_of("nul\0octet")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert os.strerror(errno.ELOOP) in message_of(loop)


def test_a_file_without_permission(tmp_path):
    path = tmp_path / "secret.pcap"
    path.write_bytes(CAPTURE)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert os.strerror(errno.EACCES) in message_of(path)


def test_empty_inputs_are_no_captures(read_octets, compression):
    for octets in (b"", COMPRESS[compression](b"")):
        told = read_octets(octets)
        assert isinstance(told.error, NotACapture)
        assert str(told.error).endswith("not a capture: it is empty")


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert os.strerror(errno.EBADF) in message_of("-")


def test_standard_input_without_a_file_below(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CAPTURE)))
    message_of("-")


def test_a_pipe_that_another_program_made_non_blocking_is_waited_for(monkeypatch):
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    def write():
        for piece in (CAPTURE[:3], CAPTURE[3:1000], CAPTURE[1000:]):
            time.sleep(0.05)
            os.write(write_end, piece)
        os.close(write_end)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(read_end, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        source = open_source("-")
        assert source.live
        assert source.size is None
        assert everything(source)[0] == CAPTURE
        writer.join()
        source.close()
        assert not pipe.closed


def test_a_reading_error_loses_nothing_that_was_read(read_octets):
    told = read_octets(CAPTURE, fail_at=2000)
    assert isinstance(told.error, UnreadableCapture)
    assert told.cut_short
    assert told.rows
    assert told.data == PACKETS[: len(told.rows)]
    assert told.capture.stream.file_offset() <= 2000 < told.capture.stream.file_offset() + 316
