# SPDX-License-Identifier: Apache-2.0
"""What decoding an option gives; apart from `layout`, which only decoding needs."""

from __future__ import annotations

from dataclasses import dataclass

Value = int | str | bytes | bool


@dataclass(frozen=True, slots=True)
class OptionField:
    """One decoded field of an option."""

    name: str
    """Snake-case name, the vendor's own term."""
    value: Value
    """A number, an address as canonical text, raw octets, or a flag."""
    text: str
    """The value for people; holds no text from the capture, only numbers and fixed words."""
    bit_offset: int
    """First bit, counted from the most significant bit of the option *data*."""
    bit_length: int
    """Width in bits; at least 1."""
