# SPDX-License-Identifier: Apache-2.0
"""Memory does not follow the size of a file, whatever the file says of itself."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib

import pytest
import zstandard

from tests.build import captures as build

from .reading import WALKS

MIB = 1 << 20
LIMIT_BYTES = 64 * MIB

READ_AND_MEASURE = """
import resource, sys
from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import CaptureError
packets, error = 0, ""
try:
    capture = Capture(CaptureSpec.parse(sys.argv[1]), PointTable(), 0)
    for frames in capture.batches():
        packets += frames.count
except CaptureError as caught:
    error = type(caught).__name__
print(packets, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, error or "-")
"""


def measured(path, *, readable: bool = False) -> tuple[int, int, str]:
    """(packets, peak memory in octets, kind of error) of reading a file in its own process."""
    environment = dict(os.environ)
    if readable:
        environment["GENEVECAP_DISABLE_KERNELS"] = "1"
    # ru_maxrss begins with that of the process that was copied: start from a small one.
    shell = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
    done = subprocess.run(
        [*shell, sys.executable, "-c", READ_AND_MEASURE, str(path)],
        capture_output=True,
        check=True,
        env=environment,
        text=True,
    )
    packets, kibibytes, error = done.stdout.split()
    return int(packets), int(kibibytes) * 1024, error


def gzip_writer(file):
    member = zlib.compressobj(1, wbits=31)
    return (lambda data: file.write(member.compress(data))), (lambda: file.write(member.flush()))


def zstd_writer(file, **options):
    frame = zstandard.ZstdCompressor(**options).compressobj()
    return (lambda data: file.write(frame.compress(data))), (lambda: file.write(frame.flush()))


COMPRESSIONS = {"gzip": gzip_writer, "zstd": zstd_writer}
SIZES = [128, pytest.param(1024, marks=pytest.mark.long)]


@pytest.mark.parametrize("compression", sorted(COMPRESSIONS))
@pytest.mark.parametrize("size_mib", SIZES)
def test_zeros_by_the_gibibyte(tmp_path, compression, size_mib):
    path = tmp_path / "x"
    record = 8 * MIB
    with path.open("wb") as file:
        write, finish = COMPRESSIONS[compression](file)
        write(build.pcap_header())
        for _ in range(size_mib * MIB // record):
            write(build.pcap_record(bytes(record)))
        finish()
    assert path.stat().st_size < size_mib * MIB // 100
    packets, peak, error = measured(path)
    assert (packets, error) == (size_mib * MIB // record, "-")
    assert peak < LIMIT_BYTES


@pytest.mark.parametrize("compression", sorted(COMPRESSIONS))
def test_zeros_that_are_no_capture_are_not_even_unpacked(tmp_path, compression):
    path = tmp_path / "x"
    with path.open("wb") as file:
        write, finish = COMPRESSIONS[compression](file)
        for _ in range(128):
            write(bytes(MIB))
        finish()
    packets, peak, error = measured(path)
    assert (packets, error) == (0, "NotACapture")
    assert peak < LIMIT_BYTES // 2


def test_zstd_blocks_that_are_runs_of_one_octet(tmp_path):
    path = tmp_path / "x"
    head = build.pcap_header()
    run = struct.pack("<I", (1 << 17) << 3 | 1 << 1)[:3] + b"\0"
    raw = struct.pack("<I", len(head) << 3)[:3] + head
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 7 << 3)
    with path.open("wb") as file:
        # 4 octets stand for 128 KiB: each 16 of them for a record without packet.
        file.write(frame + raw + run * 400)
    packets, peak, error = measured(path)
    assert (packets, error) == (400 * (1 << 17) // 16, "-")
    assert peak < LIMIT_BYTES


@pytest.mark.long
def test_a_long_zstd_window_is_all_that_is_held(tmp_path):
    path = tmp_path / "x"
    noise = os.urandom(MIB)
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, enable_ldm=True)
    with path.open("wb") as file:
        write, finish = zstd_writer(file, compression_params=parameters)
        write(build.pcap_header())
        for _ in range(300):
            write(build.pcap_record(noise))
        finish()
    packets, peak, error = measured(path)
    assert (packets, error) == (300, "-")
    assert peak < LIMIT_BYTES + 128 * MIB


@pytest.mark.parametrize("walk", ["readable", "compiled"])
@pytest.mark.parametrize("format_", ["pcap", "pcapng"])
def test_a_million_tiny_records(tmp_path, walk, format_):
    if walk not in WALKS:
        pytest.skip("the compiled record walk was not built")
    path = tmp_path / "x"
    count = 1_000_000
    ng = build.LITTLE
    with path.open("wb") as file:
        if format_ == "pcap":
            file.write(build.pcap_header() + build.pcap_record(b"tiny") * count)
        else:
            file.write(ng.section() + ng.interface() + ng.packet(b"tiny") * count)
    packets, peak, error = measured(path, readable=walk == "readable")
    assert (packets, error) == (count, "-")
    assert peak < LIMIT_BYTES // 2


def test_long_records_and_short_ones(tmp_path):
    path = tmp_path / "x"
    ng = build.LITTLE
    with path.open("wb") as file:
        file.write(ng.section() + ng.interface())
        for _ in range(4):
            file.write(ng.packet(bytes((16 * MIB) - 32)) + ng.packet(b"tiny") * 1000)
            file.write(ng.block(0x7777, bytes((16 * MIB) - 12)))
            file.write(ng.secrets(bytes(3 * MIB)))
    packets, peak, error = measured(path)
    assert (packets, error) == (4004, "-")
    assert peak < LIMIT_BYTES


def test_a_length_alone_takes_no_memory_to_speak_of(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(build.pcap(b"abc") + build.pcap_record(captured=16 * MIB))
    packets, peak, error = measured(path)
    assert (packets, error) == (1, "-")
    assert peak < LIMIT_BYTES
