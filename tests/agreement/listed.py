# SPDX-License-Identifier: Apache-2.0
"""The two files that people write: differences.toml and published.toml."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .readings import Difference, Inner, Option, Tunnel, address, protocol_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DIFFERENCES = Path(__file__).with_name("differences.toml")
PUBLISHED = Path(__file__).with_name("published.toml")
KEYS = {"file", "frame", "field", "truth", "ours", "reason"}


class ListError(ValueError):
    """An entry lacks something or says too much."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A difference that is known, and why we are right."""

    difference: Difference
    reason: str


@dataclass(slots=True)
class Entries:
    """The list of known differences, and which of its entries have been met."""

    entries: Mapping[Difference, Entry]
    met: set[Difference] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path = DIFFERENCES) -> Entries:
        """Read the list; raises ListError for an entry that is not well formed."""
        return cls.parse(tomllib.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Entries:
        """Check each entry: all six keys, no others, no wildcard, a reason, nothing twice."""
        entries: dict[Difference, Entry] = {}
        for raw in content.get("difference", ()):
            if set(raw) != KEYS:
                raise ListError(f"an entry has exactly the keys {sorted(KEYS)}: {raw}")
            if not raw["reason"].strip() or len(raw["reason"].split()) < 3:
                raise ListError(f"an entry says why we are right: {raw}")
            if any(sign in raw["file"] + raw["field"] for sign in "*?"):
                raise ListError(f"an entry names one field of one frame, no wildcards: {raw}")
            if not isinstance(raw["frame"], int) or raw["truth"] == raw["ours"]:
                raise ListError(f"an entry holds a frame number and two readings: {raw}")
            difference = Difference(
                raw["file"], raw["frame"], raw["field"], raw["truth"], raw["ours"]
            )
            if difference in entries:
                raise ListError(f"an entry stands twice: {raw}")
            entries[difference] = Entry(difference, raw["reason"])
        return cls(entries)

    def split(
        self, found: Sequence[Difference]
    ) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
        """Return the differences that are not listed and those that are, and remember these."""
        explained = tuple(d for d in found if d in self.entries)
        self.met.update(explained)
        return tuple(d for d in found if d not in self.entries), explained

    def unused(self, names: Iterable[str]) -> tuple[Entry, ...]:
        """Return the entries for the named files that no difference has met."""
        looked_at = set(names)
        return tuple(
            entry
            for difference, entry in self.entries.items()
            if difference.file in looked_at and difference not in self.met
        )


@dataclass(frozen=True, slots=True)
class Published:
    """What a project's own published output says about one of its frames."""

    citation: str
    layers: tuple[str, ...]
    tunnels: tuple[Tunnel, ...]
    inner: Inner


@functools.cache
def published() -> Mapping[tuple[str, int], Published]:
    """Return the published readings that stand in for the dissector's, by file and frame."""
    content = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    return {(raw["file"], raw["frame"]): _published(raw) for raw in content["frame"]}


def _published(raw: Mapping[str, Any]) -> Published:
    inner = raw["inner"]
    return Published(
        citation=raw["citation"],
        layers=tuple(raw["layers"]),
        tunnels=tuple(_tunnel(tunnel) for tunnel in raw.get("tunnels", ())),
        inner=Inner(
            source=address(inner["source"]),
            destination=address(inner["destination"]),
            protocol=protocol_number(inner["protocol"]),
            source_port=inner["source_port"],
            destination_port=inner["destination_port"],
        ),
    )


def _tunnel(raw: Mapping[str, Any]) -> Tunnel:
    return Tunnel(
        kind=raw["kind"],
        vni=raw["vni"],
        source=address(raw["source"]),
        destination=address(raw["destination"]),
        source_port=raw["source_port"],
        destination_port=raw["destination_port"],
        overhead_bytes=raw["overhead_bytes"],
        options=tuple(Option(*option) for option in raw.get("options", ())),
    )
