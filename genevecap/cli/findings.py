# SPDX-License-Identifier: Apache-2.0
"""`genevecap findings`: every rule that captures are held to, or one of them explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from .gate import known_code
from .options import OutputChoice, output_options
from .output import open_sink, output_style

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..analysis.findings import Rule


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from ..analysis.findings import rules

    return [
        CompletionItem(code, help=rule.message)
        for code, rule in rules().items()
        if code.startswith(incomplete.upper())
    ]


@click.command(
    epilog="Example: genevecap findings V08",
    short_help="List the rules that captures are held to, or explain one.",
)
@click.argument("code", nargs=-1, metavar="[CODE]...", shell_complete=_complete)
@output_options
def findings(code: tuple[str, ...], output: OutputChoice) -> ExitCode:
    """List the findings that reports may name, or explain some of them.

    Without CODE: every rule with its severity and message.  With CODE (V08, say): what was seen,
    why it matters, what to do, where the rule stands, the Wireshark filter that shows it, and
    which commands look for it.
    """
    from ..analysis.findings import rules

    known = rules()
    chosen = [known[each] for each in dict.fromkeys(map(known_code, code))]
    with open_sink(output, []) as sink:
        sink.pieces(_pieces(chosen or list(known.values()), output, explained=bool(code)))
    return ExitCode.DONE


def _pieces(
    chosen: Sequence[type[Rule]], output: OutputChoice, *, explained: bool
) -> Iterator[str]:
    from ..reports import machine, rules

    if output.format == "json":
        return machine.json_pieces(rules.document(chosen))
    if output.format == "ndjson":
        return machine.ndjson_pieces(map(rules.row, chosen))
    if output.format == "csv":
        return machine.csv_pieces(rules.CSV_COLUMNS, map(rules.csv_row, chosen))
    lines = rules.explanations if explained else rules.lines
    return (f"{line}\n" for line in lines(chosen, output_style(output)))
