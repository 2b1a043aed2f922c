# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from genevecap.analysis.packets import FrameAnswer
from genevecap.columns import Stop
from genevecap.decode.detail import Field, FrameDetail, LayerDetail
from genevecap.reports import frame, machine
from genevecap.reports.layout import Style
from genevecap.reports.text import cells

from .made import PACKET

FLAG = Field(
    name="critical",
    value=1,
    text="set",
    offset=5,
    length=1,
    source="RFC 8926 section 3.4",
    bit_offset=1,
    bit_length=1,
)
FLAGS = Field(
    name="flags",
    value=None,
    text="critical",
    offset=5,
    length=1,
    source="",
    children=(FLAG,),
)
DATA = Field(
    name="data", value=b"\x00\x05", text="00 05\x1b[31m", offset=18, length=2, source="RFC 8926"
)
SHOWN = "0123456789:;<=>?"

ANSWER = FrameAnswer(
    row=replace(PACKET, stop="truncated", stop_layer="tcp", captured_bytes=20, wire_bytes=90),
    detail=FrameDetail(
        layers=(
            LayerDetail("ethernet", 0, 4, "a > b", ()),
            LayerDetail("geneve", 4, 16, "VNI 1000", (FLAGS, DATA)),
        ),
        stop=Stop.TRUNCATED,
        stop_layer="tcp",
        stop_offset=20,
        findings=("G08",),
    ),
    data=bytes(range(0x30, 0x44)),
    comments=("look \x1b[2J here",),
)


def test_the_tree_has_offsets_bits_and_sources():
    lines = list(frame.frame_lines(ANSWER, Style()))
    assert lines[0] == "Frame 12 of node-a.pcapng.gz"
    assert "20 octets captured of 90" in lines[2]
    assert lines[3] == r"  comment: look \x1b[2J here"
    text = "\n".join(lines)
    assert "     0       4  ethernet  a > b" in lines
    assert "     5       1    flags: critical" in lines
    (bit,) = [line for line in lines if "critical: set" in line]
    assert bit.startswith("   5.1   1 bit      critical: set")
    assert bit.endswith("RFC 8926 section 3.4")
    assert r"00 05\x1b[31m" in text
    assert "decoding ended: truncated at tcp, offset 20" in text
    assert "findings: G08" in text


def test_the_hex_view_marks_where_layers_begin():
    assert list(frame.hex_lines(ANSWER.data, {0: "ethernet", 4: "geneve"}, Style())) == [
        f"00000 |30 31 32 33|34 35 36 37 38 39 3a 3b 3c 3d 3e 3f  {SHOWN}  ethernet, geneve",
        "00010  40 41 42 43                                      @ABC",
    ]


def test_the_hex_view_shows_nothing_that_acts():
    (line,) = frame.hex_lines(b"\x1b[2J\x00\xff", {}, Style())
    assert line.endswith(".[2J..")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_lines_fit(width: int):
    for line in frame.frame_lines(ANSWER, Style(width=width)):
        # Sixteen octets in hex and text need 72 columns; they are not cut.
        assert cells(line) <= max(width, 72)
        assert line.isprintable()


def test_json():
    document = json.loads("".join(machine.json_pieces(frame.frame_document(ANSWER))))
    assert document["schema"] == "genevecap/frame/1"
    assert document["packet"]["frame"] == 12
    assert document["stop_offset"] == 20
    assert bytes.fromhex(document["data"]) == ANSWER.data
    flags, data = document["layers"][1]["fields"]
    assert data["value"] == "0005"
    assert flags["fields"] == [
        {
            "name": "critical",
            "value": 1,
            "text": "set",
            "offset": 5,
            "length": 1,
            "bit_offset": 1,
            "bit_length": 1,
            "source": "RFC 8926 section 3.4",
            "fields": [],
        }
    ]


def test_csv():
    rows = list(csv.DictReader(io.StringIO("".join(frame.frame_csv(ANSWER)))))
    assert [row["field"] for row in rows] == ["flags", "flags.critical", "data"]
    assert rows[1]["layer"] == "geneve"
    assert rows[2]["text"] == r"00 05\x1b[31m"
