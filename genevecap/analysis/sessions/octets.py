# SPDX-License-Identifier: Apache-2.0
"""When octets of a leg were seen, at the point from which the leg is looked at."""

from __future__ import annotations

import numpy as np

from ..connections import Half
from ..linking.legs import Views


class Octets:
    """The octets of one direction of a leg; an offset stands for the octet before it."""

    def __init__(self, half: Half | None, views: Views) -> None:
        """half: None where the direction was not captured."""
        rows = np.array(half.events if half is not None else (), np.int64).reshape(-1, 4)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        self._begin = rows[:, 0]
        self._reached = np.maximum.accumulate(rows[:, 1]) if len(rows) else rows[:, 1]
        self._time = rows[:, 2]
        if half is not None and len(rows):
            self._time = views.corrected(half.point, self._time)
        self._whole = np.maximum.accumulate(self._time) if len(rows) else self._time

    def left(self, offset: int) -> int | None:
        """Return when the octet was first seen, None where that was not kept."""
        place = self._place(offset)
        return None if place is None else int(self._time[place])

    def came(self, offset: int) -> int | None:
        """Return when it and all octets before it had been seen, for none is read before."""
        place = self._place(offset)
        return None if place is None else int(self._whole[place])

    def _place(self, offset: int) -> int | None:
        place = int(np.searchsorted(self._reached, offset))
        if place == len(self._reached) or self._begin[place] >= offset:
            return None
        return place
