# SPDX-License-Identifier: Apache-2.0
"""How the clocks of hosts differ, from packets that two hosts saw: an interval that holds.

**What is knowable.**  Host A sends a packet when its clock shows s, host B receives it when its
own clock shows r.  Then r - s = offset + delay, where offset is B's clock minus A's, and a delay
is never negative: every packet from A to B bounds the offset from above.  A packet from B to A,
with s by B's clock and r by A's, gives s - r = offset - delay, and bounds it from below.  So the
offset lies in an interval as wide as the smallest delay forward and the smallest one back added up.
Where in that interval it lies nobody can say without a shared clock: a path of 5 ms one way and
4 ms back looks just like one of 4.5 ms both ways and clocks 0.5 ms apart.  Nothing here pretends
otherwise; what is reported is the middle of the interval and half its width.

**From samples to an interval at one time** (`pair`, `bounds`, `geometry`).  A clock that runs
200 ppm fast moves by a millisecond in five seconds, so samples of different times compare only
along a line.
For a time t, all lines are considered (their value at t, and their slope: the drift) that pass
below every upper bound and above every lower one.  They form a polygon, and its extent is the
interval: no single line is picked that would have to be lucky.  Only corners of two convex hulls
matter, so that no solver is needed.

**Clocks wander.**  One rigid line through an hour excludes the truth as soon as the drift changes.
The line is therefore a tangent: a clock whose drift changes by at most w leaves it by wx²/2 at a
distance x, and each sample bounds it with that much to spare.  Far samples then count less by
themselves, and no window has to be chosen.  w is `WANDER`, 0.25 ppm in a second.

**From times to segments** (`segments`).  The interval is computed at knots, as far apart as the
wander allows (between two it may bend by 2 % of the round trip), and as few straight pieces as
possible are laid through the intervals, continuous, with an uncertainty that covers the whole
interval of every knot.  An even clock has one segment.

**Several hosts** (`chain`).  Each pair of hosts gives two difference constraints at each time, and
`--clock` gives more; the tightest bounds relative to one reference are shortest paths.

**Mistakes and steps** (`steps`).  Without a mistake no lower bound lies above an upper one.  Wrong
matches of packets are the few samples that contradict many others before and after them; they are
dropped and counted.  What else contradicts is explained by the fewest steps: the clock was set, or
the machine stood still.  Between the last witness before a step and the first one after it there
is a segment of its own, which holds both sides.  A step that is smaller than the smallest round
trip contradicts nothing, but makes the interval narrower than either side alone (`shifts`).

**What may be missed.**  Small steps where packets are few or slow, and a drift that changes faster
than `WANDER` for a short time, until it has moved the clock by more than the round trip.

**Exactness.**  Times are int64 nanoseconds since 1970, too large for a float.  A time and an
offset near the first samples are subtracted as integers before anything is computed; the floats
are then exact to less than 1 ns, and uncertainties are rounded up.
"""

from __future__ import annotations

from .assumed import parse_assumed
from .estimate import estimate
from .model import UNKNOWN_NS, ClockSegment, HostClock, PairSamples

__all__ = ["UNKNOWN_NS", "ClockSegment", "HostClock", "PairSamples", "estimate", "parse_assumed"]
