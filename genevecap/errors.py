# SPDX-License-Identifier: Apache-2.0
"""Every error that genevecap raises on purpose, and the exit codes they end in.

::

    GenevecapError
    ├── CaptureError            an input, not a packet
    │   ├── UnreadableCapture   cannot be opened or read
    │   ├── NotACapture         nothing of it is a capture (first octets shown)
    │   └── DamagedCapture      damage after the header: path, record, offset, needed, had
    ├── UsageError              what was typed, and what would be right
    ├── NotEnoughData           analysis has nothing to measure, and why
    └── ToolMissing             an outside program (tshark) is needed and not there

A bad *packet* never raises: it is a row with a stop reason (`columns.Stop`).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to its caller; of several, 130 goes before 3 before 4 before 1."""

    DONE = 0
    DIFFERENCE = 1
    """`--fail-on` was met, or `verify` found a difference."""
    USAGE = 2
    UNREADABLE = 3
    """An input could not be read, or was damaged."""
    NOT_ENOUGH_DATA = 4
    INTERRUPTED = 130


class GenevecapError(Exception):
    """Base of every error raised on purpose; `str()` is one line for people."""

    exit_code = ExitCode.UNREADABLE


class CaptureError(GenevecapError):
    """An input that cannot be used; `path` is the path as the user gave it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class UnreadableCapture(CaptureError):
    """The operating system would not give us the bytes."""


class NotACapture(CaptureError):
    """The bytes are not a capture; the message shows how they begin."""


class DamagedCapture(CaptureError):
    """Damage inside a capture. What was read before it stays valid.

    record: number of the record or block that is damaged, counted from 1.
    offset: where it begins, in octets of the (decompressed) stream.
    needed, had: octets that the record asks for, and those that were there or are allowed.
    """

    def __init__(
        self, path: str, reason: str, *, record: int, offset: int, needed: int, had: int
    ) -> None:
        super().__init__(
            path,
            f"record {record} at offset {offset:#x}: {reason} (needs {needed} octets, had {had})",
        )
        self.reason = reason
        self.record = record
        self.offset = offset
        self.needed = needed
        self.had = had


class UsageError(GenevecapError):
    """Something typed that cannot be right; the message says what would be."""

    exit_code = ExitCode.USAGE


class NotEnoughData(GenevecapError):
    """There is nothing to measure; the message says why and what to do."""

    exit_code = ExitCode.NOT_ENOUGH_DATA


class ToolMissing(GenevecapError):
    """An outside program is needed and was not found."""

    exit_code = ExitCode.USAGE
