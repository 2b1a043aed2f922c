# SPDX-License-Identifier: Apache-2.0
"""What speaks for a link, in few words: each line begins with CONTRACT's code for its kind."""

from __future__ import annotations

from ..linking import likeness
from ..linking.events import LegEvents
from ..linking.link import Partner


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms"


def of_pair(outbound: LegEvents, inbound: LegEvents, partner: Partner) -> list[str]:
    """Return the evidence that these two legs carried the same bytes."""
    lines = []
    if partner.content == likeness.EQUAL:
        lines.append("content: both legs carried the same bytes, as far as they were captured")
    elif partner.content == likeness.EQUAL_HEADS:
        lines.append("content: messages begin with the same bytes")
    if outbound.open_ns is not None and inbound.open_ns is not None:
        lines.append(
            f"causality: the server's leg was opened {_ms(inbound.open_ns - outbound.open_ns)} "
            "after the client's"
        )
    known = [
        f"{total} {way}"
        for total, other, way in (
            (outbound.up_bytes, inbound.up_bytes, "up"),
            (outbound.down_bytes, inbound.down_bytes, "down"),
        )
        if total is not None and total == other
    ]
    if known:
        lines.append(f"bytes: {' and '.join(known)} on both legs")
    if partner.content == likeness.UNKNOWN:
        lines.append("delays: both legs' events fit the same records of HBONE, by learnt delays")
    if outbound.close_down_ns is not None and inbound.close_down_ns is not None:
        lines.append("closing: the server's end closed first, then the client's")
    lines.append("address: the server's leg has the address that HBONE came from")
    return lines
