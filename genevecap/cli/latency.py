# SPDX-License-Identifier: Apache-2.0
"""`genevecap latency`: how long each hop takes, and what is lost on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from .messages import Outcome
from .options import (
    Inputs,
    OutputChoice,
    decode_options,
    input_options,
    output_options,
    selector_options,
)
from .output import NothingToSay, open_sink, output_style
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.hop_results import LatencyResult
    from ..analysis.select import Selector
    from ..decode.settings import DecodeSettings

TABLES = ("hops", "chains", "round_trips", "clocks", "matching")

_NS = 10**9


@click.command(
    epilog="Example: genevecap latency samples/vxlan-kernel.pcapng",
    short_help="Measure the hops between capture points: time, loss, octets added.",
)
@input_options
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(0.001, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How far apart two sightings of one packet may be. Memory grows with what all captures "
    "hold in that time; where it would be too much the window is shortened, and that is said.",
)
@click.option(
    "--clock",
    "clocks",
    multiple=True,
    metavar="HOST=±TIME",
    help="The clock of HOST is right to within TIME (node-a=±2ms; ns, us, ms, s). Captures of "
    "several hosts are read twice: first to estimate how their clocks differ, from the packets "
    "that they share. Repeatable.",
)
@click.option(
    "--per-session",
    is_flag=True,
    help="The time budget of every session of the mesh, the slowest first.",
)
@click.option(
    "--table",
    type=click.Choice(TABLES),
    metavar="NAME",
    help=f"One list, whole: {', '.join(TABLES)}. It is also the one that csv and ndjson give (the "
    "first where it is not said).",
)
@selector_options
@decode_options
@output_options
def latency(
    inputs: Inputs,
    window_s: float,
    clocks: tuple[str, ...],
    per_session: bool,
    table: str | None,
    selector: Selector,
    settings: DecodeSettings,
    output: OutputChoice,
) -> ExitCode:
    """Measure how long packets take from one capture point to the next.

    All captures are read side by side, and the same TCP segment is recognised at every point:
    inside tunnels and outside, through NAT and redirection, cut by GSO or merged by GRO.  For each
    hop, leg and direction: packets, losses, time (with the 95 % interval of its median) and the
    octets that the packet grew by.
    """
    from ..analysis.clock import parse_assumed
    from ..analysis.latency import latency as analyse

    assumed = parse_assumed(clocks)
    outcome = Outcome()
    with suppress(NothingToSay), open_sink(output, [spec.path for spec in inputs.specs]) as sink:
        with show_progress() as progress:
            result = analyse(
                inputs.specs,
                settings=settings,
                selector=selector,
                window_ns=round(window_s * _NS),
                manifest=inputs.manifest,
                assumed=assumed,
                progress=progress,
                on_problem=outcome.problem,
            )
        if result.interrupted:
            outcome.add(ExitCode.INTERRUPTED)
        if not result.captures:  # nothing of any input could be read
            raise NothingToSay
        if not result.hops and not result.round_trips:
            outcome.add(ExitCode.NOT_ENOUGH_DATA)
            click.echo("error: no TCP segment was answered here: nothing to measure", err=True)
        sink.pieces(_pieces(result, table, per_session, output))
    return outcome.code


def _pieces(
    result: LatencyResult, only: str | None, per_session: bool, output: OutputChoice
) -> Iterator[str]:
    from ..reports import latency as report
    from ..reports import machine

    first = only or TABLES[0]
    if output.format == "json":
        return machine.json_pieces(report.document(result, only))
    if output.format == "ndjson":
        return machine.ndjson_pieces(report.rows(result, first))
    if output.format == "csv":
        return machine.csv_pieces(report.CSV_COLUMNS[first], report.csv_rows(result, first))
    style = output_style(output)
    if per_session and only is None:
        from ..reports.flows import budgets

        return (f"{line}\n" for line in budgets(result.sessions, style))
    return (f"{line}\n" for line in report.lines(result, style, only))
