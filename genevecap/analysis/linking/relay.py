# SPDX-License-Identifier: Apache-2.0
"""HBONE inside HBONE: which outer connection a gateway got an onward connection from, and when.

In a multi-network mesh the client's ztunnel speaks TLS with the server's through an east-west
gateway, which passes the octets of an outer stream on as they are.  So a record of the onward
connection, of n octets, was DATA of the outer connection before: with its own header, the frame's
and the outer record's, n + 31 octets of an outer record where one record is one frame.  Records
are matched at the gateway by that size, delay and order, as events are elsewhere.  The onward
connection's records then get the times at which the outer ones passed the *client's* proxy, so
that what follows need not know of gateways at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..rows import Array
from .events import HboneRecords, RecordColumns, joined_records
from .frames import FRAME_BYTES, RECORD_BYTES
from .matching import Pairs, candidates, match

_RECORD_HEADER_BYTES = 5
WRAPPED_BYTES = _RECORD_HEADER_BYTES + FRAME_BYTES + RECORD_BYTES
"""How much longer a record is inside another one, where it is alone there."""
_NEAR_NS = 50_000_000
_CANDIDATES = 40
_BELIEVED = 0.3
_UNUSUAL_NS = 1_500_000
_LOOSE = 0.01
"""Weight of an outer record that is larger than it need be: it may hold more."""


def relay(outer: Sequence[HboneRecords], onward: Sequence[HboneRecords]) -> list[int | None]:
    """Give onward connections the client's times; return the index of each one's outer connection.

    The columns of `onward` are replaced where a connection's outer one is found.
    """
    votes = np.zeros((len(onward), len(outer)))
    found: dict[tuple[int, bool], tuple[Array, Array, Array]] = {}
    for upward in (True, False):
        inner_all, inner_owner = joined_records(onward, upward=upward)
        outer_all, outer_owner = joined_records(outer, upward=upward)
        rows, columns, belief = _match(inner_all, outer_all, upward=upward)
        np.add.at(votes, (inner_owner[rows], outer_owner[columns]), belief)
        for index in range(len(onward)):
            own = inner_owner[rows] == index
            first = int(np.searchsorted(inner_owner, index))
            found[index, upward] = rows[own] - first, columns[own], belief[own]
    sources: list[int | None] = []
    joined = {upward: joined_records(outer, upward=upward) for upward in (True, False)}
    for index, connection in enumerate(onward):
        if not votes.shape[1] or votes[index].max() <= 0:
            sources.append(None)
            continue
        source = int(votes[index].argmax())
        sources.append(source)
        for upward in (True, False):
            columns_of, owner = joined[upward]
            rows, columns, belief = found[index, upward]
            sure = (belief > _BELIEVED) & (owner[columns] == source)
            target = connection.up if upward else connection.down
            _take_times(target, rows[sure], columns_of, columns[sure], upward=upward)
    return sources


def _take_times(
    target: RecordColumns, rows: Array, outer: RecordColumns, columns: Array, *, upward: bool
) -> None:
    """Give records the times of their outer records; others the usual distance from their own.

    A match that is far from the usual distance is another stream's record of the same size.
    """
    at_gateway = target.client_first_ns if upward else target.client_last_ns
    at_client = outer.client_first_ns if upward else outer.client_last_ns
    if not len(rows):
        return
    distance = at_client[columns] - at_gateway[rows]
    usual = int(np.median(distance))
    right = np.abs(distance - usual) <= _UNUSUAL_NS
    moments = at_gateway + usual
    moments[rows[right]] = at_client[columns[right]]
    target.client_first_ns = moments
    target.client_last_ns = moments


def _match(
    inner: RecordColumns, outer: RecordColumns, *, upward: bool
) -> tuple[Array, Array, Array]:
    """Return pairs (inner record, outer record, belief) at the gateway."""
    inner_ns = inner.client_first_ns if upward else inner.client_last_ns
    outer_ns = outer.server_last_ns if upward else outer.server_first_ns
    rows, columns = candidates(inner_ns, outer_ns, record_follows=not upward, most=_CANDIDATES)
    wrapped = inner.length[rows] + WRAPPED_BYTES
    length = outer.length[columns]
    weight = np.where(length == wrapped, 1.0, np.where(length > wrapped, _LOOSE, 0.0))
    near = np.abs(outer_ns[columns] - inner_ns[rows]) <= _NEAR_NS
    likely = (weight > 0) & near
    rows, columns, weight = rows[likely], columns[likely], weight[likely]
    belief = match(
        Pairs(
            row=rows,
            column=columns,
            weight=weight,
            event_ns=inner_ns,
            record_ns=outer_ns,
            capacity=np.maximum(outer.length // (WRAPPED_BYTES + 26), 1.0),
        )
    )
    return rows, columns, belief
