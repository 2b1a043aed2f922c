# SPDX-License-Identifier: Apache-2.0
"""The manifest of `--points`: names, hosts, roles and addresses of capture points, as TOML.

::

    [[point]]
    match = "node-a/*"            # fnmatch pattern on the full name; the only key that must be
    host = "node-a"               # whose clock stamped it
    node = "node-a"               # on which node it is

    [[point]]
    match = "node-a/ifindex-7"
    name = "node-a/istioout"      # what it is called from here on
    role = "istioout"
    addresses = ["192.168.127.1"]

Every entry that matches applies, in order: of one key, the last one that gives it counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fnmatch import translate
from pathlib import Path
from typing import Any

from ..addresses import address_text, parse_address
from ..errors import UsageError
from .roles import Role

MOST_OCTETS = 1 << 20
"""Larger files are none of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a manifest says of one point; None where it says nothing."""

    name: str | None = None
    host: str | None = None
    node: str | None = None
    role: Role | None = None
    addresses: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One `[[point]]`."""

    match: str
    given: Given
    pattern: re.Pattern[str] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that was read."""

    path: str
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, path: str) -> Manifest:
        """Read a file.

        Raises UsageError, naming the file, the entry and the key, where anything in it is not as
        it must be.
        """
        try:
            with Path(path).open("rb") as stream:
                octets = stream.read(MOST_OCTETS + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"--points {path}: {reason}") from None
        if len(octets) > MOST_OCTETS:
            raise UsageError(f"--points {path}: larger than {MOST_OCTETS} octets: not a manifest")
        return cls.parse(octets, path)

    @classmethod
    def parse(cls, octets: bytes, path: str) -> Manifest:
        """Read the octets of a file; see `read`."""
        import tomllib

        try:
            document = tomllib.loads(octets.decode("utf-8"))
        except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or absurdly nested
            reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
            raise UsageError(f"--points {path}: not TOML: {reason}") from None
        strange = sorted(document.keys() - {"point"})
        if strange:
            raise UsageError(
                f"--points {path}: unknown key {strange[0]!r}: only [[point]] is known"
            )
        tables = document.get("point", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise UsageError(f"--points {path}: 'point' must be a list of tables: write [[point]]")
        return cls(
            path=path,
            entries=tuple(
                _entry(table, f"--points {path}: [[point]] {number}")
                for number, table in enumerate(tables, 1)
            ),
        )

    def without_hosts(self) -> Manifest:
        """Return the manifest without what it says of clocks."""
        entries = (replace(e, given=replace(e.given, host=None)) for e in self.entries)
        return replace(self, entries=tuple(entries))


def merged(entries: list[Entry]) -> Given:
    """Return what entries say together: of one key, the last that gives it."""
    result = Given()
    for entry in entries:
        said = {
            name: value
            for name in Given.__dataclass_fields__
            if (value := getattr(entry.given, name)) is not None
        }
        result = replace(result, **said)
    return result


def _entry(table: dict[str, Any], place: str) -> Entry:
    strange = sorted(table.keys() - {"match", *_READERS})
    if strange:
        raise UsageError(
            f"{place}: unknown key {strange[0]!r}: known are match, {', '.join(_READERS)}"
        )
    if "match" not in table:
        raise UsageError(f"{place}: 'match' is missing: the name of a point, or a pattern")
    match = _text(table["match"], f"{place}: 'match'")
    values = {
        key: _READERS[key](table[key], f"{place}: {key!r}") for key in _READERS if key in table
    }
    return Entry(match=match, given=Given(**values), pattern=re.compile(translate(match)))


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{place} must be text in quotes, not {_shown(value)}")
    if not value:
        raise UsageError(f"{place} must not be empty")
    return value


def _role(value: Any, place: str) -> Role:
    text = _text(value, place)
    try:
        return Role(text)
    except ValueError:
        known = ", ".join(Role)
        raise UsageError(f"{place}: {text!r} is no role: known are {known}") from None


def _addresses(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{place} must be a list of addresses, not {_shown(value)}")
    found = []
    for item in value:
        text = _text(item, f"{place}: an address")
        try:
            found.append(address_text(*parse_address(text)))
        except ValueError as error:
            raise UsageError(f"{place}: {error}") from None
    return tuple(found)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return "that"
    return text if len(text) <= 40 else f"{text[:39]}…"


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "name": _text,
    "host": _text,
    "node": _text,
    "role": _role,
    "addresses": _addresses,
}
"""What reads each key of an entry, besides `match`."""
