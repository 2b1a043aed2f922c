# SPDX-License-Identifier: Apache-2.0
"""The comparison with the real ztunnel, and that it finds what differs."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from tests.conftest import SHARED
from tests.lab.ztunnel.compare import compare, find, main
from tests.lab.ztunnel.dissection import CannotDissect, Dissection, dissect
from tests.lab.ztunnel.gathering import Gathering, Piece
from tests.lab.ztunnel.recorded import record

REAL = SHARED / "lab" / "ztunnel-1.31"


def sizes(**told):
    found = Dissection()
    found.sizes.update({name.replace("_", " "): Counter(values) for name, values in told.items()})
    return found


def test_the_same_sizes_are_no_difference():
    lines, differences = compare(sizes(PING=[34, 34], SETTINGS=[50]), sizes(PING=[34]))
    assert differences == []
    assert any(line.startswith("PING ") and line.split()[1:] == ["34x2", "34x1"] for line in lines)


@pytest.mark.parametrize(
    ("name", "real", "ours"),
    [
        ("END_STREAM", [26], [26, 27]),
        ("CONNECT (later)", [90, 92], [100]),
        ("200 (first)", [110, 111], [27]),
        ("DATA alone, of 256 bytes and more", [1050, 16_346, 500], [16_346, 777]),
    ],
)
def test_other_sizes_are_named(name, real, ours):
    one, other = Dissection(), Dissection()
    one.sizes[name], other.sizes[name] = Counter(real), Counter(ours)
    _, differences = compare(one, other)
    assert len(differences) == 1
    assert differences[0].startswith(name)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path, capsys):
    with pytest.raises(CannotDissect, match="holds no cli"):
        find(str(tmp_path))
    assert main([str(tmp_path), str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main([]) == 2


def test_large_data_ends_its_record_and_small_frames_gather():
    gathering = Gathering()
    for data, ends in ((b"a", False), (b"b" * 300, True), (b"c", False), (b"d", False)):
        gathering.add(Piece(data, stream=1, ends_record=ends))
    assert [data for data, _ in gathering.records()] == [b"a" + b"b" * 300, b"cd"]
    assert gathering.waiting_bytes == 0


def test_streams_rarely_share_a_record():
    gathering = Gathering()
    for stream in range(1, 2001, 2):
        gathering.add(Piece(b"x", stream=stream))
        gathering.add(Piece(b"y", stream=stream))
    records = [data for data, _ in gathering.records()]
    assert b"".join(records) == b"xy" * 1000
    assert 900 < len(records) < 1000


@pytest.mark.root
@pytest.mark.skipif(not REAL.is_dir(), reason="the recorded sets (../shared/lab) are not here")
@pytest.mark.skipif(
    not (shutil.which("tcpdump") and shutil.which("tshark")), reason="tcpdump or tshark is missing"
)
def test_the_stand_in_sends_the_real_one_s_records(tmp_path):
    real = dissect(*find(str(REAL)))
    ours = dissect(*record(tmp_path, "1.31"))
    _, differences = compare(real, ours)
    assert differences == []
    assert {"200 (first)", "503 (first) + RST_STREAM", "401 (later) + RST_STREAM", "GOAWAY"} <= set(
        ours.sizes
    )
    ends = {"down END_STREAM, up END_STREAM", "up END_STREAM, down END_STREAM"}
    assert ends <= set(ours.stream_ends) & set(real.stream_ends)
