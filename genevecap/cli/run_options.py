# SPDX-License-Identifier: Apache-2.0
"""How two runs of captures are given: `A B`, and `--a`, `--b` for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .options import (
    CaptureType,
    clock_option,
    gather,
    inputs_of,
    points_option,
    same_clock_option,
)

if TYPE_CHECKING:
    from ..capture.manifest import Manifest
    from ..capture.spec import CaptureSpec

Specs = tuple["CaptureSpec", ...]


class RunType(CaptureType):
    """A capture as above, or a folder of captures; may be read several times, so no pipe."""

    name = "run"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the specifications of captures."""
        from pathlib import Path

        from ..capture.spec import captures_of
        from ..errors import UsageError

        if isinstance(value, tuple):
            return value
        specs = captures_of(value)
        for spec in specs:
            path = Path(spec.path)
            if spec.path == "-" or path.is_fifo() or path.is_char_device():
                raise UsageError(
                    f"{value}: a comparison reads its captures several times: save it to a file"
                )
        return specs


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The captures of two runs that are compared."""

    a: Specs
    b: Specs
    manifest: Manifest | None
    clocks: dict[str, int]
    """HOST -> the ns to which its clock is right."""


def _runs(
    *,
    a: Specs,
    b: Specs,
    more_a: tuple[Specs, ...],
    more_b: tuple[Specs, ...],
    same_clock: bool,
    points_file: str | None,
    clocks: dict[str, int],
) -> Runs:
    first = inputs_of(sum(more_a, a), same_clock, points_file)
    second = inputs_of(sum(more_b, b), same_clock)
    return Runs(a=first.specs, b=second.specs, manifest=first.manifest, clocks=clocks)


_more_a_option, _more_b_option = (
    click.option(
        f"--{run}",
        f"more_{run}",
        multiple=True,
        type=RunType(),
        metavar="CAPTURE",
        help=f"One more capture, or folder of captures, of run {run.upper()}. Repeatable.",
    )
    for run in ("a", "b")
)

run_options = gather(
    "runs",
    _runs,
    click.argument("a", metavar="A", type=RunType()),
    click.argument("b", metavar="B", type=RunType()),
    _more_a_option,
    _more_b_option,
    same_clock_option,
    points_option,
    clock_option,
)
