# SPDX-License-Identifier: Apache-2.0
"""Open the HBONE connections of captures with TLS keys, through tshark.

The captures are read twice.  First it is found out what each point saw of each connection
(`sightings`), and from which point it is read: one that has all of it in full.  Then its octets are
put in order on a private file (`recording`), written as a capture of TLS records (`container`),
read by tshark (`dissection`), and made streams of (`streams`).  A tunnel that carries TLS of its
own whose keys are known goes the same way once more (double HBONE).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...capture.reader import Capture
from ...errors import GenevecapError, UsageError
from ..inputs import Inputs
from ..results import Problem
from ..select import Selector
from ..tshark import find_tshark
from .choice import Chosen, Rank, choose, earliest
from .keys import KeyLog
from .recording import Recording, Spool, open_spool
from .results import ConnectionId, HboneReading, OnData
from .runs import Job, Opener
from .sightings import Sighting, Tracker

if TYPE_CHECKING:
    from ...capture.frames import OpenFrames
    from ...capture.spec import CaptureSpec
    from ...decode.settings import DecodeSettings
    from ..progress import Progress


def open_hbone(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings,
    keylogs: Sequence[str] = (),
    rank: Rank = earliest,
    on_data: OnData | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    progress: Progress | None = None,
    open_frames: OpenFrames = Capture,
) -> HboneReading:
    """Open every HBONE connection of these captures whose keys are known.

    specs: regular files, for they are read twice.
    keylogs: key log files; what captures carry is used too.
    rank: says which of a connection's points is read; without it, the one that saw it first.
    on_data: told of the content of each DATA frame of a tunnel, in order within a connection.
    on_problem: told what is wrong with a capture; without it that is passed over.
    open_frames: what opens a capture.
    Raises ToolMissing without tshark, UsageError for what is no file, UnreadableCapture or
    GenevecapError for a key log that cannot be used, GenevecapError where temporary files find no
    room or tshark cannot be run at all.
    """
    for spec in specs:
        if spec.path == "-" or (Path(spec.path).exists() and not Path(spec.path).is_file()):
            raise UsageError(
                f"{spec.path}: opening HBONE reads a capture twice, so it needs a file: "
                "save it first"
            )
    keys = KeyLog()
    for path in keylogs:
        keys.read(path)

    def inputs(tell: Callable[[Problem], None]) -> Inputs:
        return Inputs(specs, settings, Selector(), tell, progress, open_frames)

    found = Tracker()
    reading = inputs(on_problem or _pass_over)
    for batch in reading.batches():
        found.update(batch)
    for state in reading.states:
        for octets in () if state.capture is None else state.capture.key_logs:
            keys.add(octets)
    chosen, refused = choose(found.sightings, keys, rank)
    if not chosen:
        return HboneReading(opened=(), refused=refused, left_out=found.left_out)
    tshark = find_tshark("opening HBONE")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="genevecap-") as folder,
            open_spool(folder) as spool,
        ):
            jobs = _record(inputs(_pass_over), chosen, spool)
            opener = Opener(folder=Path(folder), keys=keys, tshark=tshark, on_data=on_data)
            opened = opener.open(jobs)
    except OSError as error:
        raise GenevecapError(
            f"temporary files in {tempfile.gettempdir()} (TMPDIR): {error.strerror or error}"
        ) from error
    return HboneReading(opened=tuple(opened), refused=refused, left_out=found.left_out)


def _pass_over(_problem: Problem) -> None:
    """Say nothing of a capture that cannot be read."""


def _record(inputs: Inputs, chosen: Sequence[Chosen], spool: Spool) -> list[Job]:
    """Read the captures again and put the octets of chosen connections on the spool."""
    recordings = {one.sighting.identity: Recording(spool) for one in chosen}

    def keep(
        sighting: Sighting, upward: bool, offset: int, octets: memoryview, time_ns: int, frame: int
    ) -> None:
        recordings[sighting.identity].write(upward, offset, octets, time_ns, frame)

    tracker = Tracker(wanted=frozenset(recordings), on_payload=keep)
    for batch in inputs.batches():
        tracker.update(batch)
    jobs = []
    for one in chosen:
        sighting = one.sighting
        job = Job(
            id=ConnectionId(
                client=sighting.client,
                server=sighting.server,
                client_isn=sighting.client_isn,
                syn_ns=sighting.first_ns,
                client_random=one.client_random,
            ),
            path=inputs.specs[sighting.capture].path,
            point=sighting.point,
            recording=recordings[sighting.identity],
            seen_as=one.seen_as,
        )
        for end, upward, hole in zip(
            ("client", "server"), (True, False), sighting.holes(), strict=True
        ):
            if hole is not None:
                job.troubles.append((upward, f"not in the capture: {hole} of the {end}'s"))
        jobs.append(job)
    return jobs
