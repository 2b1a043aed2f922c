# SPDX-License-Identifier: Apache-2.0
"""Which hops of two runs are the same: by the names of their points, else by their roles.

Points of two runs have the same names where their captures do.  Where pods were made anew their
interfaces have other names, and two redirect modes have other points altogether; what such hops
still have in common is what is at their ends (`node-veth`, `ztunnel`).  Several hops of a run with
the same roles are then taken together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..hops.results import Hop
from ..hops.session_times import Times, pooled
from ..hops.table import HopName, name_of
from .bootstrap import MEDIAN, P99, compare
from .results import HopDifference, TimeDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHops:
    """The hops of one run."""

    hops: tuple[Hop, ...]
    """In travel order."""
    times: Mapping[HopName, Times]
    roles: Mapping[str, str | None]
    """Role of each capture point by its name."""


def compare_hops(a: RunHops, b: RunHops) -> tuple[HopDifference, ...]:
    """Return the differences of all hops, those of both runs first."""
    mine, theirs = _by_name(a.hops), _by_name(b.hops)
    found = [
        _difference(name, "name", a, b, mine[name], theirs[name]) for name in mine if name in theirs
    ]
    alone_a = {name: hops for name, hops in mine.items() if name not in theirs}
    alone_b = {name: hops for name, hops in theirs.items() if name not in mine}
    roles_a, roles_b = _by_role(alone_a, a.roles), _by_role(alone_b, b.roles)
    both = [name for name in roles_a if name in roles_b]
    found += [_difference(name, "role", a, b, roles_a[name], roles_b[name]) for name in both]
    paired = {name_of(hop) for name in both for hop in (*roles_a[name], *roles_b[name])}
    found += [_difference(n, "none", a, b, h, []) for n, h in alone_a.items() if n not in paired]
    found += [_difference(n, "none", a, b, [], h) for n, h in alone_b.items() if n not in paired]
    return tuple(found)


def compare_times(a: Times | None, b: Times | None) -> TimeDifference:
    """Return how the times of two runs differ; None where a run has none of them."""
    here = a if a is not None and len(a.ns) else None
    there = b if b is not None and len(b.ns) else None
    median = p99 = None
    if here is not None and there is not None:
        median, p99 = compare(here, there, (MEDIAN, P99))
        if median.ci95_ns is None:
            conclusion = "too-few-sessions"
        elif median.ci95_ns[0] > 0:
            conclusion = "longer"
        else:
            conclusion = "shorter" if median.ci95_ns[1] < 0 else "undecided"
    elif here is not None:
        conclusion = "only-a"
    else:
        conclusion = "only-b" if there is not None else "not-measured"
    return TimeDifference(
        sessions_a=0 if here is None else here.sessions,
        sessions_b=0 if there is None else there.sessions,
        packets_a=0 if here is None else here.packets,
        packets_b=0 if there is None else there.packets,
        median=median,
        p99=p99,
        conclusion=conclusion,
    )


def _by_name(hops: Iterable[Hop]) -> dict[HopName, list[Hop]]:
    found: dict[HopName, list[Hop]] = defaultdict(list)
    for hop in hops:
        found[name_of(hop)].append(hop)
    return found


def _by_role(
    hops: Mapping[HopName, Sequence[Hop]], roles: Mapping[str, str | None]
) -> dict[HopName, list[Hop]]:
    """Return hops by the roles of their ends; those with an end of no known role are left out."""
    found: dict[HopName, list[Hop]] = defaultdict(list)
    for name, members in hops.items():
        origin, to = roles.get(name.origin), roles.get(name.to)
        if origin not in {None, "unknown", "any"} and to not in {None, "unknown", "any"}:
            found[name._replace(origin=str(origin), to=str(to))] += members
    return found


def _difference(
    name: HopName,
    matched_by: str,
    a: RunHops,
    b: RunHops,
    mine: Sequence[Hop],
    other: Sequence[Hop],
) -> HopDifference:
    measured = all(hop.measured for hop in (*mine, *other))
    times = compare_times(_times(a, mine), _times(b, other))
    if not measured:
        times = TimeDifference(
            sessions_a=times.sessions_a,
            sessions_b=times.sessions_b,
            packets_a=times.packets_a,
            packets_b=times.packets_b,
            median=None,
            p99=None,
            conclusion="not-measured",
        )
    return HopDifference(
        **name._asdict(),
        matched_by=matched_by,
        hops_a=len(mine),
        hops_b=len(other),
        times=times,
    )


def _times(run: RunHops, hops: Sequence[Hop]) -> Times | None:
    names = dict.fromkeys(name_of(hop) for hop in hops)
    parts = [run.times[name] for name in names if name in run.times]
    return pooled(parts) if parts else None
