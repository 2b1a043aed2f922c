# SPDX-License-Identifier: Apache-2.0
"""`genevecap overhead`: what encapsulation and interception cost, and the MTU they leave."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from ..reports import overhead as report
from .gate import Gate, finding_options
from .listed import pieces, table_option
from .messages import Outcome
from .options import (
    Inputs,
    OutputChoice,
    decode_options,
    input_options,
    output_options,
    selector_options,
)
from .output import NothingToSay, open_sink
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.select import Selector
    from ..decode.settings import DecodeSettings


@click.command(
    epilog="Example: genevecap overhead samples/geneve-ovs.pcapng --mtu 1500",
    short_help="Show what encapsulation and interception cost, and the MTU they leave.",
)
@input_options
@click.option(
    "--mtu",
    type=click.IntRange(68, 65535),
    metavar="N",
    help="MTU of the links at all capture points. Without it, what hosts announce in SYNs (their "
    "MSS), or the size of fragments.",
)
@table_option(report.TABLES)
@finding_options
@selector_options
@decode_options
@output_options
def overhead(
    inputs: Inputs,
    mtu: int | None,
    table: str | None,
    gate: Gate,
    selector: Selector,
    settings: DecodeSettings,
    output: OutputChoice,
) -> ExitCode:
    """Show what encapsulation and interception cost, and the MTU that they leave.

    Bytes and share of each layer: tunnels of the interception (Istio's Geneve) and of the underlay
    (VXLAN, Geneve with its options, and others), HBONE (TLS and HTTP/2), and the headers of the
    connections that interception adds.  Each packet counts once, wherever it was seen, and a
    super-packet as the segments that it is on the wire; what is an estimate says so.

    Then the sum that says which inner MTU is left, and what captures show of it: the largest
    packet at each point, fragments, ICMP messages that something was too big and whether the
    sender obeyed, MSS that do not fit, and black holes: findings M01 to M04, among all others.
    """
    from ..analysis.costs.overhead import overhead as analyse

    outcome = Outcome()
    with suppress(NothingToSay), open_sink(output, [spec.path for spec in inputs.specs]) as sink:
        with show_progress() as progress:
            result = analyse(
                inputs.specs,
                mtu_bytes=mtu,
                settings=settings,
                selector=selector,
                manifest=inputs.manifest,
                progress=progress,
                on_problem=outcome.problem,
            )
        if result.interrupted:
            outcome.add(ExitCode.INTERRUPTED)
        result = gate.judged(result, outcome)
        if not result.paths:  # nothing of any input could be read
            raise NothingToSay
        sink.pieces(pieces(report, result, table, output))
    return outcome.code
