# SPDX-License-Identifier: Apache-2.0
"""Capture points: every interface of every file, under a name that is its own.

A point is called `NAME/INTERFACE`, or `NAME` where the file names no interface; an SLL2 `any`
capture gives `NAME/ifindex-N`.  A name that is taken gets `~2`, `~3`…
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .spec import CaptureSpec, default_name

if TYPE_CHECKING:
    from .manifest import Given, Manifest


@dataclass(slots=True, kw_only=True)
class Point:
    """One capture point; counts grow while its file is read."""

    name: str
    """What it is called: by a manifest, else `own_name`."""
    own_name: str
    """The name that it has by itself; a manifest's patterns are matched with this one."""
    host: str
    """Whose clock stamped it."""
    interface: str | None
    link_type: int
    capture: int
    """Index of the input it belongs to."""
    capture_name: str
    """NAME of that input."""
    file_name: str
    """What NAME would be by default: the name of the file without its suffixes."""
    given: Given | None = None
    """What a manifest says of it, None where it says nothing."""
    dropped: int | None = None
    """Drops of kernel and interface, as the last interface statistics block says."""
    dropped_by_dumpcap: int | None = None
    packets: int = 0


class _Names:
    """Names that are given once each: the second one who wants a name gets it with `~2`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._copies: dict[str, int] = {}
        """The last number that a wanted name got, so that many of one name cost no search each."""

    def take(self, wanted: str) -> str:
        """Return a name that nobody has, the wanted one where it is free."""
        name, copy = wanted, self._copies.get(wanted, 1)
        while name in self._taken:
            copy += 1
            name = f"{wanted}~{copy}"
        self._copies[wanted] = copy
        self._taken.add(name)
        return name


class PointTable:
    """All points of a run; a point's index is what `FrameBatch.point` holds."""

    def __init__(self, manifest: Manifest | None = None) -> None:
        self.points: list[Point] = []
        self.manifest = manifest
        self._matched: set[int] = set()
        """Numbers of the manifest's entries that matched a point."""
        self.link_types = array("i")
        """Link type by point index, for the decoders."""
        self._own_names = _Names()
        self._given_names = _Names()

    @property
    def names(self) -> list[str]:
        """Return the full names, by point index."""
        return [point.name for point in self.points]

    def add(self, spec: CaptureSpec, capture: int, interface: str | None, link_type: int) -> int:
        """Make a point and return its index."""
        own = self._own_names.take(spec.name if interface is None else f"{spec.name}/{interface}")
        given = self._given(own)
        self.points.append(
            Point(
                name=self._given_names.take((given and given.name) or own),
                own_name=own,
                host=(given and given.host) or spec.host,
                given=given,
                interface=interface,
                link_type=link_type,
                capture=capture,
                capture_name=spec.name,
                file_name=default_name(spec.path),
            )
        )
        self.link_types.append(link_type)
        return len(self.points) - 1

    def _given(self, name: str) -> Given | None:
        """Return what the manifest says of a point."""
        if self.manifest is None:
            return None
        from .manifest import merged

        matches = [i for i, e in enumerate(self.manifest.entries) if e.pattern.fullmatch(name)]
        self._matched.update(matches)
        return merged([self.manifest.entries[i] for i in matches]) if matches else None

    def unmatched(self) -> list[str]:
        """Return the patterns of the manifest that no point has matched so far."""
        if self.manifest is None:
            return []
        entries = enumerate(self.manifest.entries)
        return [entry.match for i, entry in entries if i not in self._matched]

    def of_capture(self, capture: int) -> list[Point]:
        """Return the points of one input, in the order they were met."""
        return [point for point in self.points if point.capture == capture]
