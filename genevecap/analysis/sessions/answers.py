# SPDX-License-Identifier: Apache-2.0
"""What the first answers on HBONE say of the program at its far end, where nothing else shows it.

A capture at the client's side alone does not show what the server of an HBONE connection does with
it.  But the first answer does: of ztunnel it is `:status 200` alone (a TLS record of 27 octets), or
with response baggage (80 and more, 1.31); Envoy's has headers of its own (52 to 66 octets, 9 more
with a SETTINGS acknowledgment), and later ones have 27, 28 and 29.  Seen in recordings of ztunnel
1.24 and 1.31-dev and of Envoy 1.40; istio/ztunnel src/proxy/inbound.rs `build_response`.

The first answer stands between the client's CONNECT and the first DATA that the client sends, for
ztunnel reads nothing of its client before (src/proxy/outbound.rs).  Where that first DATA is as
long as a ClientHello inside a frame, and what comes back as long as the server's part of a
handshake, the client's ztunnel speaks TLS with somebody further on: an east-west gateway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...decode.tls_records import HEADER_BYTES
from ..grouping import Connection
from ..linking.events import HboneRecords
from ..linking.frames import FRAME_BYTES, RECORD_BYTES
from ..linking.relay import WRAPPED_BYTES
from ..rows import Array
from .mesh import Address, LinkInputs, Mesh, client_hello_bytes

_CONTROL = frozenset({26, 30, 34, 39, 50, 51})
"""SETTINGS, its acknowledgment, WINDOW_UPDATE, PING, and two of them, as ztunnel sends them."""
_TICKET_BYTES = 150
"""Records this long before the first DATA are session tickets, or the end of the handshake."""
_ZTUNNEL_ANSWERS = frozenset({27, 28})
_ENVOY_LATER = 29
_ENVOY_FIRST = range(52, 76)
"""Of one answer alone 52 to 66, with a SETTINGS acknowledgment up to 75."""
_BAGGAGE_BYTES = 80
_ENOUGH = 3
"""Records that suffice where they are all there is: later answers, what may be handshakes."""
_ALIKE_BYTES = 2
_FLIGHT_BYTES = 60
"""By how much certificates of two servers of one mesh differ in length."""
_MOST_OF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FarEnd:
    """An Envoy that ends HBONE, known by its answers alone."""

    answer_bytes: int
    """TLS record length of the answer that told."""
    passes_on: bool
    """Whether TLS of the client's ztunnel goes through it."""


class FarEnds:
    """Servers of HBONE that are no ztunnel, as their answers show."""

    def __init__(self, mesh: Mesh, inputs: LinkInputs) -> None:
        self._found: dict[Address, FarEnd] = {}
        for leg, records in zip(mesh.hbone, inputs.hbone, strict=True):
            address = leg.connection.server[:3]
            if address not in self._found:
                found = far_end(leg.connection, records)
                if found is not None:
                    self._found[address] = found

    def of(self, address: Address) -> FarEnd | None:
        """Return what is known of a server, None where it may be a ztunnel."""
        return self._found.get(address)


def far_end(connection: Connection, records: HboneRecords) -> FarEnd | None:
    """Return what the answers on one connection say of its server; None where it may be ztunnel."""
    answers, data_bytes = _opening(records)
    down = records.down.length
    later = int((down == _ENVOY_LATER).sum())
    ztunnel = int(np.isin(down, list(_ZTUNNEL_ANSWERS)).sum())
    if ztunnel > later:
        return None
    envoy = [length for length in answers if length in _ENVOY_FIRST]
    blurred = any(length >= _BAGGAGE_BYTES for length in answers)
    if envoy and not blurred and not _ZTUNNEL_ANSWERS & set(answers):
        answer_bytes = envoy[-1]
    elif later >= _ENOUGH and not ztunnel:
        answer_bytes = _ENVOY_LATER
    else:
        return None
    return FarEnd(answer_bytes=answer_bytes, passes_on=_passes_on(connection, records, data_bytes))


def _opening(records: HboneRecords) -> tuple[list[int], int | None]:
    """Return lengths of what may be answers before the client's first DATA, and that one's length.

    In the order of their passage at the client's end, for there DATA follows the answer.
    """
    up, down = records.up, records.down
    if not len(up) or not len(down):
        return [], None
    begin_ns = int(up.client_first_ns[0])
    after = down.client_last_ns > begin_ns
    if not after.any():
        return [], None
    first_down_ns = int(down.client_last_ns[after][0])
    data = (up.client_first_ns > first_down_ns) & ~np.isin(up.length, list(_CONTROL))
    ends_ns = int(up.client_first_ns[data][0]) if data.any() else None
    before = after if ends_ns is None else after & (down.client_last_ns <= ends_ns)
    answers = [
        length
        for length in down.length[before].tolist()
        if length < _TICKET_BYTES and length not in _CONTROL
    ]
    return answers, int(up.length[data][0]) if data.any() else None


def _passes_on(connection: Connection, records: HboneRecords, data_bytes: int | None) -> bool:
    """Tell whether a connection carries handshakes of the client's ztunnel with somebody else."""
    hello = client_hello_bytes(connection)
    if hello is None or data_bytes is None:
        return False
    wanted = hello + WRAPPED_BYTES
    if abs(data_bytes - wanted) > _ALIKE_BYTES:
        return False
    hellos = int((abs(records.up.length - wanted) <= _ALIKE_BYTES).sum())
    flight = _flight_bytes(connection)
    least = 1 if flight is not None else _ENOUGH  # tickets are of such lengths too
    return _flights(records.down.length, flight) >= max(hellos * _MOST_OF, least)


def _flights(lengths: Array, flight: int | None) -> int:
    """Return how many records may hold a server's part of a handshake.

    flight: octets of that of this connection, which is like the others; where it was not read, as
    many as there are of about one length.
    """
    if flight is not None:
        wrapped = flight + FRAME_BYTES + RECORD_BYTES
        return int((abs(lengths - wrapped) <= _FLIGHT_BYTES).sum())
    may_be = np.sort(lengths[(lengths >= _FLIGHTS[0]) & (lengths <= _FLIGHTS[1])])
    alike = np.searchsorted(may_be, may_be + _FLIGHT_BYTES, "right") - np.arange(len(may_be))
    return int(alike.max(initial=0))


def _flight_bytes(connection: Connection) -> int | None:
    """Return the octets of the server's part of the handshake, None where it was not all read."""
    for half in connection.reverse.values():
        rows = () if half.records is None else half.records.rows[: 5 * _FLIGHT]
        ends = [
            begin + HEADER_BYTES + length
            for length, begin in zip(rows[1::5], rows[2::5], strict=True)
        ]
        if len(ends) == _FLIGHT and [0, *ends[:-1]] == list(rows[2::5]):
            return ends[-1]
    return None


_FLIGHTS = (700, 2500)
"""Octets of such a handshake with one certificate, or with a short chain of them."""
_FLIGHT = 3
"""ServerHello, ChangeCipherSpec, and the rest of the handshake in one encrypted record."""
