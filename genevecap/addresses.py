# SPDX-License-Identifier: Apache-2.0
"""IP addresses between columns (two 64-bit halves) and canonical text (RFC 5952)."""

from __future__ import annotations

import socket
from functools import lru_cache

_HALF = (1 << 64) - 1
_LOOPBACK_4 = 127


@lru_cache(maxsize=65536)
def address_text(version: int, hi: int, lo: int) -> str:
    """Return the text of an address of IP `version` 4 or 6."""
    if version == 4:
        return f"{lo >> 24}.{lo >> 16 & 255}.{lo >> 8 & 255}.{lo & 255}"
    return socket.inet_ntop(socket.AF_INET6, (hi << 64 | lo).to_bytes(16, "big"))


def parse_address(text: str) -> tuple[int, int, int]:
    """Return (version, hi, lo) of an IPv4 or IPv6 address.

    Raises ValueError where the text is neither.
    """
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        try:
            number = int.from_bytes(socket.inet_pton(family, text), "big")
        except OSError:
            continue
        return version, number >> 64, number & _HALF
    raise ValueError(f"{text!r} is not an IPv4 or IPv6 address")


def is_loopback(version: int, hi: int, lo: int) -> bool:
    """Tell whether an address of IP `version` 4 or 6 is in 127.0.0.0/8 or ::1."""
    return lo >> 24 == _LOOPBACK_4 if version == 4 else (hi, lo) == (0, 1)


def endpoint_text(address: str, port: int | None) -> str:
    """Return `ip:port`, `[ip6]:port`, or the address alone where there is no port."""
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
