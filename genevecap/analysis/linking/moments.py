# SPDX-License-Identifier: Apache-2.0
"""When the records of one session passed the two proxies."""

from __future__ import annotations

from .events import Kind


class RecordMoments:
    """When the records of a session passed the client's and the server's proxy."""

    def __init__(self, found: dict[Kind, tuple[int, int, int, int]]) -> None:
        self._found = found

    def at_client(self, kind: Kind) -> int | None:
        """Return when the event's first record left the client's proxy, or was all there."""
        times = self._found.get(kind)
        return None if times is None else times[0 if kind.upward else 1]

    def at_server(self, kind: Kind) -> int | None:
        """Return when the event's first record was all at the server's proxy, or left it."""
        times = self._found.get(kind)
        return None if times is None else times[3 if kind.upward else 2]
