# SPDX-License-Identifier: Apache-2.0
"""HBONE of a whole run: each connection once, and what passes through relays.

A waypoint ends HBONE and begins it anew; an east-west gateway passes HBONE on that was inside
HBONE.  Both are pods that get HBONE and send it, which ordinary pods do too; what tells them is
that as many octets leave as came in: of application data with a waypoint, of whole streams with a
gateway.  Application data then counts once, and inside the outer connection TLS and HTTP/2 are
billed a second time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..ambient import HBONE_PORT
from .billing import LegBill
from .hbone_bytes import HboneBytes, HboneMeter
from .shapes import Leg

_WAYPOINT_TOLERANCE = 0.25
"""Both sides are estimates, and a waypoint adds headers of its own."""
_GATEWAY_TOLERANCE = 0.05
"""What a gateway passes on is the same octets; one side of the comparison is counted."""

Address = tuple[int, int, int]
_Figure = Callable[[HboneBytes], int]


class HboneAccount:
    """What each direction of each connection cost."""

    def __init__(
        self, meters: Mapping[tuple[int, Leg], HboneMeter], bills: Sequence[LegBill]
    ) -> None:
        """meters: by point and the client's direction; bills: of all legs of the run."""
        best: dict[Leg, HboneMeter] = {}
        for (_, leg), meter in sorted(meters.items(), key=lambda item: item[0]):
            if leg not in best or meter.quality > best[leg].quality:
                best[leg] = meter
        self._host_only = {bill.leg: bill.host_only for bill in bills}
        self._found: dict[Leg, HboneBytes] = {}
        for leg, meter in best.items():
            self._found[leg] = meter.result(True)
            self._found[leg.reversed()] = meter.result(False)
        self._uncounted: set[Leg] = set()
        """Directions whose application data is counted on another connection."""
        self._inside: list[HboneBytes] = []
        self._find_relays()

    def of(self, leg: Leg) -> HboneBytes | None:
        """Return what a direction cost; None where nothing of it was seen."""
        return self._found.get(leg)

    def application_bytes(self, leg: Leg) -> int:
        """Return the application data that counts for this direction."""
        found = self._found.get(leg)
        return 0 if found is None or leg in self._uncounted else found.application_bytes

    def inside(self) -> Iterator[tuple[bool, HboneBytes]]:
        """Yield what HBONE inside HBONE costs: (whether on lo, what), a direction each."""
        for found in self._inside:
            yield False, found

    def _find_relays(self) -> None:
        into: dict[Address, list[Leg]] = defaultdict(list)
        out_of: dict[Address, list[Leg]] = defaultdict(list)
        for leg in self._found:
            if leg.destination_port == HBONE_PORT and not self._host_only.get(leg, True):
                into[leg.version, leg.destination_hi, leg.destination_lo].append(leg)
                out_of[leg.version, leg.source_hi, leg.source_lo].append(leg)
        for address in sorted(into.keys() & out_of.keys()):
            self._relay(into[address], out_of[address])

    def _relay(self, before: Sequence[Leg], behind: Sequence[Leg]) -> None:
        """Look whether what goes into an address comes out of it again, in both directions."""
        data = self._sums(before, _application)
        streams, behind_data = self._sums(behind, _stream), self._sums(behind, _application)
        passed_on = _distance(data, streams) < _distance(data, behind_data)
        if passed_on and _near(data, streams, _GATEWAY_TOLERANCE):
            # The inner connections go on as they are: what they cost there they cost here too.
            self._uncounted |= {way for leg in before for way in (leg, leg.reversed())}
            for leg in behind:
                self._inside += (_once_more(self._found[each]) for each in (leg, leg.reversed()))
        elif not passed_on and _near(data, behind_data, _WAYPOINT_TOLERANCE):
            self._uncounted |= {way for leg in behind for way in (leg, leg.reversed())}

    def _sums(self, legs: Sequence[Leg], what: _Figure) -> list[int]:
        """Return a figure up and down, over connections."""
        return [
            sum(what(self._found[leg if up else leg.reversed()]) for leg in legs)
            for up in (True, False)
        ]


def _application(found: HboneBytes) -> int:
    return found.application_bytes


def _stream(found: HboneBytes) -> int:
    return found.tls_bytes + found.http2_bytes + found.application_bytes


def _distance(some: Sequence[int], others: Sequence[int]) -> int:
    return sum(abs(one - other) for one, other in zip(some, others, strict=True))


def _near(some: Sequence[int], others: Sequence[int], tolerance: float) -> bool:
    return all(
        min(one, other) > 0 and abs(one - other) <= tolerance * max(one, other)
        for one, other in zip(some, others, strict=True)
    )


def _once_more(found: HboneBytes) -> HboneBytes:
    """Return the same cost inside another connection: an estimate, on no packets of its own."""
    return replace(
        found,
        tls_uncertainty_bytes=max(found.tls_uncertainty_bytes, found.tls_bytes // 20),
        per_packet=type(found.per_packet)(),
    )
