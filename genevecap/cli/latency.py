# SPDX-License-Identifier: Apache-2.0
"""`genevecap latency`: how long each hop takes, and what is lost on it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..reports import latency as report
from ..reports.budgets import budgets
from .gate import Gate, finding_options
from .listed import Shown, pieces, session_options
from .messages import Outcome
from .options import (
    Inputs,
    OutputChoice,
    decode_options,
    gather,
    help_options,
    input_options,
    output_options,
    selector_options,
)
from .output import NothingToSay, open_sink
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.hops.limits import Limits
    from ..analysis.select import Selector
    from ..analysis.sessions.helps import Helps
    from ..decode.settings import DecodeSettings

_NS = 10**9
_NS_PER_MS = 10**6


def _limits(*, window_s: float, slow_proxy_ms: float) -> Limits:
    from ..analysis.hops.limits import Limits

    return Limits(window_ns=round(window_s * _NS), slow_proxy_ns=round(slow_proxy_ms * _NS_PER_MS))


limit_options = gather(
    "limits",
    _limits,
    click.option(
        "--window",
        "window_s",
        type=click.FloatRange(0.001, 3600),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How far apart two sightings of one packet may be. Memory grows with what all "
        "captures hold in that time; where it would be too much the window is shortened, and that "
        "is said.",
    ),
    click.option(
        "--slow-proxy",
        "slow_proxy_ms",
        type=click.FloatRange(0, 3_600_000),
        default=10.0,
        show_default=True,
        metavar="MILLISECONDS",
        help="How long octets may stay in a proxy until that is a finding (A08).",
    ),
)


@click.command(
    epilog="Example: genevecap latency samples/vxlan-kernel.pcapng",
    short_help="Measure the hops between capture points: time, loss, octets added.",
)
@input_options
@limit_options
@session_options(report.TABLES, "The time budget of every session of the mesh, the slowest first.")
@finding_options
@help_options
@selector_options
@decode_options
@output_options
def latency(
    inputs: Inputs,
    limits: Limits,
    shown: Shown,
    gate: Gate,
    helps: Helps,
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
    from ..analysis.hops.latency import latency as analyse

    outcome = Outcome()
    with suppress(NothingToSay), open_sink(output, [spec.path for spec in inputs.specs]) as sink:
        with show_progress() as progress:
            result = analyse(
                inputs.specs,
                settings=settings,
                selector=selector,
                limits=limits,
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
        if not result.hops and not result.round_trips:
            outcome.add(ExitCode.NOT_ENOUGH_DATA)
            click.echo("error: no TCP segment was answered here: nothing to measure", err=True)
        ways = partial(budgets, result.sessions) if shown.budgets else None
        sink.pieces(pieces(report, result, shown.table, output, ways))
    return outcome.code
