# SPDX-License-Identifier: Apache-2.0
"""All that connections and sessions tell of a mesh."""

from __future__ import annotations

from ..findings.noted import Noted
from .hbone import note_hbone
from .seen import MeshSeen
from .sessions import note_sessions
from .unanswered import note_unanswered


def note_mesh(noted: Noted, seen: MeshSeen) -> None:
    """Note all that connections and sessions tell of a mesh."""
    note_sessions(noted, seen)
    note_unanswered(noted, seen)
    note_hbone(noted, seen)
