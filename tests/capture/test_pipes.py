# SPDX-License-Identifier: Apache-2.0
"""Pipes that are still being written: what has come is shown before more does."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard

from genevecap.capture import stream
from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec
from tests.build import captures as build

from .reading import read_path

ROUNDS = 5


@pytest.fixture(autouse=True)
def in_time():
    """Fail a test that waits for octets that nobody writes."""

    def late(*_):
        pytest.fail("waited for more than what had been written")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def plain(octets: bytes) -> bytes:
    return octets


def flushing_gzip():
    member = zlib.compressobj(wbits=31)
    return lambda octets: member.compress(octets) + member.flush(zlib.Z_SYNC_FLUSH)


def flushing_zstd():
    frame = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return lambda octets: frame.compress(octets) + frame.flush(block)


WRITERS = {"plain": lambda: plain, "gzip": flushing_gzip, "zstd": flushing_zstd}
FORMATS = {
    "pcap": (build.pcap_header(), build.pcap_record),
    "pcapng": (build.LITTLE.section() + build.LITTLE.interface(), build.LITTLE.packet),
}


@pytest.mark.parametrize("format_", sorted(FORMATS))
@pytest.mark.parametrize("writer", sorted(WRITERS))
def test_rows_come_while_the_pipe_is_open(walk, monkeypatch, format_, writer):
    monkeypatch.setattr(stream, "record_walk", lambda: walk)
    compress = WRITERS[writer]()
    head, record = FORMATS[format_]
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        os.write(write_end, compress(head))
        points = PointTable()
        capture = Capture(CaptureSpec.parse("-"), points, 0)
        batches = capture.batches()
        for number in range(1, ROUNDS + 1):
            os.write(write_end, compress(record(b"abc") + record(b"defg")))
            rows = 0
            while rows < 2:
                rows += next(batches).count
            assert rows == 2
            assert capture.packets == 2 * number
        # The first half of a record, then the second.
        late = record(b"late")
        os.write(write_end, compress(late[:20]))
        os.write(write_end, compress(late[20:]))
        assert next(batches).count == 1
        os.close(write_end)
        assert list(batches) == []
        assert capture.cut_short == (writer != "plain")


def test_a_named_pipe(walk, monkeypatch, tmp_path):
    monkeypatch.setattr(stream, "record_walk", lambda: walk)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    write_end = os.open(path, os.O_RDWR)
    os.write(write_end, build.pcap_header())
    capture = Capture(CaptureSpec.parse(f"node={path}"), PointTable(), 0)
    batches = capture.batches()
    for number in range(1, ROUNDS + 1):
        os.write(write_end, build.pcap_record(b"abc"))
        assert next(batches).count == 1
        assert capture.packets == number
    os.close(write_end)
    assert list(batches) == []
    assert not capture.cut_short
    assert capture.points.names == ["node"]


SLOW_WRITER = """
import sys, time
octets = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb", buffering=0) as pipe:
    for at in range(0, len(octets), 97):
        pipe.write(octets[at:at + 97])
        time.sleep(0.001)
"""


def test_a_program_that_writes_slowly(walk, tmp_path):
    packets = [bytes([i]) * i for i in range(100)]
    (tmp_path / "x.pcap").write_bytes(build.pcap(*packets))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", SLOW_WRITER, str(tmp_path / "x.pcap"), str(fifo)]
    with subprocess.Popen(command) as writer:
        told = read_path(fifo, walk)
    assert writer.returncode == 0
    assert told.data == packets
    assert not told.cut_short


def test_a_signal_while_waiting_loses_nothing(tmp_path, monkeypatch):
    read_end, write_end = os.pipe()
    caught = []

    def tick(*_):
        caught.append(len(caught))
        if len(caught) == 3:
            os.write(write_end, build.pcap(b"abc"))
            os.close(write_end)

    signal.alarm(0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(read_end, "rb")))
    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        capture = Capture(CaptureSpec.parse("-"), PointTable(), 0)
        assert [frames.count for frames in capture.batches()] == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.stdin.close()
    assert len(caught) >= 3


def test_a_regular_file_as_standard_input(tmp_path, monkeypatch):
    path = Path(tmp_path, "x.pcap")
    path.write_bytes(build.pcap(b"abc"))
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        capture = Capture(CaptureSpec.parse("-"), PointTable(), 0)
        assert capture.source.size == path.stat().st_size
        assert [frames.count for frames in capture.batches()] == [1]
        assert capture.points.names == ["-"]
