# SPDX-License-Identifier: Apache-2.0
"""`genevecap inspect`: the summary of captures, their packets, or one frame."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, UsageError
from .gate import Gate, finding_options
from .interrupt import Interruptible
from .messages import Outcome
from .options import (
    Inputs,
    OutputChoice,
    decode_options,
    gather,
    input_options,
    output_options,
    selector_options,
)
from .output import NothingToSay, Sink, is_terminal, open_sink, output_style
from .progress import show_progress

if TYPE_CHECKING:
    from ..analysis.packets import FrameAnswer
    from ..analysis.results import InspectResult, PacketRow
    from ..analysis.select import Selector
    from ..decode.settings import DecodeSettings

TABLES = ("captures", "points", "tunnels", "options", "top_flows", "stops", "findings")

LOOK_AHEAD = 200
"""Rows that decide how wide the columns of `--packets` begin."""


CHECKSUM_RULES = frozenset({"G20", "V05"})
"""What is looked for with `--checksums` only."""

TABLE_RULES = frozenset({"V03", "V04", "C03", "C04", "C05", "C07"})
"""Bits of findings that tables add to what decoders find: rows of packets are without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of the captures is shown: the summary where nothing is set."""

    packets: bool
    frame: int | None
    table: str | None
    checksums: bool


def _view(*, packets: bool, frame: int | None, table: str | None, checksums: bool) -> View:
    if sum((packets, frame is not None, table is not None)) > 1:
        raise UsageError("give one of --packets, --frame and --table")
    if checksums and (packets or frame is not None):
        raise UsageError("--checksums is for the summary, not for --packets and --frame")
    return View(packets=packets, frame=frame, table=table, checksums=checksums)


def _check_gate(gate: Gate, view: View) -> None:
    """Refuse to fail on what this view does not look for."""
    from ..columns import Finding

    single = {bit.name for bit in Finding} - TABLE_RULES
    for code in gate.fail_on:
        if code in CHECKSUM_RULES and not view.checksums:
            raise UsageError(f"--fail-on {code}: it is looked for with --checksums only")
        if (view.packets or view.frame) and code.isupper() and code not in single:
            raise UsageError(
                f"--fail-on {code}: no packet is told to have it, so it is looked for without "
                "--packets and --frame only"
            )


def _no_live_capture(
    ctx: click.Context, param: click.Parameter, interfaces: tuple[str, ...]
) -> None:
    if interfaces:
        raise UsageError(
            "-i: live capture is not in this version; "
            "pipe one in: tcpdump -i INTERFACE -U -w - | genevecap inspect -"
        )


view_options = gather(
    "view",
    _view,
    click.option(
        "--packets",
        is_flag=True,
        help="One row a frame instead of the summary: layers, tunnels, options, innermost header.",
    ),
    click.option(
        "--frame",
        type=click.IntRange(min=1),
        metavar="N",
        help="The field tree of one frame with octet offsets, and a hex view. N is Wireshark's "
        "frame number; give one capture.",
    ),
    click.option(
        "--table",
        type=click.Choice(TABLES),
        metavar="NAME",
        help=f"One list of the summary, whole: {', '.join(TABLES)}. It is also the one that csv "
        "and ndjson give (the first where it is not said).",
    ),
    click.option(
        "--checksums",
        is_flag=True,
        help="Verify the UDP checksums of Geneve and VXLAN too (findings G20, V05): takes longer.",
    ),
)


@click.command(
    epilog="Example: genevecap inspect samples/geneve-ovs.pcapng --table options",
    short_help="Show what a capture holds: tunnels, options, flows, findings.",
)
@input_options
@click.option(
    "-i",
    "--interface",
    multiple=True,
    metavar="INTERFACE",
    is_eager=True,
    expose_value=False,
    callback=_no_live_capture,
    help="Live capture: not in this version.",
)
@view_options
@selector_options
@decode_options
@finding_options
@output_options
def inspect(
    inputs: Inputs,
    view: View,
    selector: Selector,
    settings: DecodeSettings,
    gate: Gate,
    output: OutputChoice,
) -> ExitCode:
    """Show what captures hold.

    The summary says which Istio ambient redirect mode the traffic shows, which tunnels there are
    and what their headers cost, which Geneve options they carry, the largest flows inside, what
    breaks a rule, and what could not be decoded.  Packets are counted where they were seen: one
    that was captured at three points counts three times.

    Several captures are read one after the other; CAPTURE is [NAME[@HOST]=]PATH, or - for standard
    input, which may still be growing.
    """
    _check_gate(gate, view)
    request = _Request(inputs, selector, settings, gate, output)
    # Nothing that is made on the way is part of a cycle, and there may be a great deal of it.
    gc.disable()
    try:
        if view.frame is not None:
            return request.frame(view.frame)
        if view.packets:
            return request.packets()
        return request.summary(view.table, checksums=view.checksums)
    finally:
        gc.enable()


class _Request:
    """One call of the command: what was asked for, and how it ended."""

    def __init__(
        self,
        inputs: Inputs,
        selector: Selector,
        settings: DecodeSettings,
        gate: Gate,
        output: OutputChoice,
    ) -> None:
        self._inputs = inputs
        self._selector = selector
        self._settings = settings
        self._gate = gate
        self._output = output
        self._paths = [spec.path for spec in inputs.specs]
        self._outcome = Outcome()

    # --- summary ---

    def summary(self, only: str | None, *, checksums: bool) -> ExitCode:
        """Print the summary, or one list of it."""
        from ..analysis.summary import inspect as analyse

        with suppress(NothingToSay), open_sink(self._output, self._paths) as sink:
            with show_progress() as progress:
                result = analyse(
                    self._inputs.specs,
                    settings=self._settings,
                    selector=self._selector,
                    manifest=self._inputs.manifest,
                    checksums=checksums,
                    progress=progress,
                )
            if result.interrupted:
                self._outcome.add(ExitCode.INTERRUPTED)
            result = self._gate.judged(result, self._outcome)
            if not result.captures:  # nothing of any input could be read
                raise NothingToSay
            sink.pieces(self._summary_pieces(result, only))
        for problem in result.problems:
            self._outcome.problem(problem)
        return self._outcome.code

    def _summary_pieces(self, result: InspectResult, only: str | None) -> Iterator[str]:
        if self._output.format == "table":
            style = output_style(self._output)
            if only is not None:
                from ..reports.lists import list_lines

                return _ended(iter(list_lines(result, only, style)))
            from ..reports.summary import summary_lines

            return _ended(summary_lines(result, style))
        from ..reports import machine

        if self._output.format == "json":
            return machine.json_pieces(machine.inspect_document(result, only))
        if self._output.format == "ndjson":
            return machine.ndjson_pieces(machine.table_rows(result, only or TABLES[0]))
        return machine.table_csv(result, only or TABLES[0])

    # --- packets ---

    def packets(self) -> ExitCode:
        """Print one row a frame, as the frames are read."""
        from ..analysis.packets import packets as analyse

        prompt = self._inputs.growing
        quiet = self._output.path is not None or not is_terminal(sys.stdout)
        with (
            suppress(NothingToSay),
            show_progress(wanted=quiet) as progress,
            open_sink(self._output, self._paths, prompt=prompt) as sink,
        ):
            rows = analyse(
                self._inputs.specs,
                settings=self._settings,
                selector=self._selector,
                manifest=self._inputs.manifest,
                on_problem=self._outcome.problem,
                progress=progress,
            )
            interruptible = Interruptible()
            judged = map(self._judged, interruptible.rows(rows))
            first = list(islice(judged, 1))
            if not first and self._outcome.failed.issuperset(self._paths):
                raise NothingToSay  # nothing of any input could be read
            self._write_rows(chain(first, judged), sink)
            if interruptible.interrupted:
                self._outcome.add(ExitCode.INTERRUPTED)
        return self._outcome.code

    def _write_rows(self, rows: Iterator[PacketRow], sink: Sink) -> None:
        from ..reports import machine
        from ..reports.packets import packet_lines

        if self._output.format == "table":
            look_ahead = 0 if self._inputs.growing else LOOK_AHEAD
            sink.lines(packet_lines(rows, output_style(self._output), look_ahead=look_ahead))
        elif self._output.format == "csv":
            sink.pieces(machine.packet_csv(rows))
        elif self._output.format == "ndjson":
            sink.pieces(machine.ndjson_pieces(map(machine.packet_row, rows)))
        else:
            document = {
                "schema": machine.PACKETS_SCHEMA,
                "packets": map(machine.packet_row, rows),
            }
            sink.pieces(machine.json_pieces(document))

    def _judged(self, row: PacketRow) -> PacketRow:
        if not row.findings:
            return row
        if self._gate.fail_on:
            from ..analysis.findings import rules

            known = rules()
            if any(self._gate.met_by(code, known[code].severity) for code in row.findings):
                self._outcome.add(ExitCode.DIFFERENCE)
        kept = tuple(code for code in row.findings if code not in self._gate.ignore)
        return row if len(kept) == len(row.findings) else replace(row, findings=kept)

    # --- one frame ---

    def frame(self, number: int) -> ExitCode:
        """Print the field tree of one frame."""
        from ..analysis.packets import frame as analyse

        if len(self._inputs.specs) != 1:
            raise UsageError("--frame: frame numbers count per file, so give one capture")
        if self._selector:
            raise UsageError("--frame names the frame: selectors have nothing left to select")
        with open_sink(self._output, self._paths) as sink:
            answer = analyse(
                self._inputs.specs[0],
                number,
                settings=self._settings,
                manifest=self._inputs.manifest,
            )
            answer = replace(answer, row=self._judged(answer.row))
            sink.pieces(self._frame_pieces(answer))
        return self._outcome.code

    def _frame_pieces(self, answer: FrameAnswer) -> Iterator[str]:
        from ..reports import frame, machine

        if self._output.format == "json":
            return machine.json_pieces(frame.frame_document(answer))
        if self._output.format == "ndjson":
            return machine.ndjson_pieces([frame.frame_row(answer)])
        if self._output.format == "csv":
            return frame.frame_csv(answer)
        return _ended(frame.frame_lines(answer, output_style(self._output)))


def _ended(lines: Iterator[str]) -> Iterator[str]:
    return (f"{line}\n" for line in lines)
