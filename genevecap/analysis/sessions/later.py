# SPDX-License-Identifier: Apache-2.0
"""Sessions that are put together when somebody looks at them: most of `latency` never does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, overload

from ..garbage import collected_later

if TYPE_CHECKING:
    from .results import SessionSummary


class LaterSessions(Sequence["SessionSummary"]):
    """The sessions that a function returns, which is called once at most."""

    def __init__(self, sessions: Callable[[], Sequence[SessionSummary]]) -> None:
        self._make: Callable[[], Sequence[SessionSummary]] | None = sessions
        self._made: tuple[SessionSummary, ...] = ()

    def _sessions(self) -> tuple[SessionSummary, ...]:
        if self._make is not None:
            with collected_later():
                self._made = tuple(self._make())
            self._make = None  # and all that it was made of is let go
        return self._made

    @overload
    def __getitem__(self, place: int) -> SessionSummary: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[SessionSummary]: ...
    def __getitem__(self, place: int | slice) -> SessionSummary | Sequence[SessionSummary]:
        """Return one of them, or some."""
        return self._sessions()[place]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._sessions())

    def __eq__(self, other: object) -> bool:
        """Tell whether the other ones are the same."""
        return isinstance(other, Sequence) and self._sessions() == tuple(other)

    def __hash__(self) -> int:
        """Return the hash of all of them."""
        return hash(self._sessions())
