# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.reports import text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("eth0", "eth0"),
        ("höst 漢字", "höst 漢字"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("a\u2066b\u2069\u200b\ufeff", r"a\u2066b\u2069\u200b\ufeff"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\U000e0041", r"\U000e0041"),
        ("caf\udce9.pcap", r"caf\xe9.pcap"),
        ("\ud800", r"\ud800"),
    ],
)
def test_text_from_captures_cannot_act_on_a_terminal(raw: str, shown: str):
    assert text.printable(raw) == shown


@given(st.text(st.characters()))
def test_nothing_invisible_is_left_of_any_text(raw: str):
    shown = text.printable(raw)
    assert shown.isprintable()
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)


@given(st.text(st.characters()), st.integers(1, 30), st.booleans())
def test_shortened_text_fits(raw: str, width: int, middle: bool):
    shown = text.shorten(text.printable(raw), width, middle=middle)
    assert text.cells(shown) <= width


def test_shortened_text_says_so_where_it_was_cut():
    assert text.shorten("interface", 9) == "interface"
    assert text.shorten("interface", 6) == "inter…"
    assert text.shorten("node-a/eth0", 7, middle=True) == "nod…th0"
    assert text.shorten("漢字漢字", 5) == "漢字…"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (4523, "4.52 kB"),
        (10_240, "10.2 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (12_345_678_901, "12.3 GB"),
    ],
)
def test_sizes_have_three_figures(octets: int, shown: str):
    assert text.size(octets) == shown


def test_rates():
    assert text.bit_rate(125_000, 10**9) == "1.00 Mbit/s"
    assert text.packet_rate(5, 2 * 10**9) == "2 pps"


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "-"),
        (1, 1, "100 %"),
        (999_999, 1_000_000, "99.99 %"),
        (1, 3, "33 %"),
        (1, 50, "2.0 %"),
    ],
)
def test_all_is_the_only_hundred_per_cent(part: int, whole: int, shown: str):
    assert text.share(part, whole) == shown


def test_times():
    assert text.moment(1_769_860_800_123_456_789) == "2026-01-31T12:00:00.123456789Z"
    assert text.moment(1_769_860_800_999_999_999, 3) == "2026-01-31T12:00:00.999Z"
    assert text.moment(-1) == "1969-12-31T23:59:59.999999999Z"
    assert text.moment(2**63 - 1) == "2262-04-11T23:47:16.854775807Z"
    assert text.moment(-(2**63) + 1) == "1677-09-21T00:12:43.145224193Z"
    assert text.seconds(-123) == "-0.000000123"


@pytest.mark.parametrize(
    ("time_ns", "shown"),
    [
        (0, "0 ns"),
        (84_000, "84.0 µs"),
        (2_410_000_000, "2.41 s"),
        (125 * 10**9, "2 min 05 s"),
        (3720 * 10**9, "1 h 02 min"),
        (200_000 * 10**9, "2 d 07 h"),
        (-84_000, "-84.0 µs"),
    ],
)
def test_durations(time_ns: int, shown: str):
    assert text.duration(time_ns) == shown
