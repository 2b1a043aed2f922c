# SPDX-License-Identifier: Apache-2.0
"""What one frame holds, as either side reads it, and how two readings are compared.

A `Reading` is made from a row that genevecap printed (`read_row`) or from the dissector's record of
the frame (`truth.expected_frames`).  `compare` names every field in which two readings differ.

Some values of the truth are not values but statements about one (`SILENT`, `AtLeast`,
`Congruent`): the dissector says nothing there, or says it through 32-bit arithmetic.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROTOCOL_NUMBERS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "sctp": 132,
}
"""IANA's numbers of the protocols that genevecap may print by name."""

FLAG_FIELDS = (
    "version",
    "oam",
    "critical",
    "protocol",
    "group_id",
    "policy_applied",
    "dont_learn",
    "next_protocol",
    "key",
    "session_id",
    "teid",
)


class FormError(ValueError):
    """A row does not have the form that the contract gives it."""


class Statement:
    """What the truth says about a value that it does not give."""

    def agrees(self, ours: object) -> bool:
        """Return whether a value of ours is one that the truth allows."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Silent(Statement):
    """The dissector's record does not hold this value; `why` is counted in the summary."""

    why: str

    def agrees(self, ours: object) -> bool:
        return True

    def __str__(self) -> str:
        return f"(not stated: {self.why})"


@dataclass(frozen=True, slots=True)
class AtLeast(Statement):
    """The dissector printed the ceiling of its own type."""

    floor: int

    def agrees(self, ours: object) -> bool:
        return isinstance(ours, int) and ours >= self.floor

    def __str__(self) -> str:
        return f"at least {self.floor}"


@dataclass(frozen=True, slots=True)
class Congruent(Statement):
    """A time whose fraction the dissector computed, and printed, modulo 2**32 ns.

    seconds: as recorded.  fraction_ns: what was printed, taken modulo 2**32.
    The recorded fraction is a 32-bit count of ns or of µs, so ours must lie in that range.
    """

    seconds: int
    fraction_ns: int

    def agrees(self, ours: object) -> bool:
        if not isinstance(ours, int):
            return False
        rest = ours - self.seconds * 10**9
        return 0 <= rest < 1000 * 2**32 and rest % 2**32 == self.fraction_ns

    def __str__(self) -> str:
        return f"{self.seconds} s + a fraction of {self.fraction_ns} ns modulo 2**32"


