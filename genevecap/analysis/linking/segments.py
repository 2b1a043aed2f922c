# SPDX-License-Identifier: Apache-2.0
"""HBONE of which a snap length left the TCP headers alone: its segments stand for its records.

A proxy writes record by record, so nearly every segment that is not full holds one record, of five
octets less.  What is cut otherwise is a length and a moment with which nothing is matched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...decode.tls_records import HEADER_BYTES
from ..connections import Half
from ..rows import Array
from .events import RecordColumns, no_records

_FIELDS = 4
_BEGIN, _END, _TIME = range(3)


def segments_as_records(
    halves: Sequence[Half], correct: Callable[[int, Array], Array]
) -> RecordColumns:
    """Return the segments of one direction as records, as the points nearest to both ends saw them.

    halves: of that direction, the one nearest to the client first.
    correct: from a point and times of its clock to the common clock.
    """
    seen = [half for half in halves if half.events]
    # Offsets of points that saw no SYN begin anywhere.
    ends = [half for half in seen if half.isn is not None] or seen[:1]
    if not ends:
        return no_records()
    client, server = (
        np.array(half.events, np.int64).reshape(-1, _FIELDS) for half in (ends[0], ends[-1])
    )
    _, a, b = np.intersect1d(client[:, _BEGIN], server[:, _BEGIN], return_indices=True)
    client_ns = correct(ends[0].point, client[a, _TIME])
    server_ns = correct(ends[-1].point, server[b, _TIME])
    return RecordColumns(
        length=np.maximum(client[a, _END] - client[a, _BEGIN] - HEADER_BYTES, 0),
        client_first_ns=client_ns,
        client_last_ns=client_ns,
        server_first_ns=server_ns,
        server_last_ns=server_ns,
        client_point=ends[0].point,
        server_point=ends[-1].point,
    )
