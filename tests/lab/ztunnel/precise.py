# SPDX-License-Identifier: Apache-2.0
"""An event loop whose timers are good to microseconds.

`epoll_wait` takes whole milliseconds and asyncio rounds up, so that a residence of 0.2 ms would
last 1.1 ms. `select` takes microseconds, and an epoll descriptor can itself be waited for.
"""

from __future__ import annotations

import asyncio
import select
import selectors


class PreciseSelector(selectors.EpollSelector):
    """Epoll, waited for by `select`."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready within `timeout` seconds."""
        # Descriptors of 1024 and above do not fit into select; this one is made first.
        if timeout is not None and timeout > 0 and self.fileno() < 1024:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop for asyncio.Runner."""
    return asyncio.SelectorEventLoop(PreciseSelector())
