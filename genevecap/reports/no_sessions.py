# SPDX-License-Identifier: Apache-2.0
"""`flows` where there is no session: what was looked for, what was there, and what would help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .layout import Column, Style, table
from .text import count, plural

if TYPE_CHECKING:
    from ..analysis.sessions.results import FlowsResult


def lines(result: FlowsResult, style: Style) -> Iterator[str]:
    """Yield what was looked for and how much of it there was; nothing where there are sessions."""
    if result.sessions:
        return
    found = result.found
    rows = [
        ("packets", count(packets(result))),
        ("TCP connections", count(found.connections)),
        ("of them to port 15008 (HBONE)", count(found.hbone)),
        ("of them taken by a client's ztunnel", count(found.outbound)),
    ]
    yield ""
    yield style.heading("No session", "what was looked for")
    columns = (Column(title="looked for", floor=20), Column(title="found", right=True))
    yield from table(columns, rows, style)


def packets(result: FlowsResult) -> int:
    """Return how many packets the captures hold."""
    return sum(capture.packets for capture in result.captures)


def reason(result: FlowsResult) -> str:
    """Return in one line why there is no session, and what to do."""
    found = result.found
    if not found.connections:
        why = f"there is no TCP connection in {plural(packets(result), 'packet')}"
    elif not found.hbone:
        why = (
            f"none of {plural(found.connections, 'TCP connection')} goes to port 15008 (HBONE), "
            "and none is taken by a ztunnel"
        )
    else:
        why = (
            f"{plural(found.hbone, 'connection')} to port 15008, but none that a client or "
            "its ztunnel opened"
        )
    return (
        f"no session: {why}; capture in the pods with their lo, and on the nodes, while the "
        "connections are opened (selectors leave out what they do not match)"
    )
