# SPDX-License-Identifier: Apache-2.0
"""`genevecap diff`: comparisons."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, UsageError
from ..reports import capture_diff, encapsulation
from .gate import Gate, finding_options
from .listed import pieces, table_option
from .messages import Outcome
from .options import (
    Inputs,
    OutputChoice,
    decode_options,
    optional_input_options,
    output_options,
    selector_options,
)
from .output import NothingToSay, open_sink
from .progress import show_progress
from .run_options import Runs, run_options

if TYPE_CHECKING:
    from ..analysis.select import Selector
    from ..decode.settings import DecodeSettings


@click.group(
    epilog="Example: genevecap diff vxlan-vs-geneve samples/geneve-ovs.pcapng",
    short_help="Compare two runs, or what VXLAN would cost instead of Geneve.",
)
def diff() -> None:
    """Compare two things that do the same."""


@diff.command(
    "vxlan-vs-geneve",
    epilog="Example: genevecap diff vxlan-vs-geneve samples/geneve-ovs.pcapng --outer-mtu 9000",
    short_help="The same inner traffic under VXLAN and under Geneve.",
)
@optional_input_options
@click.option(
    "--options-bytes",
    type=click.IntRange(0, 252),
    metavar="N",
    help="Geneve options of each packet in octets, their headers included (a multiple of 4): "
    "OVN needs 8, AWS Gateway Load Balancer 32. Without it, the options that the capture holds.",
)
@click.option(
    "--outer-mtu",
    type=click.IntRange(576, 65535),
    default=1500,
    show_default=True,
    metavar="N",
    help="Largest IP packet of the underlay.",
)
@click.option(
    "--outer",
    type=click.Choice(("ipv4", "ipv6")),
    help="Only this version of the outer IP header.  [default: both]",
)
@table_option(encapsulation.TABLES)
@selector_options
@decode_options
@output_options
def vxlan_vs_geneve(
    inputs: Inputs,
    options_bytes: int | None,
    outer_mtu: int,
    outer: str | None,
    table: str | None,
    selector: Selector,
    settings: DecodeSettings,
    output: OutputChoice,
) -> ExitCode:
    """Compare VXLAN and Geneve on the same inner traffic.

    The packets inside the tunnels of the captures (of all packets, where there is no tunnel) are
    put under VXLAN, under Geneve without options, and under Geneve with the options that were
    observed or --options-bytes: what headers cost, which inner MTU is left, how many packets would
    no longer fit, and how much of the wire carries payload.  Each packet counts once, wherever it
    was seen.  Without a CAPTURE the same for packets of standard sizes and the simple IMIX.

    Below stands how the formats differ otherwise, with a source for each row.
    """
    from ..analysis.comparison.encapsulation import diff_encapsulations

    if options_bytes is not None and options_bytes % 4:
        raise UsageError(
            f"--options-bytes: {options_bytes} is no multiple of 4, as options are (RFC 8926 "
            f"section 3.5): give {options_bytes // 4 * 4} or {options_bytes // 4 * 4 + 4}"
        )
    outcome = Outcome()
    with suppress(NothingToSay), open_sink(output, [spec.path for spec in inputs.specs]) as sink:
        with show_progress() as progress:
            result = diff_encapsulations(
                inputs.specs,
                option_bytes=options_bytes,
                outer_mtu_bytes=outer_mtu,
                outers=("ipv4", "ipv6") if outer is None else (outer,),
                settings=settings,
                selector=selector,
                progress=progress,
                on_problem=outcome.problem,
            )
        if result.interrupted:
            outcome.add(ExitCode.INTERRUPTED)
        if inputs.specs and not result.paths:  # nothing of any input could be read
            raise NothingToSay
        sink.pieces(pieces(encapsulation, result, table, output))
    return outcome.code


@diff.command(
    "captures",
    epilog="Example: genevecap diff captures samples/ambient-iptables-geneve "
    "samples/ambient-in-pod --same-clock",
    short_help="Two runs, hop by hop: before and after, one redirect mode and another.",
)
@run_options
@table_option(capture_diff.TABLES)
@selector_options
@decode_options
@finding_options
@output_options
def captures(
    runs: Runs,
    table: str | None,
    selector: Selector,
    settings: DecodeSettings,
    gate: Gate,
    output: OutputChoice,
) -> ExitCode:
    """Compare run B with run A.

    A and B are each a capture, or a folder of captures; --a and --b add to them.  For each hop,
    and for each segment of a session's way: medians and p99 of both runs, their difference with
    its 95 % interval (bootstrap over sessions) and p-value.  Then sessions by kind, overhead, and
    findings that appeared or went.  Positive differences: B takes longer, or has more.

    --fail-on is met by a finding that appeared.

    Where a run has too few sessions to tell, that is what is said; where no time at all can be
    compared the exit code is 4.
    """
    from ..analysis.comparison.captures import Reading, diff_captures
    from ..analysis.sessions.helps import Helps

    outcome = Outcome()
    with suppress(NothingToSay), open_sink(output, [s.path for s in (*runs.a, *runs.b)]) as sink:
        with show_progress() as progress:
            result = diff_captures(
                runs.a,
                runs.b,
                reading=Reading(
                    settings=settings,
                    selector=selector,
                    manifest=runs.manifest,
                    helps=Helps(clocks=runs.clocks),
                ),
                progress=progress,
                on_problem=outcome.problem,
            )
        if result.interrupted:
            outcome.add(ExitCode.INTERRUPTED)
        if not result.a.captures or not (result.b.captures or result.interrupted):
            raise NothingToSay
        if not result.tells and not result.interrupted:
            outcome.add(ExitCode.NOT_ENOUGH_DATA)
            click.echo(f"warning: {capture_diff.TOO_FEW}", err=True)
        result = gate.judged(result, outcome)
        sink.pieces(pieces(capture_diff, result, table, output))
    return outcome.code
