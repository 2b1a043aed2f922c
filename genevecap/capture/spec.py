# SPDX-License-Identifier: Apache-2.0
"""Captures as they are named on the command line: `[NAME[@HOST]=]PATH`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UsageError

_COMPRESSED = (".gz", ".zst")
_CAPTURE = (".pcapng", ".pcap", ".cap")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSpec:
    """One input: where it is, what its points are called, and whose clock stamped it."""

    path: str
    """As it was given; `-` is standard input."""
    name: str
    host: str

    @classmethod
    def parse(cls, text: str) -> CaptureSpec:
        """Read `[NAME[@HOST]=]PATH`; a path that exists is taken literally.

        NAME defaults to the file name without its compression and capture suffixes, HOST to NAME.
        Raises UsageError where NAME, HOST or PATH is empty.
        """
        label, separator, path = text.partition("=")
        if not separator or _exists(text):
            name = default_name(text)
            return cls(path=text, name=name, host=name)
        name, at, host = label.partition("@")
        if not name or not path or (at and not host):
            raise UsageError(f"{text!r}: a capture is given as [NAME[@HOST]=]PATH")
        return cls(path=path, name=name, host=host or name)


def on_one_clock(specs: Sequence[CaptureSpec]) -> tuple[CaptureSpec, ...]:
    """Return inputs as if one clock had stamped them all: the first one's host is everybody's."""
    return tuple(replace(spec, host=specs[0].host) for spec in specs)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def default_name(path: str) -> str:
    """Return the NAME of a path: its last part without `.gz/.zst` and `.pcap/.pcapng/.cap`."""
    if path == "-":
        return "-"
    name = Path(path).name
    for suffixes in (_COMPRESSED, _CAPTURE):
        for suffix in suffixes:
            if name.endswith(suffix) and len(name) > len(suffix):
                name = name.removesuffix(suffix)
                break
    return name
