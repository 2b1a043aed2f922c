# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.reports import layout
from genevecap.reports.layout import Column, Style, table
from genevecap.reports.text import cells

COLUMNS = (
    Column(title="kind"),
    Column(title="from", floor=8, middle=True),
    Column(title="packets", right=True),
    Column(title="share", right=True, drop=1),
    Column(title="lasting", right=True, drop=2),
)
ROWS = [
    ["geneve", "2001:db8:1234:5678:9abc:def0:1234:5678", "12,345", "31 %", "2.41 s"],
    ["vxlan", "10.0.0.1", "7", "1.0 %", "84 ns"],
]


def test_a_wide_terminal_shows_everything_aligned():
    assert table(COLUMNS, ROWS, Style(width=120)) == [
        "kind    from                                    packets  share  lasting",
        "geneve  2001:db8:1234:5678:9abc:def0:1234:5678   12,345   31 %   2.41 s",
        "vxlan   10.0.0.1                                      7  1.0 %    84 ns",
    ]


def test_columns_are_cut_before_any_is_dropped():
    lines = table(COLUMNS, ROWS, Style(width=45))
    assert lines[0].split() == ["kind", "from", "packets", "share", "lasting"]
    assert "2001:d…:5678" in lines[1]


def test_columns_are_dropped_before_an_ipv4_endpoint_is_cut():
    columns = (layout.endpoint_column("client"), Column(title="total", right=True, drop=1))
    rows = [["192.168.100.200:50000", "41.2 ms"]]
    assert table(columns, rows, Style(width=30))[1] == "192.168.100.200:50000  41.2 ms"
    assert table(columns, rows, Style(width=29))[1] == "192.168.100.200:50000"
    assert table(columns, rows, Style(width=15))[1] == "192.168…0:50000"


def test_what_cannot_be_dropped_is_whole_as_long_as_addresses_can_be_cut():
    columns = (layout.endpoint_column("client"), Column(title="kind"))
    rows = [["10.0.0.1:50000", "plaintext-inbound"]]
    assert table(columns, rows, Style(width=31))[1] == "10.0.0…50000  plaintext-inbound"
    assert table(columns, rows, Style(width=30))[1] == "10.0.0…50000  plaintext-inbou…"


def test_the_least_important_column_is_dropped_first():
    assert table(COLUMNS, ROWS, Style(width=35))[0].split() == ["kind", "from", "packets", "share"]
    assert table(COLUMNS, ROWS, Style(width=28))[0].split() == ["kind", "from", "packets"]


def test_an_empty_column_is_left_out():
    assert table(COLUMNS[:3], [["geneve", "", "1"]], Style())[0].split() == ["kind", "packets"]


@given(
    st.integers(24, 250),
    st.lists(st.lists(st.text("ab漢é:.", max_size=60), min_size=5, max_size=5), min_size=1),
)
def test_no_line_is_wider_than_the_terminal(width: int, rows: list[list[str]]):
    for line in table(COLUMNS, rows, Style(width=width)):
        assert cells(line) <= width
        assert "\n" not in line


def test_colour_changes_no_alignment():
    columns = (Column(title="severity", role=lambda text: text), Column(title="n", right=True))
    rows = [["error", "1"], ["info", "22"]]
    painted = table(columns, rows, Style(colour=True))
    assert any("\x1b[" in line for line in painted)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted]
    assert plain == table(columns, rows, Style())


@pytest.mark.parametrize("width", [24, 60, 120])
def test_prose_and_headings_fit(width: int):
    style = Style(width=width)
    assert all(cells(line) <= width for line in style.prose("word " * 40, "  - "))
    assert cells(style.heading("Tunnels " * 3, "of them " * 20)) <= width


CELLS = st.lists(st.text("aé1.:", min_size=1, max_size=9), min_size=3, max_size=3)


@given(rows=st.lists(CELLS, min_size=1, max_size=4))
def test_tabulate_and_our_own_padding_agree(rows: list[list[str]]):
    columns = [Column(title="one"), Column(title="two", right=True), Column(title="three")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SCREEN_ROWS", -1)
        by_tabulate = table(columns, rows, Style())
    assert table(columns, rows, Style()) == by_tabulate
