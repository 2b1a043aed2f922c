# SPDX-License-Identifier: Apache-2.0
"""Findings as text, the same in every report that has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .layout import Column, Style
from .text import count, plural, printable

if TYPE_CHECKING:
    from ..analysis.results import FindingSummary

DETAILS = 3
"""Details of one finding that a report with other tables besides has room for."""

_SEVERITIES = ("error", "warning", "info")


def finding_table(
    findings: Sequence[FindingSummary], *, several: bool
) -> tuple[Sequence[Column], list[list[str]]]:
    """Return findings as a table; several: say with each frame of which capture it is."""
    columns = (
        Column(title="severity", role=lambda text: text),
        Column(title="code"),
        Column(title="packets", right=True),
        Column(title="finding", floor=40),
        Column(title="details", floor=19, drop=2),
        Column(title="first frames", floor=12, drop=1),
        Column(title="Wireshark filter", floor=18, drop=3),
    )
    rows = [
        [
            finding.severity,
            finding.code,
            count(finding.packets),
            printable(finding.message),
            _details(finding),
            _frames(finding, several),
            printable(finding.display_filter),
        ]
        for finding in findings
    ]
    return columns, rows


def finding_lines(
    findings: Sequence[FindingSummary], style: Style, *, several: bool, most_details: int | None
) -> Iterator[str]:
    """Yield findings in full sentences, with their details, first frames and filter.

    several: say of which capture frames are; most_details: details of one, None: all of them, and
    those of what is only worth knowing too.
    """
    for finding in findings:
        packets = f", {plural(finding.packets, 'packet')}" if finding.packets else ""
        head = f"{finding.severity} {finding.code}: {printable(finding.message)}{packets}"
        for line in style.prose(head, "  "):
            yield style.paint(line, finding.severity)
        if most_details is not None and finding.severity == "info":
            continue
        shown = finding.details[:most_details]
        for detail in shown:
            yield from style.prose(printable(detail), "    - ")
        if len(finding.details) > len(shown):
            yield f"    … {len(finding.details) - len(shown)} more (--table findings)"
        for words in (_frames_by_capture(finding, several), finding.display_filter):
            if words:
                yield from (style.paint(s, "dim") for s in style.prose(printable(words), "    "))


def _frames_by_capture(finding: FindingSummary, several: bool) -> str:
    by_capture: dict[str, list[str]] = {}
    for ref in finding.frames:
        by_capture.setdefault(ref.capture, []).append(str(ref.frame))
    parts = [
        f"{', '.join(frames)} of {capture}" if several else ", ".join(frames)
        for capture, frames in by_capture.items()
    ]
    return f"frames {'; '.join(parts)}" if parts else ""


def severity_words(findings: Sequence[FindingSummary]) -> str:
    """Return how many there are of each severity, in words."""
    counts = {s: sum(finding.severity == s for finding in findings) for s in _SEVERITIES}
    return ", ".join(
        plural(number, severity, "info" if severity == "info" else None)
        for severity, number in counts.items()
        if number
    )


def _details(finding: FindingSummary) -> str:
    """Return the first detail, and how many more there are."""
    if len(finding.details) < 2:
        return printable("".join(finding.details))
    return f"{printable(finding.details[0])} (+{len(finding.details) - 1})"


def _frames(finding: FindingSummary, several: bool) -> str:
    return ", ".join(
        f"{printable(ref.capture)}:{ref.frame}" if several else str(ref.frame)
        for ref in finding.frames
    )
