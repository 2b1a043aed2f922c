# SPDX-License-Identifier: Apache-2.0
"""Opening HBONE with TLS keys: which stream of which connection carried what, and when."""

from __future__ import annotations

from .choice import Candidate, Rank, earliest
from .opening import open_hbone
from .results import (
    ConnectionId,
    DataPiece,
    HboneReading,
    OnData,
    OpenedConnection,
    OpenedStream,
    RefusedConnection,
    Reset,
    StreamId,
)

__all__ = [
    "Candidate",
    "ConnectionId",
    "DataPiece",
    "HboneReading",
    "OnData",
    "OpenedConnection",
    "OpenedStream",
    "Rank",
    "RefusedConnection",
    "Reset",
    "StreamId",
    "earliest",
    "open_hbone",
]
