# SPDX-License-Identifier: Apache-2.0
"""Findings: what is wrong or worth knowing in a capture, with the reason and the remedy.

A finding is a class that registers by existing; its file says what it is about.  Rules on the
packet path are bits that the decoders set (`columns.Finding`); here is what the bits mean.
Others are told from what was counted, and gathered in a `noted.Noted`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar

from ...columns import Finding

SEVERITIES = ("error", "warning", "info")
"""The gravest first."""

EVERYWHERE = ("inspect", "flows", "latency", "overhead", "diff captures")
"""Commands that tell what single packets and the captures themselves show."""

COUNTED = ("inspect", "flows", "overhead", "diff captures")
"""Commands that tell what tables of tunnels and flows show."""

OF_THE_MESH = ("flows", "latency")
"""Commands that tell what connections and sessions show."""

_BY_CODE: dict[str, type[Rule]] = {}


class Rule:
    """One rule. Subclasses give every attribute; two with one code are refused."""

    subject: ClassVar[str]
    """What the rule is about: the name of its file."""
    code: ClassVar[str]
    severity: ClassVar[str]
    message: ClassVar[str]
    """One line: what was seen."""
    explanation: ClassVar[str]
    """Why it matters."""
    remedy: ClassVar[str]
    source: ClassVar[str]
    """RFC section, or file of the project that makes it so."""
    display_filter: ClassVar[str]
    """Wireshark's filter that shows such packets, "" where no packet shows it."""

    told_by: ClassVar[tuple[str, ...]] = EVERYWHERE
    """The commands that look for it."""

    def __init_subclass__(cls) -> None:
        """Register the rule under its code."""
        cls.subject = cls.__module__.rpartition(".")[2]
        if cls.severity not in SEVERITIES:
            raise ValueError(f"{cls.code}: severity {cls.severity!r} is none of {SEVERITIES}")
        if cls.code in _BY_CODE:
            raise ValueError(f"{cls.code} is registered twice")
        _BY_CODE[cls.code] = cls


def rules() -> dict[str, type[Rule]]:
    """Return every rule by its code."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return dict(sorted(_BY_CODE.items()))


def codes(bits: int) -> tuple[str, ...]:
    """Return the codes of `DecodedBatch.findings` bits, in order."""
    return tuple(str(bit.name) for bit in Finding if bits & bit) if bits else ()
