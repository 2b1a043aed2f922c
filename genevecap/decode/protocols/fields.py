# SPDX-License-Identifier: Apache-2.0
"""What the field tree is made of, and the builder that a protocol's `fields` describes itself to.

A protocol reads its fields one after the other, as if they were all there.  The first that does
not fit ends its description: what came before stays, and a field `missing` says what was not
there.  So every field lies inside the octets that may be read, whatever the octets say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ...addresses import address_text

Value = int | str | bytes | None
Text = str | Mapping[int, str] | Callable[[int], str] | None
"""How a number is shown: as this text, by its name with the number beside it, by a function, or
(None) in decimal."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header."""

    name: str
    """Standard term, snake_case."""
    value: Value
    """As a program wants it; strings from the packet are raw. None where only `children` do."""
    text: str
    """As a person wants it; printable."""
    offset: int
    """First octet, counted from the first of the frame."""
    length: int
    """Octets it lies in; 0 where it is a fact about its header rather than a part of it."""
    source: str
    """Where it is specified: `RFC 8926 section 3.4`."""
    bit_offset: int | None = None
    """First bit within the octet at `offset`, most significant first; None for whole octets."""
    bit_length: int | None = None
    children: tuple[Field, ...] = ()
    """Its parts; none reaches outside it."""


@dataclass(frozen=True, slots=True)
class LayerDetail:
    """One header (or what follows the last) with its fields."""

    name: str
    """As in the `layers` column."""
    offset: int
    length: int
    """Octets that were there, options included."""
    summary: str
    """One printable line."""
    fields: tuple[Field, ...]


class HeaderCut(Exception):
    """A header needs octets that are not there. Never leaves this package."""


class Group:
    """A field that is being described by its parts."""

    __slots__ = ("bit_length", "bit_offset", "text", "value")

    def __init__(self, text: str) -> None:
        self.text = text
        self.bit_offset: int | None = None
        self.bit_length: int | None = None
        self.value: Value = None

    def close(
        self, name: str, start: int, length: int, source: str, parts: tuple[Field, ...]
    ) -> tuple[Field, ...]:
        """Return the field with its parts; of one that is not there only what says so."""
        if length == 0:
            return parts
        text = printable(self.text)
        bit, bits = self.bit_offset, self.bit_length
        return (Field(name, self.value, text, start, length, source, bit, bits, parts),)


