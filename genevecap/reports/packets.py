# SPDX-License-Identifier: Apache-2.0
"""`inspect --packets` for people: one line a frame, written as the frames come.

The rows are not known in advance, so columns begin narrow and grow with what they hold; a line
ends at the width of the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING

from ..addresses import endpoint_text
from .layout import GAP, Style
from .text import cells, moment, printable, seconds, shorten

if TYPE_CHECKING:
    from ..analysis.results import InnerRow, PacketRow, TunnelRow

_TITLES = ("frame", "seconds", "bytes", "point", "tunnels", "inner")
_RIGHT = frozenset((0, 1, 2))
_FIRST_WIDTHS = (5, 11, 5, 5, 11, 0)


def packet_lines(rows: Iterable[PacketRow], style: Style, *, look_ahead: int = 0) -> Iterator[str]:
    """Yield a heading and one line per frame.

    look_ahead: rows to wait for before the first line, so that columns begin as wide as those need.
    Times are seconds since the first frame with a time; the line above the heading says when that
    was.  Narrow terminals do without capture points (below 100 columns) and without the tunnels'
    addresses (below 120).
    """
    widths = list(_FIRST_WIDTHS)
    shown = [i for i in range(len(_TITLES)) if i != 3 or style.width >= 100]
    rows = iter(rows)
    first = list(islice(rows, max(look_ahead, 1)))
    if not first:
        return
    start_ns = next((row.time_ns for row in first if row.time_ns is not None), None)
    for row in first:
        _line(_texts(row, start_ns, style), shown, widths, style.width)
    start = "unknown, no packet has a time yet" if start_ns is None else moment(start_ns)
    yield style.paint(shorten(f"second 0: {start}", style.width), "dim")
    yield style.paint(_line(_TITLES, shown, widths, style.width), "title")
    for row in chain(first, rows):
        if start_ns is None:
            start_ns = row.time_ns
        line = _line(_texts(row, start_ns, style), shown, widths, style.width)
        yield style.paint(line, _role(row))


def _line(texts: tuple[str, ...], shown: list[int], widths: list[int], width: int) -> str:
    """Return one line of columns, letting `widths` grow to what they have to hold."""
    parts = []
    for i in shown:
        taken = cells(texts[i])
        widths[i] = max(widths[i], min(taken, width // 2))
        padding = " " * (widths[i] - taken)
        parts.append(padding + texts[i] if i in _RIGHT else texts[i] + padding)
    return shorten((" " * GAP).join(parts).rstrip(), width)


def _texts(row: PacketRow, start_ns: int | None, style: Style) -> tuple[str, ...]:
    addresses = style.width >= 120
    time = "-" if row.time_ns is None or start_ns is None else seconds(row.time_ns - start_ns)
    return (
        str(row.frame),
        time,
        str(row.wire_bytes),
        printable(row.point),
        " / ".join(tunnel_text(tunnel, addresses) for tunnel in row.tunnels) or "-",
        _inner_words(row),
    )


def _inner_words(row: PacketRow) -> str:
    """Return the innermost header, after what is wrong with the frame: the end may be cut off."""
    stop = "" if row.stop == "complete" else f"{row.stop} at {row.stop_layer or 'the frame'}"
    notes = " ".join(filter(None, (stop, *filter(_is_grave, row.findings))))
    text = inner_text(row.inner) if row.inner else (row.layers[-1] if row.layers else "-")
    return f"[{notes}] {text}" if notes else text


@cache
def _is_grave(code: str) -> bool:
    """Tell whether a finding is more than good to know, which would stand beside every packet."""
    from ..analysis.findings import rules

    return rules()[code].severity != "info"


def tunnel_text(tunnel: TunnelRow, addresses: bool = True) -> str:
    """Return a tunnel header in a few words: `geneve 10 192.0.2.1 > 192.0.2.2 +2 options`."""
    words = [tunnel.kind]
    if tunnel.vni is not None:
        words.append(str(tunnel.vni))
    if addresses:
        words.append(f"{tunnel.source} > {tunnel.destination}")
    if tunnel.options:
        words.append(f"+{len(tunnel.options)} option{'s' if len(tunnel.options) > 1 else ''}")
    return " ".join(words)


def inner_text(inner: InnerRow) -> str:
    """Return an innermost IP header in a few words: `tcp 10.0.0.1:80 > 10.0.0.2:4711`."""
    source = endpoint_text(inner.source, inner.source_port)
    return f"{inner.protocol} {source} > {endpoint_text(inner.destination, inner.destination_port)}"


def _role(row: PacketRow) -> str | None:
    return {"malformed": "error", "truncated": "warning", "too_deep": "warning"}.get(row.stop)
