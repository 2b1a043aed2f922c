# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib

import pytest

from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec
from genevecap.errors import ExitCode, NotACapture
from tests.build import captures as build

from .reading import WALKS, read_path


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"hello, world", "begins with 68 65 6c 6c 6f 2c 20 77; pcap or pcapng is expected"),
        (b"\xd4\xc3\xb2", "begins with d4 c3 b2; pcap"),
        (bytes(4), "begins with 00 00 00 00; pcap"),
        (b"snoop\0\0\0rest", "Solaris snoop; editcap"),
        (b"BZh91AY", "bzip2; bunzip2 unpacks it"),
        (b"\xfd7zXZ\0", "xz; unxz unpacks it"),
        (b"PK\x03\x04", "a zip archive"),
        (b"XCP\0", "NetXRay"),
    ],
)
def test_what_is_no_capture_is_named_by_its_first_octets(read_octets, head, said):
    told = read_octets(head)
    assert isinstance(told.error, NotACapture)
    assert said in str(told.error)
    assert "\n" not in str(told.error)
    assert told.error.exit_code is ExitCode.UNREADABLE


def test_format_and_compression_are_told(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(build.pcap(b"abc"))
    capture = Capture(CaptureSpec.parse(str(path)), PointTable(), 0)
    assert (capture.reader.format, capture.source.compression) == ("pcap", None)
    assert [frames.count for frames in capture.batches()] == [1]
    assert capture.source.position() == capture.source.size == path.stat().st_size


def test_a_file_is_closed_when_nobody_asks_for_the_rest(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(build.pcap(*[b"abc"] * 10_000))
    capture = Capture(CaptureSpec.parse(str(path)), PointTable(), 0)
    with contextlib.closing(capture.batches()) as batches:
        assert next(batches).count == 4096
    with pytest.raises(ValueError, match="closed file"):
        capture.source.readinto(memoryview(bytearray(1)))


def test_the_same_file_twice_gives_points_of_its_own(tmp_path):
    path = tmp_path / "x.pcap"
    path.write_bytes(build.pcap(b"abc"))
    points = PointTable()
    for index in range(2):
        capture = Capture(CaptureSpec.parse(str(path)), points, index)
        assert [list(frames.point[: frames.count]) for frames in capture.batches()] == [[index]]
    assert points.names == ["x", "x~2"]


def test_the_path_in_messages_is_the_one_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pcap").write_bytes(b"bad!")
    told = read_path("bad.pcap", WALKS["readable"])
    assert str(told.error).startswith("bad.pcap: not a capture: ")
    assert told.error.path == "bad.pcap"