@dataclass(frozen=True, slots=True)
class Beginning(Statement):
    """Layers that begin like this; `further` ones, which are not decoded, may follow."""

    items: tuple[str, ...]
    further: int = 1

    def agrees(self, ours: object) -> bool:
        count = len(self.items)
        return (
            isinstance(ours, tuple)
            and ours[:count] == self.items
            and len(ours) <= count + self.further
        )

    def __str__(self) -> str:
        return f"{text(self.items)} and at most {self.further} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """The innermost IP header that encapsulates, and the ports of its transport header."""

    source: str
    destination: str
    protocol: int | Statement
    source_port: int | Statement | None
    destination_port: int | Statement | None


@dataclass(frozen=True, slots=True)
class Option:
    """One Geneve option; `data` in lower-case hex without the option header."""

    option_class: int
    option_type: int
    data: str

    def __str__(self) -> str:
        return f"{self.option_class}:{self.option_type}:{self.data}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """One tunnel level; `flags` holds what this kind states besides (CONTRACT's flag names)."""

    kind: str
    vni: int | None
    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    overhead_bytes: int | Statement
    options: tuple[Option, ...] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One frame as one side reads it; times in ns, lengths in octets, tunnels outermost first."""

    captured_bytes: int
    wire_bytes: int | Statement
    time_ns: int | Statement | None
    layers: tuple[str, ...] | Statement
    tunnels: tuple[Tunnel, ...]
    inner: Inner | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one frame that the two sides read differently; values as text.

    frame 0 stands for the file as a whole.
    """

    file: str
    frame: int
    field: str
    truth: str
    ours: str


def text(value: object) -> str:
    """Return a value as differences.toml and the report write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return " ".join(text(item) for item in value) or "(none)"
    if isinstance(value, Inner):
        return (
            f"{value.source} -> {value.destination} protocol {text(value.protocol)} "
            f"ports {text(value.source_port)} {text(value.destination_port)}"
        )
    return str(value)


def address(value: str) -> str:
    """Return an address in one spelling, however either side spells it."""
    return str(ipaddress.ip_address(value))


def protocol_number(value: str | int) -> int:
    """Return an IP protocol's number from its name or number as a row gives it."""
    if isinstance(value, str) and value in PROTOCOL_NUMBERS:
        return PROTOCOL_NUMBERS[value]
    return int(value)


def compare(file: str, frame: int, truth: Reading, ours: Reading) -> list[Difference]:
    """Return every field in which our reading contradicts the truth, outermost first."""
    return [
        Difference(file, frame, name, text(theirs), text(mine))
        for name, theirs, mine in _pairs(truth, ours)
        if not _same(theirs, mine)
    ]


def compared_fields(truth: Reading, ours: Reading) -> list[tuple[str, str, str, bool]]:
    """Return every field that `compare` looks at: its name, both readings, whether they agree."""
    return [
        (name, text(theirs), text(mine), _same(theirs, mine))
        for name, theirs, mine in _pairs(truth, ours)
    ]


def silences(truth: Reading) -> list[tuple[str, str]]:
    """Return the fields on which the truth is silent, each with the reason."""
    pairs = _pairs(truth, truth)
    return [(name, value.why) for name, value, _ in pairs if isinstance(value, Silent)]


def _same(theirs: object, mine: object) -> bool:
    if isinstance(theirs, Statement):
        return theirs.agrees(mine)
    return theirs == mine


def _pairs(truth: Reading, ours: Reading) -> Iterator[tuple[str, object, object]]:
    """Yield (field, truth's value, our value).

    Where the kinds of the tunnels differ, their fields have no counterpart: one pair says it all;
    the same holds where only one side sees an IP header.
    """
    for name in ("captured_bytes", "wire_bytes", "time_ns", "layers"):
        yield name, getattr(truth, name), getattr(ours, name)
    kinds = tuple(t.kind for t in truth.tunnels), tuple(t.kind for t in ours.tunnels)
    yield "tunnels", *kinds
    if kinds[0] == kinds[1]:
        for index, (theirs, mine) in enumerate(zip(truth.tunnels, ours.tunnels, strict=True)):
            yield from _tunnel_pairs(f"tunnels[{index}]", theirs, mine)
    if truth.inner is None or ours.inner is None:
        yield "inner", truth.inner, ours.inner
        return
    for name in ("source", "destination", "protocol", "source_port", "destination_port"):
        yield f"inner.{name}", getattr(truth.inner, name), getattr(ours.inner, name)


def _tunnel_pairs(where: str, theirs: Tunnel, mine: Tunnel) -> Iterator[tuple[str, object, object]]:
    names = ("vni", "source", "destination", "source_port", "destination_port", "overhead_bytes")
    for name in names:
        yield f"{where}.{name}", getattr(theirs, name), getattr(mine, name)
    yield f"{where}.options", theirs.options, mine.options
    for name, value in theirs.flags.items():
        yield f"{where}.{name}", value, mine.flags.get(name)


def read_row(row: Mapping[str, Any]) -> Reading:
    """Return one row of `inspect --packets --format ndjson` as a reading.

    Raises FormError where the row lacks a key or holds a value of another type than the contract.
    """
    try:
        return Reading(
            captured_bytes=_integer(row["captured_bytes"]),
            wire_bytes=_integer(row["wire_bytes"]),
            time_ns=_integer_or_none(row["time_ns"]),
            layers=tuple(row["layers"]),
            tunnels=tuple(_read_tunnel(tunnel) for tunnel in row["tunnels"]),
            inner=None if row["inner"] is None else _read_inner(row["inner"]),
        )
    except KeyError as error:
        raise FormError(f"no key {error}: {json.dumps(row)}") from error
    except (TypeError, ValueError) as error:
        raise FormError(f"{error}: {json.dumps(row)}") from error


def _read_inner(inner: Mapping[str, Any]) -> Inner:
    return Inner(
        source=address(inner["source"]),
        destination=address(inner["destination"]),
        protocol=protocol_number(inner["protocol"]),
        source_port=_integer_or_none(inner["source_port"]),
        destination_port=_integer_or_none(inner["destination_port"]),
    )


def _read_tunnel(tunnel: Mapping[str, Any]) -> Tunnel:
    return Tunnel(
        kind=tunnel["kind"],
        vni=_integer_or_none(tunnel["vni"]),
        source=address(tunnel["source"]),
        destination=address(tunnel["destination"]),
        source_port=_integer_or_none(tunnel["source_port"]),
        destination_port=_integer_or_none(tunnel["destination_port"]),
        overhead_bytes=_integer(tunnel["overhead_bytes"]),
        options=tuple(_read_option(option) for option in tunnel.get("options", ())),
        flags={name: tunnel[name] for name in FLAG_FIELDS if name in tunnel},
    )


def _read_option(option: Mapping[str, Any]) -> Option:
    kind = _integer(option["type"])
    if bool(option["critical"]) != bool(kind & 0x80):
        raise ValueError("an option's critical bit is the top bit of its type")
    return Option(_integer(option["class"]), kind, option["data"])


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not an integer")
    return value


def _integer_or_none(value: object) -> int | None:
    return None if value is None else _integer(value)
