# SPDX-License-Identifier: Apache-2.0
"""Selectors: which frames an analysis looks at.

A frame passes when every kind of selector that was given matches: of several values of one kind
one is enough.  `--vni` looks at every tunnel of the frame, `--addr` and `--port` at the outer, the
inner and every tunnel header, `--point` at the full name of the capture point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..addresses import parse_address
from ..columns import NO_TIME, DecodedBatch, FrameBatch
from ..errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBound:
    """A moment: absolute, or counted from the first packet that is read."""

    ns: int
    relative: bool

    @classmethod
    def parse(cls, text: str) -> TimeBound:
        """Read RFC 3339 (no zone means UTC), epoch seconds, or `+SECONDS`.

        Raises UsageError with the three forms where the text is none of them.
        """
        seconds = _SECONDS.fullmatch(text)
        if seconds is not None:
            sign, whole, fraction = seconds.groups()
            ns = int(whole or 0) * 10**9 + _nanoseconds(fraction)
            return cls(ns=-ns if sign == "-" else ns, relative=sign == "+")
        moment = _moment_ns(text)
        if moment is None:
            raise UsageError(
                f"{text!r} is not a time: give 2026-01-31T12:00:00Z, epoch seconds, or +SECONDS"
            )
        return cls(ns=moment, relative=False)

    def resolve(self, first_ns: int) -> int:
        """Return the absolute time, `first_ns` being that of the first packet."""
        return first_ns + self.ns if self.relative else self.ns


# 18 digits hold any time of the file formats; more would only be slow.
_SECONDS = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]*))?")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


def _moment_ns(text: str) -> int | None:
    """Return RFC 3339 text (or its date, or without seconds or zone) as epoch nanoseconds."""
    from datetime import UTC, datetime

    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    date, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(
            f"{date}T{minute or '00:00'}:{second or '00'}{(zone or 'Z').upper()}"
        )
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + _nanoseconds(fraction)


def _nanoseconds(fraction: str | None) -> int:
    """Return the digits behind a decimal point as nanoseconds; finer ones are cut off."""
    return int((fraction or "0")[:9].ljust(9, "0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which frames are wanted; everything where nothing is set."""

    vnis: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    points: tuple[str, ...] = ()
    """fnmatch patterns on the full name of the capture point."""
    since: TimeBound | None = None
    until: TimeBound | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is selected at all."""
        return any((self.vnis, self.addresses, self.ports, self.points, self.since, self.until))


class RowFilter:
    """Applies a `Selector` to decoded rows by writing their `keep` column."""

    def __init__(self, selector: Selector) -> None:
        """Raise UsageError where an address of the selector is none."""
        self._selector = selector
        self._vnis = frozenset(selector.vnis)
        self._ports = frozenset(selector.ports)
        self._times: tuple[int, int] | None = None
        try:
            self._addresses = frozenset(parse_address(text) for text in selector.addresses)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def apply(self, frames: FrameBatch, decoded: DecodedBatch, point_names: list[str]) -> None:
        """Set `decoded.keep` for every row in use; `point_names` by point index."""
        if not self._selector:
            return
        since_ns, until_ns = self._bounds(frames)
        points = [self._wants_point(name) for name in point_names]
        for i in range(decoded.count):
            row = decoded.first + i
            time_ns = frames.time_ns[row]
            decoded.keep[i] = (
                points[frames.point[row]]
                and since_ns <= time_ns <= until_ns
                and (not self._vnis or self._has_vni(decoded, i))
                and (not self._ports or self._has_port(decoded, i))
                and (not self._addresses or self._has_address(decoded, i))
            )

    def _bounds(self, frames: FrameBatch) -> tuple[int, int]:
        """Return the first and last time wanted; relative ones count from the first timed frame."""
        if self._times is None:
            first = next((t for t in frames.time_ns[: frames.count] if t != NO_TIME), None)
            since, until = self._selector.since, self._selector.until
            # A frame without a time is neither before nor after one.
            timed = NO_TIME if since is None and until is None else NO_TIME + 1
            times = (
                timed if since is None else max(since.resolve(first or 0), timed),
                2**63 - 1 if until is None else until.resolve(first or 0),
            )
            if first is None:
                return times
            self._times = times
        return self._times

    def _wants_point(self, name: str) -> bool:
        patterns = self._selector.points
        return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)

    def _has_vni(self, d: DecodedBatch, i: int) -> bool:
        start = d.tunnel_start[i]
        return any(d.tunnels.vni[t] in self._vnis for t in range(start, start + d.tunnel_count[i]))

    def _has_port(self, d: DecodedBatch, i: int) -> bool:
        wanted = self._ports
        if (
            d.inner_source_port[i] in wanted
            or d.inner_destination_port[i] in wanted
            or d.outer_source_port[i] in wanted
            or d.outer_destination_port[i] in wanted
        ):
            return True
        table, start = d.tunnels, d.tunnel_start[i]
        return any(
            table.source_port[t] in wanted or table.destination_port[t] in wanted
            for t in range(start, start + d.tunnel_count[i])
        )

    def _has_address(self, d: DecodedBatch, i: int) -> bool:
        wanted = self._addresses
        if d.outer_version[i] == 0:
            return False
        outer, inner = d.outer_version[i], d.inner_version[i]
        if (
            (outer, d.outer_source_hi[i], d.outer_source_lo[i]) in wanted
            or (outer, d.outer_destination_hi[i], d.outer_destination_lo[i]) in wanted
            or (inner, d.inner_source_hi[i], d.inner_source_lo[i]) in wanted
            or (inner, d.inner_destination_hi[i], d.inner_destination_lo[i]) in wanted
        ):
            return True
        table, start = d.tunnels, d.tunnel_start[i]
        return any(
            (table.version[t], table.source_hi[t], table.source_lo[t]) in wanted
            or (table.version[t], table.destination_hi[t], table.destination_lo[t]) in wanted
            for t in range(start, start + d.tunnel_count[i])
        )
