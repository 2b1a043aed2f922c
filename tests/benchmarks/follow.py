# SPDX-License-Identifier: Apache-2.0
"""What following connections costs a segment, and how much memory a direction takes.

    python -m tests.benchmarks.follow CAPTURE...

Compiled, and readable on the first 200,000 frames; CPU time of `update` alone, without reading and
decoding.  Captures: `tests.benchmarks.generate_hops`, or recorded ones.
"""

from __future__ import annotations

import resource
import sys
import time
from itertools import islice

from genevecap.analysis.connections import ReadableTracker, connection_tracker
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.decode.settings import DecodeSettings

READABLE_BATCHES = 50


def main(paths):
    """Measure and print."""
    print(f"readable  {_speed(ReadableTracker(), paths, READABLE_BATCHES)[0]}")
    before = _resident_bytes()
    tracker = connection_tracker()
    said, segments = _speed(tracker, paths, None)
    memory = _resident_bytes() - before
    start = time.process_time()
    halves = tracker.halves()
    spent = time.process_time() - start
    print(f"compiled  {said}")
    if halves:
        print(f"{segments:,} segments, {len(halves):,} directions at points")
        print(f"memory    {memory / len(halves):,.0f} octets a direction")
        print(f"objects   {spent / len(halves) * 1e6:.1f} us a direction")


def _speed(tracker, paths, batches):
    """Feed a tracker; return what it took, and the number of segments."""
    specs = [CaptureSpec.parse(path) for path in paths]
    inputs = Inputs(specs, DecodeSettings(), Selector(), print, None)
    spent, segments = 0.0, 0
    for batch in islice(inputs.batches(), batches):
        start = time.process_time()
        tracker.update(batch.frames, batch.decoded, batch.capture, kept=False)
        spent += time.process_time() - start
        segments += batch.decoded.count
    return f"{spent / max(segments, 1) * 1e6:.3f} us a frame", segments


def _resident_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
