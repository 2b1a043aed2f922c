# SPDX-License-Identifier: Apache-2.0
"""Options about findings: which fail the run, and which are not reported at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

from ..errors import ExitCode, UsageError
from .options import gather

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ..analysis.comparison.results import FindingChange
    from ..analysis.results import FindingSummary
    from .messages import Outcome

    class WithFindings(DataclassInstance, Protocol):
        """A result that lists findings."""

        @property
        def findings(self) -> Sequence[FindingSummary | FindingChange]:
            """The findings of the run."""


Result = TypeVar("Result", bound="WithFindings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Which findings fail the run."""

    fail_on: tuple[str, ...]
    """`error`, `warning`, or codes."""
    ignore: frozenset[str]
    """Codes that are not reported at all."""

    def met_by(self, code: str, severity: str) -> bool:
        """Tell whether a finding fails the run."""
        if code in self.ignore:
            return False
        return (
            code in self.fail_on
            or severity in self.fail_on
            or (severity == "error" and "warning" in self.fail_on)
        )

    def judged(self, result: Result, outcome: Outcome) -> Result:
        """Return a result without the findings to ignore, having noted what fails the run.

        What only the first of two runs has ("went") fails nothing.
        """
        there = [each for each in result.findings if getattr(each, "change", None) != "went"]
        if any(self.met_by(finding.code, finding.severity) for finding in there):
            outcome.add(ExitCode.DIFFERENCE)
        kept = tuple(finding for finding in result.findings if finding.code not in self.ignore)
        return result if len(kept) == len(result.findings) else replace(result, findings=kept)


def _gate(*, fail_on: tuple[str, ...], ignore: tuple[str, ...]) -> Gate:
    return Gate(
        fail_on=tuple(
            text.lower() if text.lower() in {"error", "warning"} else _looked_for(text)
            for text in fail_on
        ),
        ignore=frozenset(_code("--ignore", text) for text in ignore),
    )


def _code(option: str, text: str) -> str:
    """Return a finding's code; UsageError, with the option, where there is no such finding."""
    try:
        return known_code(text)
    except UsageError as error:
        words = "neither error nor warning, and " if option == "--fail-on" else ""
        raise UsageError(f"{option}: {words}{error}") from None


def _looked_for(text: str) -> str:
    """Return a finding's code; UsageError where the command does not look for it."""
    from ..analysis.findings import rules

    code = _code("--fail-on", text)
    command = click.get_current_context().command_path.partition(" ")[2]
    if command not in (told_by := rules()[code].told_by):
        *others, last = (f"`{name}`" for name in told_by)
        words = f"{', '.join(others)} and {last} do" if others else f"{last} does"
        raise UsageError(f"--fail-on {code}: `{command}` does not look for it, but {words}")
    return code


def known_code(text: str) -> str:
    """Return a finding's code in upper case; UsageError, with the nearest, where there is none."""
    from ..analysis.findings import rules

    known = rules()
    if text.upper() in known:
        return text.upper()
    from difflib import get_close_matches

    near = get_close_matches(text.upper(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`genevecap findings` lists them"
    raise UsageError(f"there is no finding {text!r}: {hint}")


finding_options = gather(
    "gate",
    _gate,
    click.option(
        "--fail-on",
        multiple=True,
        metavar="error|warning|CODE",
        help="End in exit code 1 when there is a finding of this severity (or graver) or with "
        "this code, which this command must look for: for use in tests and pipelines. "
        "Repeatable.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        metavar="CODE",
        help="Leave findings with this code out, of the report and of --fail-on. Repeatable.",
    ),
)
