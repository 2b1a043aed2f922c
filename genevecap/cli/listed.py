# SPDX-License-Identifier: Apache-2.0
"""Results that are several lists: `--table NAME` chooses one, `--format` how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .options import gather
from .output import output_style

if TYPE_CHECKING:
    from ..reports.layout import Style
    from .options import Decorator, OutputChoice


def table_option(tables: Sequence[str]) -> Decorator:
    """Return the option `--table` for these lists."""
    return click.option(
        "--table",
        type=click.Choice(tables),
        metavar="NAME",
        help=f"One list, whole: {', '.join(tables)}. It is also the one that csv and ndjson give "
        "(the first where it is not said).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which part of a result with sessions is shown."""

    table: str | None
    """One list, None for all of them."""
    per_session: bool

    @property
    def budgets(self) -> bool:
        """Whether the time budget of each session is what people get."""
        return self.per_session and self.table is None


def session_options(tables: Sequence[str], per_session_help: str) -> Decorator:
    """Return `--table` for these lists and `--per-session`, as one value `shown`."""
    return gather(
        "shown",
        Shown,
        click.option("--per-session", is_flag=True, help=per_session_help),
        table_option(tables),
    )


def pieces(
    report: Any,
    result: Any,
    only: str | None,
    output: OutputChoice,
    lines: Callable[[Style], Iterable[str]] | None = None,
) -> Iterator[str]:
    """Return a result in the form that was asked for.

    report: the module that views it, with `TABLES`, `document`, `rows`, `CSV_COLUMNS`, `csv_rows`
      and `lines`.
    only: the one list that is wanted, None for all of them.
    lines: what people get, where it is something else than the report's `lines`.
    """
    from ..reports import machine

    first = only or report.TABLES[0]
    if output.format == "json":
        return machine.json_pieces(report.document(result, only))
    if output.format == "ndjson":
        return machine.ndjson_pieces(report.rows(result, first))
    if output.format == "csv":
        return machine.csv_pieces(report.CSV_COLUMNS[first], report.csv_rows(result, first))
    style = output_style(output)
    text = report.lines(result, style, only) if lines is None else lines(style)
    return (f"{line}\n" for line in text)
