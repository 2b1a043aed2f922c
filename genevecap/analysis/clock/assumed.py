# SPDX-License-Identifier: Apache-2.0
"""What the user knows of a clock: `--clock HOST=±N(ns|us|ms|s)`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

from ...errors import UsageError

_UNIT_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_BOUND = re.compile(r"(?:±|\+-|\+/-)?([0-9]{1,18}(?:\.[0-9]{1,18})?)(ns|us|µs|μs|ms|s)", re.ASCII)
_MOST_NS = 10**18


def parse_assumed(values: Iterable[str]) -> dict[str, int]:
    """Read the values of `--clock` and return HOST -> the most its clock may be wrong, in ns.

    `±` may also be written `+-`, `+/-` or left out.  A part of a nanosecond counts as a whole one.
    Raises UsageError where a value is not of that form, or a host is named twice.
    """
    assumed: dict[str, int] = {}
    for text in values:
        # A host's name may hold `=`; a time cannot.
        host, _, bound = text.rpartition("=")
        match = _BOUND.fullmatch(bound.strip())
        if not host or match is None:
            raise UsageError(
                f"{text!r}: a clock is given as HOST=±N(ns|us|ms|s), as in node-a=±2ms"
            )
        if host in assumed:
            raise UsageError(f"{text!r}: the clock of {host} was given before")
        assumed[host] = _nanoseconds(text, match[1], match[2])
    return assumed


def _nanoseconds(text: str, number: str, unit: str) -> int:
    bound_ns = math.ceil(Fraction(number) * _UNIT_NS[unit])
    if bound_ns > _MOST_NS:
        raise UsageError(f"{text!r}: more than 1e9 s tells nothing about a clock")
    return bound_ns
