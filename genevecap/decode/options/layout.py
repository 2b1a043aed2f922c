# SPDX-License-Identifier: Apache-2.0
"""How the data of a Geneve option is described, and read by that description.

A `Layout` lists the fields of one option in the order of the wire, each with its width in bits;
offsets follow from the order.  A *reader* turns the bits of a field, taken as one big-endian
unsigned number, into a value for programs and a text for people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from genevecap.addresses import address_text

from .result import OptionField, Value

Reader = Callable[[int, int], tuple[Value, str]]
"""Turns (number, width in bits) into (value, text)."""

MAX_DATA_BYTES = 124
"""Length is five bits of four-octet words (RFC 8926 section 3.5)."""

REST = None
"""Width of a last field that takes whatever octets are left, perhaps none."""


def unsigned(number: int, _bits: int) -> tuple[Value, str]:
    """Read a number shown in decimal."""
    return number, str(number)


def hexadecimal(number: int, bits: int) -> tuple[Value, str]:
    """Read an identifier that its vendor shows in hexadecimal, all digits kept."""
    return number, f"0x{number:0{(bits + 3) // 4}x}"


def flag(number: int, _bits: int) -> tuple[Value, str]:
    """Read one bit."""
    return bool(number), "set" if number else "not set"


def octets(number: int, bits: int) -> tuple[Value, str]:
    """Read whole octets whose meaning is not public."""
    raw = number.to_bytes(bits // 8, "big")
    return raw, raw.hex()


def ip_address(number: int, bits: int) -> tuple[Value, str]:
    """Read an IPv4 (32 bits) or IPv6 (128 bits) address."""
    text = address_text(4 if bits == 32 else 6, number >> 64, number & (1 << 64) - 1)
    return text, text


def counted(unit: str) -> Reader:
    """Return a reader of numbers shown with their unit."""
    return lambda number, _bits: (number, f"{number} {unit}")


def one_of(meanings: Mapping[int, str]) -> Reader:
    """Return a reader of numbers with meanings; one without is shown as it is."""

    def read(number: int, _bits: int) -> tuple[Value, str]:
        meaning = meanings.get(number)
        return number, str(number) if meaning is None else f"{number} ({meaning})"

    return read


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a layout."""

    name: str
    bits: int | None
    """Width, or `REST`, which starts on an octet."""
    read: Reader = unsigned
    required: int | None = None
    """Any other number here (a version, say) means a layout that is not this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The data of one option."""

    option_class: int
    option_type: int
    """The whole type octet, critical bit included."""
    owner: str
    """Who sends it; not always who holds the class."""
    name: str
    data_bytes: range
    """Lengths of data that this layout describes; with class and type, what tells layouts apart."""
    fields: tuple[Field, ...]
    source: str
    """The specification or program this was read from."""
    note: str = ""

    def decode(self, data: bytes) -> tuple[OptionField, ...] | None:
        """Return the fields of `data`, whose length must be one of `data_bytes`.

        Returns None where a field does not hold the number it must.
        """
        number = int.from_bytes(data, "big")
        total = 8 * len(data)
        found = []
        offset = 0
        for field in self.fields:
            width = total - offset if field.bits is None else field.bits
            if width == 0:
                break
            part = number >> (total - offset - width) & (1 << width) - 1
            if field.required is not None and part != field.required:
                return None
            found.append(OptionField(field.name, *field.read(part, width), offset, width))
            offset += width
        return tuple(found)


def exactly(data_bytes: int) -> range:
    """Return the lengths of an option whose data always has this many octets."""
    return range(data_bytes, data_bytes + 1)


def between(least: int, most: int) -> range:
    """Return the lengths of an option whose data has `least` to `most` octets."""
    return range(least, most + 1)
