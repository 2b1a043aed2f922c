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
            return cls.of_path(text)
        name, at, host = label.partition("@")
        if not name or not path or (at and not host):
            raise UsageError(f"{text!r}: a capture is given as [NAME[@HOST]=]PATH")
        return cls(path=path, name=name, host=host or name)

    @classmethod
    def of_path(cls, path: str) -> CaptureSpec:
        """Return an input with the NAME and HOST that its path gives it."""
        name = default_name(path)
        return cls(path=path, name=name, host=name)


def captures_of(text: str) -> tuple[CaptureSpec, ...]:
    """Read `[NAME[@HOST]=]PATH`, or a folder: all captures in it, by name, each with its own NAME.

    Raises UsageError as `CaptureSpec.parse` does, and for a folder without a capture or with a
    NAME before it.
    """
    spec = CaptureSpec.parse(text)
    folder = Path(spec.path)
    try:
        if not folder.is_dir():
            return (spec,)
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise UsageError(f"{spec.path}: {error.strerror}") from None
    except ValueError:  # an octet that no path can have
        return (spec,)
    if spec.path != text:
        raise UsageError(f"{text!r}: a folder takes no NAME, its captures have their own")
    found = [name for name in names if _is_capture_name(name)]
    if not found:
        raise UsageError(f"{text}: no capture in this folder (*.pcapng, *.pcap, *.cap, compressed)")
    return tuple(CaptureSpec.of_path(str(folder / name)) for name in found)


def on_one_clock(specs: Sequence[CaptureSpec]) -> tuple[CaptureSpec, ...]:
    """Return inputs as if one clock had stamped them all: the first one's host is everybody's."""
    return tuple(replace(spec, host=specs[0].host) for spec in specs)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _is_capture_name(name: str) -> bool:
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return name.endswith(_CAPTURE)


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
