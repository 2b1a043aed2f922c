# SPDX-License-Identifier: Apache-2.0
"""What `convert` says when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .text import count, plural, printable

if TYPE_CHECKING:
    from ..analysis.convert import ConvertResult


def conversion_lines(result: ConvertResult, to: str | None) -> Iterator[str]:
    """Yield how many packets were converted, and why others were written as they were."""
    done = "decapsulated" if to is None else f"converted to {to}"
    yield (
        f"{printable(result.path)}: {count(result.converted)} of "
        f"{plural(result.packets, 'packet')} {done}"
    )
    for why, packets in result.kept:
        yield f"  {count(packets)} as they were: {why}"
