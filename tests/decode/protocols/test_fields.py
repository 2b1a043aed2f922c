# SPDX-License-Identifier: Apache-2.0
"""The builder of field trees."""

from __future__ import annotations

import pytest

from genevecap.decode.protocols.fields import (
    Header,
    HeaderCut,
    hexadecimal,
    internet_checksum,
    printable,
    shorten,
    show,
)

SOURCE = "RFC 0"


def test_checksum_of_rfc_1071():
    """Section 3: the sum of 0001 f203 f4f5 f6f7 is ddf2."""
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2 ^ 0xFFFF
    assert internet_checksum(b"\xff") == 0x00FF


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ünïcode", "plain ünïcode"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("line\nline\r\t", "line\\nline\\r\\t"),
        ("\u202e\u2066", "\\u202e\\u2066"),
        ("\ud800", "\\ud800"),
        ("\x9b", "\\x9b"),
    ],
)
def test_printable(text, expected):
    assert printable(text) == expected
    assert printable(text).isprintable()


def test_long_text_is_cut():
    assert len(printable("x" * 100_000)) < 600
    assert shorten(bytes(1000)).endswith("... (1000 octets)")


def test_show():
    assert show(7, None) == "7"
    assert show(7, {7: "seven"}) == "seven (7)"
    assert show(8, {7: "seven"}) == "8"
    assert show(7, hexadecimal(4)) == "0x0007"


def test_bits():
    header = Header(b"\xff\x2d\xb0", 1, 3, SOURCE)
    assert header.bits("a", 0, 2, 4) == 0b1011
    assert header.bits("b", 0, 6, 6) == 0b011011
    first, second = header.finish()
    assert (first.offset, first.length, first.bit_offset, first.bit_length) == (1, 1, 2, 4)
    assert (second.offset, second.length, second.bit_offset, second.bit_length) == (1, 2, 6, 6)


def test_a_cut_ends_groups_where_the_octets_end():
    header = Header(b"\x01\x02\x03", 0, 3, SOURCE)

    def describe():
        with header.group("outside", 0, 8), header.group("inside", 1, 4):
            header.number("there", 1, 1)
            header.number("not_there", 2, 2)

    with pytest.raises(HeaderCut):
        describe()
    (outside,) = header.finish()
    (inside,) = outside.children
    assert (outside.offset, outside.length) == (0, 3)
    assert (inside.offset, inside.length) == (1, 2)
    assert [field.name for field in inside.children] == ["there", "missing"]
    assert inside.children[1].text == "4 octets needed, 3 were captured"
    assert header.end == 3


def test_a_group_of_which_nothing_is_there():
    header = Header(b"\x01", 0, 1, SOURCE)
    with pytest.raises(HeaderCut), header.group("options", 1, 4):
        header.number("option", 1, 1)
    assert [field.name for field in header.finish()] == ["missing"]


def test_the_limit_is_not_crossed():
    header = Header(b"\x01\x02\x03", 0, 2, SOURCE)
    with pytest.raises(HeaderCut):
        header.number("number", 0, 3)
    (missing,) = header.finish()
    assert missing.text == "3 octets needed, 2 are left by an enclosing length"
