# SPDX-License-Identifier: Apache-2.0
"""`genevecap verify`: our decoding of captures beside tshark's, frame by frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode
from .messages import Outcome
from .options import Inputs, OutputChoice, decode_options, output_options, plain_input_options
from .output import is_terminal, open_sink, output_style
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.verification.verify import Verification
    from ..decode.settings import DecodeSettings


@click.command(
    epilog="Example: genevecap verify samples/geneve-ovs.pcapng",
    short_help="Compare our decoding of a capture with tshark's.",
)
@plain_input_options
@decode_options
@output_options
def verify(inputs: Inputs, settings: DecodeSettings, output: OutputChoice) -> ExitCode:
    """Compare our decoding of captures with tshark's, frame by frame.

    Layers, tunnels, VNIs, options, inner addresses and ports, lengths and times are read from both
    and compared.  Every difference is printed with both readings and the Wireshark filter that
    shows its frame; those that come of a known limit of the dissector are printed as explained.
    Any other ends the run in exit code 1.

    tshark must be installed.  It reads some hundred packets a second, so give it an excerpt of a
    large capture.  Files only: tshark and genevecap both read the capture themselves.
    """
    from ..analysis.verification.verify import Verification

    outcome = Outcome()
    quiet = output.path is not None or not is_terminal(sys.stdout)
    with (
        show_progress(wanted=quiet) as progress,
        open_sink(output, [spec.path for spec in inputs.specs]) as sink,
    ):
        verification = Verification(
            inputs.specs, settings=settings, on_problem=outcome.problem, progress=progress
        )
        sink.pieces(_pieces(verification, output))
    if verification.interrupted:
        outcome.add(ExitCode.INTERRUPTED)
    if verification.unexplained:
        outcome.add(ExitCode.DIFFERENCE)
    return outcome.code


def _pieces(verification: Verification, output: OutputChoice) -> Iterator[str]:
    from ..reports import machine
    from ..reports import verification as report

    if output.format == "json":
        return machine.json_pieces(report.verify_document(verification))
    if output.format == "ndjson":
        return machine.ndjson_pieces(report.difference_rows(verification))
    if output.format == "csv":
        return machine.csv_pieces(report.CSV_COLUMNS, report.difference_rows(verification))
    return (f"{line}\n" for line in report.verify_lines(verification, output_style(output)))
