# SPDX-License-Identifier: Apache-2.0
"""Tables that fit the terminal: what is cut, what is dropped, what is coloured.

A table that is too wide first gives up octets of the columns that may be cut, then whole columns,
the least important first, and only then cuts what is left.  Rows never wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from .text import cells, shorten

GAP = 2
"""Spaces between columns."""

_IPV4_ENDPOINT_CELLS = len("255.255.255.255:65535")

SCREEN_ROWS = 60
"""Longer tables are laid out by tabulate; importing it takes longer than reading a small capture,
so what fits a screen does without."""

_COLOURS: dict[str, dict[str, str | bool]] = {
    "heading": {"bold": True},
    "title": {"dim": True},
    "dim": {"dim": True},
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"},
    "good": {"fg": "green"},
    "layer0": {"fg": "cyan"},
    "layer1": {"fg": "yellow"},
    "layer2": {"fg": "green"},
    "layer3": {"fg": "magenta"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the place where a report is read can show."""

    width: int = 120
    """Columns."""
    colour: bool = False

    def paint(self, text: str, role: str | None) -> str:
        """Return text in the colour of a role, where there are colours."""
        if not self.colour or role not in _COLOURS or not text:
            return text
        from click import style

        return style(text, **_COLOURS[role])  # type: ignore[arg-type]  # of _COLOURS

    def heading(self, text: str, note: str = "") -> str:
        """Return the heading of a section, cut to the width, with a note in a lower voice."""
        text = shorten(text, self.width)
        note = shorten(note, max(self.width - cells(text) - GAP, 0)) if note else ""
        return self.paint(text, "heading") + (
            f"{' ' * GAP}{self.paint(note, 'dim')}" if note else ""
        )

    def prose(self, text: str, indent: str = "") -> list[str]:
        """Return text as lines that fit the width."""
        return wrap(
            text,
            max(self.width, 20),
            initial_indent=indent,
            subsequent_indent=" " * len(indent),
            break_on_hyphens=False,
        ) or [""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False
    """Numbers are aligned right."""
    drop: int = 0
    """Where the width is short the column with the highest number goes first; 0 stays."""
    floor: int | None = None
    """May be cut to this width before any column is dropped; None: shown whole."""
    least: int | None = None
    """May be cut to this width where none is left to be dropped; None: as `floor`."""
    middle: bool = False
    """Cut in the middle (addresses, paths) rather than at the end."""
    role: Callable[[str], str | None] | None = None
    """From a cell's text to the role whose colour it has."""


def endpoint_column(title: str, drop: int = 0) -> Column:
    """Return a column of addresses with ports: rather than cut one of IPv4, others are dropped."""
    return Column(title=title, floor=_IPV4_ENDPOINT_CELLS, least=12, middle=True, drop=drop)


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], style: Style) -> list[str]:
    """Return the lines of a table, heading first, no line wider than the style's width.

    rows: one printable text per column; a column without any text is left out.
    """
    widths = _fit(columns, rows, style.width)
    kept = [i for i, width in enumerate(widths) if width > 0]
    # The heading is a row like any other: as `headers=` it would be padded by two more columns.
    plain = [[shorten(columns[i].title, widths[i]) for i in kept]]
    plain += [[shorten(row[i], widths[i], middle=columns[i].middle) for i in kept] for row in rows]
    body = [[style.paint(text, "title") for text in plain[0]]]
    for row, line in zip(rows, plain[1:], strict=True):
        roles = [(role(row[i]) if (role := columns[i].role) else None) for i in kept]
        body.append([style.paint(text, each) for text, each in zip(line, roles, strict=True)])
    if len(rows) <= SCREEN_ROWS or any(cells(text) != len(text) for line in plain for text in line):
        return _padded(body, plain, [columns[i].right for i in kept])
    from tabulate import tabulate

    text = tabulate(
        body,
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if columns[i].right else "left" for i in kept],
    )
    return [line.rstrip() for line in text.splitlines()]


def _padded(
    body: Sequence[Sequence[str]], plain: Sequence[Sequence[str]], right: Sequence[bool]
) -> list[str]:
    """Return lines padded by cells (tabulate pads by characters, and wide ones take two cells).

    plain: the texts of `body` without their colours.
    """
    widths = [max(map(cells, column)) for column in zip(*plain, strict=True)]
    lines = []
    for painted, texts in zip(body, plain, strict=True):
        pads = [" " * (w - cells(text)) for w, text in zip(widths, texts, strict=True)]
        line = [
            pad + text if at_right else text + pad
            for text, pad, at_right in zip(painted, pads, right, strict=True)
        ]
        lines.append((" " * GAP).join(line).rstrip())
    return lines


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the width of each column, 0 where it is left out."""
    natural = [
        max(map(cells, [column.title, *(row[i] for row in rows)]))
        if any(row[i] for row in rows)
        else 0
        for i, column in enumerate(columns)
    ]
    order = sorted(
        (i for i, column in enumerate(columns) if column.drop and natural[i]),
        key=lambda i: -columns[i].drop,
    )
    for dropped in range(len(order) + 1):
        widths = [0 if i in order[:dropped] else natural[i] for i in range(len(columns))]
        if _cut(widths, _floors(widths, columns, [column.floor for column in columns]), width):
            return widths
    least = [column.floor if column.least is None else column.least for column in columns]
    if not _cut(widths, _floors(widths, columns, least), width):
        _cut(widths, [min(w, 2) for w in widths], width)
    return widths


def _floors(
    widths: Sequence[int], columns: Sequence[Column], given: Sequence[int | None]
) -> list[int]:
    """Return what columns of these widths may be cut to."""
    return [
        w if floor is None else min(w, max(floor, len(column.title)))
        for w, column, floor in zip(widths, columns, given, strict=True)
    ]


def _cut(widths: list[int], floors: list[int], width: int) -> bool:
    """Lower the widest columns, none below its floor, until the table fits; tell if it does."""
    shown = [i for i, w in enumerate(widths) if w]
    excess = sum(widths) + GAP * (len(shown) - 1) - width
    while excess > 0:
        spare = [i for i in shown if widths[i] > floors[i]]
        if not spare:
            return False
        widths[max(spare, key=lambda i: widths[i])] -= 1
        excess -= 1
    return True
