# SPDX-License-Identifier: Apache-2.0
"""One clock for the times of all points, as far as those of their hosts can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import UNKNOWN_NS, HostClock
from ..rows import Array

Points = Sequence[str]
"""Host of each capture point, by its index."""


MOST_SLACK_NS = 1 << 61


class CommonClock:
    """Puts the times of all points on the reference's clock."""

    def __init__(self, clocks: Sequence[HostClock], host_of: Points) -> None:
        self.clocks = tuple(clocks)
        by_host = {clock.host: clock for clock in clocks}
        self._of_point = [by_host.get(host) for host in host_of]

    def correct(self, point: int, times_ns: Array) -> Array:
        """Return times of a point on the reference's clock."""
        clock = self._of_point[point] if point < len(self._of_point) else None
        if clock is None or not clock.segments:
            return times_ns
        return clock.to_reference(times_ns)

    def uncertainty_ns(self, one: int, other: int) -> int:
        """Return by how much times of two points may be wrong against each other."""
        clocks = self._of_point[one], self._of_point[other]
        if clocks[0] is clocks[1]:
            return 0
        return min(sum(_worst(clock) for clock in clocks if clock is not None), UNKNOWN_NS)

    @property
    def slack_ns(self) -> int:
        """Return the largest uncertainty of any host that is known at all, at most `MOST_SLACK_NS`.

        Times may be anything that int64 holds, but nothing is gained by comparing them that far.
        """
        known = [_worst(clock) for clock in self.clocks if clock.segments]
        return min(max(known, default=0), MOST_SLACK_NS)


def _worst(clock: HostClock) -> int:
    if not clock.segments:
        return UNKNOWN_NS
    return max(segment.uncertainty_ns for segment in clock.segments)
