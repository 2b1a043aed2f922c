# SPDX-License-Identifier: Apache-2.0
"""What can be told of a Geneve option by its numbers alone, without reading the registry.

Reading the layouts of `options/vendors` takes 10 ms, which is too long for a decoder to begin with.
"""

from __future__ import annotations

OPTION_CRITICAL = 0x80
"""Bit of the option type (RFC 8926 section 3.5)."""

EXPERIMENTAL_CLASS = 0xFF00
"""The first class for experiments (RFC 8926 section 7)."""

KNOWN_CRITICAL = (
    0x0102_80,  # OVN
    0x0104_80,  # Antrea
    0x014B_81,  # Cilium
)
"""Class and type (class << 8 | type, critical bit included) of every critical option that has a
layout; a test holds the two together."""
