# SPDX-License-Identifier: Apache-2.0
"""Sightings of TCP SYNs: the same one at two points, and what changed between them.

Only SYNs outside any tunnel are kept, the newest `MOST_KEPT` of them: enough to recognise eBPF
redirection, whose sign is a destination MAC that changes while the TTL does not.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict

from ..addresses import address_text, endpoint_text
from ..ambient import RedirectSign
from ..columns import DecodedBatch, FrameBatch

MOST_KEPT = 100_000
_MOST_SIGNS = 1_000

_Syn = tuple[int, int, int, int, int, int, int, int]
_Sighting = tuple[int, int, int]


class SynSightings:
    """Gathers sightings; `signs()` says which SYNs were redirected by their MAC address."""

    def __init__(self) -> None:
        self._seen: OrderedDict[_Syn, list[_Sighting]] = OrderedDict()
        self._signs: dict[_Syn, tuple[_Sighting, _Sighting]] = {}

    def update(self, frames: FrameBatch, decoded: DecodedBatch, rows: array[int]) -> None:
        """Look at these rows of `decoded`, all SYNs."""
        d = decoded
        for i in rows:
            if d.tunnel_count[i] or not d.link_destination[i]:
                continue
            syn = (*d.inner_ends(i), d.tcp_sequence[i])
            here = (frames.point[d.first + i], d.link_destination[i], d.inner_ttl[i])
            self._note(syn, here)

    def _note(self, syn: _Syn, here: _Sighting) -> None:
        earlier = self._seen.get(syn)
        if earlier is None:
            self._seen[syn] = [here]
            if len(self._seen) > MOST_KEPT:
                self._seen.popitem(last=False)
            return
        point, mac, ttl = here
        if syn not in self._signs and len(self._signs) < _MOST_SIGNS:
            for other in earlier:
                if other[0] != point and other[1] != mac and other[2] == ttl:
                    self._signs[syn] = (other, here)
                    break
        if len(earlier) < 8:
            earlier.append(here)

    def signs(self, point_names: list[str]) -> tuple[RedirectSign, ...]:
        """Return what was found, in order; `point_names` by point index."""
        return tuple(
            RedirectSign(
                source=endpoint_text(address_text(syn[0], syn[1], syn[2]), syn[5]),
                destination=endpoint_text(address_text(syn[0], syn[3], syn[4]), syn[6]),
                first_point=point_names[first[0]],
                second_point=point_names[second[0]],
                first_destination_mac=_mac_text(first[1]),
                second_destination_mac=_mac_text(second[1]),
            )
            for syn, (first, second) in self._signs.items()
        )


def _mac_text(mac: int) -> str:
    return mac.to_bytes(6, "big").hex(":")
