# SPDX-License-Identifier: Apache-2.0
"""`genevecap flows`: which way each client connection took through the mesh."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..reports import flows as report
from ..reports import no_sessions
from ..reports.budgets import budgets
from .gate import Gate, finding_options
from .listed import Shown, pieces, session_options
from .messages import Outcome
from .options import (
    Inputs,
    OutputChoice,
    decode_options,
    help_options,
    input_options,
    output_options,
    selector_options,
)
from .output import NothingToSay, open_sink
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.select import Selector
    from ..analysis.sessions.helps import Helps
    from ..decode.settings import DecodeSettings


@click.command(
    epilog="Example: genevecap flows samples/ztunnel-in-pod/cli2.pcapng",
    short_help="Reconstruct ambient sessions: the client's, HBONE's and the server's connection.",
)
@input_options
@help_options
@session_options(
    report.TABLES, "Every session with its way and where its time went, the slowest first."
)
@finding_options
@selector_options
@decode_options
@output_options
def flows(
    inputs: Inputs,
    helps: Helps,
    shown: Shown,
    gate: Gate,
    selector: Selector,
    settings: DecodeSettings,
    output: OutputChoice,
) -> ExitCode:
    """Reconstruct the sessions of an Istio ambient mesh.

    Each client connection is followed from its pod to its ztunnel, through HBONE to the server's
    ztunnel, and on to the server.  No packet says which connections belong together, so every link
    comes with what speaks for it and with the probability that it is right; where two are alike,
    both are named.  Give all captures of one moment at once, from as many points as there are.
    """
    from ..analysis.sessions.flows import flows as analyse

    outcome = Outcome()
    with suppress(NothingToSay), open_sink(output, [spec.path for spec in inputs.specs]) as sink:
        with show_progress() as progress:
            result = analyse(
                inputs.specs,
                settings=settings,
                selector=selector,
                helps=helps,
                manifest=inputs.manifest,
                progress=progress,
                on_problem=outcome.problem,
            )
        if result.interrupted:
            outcome.add(ExitCode.INTERRUPTED)
        result = gate.judged(result, outcome)
        if not result.captures:  # nothing of any input could be read
            raise NothingToSay
        if not result.sessions and not result.interrupted and no_sessions.packets(result):
            outcome.add(ExitCode.NOT_ENOUGH_DATA)
            click.echo(f"error: {no_sessions.reason(result)}", err=True)
        ways = partial(budgets, result.sessions) if shown.budgets else None
        sink.pieces(pieces(report, result, shown.table, output, ways))
    return outcome.code
