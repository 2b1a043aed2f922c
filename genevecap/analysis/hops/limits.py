# SPDX-License-Identifier: Apache-2.0
"""How far `latency` looks, and how long is too long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a user may set."""

    window_ns: int = 10_000_000_000
    """How far apart two sightings of one packet may be."""
    slow_proxy_ns: int = 10_000_000
    """How long octets may stay in a proxy until that is a finding (A08).

    Fifty times what the real ztunnel took in steady state on the recorded sets (0.15 to 0.2 ms).
    """
