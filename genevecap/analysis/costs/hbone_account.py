# SPDX-License-Identifier: Apache-2.0
"""HBONE of a whole run: each connection once, and what passes through relays.

A waypoint ends HBONE and begins it anew; an east-west gateway passes HBONE on that was inside
HBONE (`relays` tells them).  Where all that came in is seen to leave again, application data counts
once, and what TLS and HTTP/2 cost inside the outer connection of a gateway is billed a second time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ...ambient import HBONE_PORT
from ..relays import Relay, by_hellos, by_octets, went_on
from .billing import LegBill
from .hbone_bytes import HboneBytes, HboneMeter
from .shapes import Leg

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
        self._meters = best
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
        behind_data, streams = self._sums(behind, _application), self._sums(behind, _stream)
        relay = self._by_hellos(before, behind)
        if relay is None:
            relay = by_octets(data, behind_data, streams)
        if relay is None or not went_on(relay, data, behind_data, streams):
            return
        if relay is Relay.WAYPOINT:
            self._uncounted |= {way for leg in behind for way in (leg, leg.reversed())}
            return
        # The inner connections go on as they are: what they cost there they cost here too.
        self._uncounted |= {way for leg in before for way in (leg, leg.reversed())}
        for leg in behind:
            self._inside += (_once_more(self._found[each]) for each in (leg, leg.reversed()))

    def _by_hellos(self, before: Sequence[Leg], behind: Sequence[Leg]) -> Relay | None:
        hellos = [self._meters[leg].hello_bytes for leg in behind if leg in self._meters]
        into = [self._meters[leg].hello_like for leg in before if leg in self._meters]

        def wrapped(lengths: Collection[int]) -> int:
            return sum(counts[length] for counts in into for length in lengths)

        return by_hellos([hello for hello in hellos if hello is not None], wrapped)

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


def _once_more(found: HboneBytes) -> HboneBytes:
    """Return the same cost inside another connection: an estimate, on no packets of its own."""
    return replace(
        found,
        tls_uncertainty_bytes=max(found.tls_uncertainty_bytes, found.tls_bytes // 20),
        per_packet=type(found.per_packet)(),
    )
