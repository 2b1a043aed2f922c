# SPDX-License-Identifier: Apache-2.0
"""`genevecap findings`: the rules as a table, as rows, explained one by one, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .layout import Column, Style, table
from .machine import Row

if TYPE_CHECKING:
    from ..analysis.findings import Rule

SCHEMA = "genevecap/findings/1"

CSV_COLUMNS = (
    "code",
    "subject",
    "severity",
    "message",
    "explanation",
    "remedy",
    "source",
    "display_filter",
    "told_by",
)

_PARTS = (
    ("Why", "explanation"),
    ("What to do", "remedy"),
    ("Source", "source"),
    ("Wireshark", "display_filter"),
    ("Told by", "told_by"),
)


def row(rule: type[Rule]) -> Row:
    """Return one rule; `subject` is what its kind of rule is about."""
    return {name: getattr(rule, name) for name in CSV_COLUMNS}


def csv_row(rule: type[Rule]) -> Row:
    """Return one rule for a table: lists are joined."""
    return row(rule) | {"told_by": "; ".join(rule.told_by)}


def document(rules: Sequence[type[Rule]]) -> dict[str, Any]:
    """Return rules as `genevecap/findings/1`."""
    return {"schema": SCHEMA, "findings": [row(rule) for rule in rules]}


def lines(rules: Sequence[type[Rule]], style: Style) -> Iterator[str]:
    """Yield a table of rules."""
    columns = (
        Column(title="code"),
        Column(title="severity", role=lambda text: text),
        Column(title="finding", floor=24),
        Column(title="source", floor=16, drop=1),
    )
    rows = [[rule.code, rule.severity, rule.message, rule.source] for rule in rules]
    yield from table(columns, rows, style)
    yield ""
    yield style.paint("`genevecap findings CODE` explains one.", "dim")


def explanations(rules: Sequence[type[Rule]], style: Style) -> Iterator[str]:
    """Yield all there is to say about each rule."""
    for number, rule in enumerate(rules):
        if number:
            yield ""
        yield style.heading(f"{rule.code}  {rule.message}", rule.severity)
        for title, name in _PARTS:
            text = getattr(rule, name)
            if name == "told_by":
                text = ", ".join(text)
            if text:
                yield ""
                yield style.paint(title, "title")
                yield from style.prose(text, "  ")


def markdown(rules: Sequence[type[Rule]]) -> Iterator[str]:
    """Yield the lines of a documentation page: a section for each subject, one for each rule."""
    subject = ""
    for rule in sorted(rules, key=lambda rule: (rule.subject, rule.code)):
        if rule.subject != subject:
            subject = rule.subject
            yield f"## {subject[0].upper()}{subject[1:]}"
            yield ""
        yield f"### {rule.code}: {rule.message}"
        yield ""
        yield f"*{rule.severity.capitalize()}.* {rule.explanation}"
        yield ""
        yield f"What to do: {rule.remedy}"
        yield ""
        yield f"Source: {rule.source}."
        if rule.display_filter:
            yield f"Wireshark: `{rule.display_filter}`."
        yield f"Told by: {', '.join(f'`{name}`' for name in rule.told_by)}."
        yield ""
