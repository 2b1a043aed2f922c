# SPDX-License-Identifier: Apache-2.0
"""Captures as they are written: what a reader finds in them."""

from __future__ import annotations

import pytest

from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec
from genevecap.capture.whole_file import open_binary_file, open_text_file
from genevecap.capture.writer import PcapngWriter, PcapWriter
from genevecap.columns import NO_TIME
from genevecap.errors import UsageError

ETH0, LO, UNNAMED = (0, "eth0", 1), (1, "lo", 276), (2, None, 1)


def read(path):
    """Return (point, time, octets, original length, comments) of each packet, and the capture."""
    capture = Capture(CaptureSpec.parse(str(path)), PointTable(), 0)
    rows = []
    for batch in capture.batches():
        for i in range(batch.count):
            begin = batch.offset[i]
            rows.append(
                (
                    capture.points.points[batch.point[i]].name,
                    batch.time_ns[i],
                    bytes(batch.buffer[begin : begin + batch.captured_bytes[i]]),
                    batch.wire_bytes[i],
                    capture.frame_comments(i),
                )
            )
    return rows, capture


def test_pcapng(tmp_path):
    writer = PcapngWriter()
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        writer.begin(("on the whole", "and more"), "a test")
        + writer.secrets(b"CLIENT_RANDOM 00 11\n")
        + writer.packet(ETH0, 1_769_860_800_123_456_789, b"abcde", 60, ("one", "two \x1b"))
        + writer.packet(LO, 5, bytes(20), 20, ())
        + writer.packet(ETH0, -5, b"", 0, ())
        + writer.packet(UNNAMED, -(2**63) + 1, b"x", 1, ())
        + writer.packet(ETH0, NO_TIME, b"y", 1, ())
        + writer.dropped(ETH0, 17)
    )
    rows, capture = read(path)
    assert rows == [
        ("a/eth0", 1_769_860_800_123_456_789, b"abcde", 60, ("one", "two \x1b")),
        ("a/ifindex-0", 5, bytes(20), 20, ()),
        ("a/eth0~2", -5, b"", 0, ()),
        ("a", -(2**63) + 1, b"x", 1, ()),
        ("a/eth0", 0, b"y", 1, ("the capture gave no time for this packet",)),
    ]
    assert capture.comments == ("on the whole", "and more")
    assert capture.application == "a test"
    assert capture.key_logs == (b"CLIENT_RANDOM 00 11\n",)
    assert capture.points.points[0].dropped == 17
    assert not capture.cut_short


def test_pcap(tmp_path):
    writer = PcapWriter()
    path = tmp_path / "a.pcap"
    path.write_bytes(
        writer.begin(("lost",), "a test")
        + writer.secrets(b"lost")
        + writer.packet(ETH0, 1_769_860_800_123_456_789, b"abc", 60, ("lost",))
        + writer.packet(UNNAMED, 2**32 * 10**9 - 1, b"", 0, ())
        + writer.dropped(ETH0, 17)
        + writer.end(1)
    )
    rows, capture = read(path)
    assert rows == [
        ("a", 1_769_860_800_123_456_789, b"abc", 60, ()),
        ("a", 2**32 * 10**9 - 1, b"", 0, ()),
    ]
    assert capture.format == "pcap"


def test_pcap_has_no_place_for_everything(tmp_path):
    writer = PcapWriter()
    writer.packet(ETH0, 0, b"", 0, ())
    with pytest.raises(UsageError, match="one link type"):
        writer.packet(LO, 0, b"", 0, ())
    for time_ns in (-1, 2**32 * 10**9):
        with pytest.raises(UsageError, match="before 1970 or after 2106"):
            writer.packet(ETH0, time_ns, b"", 0, ())
    (tmp_path / "empty.pcap").write_bytes(PcapWriter().end(1))
    assert read(tmp_path / "empty.pcap")[0] == []


def test_pcapng_has_link_types_of_16_bits():
    with pytest.raises(UsageError, match=r"name the file \.pcap"):
        PcapngWriter().packet((0, None, 65_536), 0, b"", 0, ())
    assert PcapWriter().packet((0, None, 65_536), 0, b"", 0, ())


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"

    def write_half():
        with open_binary_file(path, [], label="out") as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert list(tmp_path.iterdir()) == []
    with open_binary_file(path, [], label="out") as stream:
        stream.write(b"whole")
    assert path.read_bytes() == b"whole"
    with (
        pytest.raises(UsageError, match="out: this is an input"),
        open_text_file(path, ["-", "missing", str(path)], label="out"),
    ):
        pass
    assert path.read_bytes() == b"whole"
    with (
        pytest.raises(UsageError, match="out: No such file"),
        open_binary_file(tmp_path / "missing" / "out", [], label="out"),
    ):
        pass
