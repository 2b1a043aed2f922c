# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, and never over what is being read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar, cast

from ..errors import UsageError

_STANDARD_INPUT = 0
"""Its file descriptor."""


@contextmanager
def open_text_file(target: Path, inputs: Sequence[str], *, label: str) -> Iterator[IO[str]]:
    """Give a text file that takes its name only when the block ends without an error.

    inputs: paths of the captures that are read, which are never overwritten.
    label: what messages call the file.
    Raises UsageError where the file cannot be made, or is an input.
    """
    _refuse_input(target, inputs, label)
    with _replacing(target, _open_text, label) as stream:
        yield stream


@contextmanager
def open_binary_file(target: Path, inputs: Sequence[str], *, label: str) -> Iterator[IO[bytes]]:
    """Give a file for octets; see `open_text_file`."""
    _refuse_input(target, inputs, label)
    with _replacing(target, _open_binary, label) as stream:
        yield stream


def _refuse_input(target: Path, inputs: Sequence[str], label: str) -> None:
    """Raise UsageError, which begins with `label`, where the output file is one of the captures."""
    for path in inputs:
        with suppress(OSError, ValueError):
            read = os.fstat(_STANDARD_INPUT) if path == "-" else Path(path).stat()
            # A device that standard input and output share, /dev/null for one, loses nothing.
            lost = path != "-" or stat.S_ISREG(read.st_mode)
            if lost and os.path.samestat(target.stat(), read):
                raise UsageError(f"{label}: this is an input; write to another file")


_Stream = TypeVar("_Stream", IO[str], IO[bytes])


@contextmanager
def _replacing(
    target: Path, open_: Callable[[Path, str, str], _Stream], label: str
) -> Iterator[_Stream]:
    """Open a file beside the target that replaces it when the block ends without an error.

    What is not a regular file (a device, a named pipe) cannot be replaced and is written directly.
    """
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open_(target, "w", label) as stream:
            yield stream
        return
    final = Path(os.path.realpath(target))
    beside = final.with_name(f".{final.name[:80]}.{os.urandom(4).hex()}.part")
    stream = open_(beside, "x", label)
    try:
        with stream:
            yield stream
        if mode is not None:
            beside.chmod(stat.S_IMODE(mode))
        beside.replace(final)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int | None:
    """Return the mode of a file, None where there is none."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _open_text(path: Path, mode: str, label: str) -> IO[str]:
    """Open a file for results; UsageError, beginning with `label`, where that is not possible."""
    try:
        return path.open(mode, encoding="utf-8", newline="", errors="backslashreplace")
    except (OSError, ValueError) as error:
        raise _cannot_open(error, label) from error


def _open_binary(path: Path, mode: str, label: str) -> IO[bytes]:
    """Open a file for octets; UsageError as `_open_text`."""
    try:
        return cast("IO[bytes]", path.open(f"{mode}b"))
    except (OSError, ValueError) as error:
        raise _cannot_open(error, label) from error


def _cannot_open(error: Exception, label: str) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UsageError(f"{label}: {reason}")
