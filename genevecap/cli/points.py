# SPDX-License-Identifier: Apache-2.0
"""`genevecap points`: what each capture point is, and a manifest to say it better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, UsageError
from .messages import Outcome
from .options import Inputs, OutputChoice, decode_options, input_options, output_options
from .output import NothingToSay, open_sink, output_style
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.points.listing import PointsResult
    from ..decode.settings import DecodeSettings


@click.command(
    epilog="Example: genevecap points samples/vxlan-any-sll2.pcap",
    short_help="Show what each capture point is, or write a manifest of them.",
)
@input_options
@click.option(
    "--manifest",
    "as_manifest",
    is_flag=True,
    help="Write a manifest instead of a table: TOML to correct and to give to --points. It is also "
    "what -o FILE.toml writes.",
)
@decode_options
@output_options
def points(
    inputs: Inputs, as_manifest: bool, settings: DecodeSettings, output: OutputChoice
) -> ExitCode:
    """Show where captures were taken.

    Every interface of every capture is a capture point.  What it is (a pod's device, the node's end
    of its link, ztunnel, a tunnel device, a node's network card…) is recognised by its name and its
    traffic, and printed with the reasons.  Interfaces that were captured twice are found, and pods
    are put on their nodes.  Where that is wrong or unknown, a manifest says it: write one, correct
    it, and give it to --points of this and every other command.
    """
    from ..analysis.points.listing import list_points

    if as_manifest and output.format != "table":
        raise UsageError(f"--manifest writes TOML: leave --format {output.format} out")
    as_manifest = as_manifest or _is_manifest(output)
    outcome = Outcome()
    with (
        suppress(NothingToSay),
        open_sink(output, [spec.path for spec in inputs.specs]) as sink,
    ):
        with show_progress() as progress:
            result = list_points(
                inputs.specs, settings=settings, manifest=inputs.manifest, progress=progress
            )
        if result.interrupted:
            outcome.add(ExitCode.INTERRUPTED)
        for problem in result.problems:
            outcome.problem(problem)
        if not result.points and outcome.failed:
            raise NothingToSay
        sink.pieces(_pieces(result, output, as_manifest=as_manifest))
    return outcome.code


def _is_manifest(output: OutputChoice) -> bool:
    return output.format == "table" and (output.path or "").endswith(".toml")


def _pieces(result: PointsResult, output: OutputChoice, *, as_manifest: bool) -> Iterator[str]:
    from ..reports import machine
    from ..reports import points as report

    if as_manifest:
        from ..capture.roles import Role

        return (f"{line}\n" for line in report.manifest_lines(result, tuple(Role)))
    if output.format == "json":
        return machine.json_pieces(report.points_document(result))
    if output.format == "ndjson":
        return machine.ndjson_pieces(report.point_rows(result))
    if output.format == "csv":
        return machine.csv_pieces(report.CSV_COLUMNS, report.flat_rows(result))
    return (f"{line}\n" for line in report.points_lines(result, output_style(output)))
