# SPDX-License-Identifier: Apache-2.0
"""The clocks of a run: one for all captures, or an estimate of how those of the hosts differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...capture.manifest import Manifest
from ...capture.points import PointTable
from ...capture.spec import CaptureSpec
from ...errors import NotEnoughData, UsageError
from ..hops.sidebyside import Correction
from ..inputs import Inputs
from ..rows import Array
from . import HostClock, PairSamples, estimate
from .samples import ClockSamples

_ADVICE = (
    "give --same-clock where one clock stamped them all, or --clock HOST=±TIME where the clocks are"
    " known to be right to within that"
)


@dataclass(slots=True)
class RunClocks:
    """How the hosts' clocks differ; none where all captures have one."""

    clocks: tuple[HostClock, ...] = ()
    may_have_sessions: bool | None = None
    """Whether there can be legs on both sides of a proxy; None where that was not looked at."""
    _of: dict[str, HostClock] = field(init=False)

    def __post_init__(self) -> None:
        self._of = {clock.host: clock for clock in self.clocks if clock.segments}

    def correction(self, points: PointTable) -> Correction | None:
        """Return what puts times on the reference's clock, None where there is nothing to do."""
        if not self._of:
            return None

        def correct(time_ns: Array, point: Array) -> Array:
            result = time_ns.copy()
            for index in np.flatnonzero(np.bincount(point)).tolist():
                clock = self._of.get(points.points[index].host)
                if clock is not None:
                    mine = np.flatnonzero(point == index)
                    result[mine] = clock.to_reference(time_ns[mine])
            return result

        return correct

    def uncertainty_ns(self, hosts: tuple[str, str], time_ns: Array) -> int:
        """Return by how much differences between two hosts can be wrong, at the worst of times.

        time_ns: on the reference's clock.
        """
        if hosts[0] == hosts[1] or not len(time_ns):
            return 0
        worst = 0
        for host in hosts:
            clock = self._of.get(host)
            if clock is not None:
                worst += int(clock.uncertainty_at(time_ns).max())
        return worst

    @property
    def close_ns(self) -> int:
        """How near two corrected times may be, of two hosts, and still be the wrong way round."""
        widths = [s.uncertainty_ns for clock in self._of.values() for s in clock.segments]
        return 2 * max(widths, default=0)


def run_clocks(inputs: Inputs, assumed: Mapping[str, int]) -> RunClocks:
    """Return the clocks of captures; where there are several, all captures are read for it.

    inputs: a run of its own, used up; what goes wrong with a capture is told to it.
    assumed: HOST -> the ns to which its clock is right.
    Raises NotEnoughData where hosts share packets but their clocks cannot be told, or where an
    input can be read only once, and UsageError where `assumed` contradicts the packets or names a
    host that there is not.
    """
    named = {spec.host for spec in inputs.specs}
    manifest = inputs.points.manifest
    if len(named) < 2 and not _names_hosts(manifest):
        _refuse_strangers(assumed, named)
        return RunClocks()
    once = [spec.path for spec in inputs.specs if not can_be_read_again(spec)]
    if once:
        return RunClocks(_assumed_only(named, assumed, once[0]))
    samples = ClockSamples(inputs)
    samples.read()
    points = inputs.points.points
    hosts = sorted({point.host for point in points})
    _refuse_strangers(assumed, set(hosts) | named)
    may_have_sessions = samples.hbone and samples.plain
    if len(hosts) < 2:
        return RunClocks(may_have_sessions=may_have_sessions)
    pairs = samples.pairs(np.array([hosts.index(point.host) for point in points]), hosts)
    return RunClocks(_estimated(hosts, pairs, assumed), may_have_sessions)


def _estimated(
    hosts: Sequence[str], pairs: Sequence[PairSamples], assumed: Mapping[str, int]
) -> tuple[HostClock, ...]:
    seen = {host: sum(len(p) for p in pairs if host in (p.first, p.second)) for host in hosts}
    reference = max(hosts, key=lambda host: (host not in assumed, seen[host]))
    clocks = estimate(pairs, reference=reference, assumed=assumed)
    unknown = [clock for clock in clocks if not clock.segments and seen[clock.host]]
    if unknown:
        raise NotEnoughData(
            f"the clock of {unknown[0].host} cannot be compared with that of {reference}: packets"
            f" in both directions are needed; {_ADVICE}"
        )
    alone = sorted(set(hosts) - {reference} - {clock.host for clock in clocks})
    return clocks + tuple(
        HostClock(host=host, reference=reference, pairs=0, dropped=0, segments=()) for host in alone
    )


def _assumed_only(named: set[str], assumed: Mapping[str, int], path: str) -> tuple[HostClock, ...]:
    _refuse_strangers(assumed, named)
    unknown = sorted(named - set(assumed))
    if len(unknown) > 1:
        raise NotEnoughData(
            f"{path} can be read only once, and clocks of several hosts need two passes: {_ADVICE}"
        )
    reference = unknown[0] if unknown else min(named)
    return estimate((), reference=reference, assumed=assumed)


def _refuse_strangers(assumed: Mapping[str, int], known: set[str]) -> None:
    for host in assumed:
        if host not in known:
            raise UsageError(f"--clock {host}: no such host; there are {', '.join(sorted(known))}")


def _names_hosts(manifest: Manifest | None) -> bool:
    return manifest is not None and any(entry.given.host for entry in manifest.entries)


def can_be_read_again(spec: CaptureSpec) -> bool:
    """Tell whether an input is a file; what cannot be opened is told when it is read."""
    try:
        return spec.path != "-" and (Path(spec.path).is_file() or not Path(spec.path).exists())
    except (OSError, ValueError):
        return True