class Header:
    """A header that is being described.

    Offsets of fields (`at`) are counted from its first octet.
    """

    def __init__(
        self,
        data: bytes,
        offset: int,
        limit: int,
        source: str,
        quote: Callable[[int, int, int], tuple[Field, ...]] | None = None,
    ) -> None:
        """Describe the header at `offset` of a captured frame, reading no octet from `limit` on.

        source: where the header is specified; quote: what `quoted` calls with a layer code, an
        offset and a limit.
        """
        self.data = data
        self.offset = offset
        self.limit = min(limit, len(data))
        self.source = source
        self.summary = ""
        """To be set by the protocol as soon as it can say something."""
        self.end = offset
        """End of what was described."""
        self._quote = quote
        self._fields: list[Field] = []

    def finish(self) -> tuple[Field, ...]:
        """Return the fields."""
        return tuple(self._fields)

    # --- reading ------------------------------------------------------------------------------

    def need(self, at: int, size: int) -> int:
        """Return the offset in the frame of `size` octets.

        Raises HeaderCut, and says so in the tree, where they are not all there.
        """
        start = self.offset + at
        if start + size > self.limit:
            self._miss(start + size)
        self.end = max(self.end, start + size)
        return start

    def read(self, at: int, size: int) -> int:
        """Return a number without describing it. Raises HeaderCut."""
        start = self.need(at, size)
        return int.from_bytes(self.data[start : start + size], "big")

    def rest(self, at: int) -> int:
        """Return how many octets there are from `at` on."""
        return max(0, self.limit - self.offset - at)

    # --- describing ---------------------------------------------------------------------------

    def number(self, name: str, at: int, size: int, text: Text = None, source: str = "") -> int:
        """Describe an unsigned number of whole octets and return it. Raises HeaderCut."""
        number = self.read(at, size)
        self._add(name, number, show(number, text), at, size, source)
        return number

    def bits(
        self, name: str, at: int, bit: int, width: int, text: Text = None, source: str = ""
    ) -> int:
        """Describe `width` bits from bit `bit` after the octet at `at`. Raises HeaderCut."""
        at += bit >> 3
        bit &= 7
        size = (bit + width + 7) >> 3
        number = self.read(at, size) >> (8 * size - bit - width) & ((1 << width) - 1)
        self._add(name, number, show(number, text), at, size, source, bits=(bit, width))
        return number

    def flag(self, name: str, at: int, bit: int, source: str = "") -> int:
        """Describe one bit. Raises HeaderCut."""
        return self.bits(name, at, bit, 1, _FLAG, source)

    def octets(
        self, name: str, at: int, size: int, text: str | None = None, source: str = ""
    ) -> bytes:
        """Describe octets, shown in hexadecimal unless `text` is given. Raises HeaderCut."""
        start = self.need(at, size)
        octets = bytes(self.data[start : start + size])
        self._add(name, octets, shorten(octets) if text is None else text, at, size, source)
        return octets

    def mac(self, name: str, at: int) -> str:
        """Describe a 48-bit address and return its text. Raises HeaderCut."""
        start = self.need(at, 6)
        text = self.data[start : start + 6].hex(":")
        self._add(name, text, text, at, 6, "")
        return text

    def ip(self, name: str, at: int, version: int, source: str = "") -> str:
        """Describe an IP address and return its text. Raises HeaderCut."""
        size = 4 if version == 4 else 16
        start = self.need(at, size)
        number = int.from_bytes(self.data[start : start + size], "big")
        text = address_text(version, number >> 64, number & (1 << 64) - 1)
        self._add(name, text, text, at, size, source)
        return text

    def fact(self, name: str, value: Value, text: str) -> None:
        """Describe something that follows from the header, but is no part of it."""
        self._fields.append(Field(name, value, printable(text), self.end, 0, self.source))

    @contextmanager
    def group(
        self, name: str, at: int, size: int, text: str = "", source: str = ""
    ) -> Iterator[Group]:
        """Describe a field by its parts, which are described inside the `with`.

        It ends before its `size` where the octets do.
        """
        outside, self._fields = self._fields, []
        group = Group(text)
        start = min(self.offset + at, self.limit)
        length = min(start + size, self.limit) - start
        self.end = max(self.end, start)
        try:
            yield group
        finally:
            parts, self._fields = tuple(self._fields), outside
            self.end = max(self.end, start + length)
            self._fields += group.close(name, start, length, source or self.source, parts)

    @contextmanager
    def flags(self, name: str, at: int, bit: int, width: int, source: str = "") -> Iterator[Group]:
        """Describe `width` bits as a number whose single bits are described inside the `with`."""
        size = (bit + width + 7) >> 3
        octets = self.read(at, size)
        with self.group(name, at, size, source=source) as group:
            group.value = octets >> ((size << 3) - bit - width) & ((1 << width) - 1)
            if bit or width != size << 3:
                group.bit_offset, group.bit_length = bit, width
            yield group

    def quoted(self, name: str, at: int, code: int) -> None:
        """Describe the packet that a message quotes from `at` on, beginning with layer `code`."""
        size = self.rest(at)
        if size and self._quote is not None:
            start = self.offset + at
            parts = self._quote(code, start, self.limit)
            self.end = self.limit
            text = f"{size} octets of a packet"
            self._fields.append(Field(name, None, text, start, size, self.source, children=parts))

    def append(self, field: Field) -> None:
        """Add a field that was made elsewhere; it must lie inside the limit."""
        self._fields.append(field)
        self.end = max(self.end, field.offset + field.length)

    def _add(
        self,
        name: str,
        value: Value,
        text: str,
        at: int,
        size: int,
        source: str,
        *,
        bits: tuple[int, int] | tuple[None, None] = (None, None),
    ) -> None:
        place = self.offset + at
        self._fields.append(
            Field(name, value, printable(text), place, size, source or self.source, *bits)
        )

    def _miss(self, end: int) -> None:
        there = max(0, self.limit - self.offset)
        why = "were captured" if self.limit == len(self.data) else "are left by an enclosing length"
        text = f"{end - self.offset} octets needed, {there} {why}"
        place = min(max(self.offset, self.end), self.limit)
        self._fields.append(Field("missing", None, text, place, 0, self.source))
        raise HeaderCut


_FLAG = {0: "not set", 1: "set"}
_MAX_HEX_BYTES = 128
_MAX_TEXT = 512


def show(number: int, text: Text) -> str:
    """Return a number as people want it."""
    if text is None:
        return str(number)
    if isinstance(text, str):
        return text
    if isinstance(text, Mapping):
        name = text.get(number)
        if text is _FLAG:
            return str(name)
        return str(number) if name is None else f"{name} ({number})"
    return text(number)


def hexadecimal(digits: int) -> Callable[[int], str]:
    """Return a function that shows a number as `0x` and at least `digits` digits."""
    return lambda number: f"{number:#0{digits + 2}x}"


def shorten(octets: bytes) -> str:
    """Return octets in hexadecimal, cut after a line or two."""
    if len(octets) <= _MAX_HEX_BYTES:
        return octets.hex()
    return f"{octets[:_MAX_HEX_BYTES].hex()}... ({len(octets)} octets)"


def printable(text: str) -> str:
    """Return text that is safe on a terminal: what is not printable becomes an escape."""
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}..."
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def internet_checksum(octets: bytes) -> int:
    """Return the sum of RFC 1071; 0 over a header whose checksum is right."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(octets[i] << 8 | octets[i + 1] for i in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
