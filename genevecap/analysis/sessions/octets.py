# SPDX-License-Identifier: Apache-2.0
"""When octets of a leg were seen, at the point from which the leg is looked at."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

import numpy as np

from ..connections import Half
from ..linking.views import Views


class Octets:
    """The octets of one direction of a leg; an offset stands for the octet before it."""

    # Most legs have a few segments, of which lists are looked at in a tenth of the time of arrays.
    __slots__ = ("_begin", "_reached", "_time", "_whole")

    def __init__(self, half: Half | None, views: Views) -> None:
        """half: None where the direction was not captured."""
        events = half.events if half is not None else ()
        begin, end, time_ns = list(events[::4]), list(events[1::4]), list(events[2::4])
        if half is not None and time_ns:
            time_ns = views.corrected(half.point, np.array(events[2::4], np.int64)).tolist()
        if any(map(int.__gt__, begin, begin[1:])):
            order = sorted(range(len(begin)), key=begin.__getitem__)
            begin, end, time_ns = ([column[i] for i in order] for column in (begin, end, time_ns))
        self._begin: list[int] = begin
        self._reached = list(accumulate(end, max))
        self._time: list[int] = time_ns
        self._whole = list(accumulate(time_ns, max))

    def left(self, offset: int) -> int | None:
        """Return when the octet was first seen, None where that was not kept."""
        place = self._place(offset)
        return None if place is None else self._time[place]

    def came(self, offset: int) -> int | None:
        """Return when it and all octets before it had been seen, for none is read before."""
        place = self._place(offset)
        return None if place is None else self._whole[place]

    def _place(self, offset: int) -> int | None:
        place = bisect_left(self._reached, offset)
        if place == len(self._reached) or self._begin[place] >= offset:
            return None
        return place
