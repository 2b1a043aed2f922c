# SPDX-License-Identifier: Apache-2.0
"""Whether two legs carried the same bytes, as far as both were captured.

Equality is worth what it is rare: in a capture in which every request is alike, or whose payload
was blanked, equal content says nothing.  So the weight of "equal" is learnt: it is how much more
often it is met among the pairs that could be than a single true pair would explain, at most one
true pair per leg.  A difference excludes a pair, whatever else speaks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..rows import Array

DIFFERENT, UNKNOWN, EQUAL_HEADS, EQUAL = 0, 1, 2, 3
"""Outcomes of a comparison: the last is of whole streams or of a prefix of them."""

_DIFFERENT_WEIGHT = 1e-7


@dataclass(slots=True, kw_only=True)
class StreamContent:
    """Digests of one direction of one leg."""

    prefixes: Mapping[int, int] = field(default_factory=dict)
    """Digest of the first n octets, by n: at the beginnings of messages and at the end."""
    heads: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Digests of the 8-octet blocks at the beginnings of messages, by offset."""


@dataclass(slots=True, kw_only=True)
class LegContent:
    """Digests of both directions of one leg."""

    up: StreamContent
    down: StreamContent


def compare(one: StreamContent, other: StreamContent) -> int:
    """Return what a comparison of two streams says."""
    common = one.prefixes.keys() & other.prefixes.keys()
    for offset in common:
        if offset and one.prefixes[offset] != other.prefixes[offset]:
            return DIFFERENT
    outcome = EQUAL if any(common) else UNKNOWN
    for offset in one.heads.keys() & other.heads.keys():
        blocks, others = one.heads[offset], other.heads[offset]
        length = min(len(blocks), len(others))
        if blocks[:length] != others[:length]:
            return DIFFERENT
        if length and outcome == UNKNOWN:
            outcome = EQUAL_HEADS
    return outcome


def log_weights(
    outbound: Sequence[LegContent | None],
    inbound: Sequence[LegContent | None],
    rows: Array,
    columns: Array,
) -> tuple[Array, Array]:
    """Return (log weight, outcome) of content for each pair (rows[i], columns[i]).

    The outcome is 3 where content decides for the pair, of both directions together.
    """
    weights = np.zeros(len(rows))
    best = np.full(len(rows), UNKNOWN, np.int64)
    for direction in ("up", "down"):
        outcomes = np.full(len(rows), UNKNOWN, np.int64)
        for i, (a, b) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            one, other = outbound[a], inbound[b]
            if one is not None and other is not None:
                outcomes[i] = compare(getattr(one, direction), getattr(other, direction))
        weights += _learnt(outcomes, rows)
        best = np.where(outcomes == DIFFERENT, DIFFERENT, np.maximum(best, outcomes))
    return weights, best


def _learnt(outcomes: Array, rows: Array) -> Array:
    """Return the log weight of each pair's outcome in one direction."""
    weights = np.zeros(len(outcomes))
    weights[outcomes == DIFFERENT] = np.log(_DIFFERENT_WEIGHT)
    for outcome in (EQUAL_HEADS, EQUAL):
        equal = outcomes == outcome
        compared = equal | (outcomes == DIFFERENT)
        if not equal.any():
            continue
        legs = len(np.unique(rows[equal]))
        # Equal pairs beyond one a leg are equal by chance.
        by_chance = max(int(equal.sum()) - legs, 0) + 0.5
        possible = max(int(compared.sum()) - legs, 0) + 1.0
        weights[equal] = -np.log(min(by_chance / possible, 1.0))
    return weights
