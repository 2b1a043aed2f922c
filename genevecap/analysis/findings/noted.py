# SPDX-License-Identifier: Apache-2.0
"""What was found, gathered while a capture is read: the one way to make a `FindingSummary`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..results import FindingSummary, FrameRef
from ..tables import FIRST_FRAMES
from . import SEVERITIES, rules

MAX_DETAILS = 20
"""Details that a finding lists; of more only the number is told."""

MAX_FILTERS = 8
"""Filters that are joined to one; with more of them the rule's own is shown."""


def packets_text(packets: int) -> str:
    """Return a number of packets as details say it."""
    return "1 packet" if packets == 1 else f"{packets} packets"


@dataclass(slots=True)
class _Found:
    """One rule that was met; everything but the counts is bounded."""

    packets: int = 0
    frames: list[tuple[int, int]] = field(default_factory=list)
    details: dict[str, None] = field(default_factory=dict)
    more_details: int = 0
    filters: dict[str, None] = field(default_factory=dict)
    begins: bool = False


class Noted:
    """Findings by code, each with its count, its first frames and its details."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}

    def note(
        self,
        code: str,
        *,
        packets: int = 1,
        frames: Iterable[tuple[int, int]] = (),
        detail: str = "",
        display_filter: str = "",
        more: int = 0,
        begins: bool = False,
    ) -> None:
        """Add to a finding; it is there as soon as it was noted once.

        packets: how many show it; 0 for what no packet shows, as a file that ends too early.
        frames: (index of the capture, frame number); the first ones are kept.
        detail: what exactly, in a few words: text from a capture is escaped by the reports.
        display_filter: Wireshark's filter for this one, narrower than the rule's.
        more: how many further details there are, of which nobody need make the words.
        begins: whether what is meant only begins in these frames, so that a filter for them alone
            would not show it.
        """
        found = self._found.setdefault(code, _Found())
        found.packets += packets
        found.begins |= begins
        found.frames = sorted({*found.frames, *frames})[:FIRST_FRAMES]
        if detail and detail not in found.details:
            if len(found.details) < MAX_DETAILS:
                found.details[detail] = None
            else:
                found.more_details += 1
        found.more_details += more
        if len(found.filters) <= MAX_FILTERS:
            found.filters[display_filter] = None

    def summaries(self, paths: Sequence[str]) -> tuple[FindingSummary, ...]:
        """Return the findings, the gravest first, then by packets; `paths`: of the captures."""
        result = [_summary(code, found, paths) for code, found in self._found.items()]
        return tuple(
            sorted(result, key=lambda f: (SEVERITIES.index(f.severity), -f.packets, f.code))
        )


def _summary(code: str, found: _Found, paths: Sequence[str]) -> FindingSummary:
    rule = rules()[code]
    details = list(found.details)
    if found.more_details:
        details.append(f"and {found.more_details} more")
    return FindingSummary(
        code=code,
        severity=rule.severity,
        message=rule.message,
        packets=found.packets,
        frames=tuple(
            FrameRef(capture=paths[capture], frame=frame) for capture, frame in found.frames
        ),
        display_filter=_frames_filter(found) or _joined(found.filters) or rule.display_filter,
        details=tuple(details),
    )


def _frames_filter(found: _Found) -> str:
    """Return a filter for exactly these frames, where all of them are known and in one capture."""
    captures = {capture for capture, _ in found.frames}
    if found.begins or found.packets > len(found.frames) or len(captures) != 1:
        return ""
    numbers = [str(frame) for _, frame in found.frames]
    if len(numbers) == 1:
        return f"frame.number == {numbers[0]}"
    return f"frame.number in {{{', '.join(numbers)}}}"


def _joined(filters: dict[str, None]) -> str:
    """Return the filters as one, "" where one is not known or there are too many."""
    if "" in filters or len(filters) > MAX_FILTERS:
        return ""
    if len(filters) == 1:
        return next(iter(filters))
    return " || ".join(f"({each})" for each in filters)
