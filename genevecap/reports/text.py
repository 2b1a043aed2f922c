# SPDX-License-Identifier: Apache-2.0
r"""Values as people read them, and text from captures made harmless.

Names, comments and option data come from whoever wrote the capture.  `printable` is the one way
by which such text reaches a terminal or a CSV cell: every character that a terminal would obey
rather than show (controls, escape sequences, bidirectional overrides, line separators, invisible
and unassigned code points) becomes a visible escape such as `\x1b` or `\u202e`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unicodedata import combining, east_asian_width

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 10**9


def printable(text: str) -> str:
    """Return text in which everything that is not a visible character or a space is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    number = ord(char)
    if 0xDC80 <= number <= 0xDCFF:  # an octet of a path that is not UTF-8 (PEP 383)
        return f"\\x{number - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)


def shorten(text: str, width: int, *, middle: bool = False) -> str:
    """Cut a printable text to `width` columns, with an ellipsis at the end or in the middle."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 2 if middle else 0
    head = _take(text, width - 1 - tail)
    return f"{head}…{_take(text[::-1], tail)[::-1]}"


def _take(text: str, width: int) -> str:
    """Return as much of the start of a text as fits into `width` columns."""
    used = 0
    for i, char in enumerate(text):
        used += cells(char)
        if used > width:
            return text[:i]
    return text


def count(number: int) -> str:
    """Return a number with its thousands set apart: `12,345`."""
    return f"{number:,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number and its noun: `1 packet`, `12,345 packets`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def size(octets: int) -> str:
    """Return a size in decimal units, three figures: `950 B`, `4.52 kB`, `10.2 GB`."""
    return _scaled(octets, ("B", "kB", "MB", "GB", "TB", "PB"))


def bit_rate(octets: int, over_ns: int) -> str:
    """Return octets in a time as bits per second: `30.2 Mbit/s`."""
    return _scaled(octets * 8 * _NS // over_ns, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"))


def packet_rate(packets: int, over_ns: int) -> str:
    """Return packets in a time as a rate: `1.25 kpps`."""
    return _scaled(packets * _NS // over_ns, ("pps", "kpps", "Mpps", "Gpps"))


def _scaled(number: int, units: tuple[str, ...]) -> str:
    if number < 1000:
        return f"{number} {units[0]}"
    scaled = float(number)
    unit = 0
    # 999.5 would print as `1e+03`: the next unit begins where the text would.
    while scaled >= 999.5 and unit < len(units) - 1:
        scaled /= 1000
        unit += 1
    decimals = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:.{decimals}f} {units[unit]}"


def share(part: int, whole: int) -> str:
    """Return a share in per cent: `31 %`, `0.4 %`, and `100 %` for all only."""
    if whole <= 0:
        return "-"
    if part == whole:
        return "100 %"
    percent = 100 * part / whole
    if percent >= 99:
        return f"{min(percent, 99.99):.2f} %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %"


def moment(time_ns: int, digits: int = 9) -> str:
    """Return a time as RFC 3339 in UTC, cut (not rounded) to `digits` of a second's fraction."""
    seconds, fraction = divmod(time_ns, _NS)
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09d}"[: len(whole) + 1 + digits] + "Z"


def seconds(time_ns: int) -> str:
    """Return a time in seconds with all nine decimals: `-0.000000123`."""
    whole, fraction = divmod(abs(time_ns), _NS)
    return f"{'-' if time_ns < 0 else ''}{whole}.{fraction:09d}"


def duration(time_ns: int) -> str:
    """Return a length of time in the unit that suits it: `850 ns`, `2.41 s`, `1 h 02 min`."""
    if time_ns < 0:
        return "-" + duration(-time_ns)
    if time_ns < 60 * _NS:
        return _scaled(time_ns, ("ns", "µs", "ms", "s"))
    minutes, rest = divmod(time_ns // _NS, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"
