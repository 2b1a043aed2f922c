# SPDX-License-Identifier: Apache-2.0
"""Looks options up: classes in `classes.tsv`, layouts in `vendors/`, both read when first asked."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .result import OptionField

if TYPE_CHECKING:
    from .layout import Layout

MAX_CLASS = 0xFFFF


class ClassRange(NamedTuple):
    """One row of `classes.tsv`."""

    low: int
    high: int
    """Last class of the range, included."""
    name: str
    source: str
    note: str


def class_name(option_class: int) -> str:
    """Return who an option class belongs to, e.g. `Open Virtual Networking (OVN)`.

    Every 16-bit value has a name; what IANA has not given away is `Unassigned (…)` or
    `Experimental Use`.  Raises ValueError outside 0..65535.
    """
    if not 0 <= option_class <= MAX_CLASS:
        raise ValueError(f"option class {option_class} is not a 16-bit number")
    ranges = class_ranges()
    return ranges[bisect_right(ranges, option_class, key=lambda row: row.low) - 1].name


def option_name(option_class: int, option_type: int, data_length_bytes: int) -> str | None:
    """Return what an option is called, or None where no layout has this class, type and length."""
    layout = _find(option_class, option_type, data_length_bytes)
    return None if layout is None else layout.name


def is_known(option_class: int, option_type: int, data_length_bytes: int) -> bool:
    """Tell whether a layout has this class, type (whole octet) and length of data."""
    return _find(option_class, option_type, data_length_bytes) is not None


def decode_option(option_class: int, option_type: int, data: bytes) -> tuple[OptionField, ...]:
    """Return the fields of an option's data (the octets after its four-octet header), in order.

    Fields do not overlap and together cover `data`; empty data has none.  Where no layout fits
    the class, type, length and version of the data, the one field is `data`, in hexadecimal:
    fields are never guessed.  No data raises.
    """
    layout = _find(option_class, option_type, len(data))
    fields = None if layout is None else layout.decode(data)
    if fields is None:
        fields = (OptionField("data", bytes(data), data.hex(), 0, 8 * len(data)),) if data else ()
    return fields


@cache
def class_ranges() -> tuple[ClassRange, ...]:
    """Return the rows of `classes.tsv`: in order, without gap or overlap."""
    # Not through importlib.resources, which takes 10 ms to import.
    table = Path(__file__).with_name("classes.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in table.splitlines()[1:])
    return tuple(
        ClassRange(int(low, 16), int(high, 16), name, source, note)
        for low, high, name, source, note in rows
    )


@cache
def layouts() -> tuple[Layout, ...]:
    """Return the layouts of every file in `vendors/`, by class, type and length.

    Raises ValueError where two of them claim the same class, type and length.
    """
    from importlib import import_module
    from pkgutil import iter_modules

    from . import vendors  # as above: only where an option is met

    found: list[Layout] = []
    for module in iter_modules(vendors.__path__, f"{vendors.__name__}."):
        found += import_module(module.name).LAYOUTS
    found.sort(key=lambda each: (each.option_class, each.option_type, each.data_bytes.start))
    for one, other in pairwise(found):
        same = (one.option_class, one.option_type) == (other.option_class, other.option_type)
        if same and one.data_bytes.stop > other.data_bytes.start:
            raise ValueError(f"Geneve option layouts {one.name!r} and {other.name!r} clash")
    return tuple(found)


@cache
def _by_type() -> dict[tuple[int, int], list[Layout]]:
    table: dict[tuple[int, int], list[Layout]] = {}
    for layout in layouts():
        table.setdefault((layout.option_class, layout.option_type), []).append(layout)
    return table


def _find(option_class: int, option_type: int, data_bytes: int) -> Layout | None:
    for layout in _by_type().get((option_class, option_type), ()):
        if data_bytes in layout.data_bytes:
            return layout
    return None
