# SPDX-License-Identifier: Apache-2.0
"""Where frames come from: one interface, whatever it is that yields the batches.

Files and pipes are `reader.Capture`.  A live interface will be another class with this shape, and
nothing behind it has to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..columns import FrameBatch
from .points import PointTable
from .spec import CaptureSpec


class FrameSource(Protocol):
    """Batches of frames, and what is known of where they come from."""

    spec: CaptureSpec
    index: int
    """Which input of the run it is; its points carry it."""
    points: PointTable
    packets: int
    """This and the next four grow while batches are read."""
    captured_bytes: int
    wire_bytes: int
    first_ns: int | None
    last_ns: int | None
    cut_short: bool
    """Whether it ended inside a record, or with damage."""

    @property
    def format(self) -> str:
        """How it is stored: `pcap` or `pcapng`."""

    @property
    def compression(self) -> str | None:
        """`gzip`, `zstd` or None."""

    @property
    def comments(self) -> tuple[str, ...]:
        """Comments on the whole and on its interfaces, raw text."""

    @property
    def application(self) -> str | None:
        """What wrote it, raw text."""

    @property
    def key_logs(self) -> tuple[bytes, ...]:
        """TLS key logs that it carries (decryption secrets blocks), as far as it was read."""

    def batches(self) -> Iterator[FrameBatch]:
        """Yield batches of frames; one is valid until the next is asked for.

        Raises DamagedCapture after the batches before the damage were given.
        """

    def bytes_read(self) -> int:
        """Return the octets consumed so far, as they are stored."""

    def why_cut_short(self) -> str:
        """Say where it ended, for people; meaningful where `cut_short` is set."""

    def frame_comments(self, row: int) -> tuple[str, ...]:
        """Return the comments on one row of the current batch, raw text."""

    def close(self) -> None:
        """Give back what it holds open."""


OpenFrames = Callable[[CaptureSpec, PointTable, int], FrameSource]
"""What opens one: specification, points of the run, and which input of the run it is.

Raises CaptureError where nothing of it can be read.
"""
