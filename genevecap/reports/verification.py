# SPDX-License-Identifier: Apache-2.0
"""`genevecap verify` as text and as rows; differences are written as they are met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .layout import Column, Style, table
from .machine import Row
from .text import count, plural, printable, shorten

if TYPE_CHECKING:
    from ..analysis.verification.verify import CaptureAgreement, Difference, Verification

VERIFY_SCHEMA = "genevecap/verify/1"

CSV_COLUMNS = ("capture", "frame", "field", "ours", "theirs", "explanation", "display_filter")


def verify_lines(verification: Verification, style: Style) -> Iterator[str]:
    """Yield each difference as it is met, then the agreement of each capture."""
    for difference in verification.differences():
        yield from _difference_lines(difference, style)
    for capture in verification.captures:
        yield from _agreement_lines(capture, verification.tshark_version, style)
    if verification.interrupted:
        yield style.paint("interrupted: counts what was compared so far", "warning")


def _difference_lines(difference: Difference, style: Style) -> Iterator[str]:
    explained = difference.explanation is not None
    word = style.paint("explained" if explained else "difference", "dim" if explained else "error")
    place = f"{printable(difference.capture)} frame {difference.frame}: {difference.field}"
    yield f"{word}  {shorten(place, max(style.width - 12, 20), middle=True)}"
    yield from style.prose(printable(difference.ours) or "(none)", "  genevecap  ")
    yield from style.prose(printable(difference.theirs) or "(none)", "  tshark     ")
    if difference.explanation is not None:
        yield from style.prose(difference.explanation, "  because    ")
    yield style.paint(f"  Wireshark  {difference.display_filter}", "dim")
    yield ""


def _agreement_lines(capture: CaptureAgreement, version: str, style: Style) -> Iterator[str]:
    note = f"{plural(capture.frames, 'frame')} compared with tshark {version}".rstrip()
    yield style.heading(shorten(printable(capture.path), style.width - 20, middle=True), note)
    columns = (
        Column(title="field"),
        Column(title="compared", right=True),
        Column(title="agree", right=True),
        Column(title="%", right=True, role=lambda text: "good" if text == "100" else "warning"),
        Column(title="explained", right=True, drop=1),
        Column(title="differ", right=True, role=lambda text: None if text == "0" else "error"),
    )
    rows = [
        [
            field.field.replace("_", " "),
            count(field.compared),
            count(field.agreed),
            _percent(field.agreed, field.compared),
            count(field.explained),
            count(field.compared - field.agreed - field.explained),
        ]
        for field in capture.fields
    ]
    yield from table(columns, rows, style)
    yield _verdict(capture, style)
    yield ""


def _verdict(capture: CaptureAgreement, style: Style) -> str:
    if capture.unexplained:
        return style.paint(plural(capture.unexplained, "unexplained difference"), "error")
    explained = f", {count(capture.explained)} explained" if capture.explained else ""
    return style.paint(f"no difference{explained}", "good")


def _percent(part: int, whole: int) -> str:
    """Return a share with two decimals, `100` for all only."""
    if part == whole:
        return "100"
    return f"{min(part * 10000 // whole, 9999) / 100:.2f}"


def difference_rows(verification: Verification) -> Iterator[Row]:
    """Yield each difference as a row, as it is met."""
    for difference in verification.differences():
        yield {name: getattr(difference, name) for name in CSV_COLUMNS}


def verify_document(verification: Verification) -> dict[str, Any]:
    """Return the comparison as `genevecap/verify/1`.

    Its lists are iterators to be gone through in their order: `differences` does the work, and
    `captures` is complete after it.
    """
    return {
        "schema": VERIFY_SCHEMA,
        "tshark": verification.tshark_version,
        "differences": difference_rows(verification),
        "captures": (_agreement_row(capture) for capture in verification.captures),
    }


def _agreement_row(capture: CaptureAgreement) -> Row:
    return {
        "path": capture.path,
        "frames": capture.frames,
        "unexplained": capture.unexplained,
        "explained": capture.explained,
        "fields": [
            {
                "field": field.field,
                "compared": field.compared,
                "agreed": field.agreed,
                "explained": field.explained,
            }
            for field in capture.fields
        ],
    }
