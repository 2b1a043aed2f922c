# SPDX-License-Identifier: Apache-2.0
"""In which TLS records the octets of sessions passed, as far as lengths and times tell.

A message's first record is one of those by which its legs were linked: mostly one, in a crowd
several, each with a probability.  Of a longer message whose first record is clear, the records
behind it are followed: what is left of all such messages of a connection is known, and a record
goes to one that it fits in, whose octets had come before it left and had not gone on before it
came.  Of several that is the one whose octets go on soonest after it, for each DATA frame is one
write of the proxy behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ..linking.events import Kind, Message
from ..linking.frames import FRAME_BYTES, READ_BYTES, RECORD_BYTES
from ..linking.link import Links
from ..rows import numbers
from .octets import Octets

_MOST_RECORDS = 4096
"""Records between the first and the last of a message that are followed."""
_MOST_OPEN = 64
"""Messages of one connection that are followed at a time, the last ones."""
_CONTROL_BYTES = 44
"""Records up to this length are other frames than DATA, unless just that much is missing."""
_OVERHEAD = FRAME_BYTES + RECORD_BYTES
_FAST_FROM_BYTES, _FAST_READ_BYTES = 128 << 10, 16_320
_CLEAR = 0.7
"""Probability from which on a record is the one that others may not be taken for."""


class Passage(NamedTuple):
    """Octets of a session that passed in one record, or may have."""

    end: int
    """Offset in the leg's direction behind the last of them."""
    client_ns: int
    """When the last octet of the record was seen at the client's proxy."""
    server_ns: int
    share: float
    """How likely it is that it was this record; the same octets may stand in others."""
    first: bool
    """Whether they are the first of their direction."""


def least_frames(message: Message) -> int:
    """Return how many DATA frames carry a message at least.

    ztunnel reads up to 1024 octets at once, past 128 KiB of a direction up to 16,320
    (istio/ztunnel src/copy.rs, 1.22 and later).
    """
    slow = min(max(_FAST_FROM_BYTES - message.offset, 0), message.bytes)
    return -(-slow // READ_BYTES) - (-(message.bytes - slow) // _FAST_READ_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One direction of a session, and what carried it; at least one of its legs is known."""

    hbone: int
    outbound: int | None
    inbound: int | None
    messages: Sequence[Message]
    sender: Octets | None
    """The leg in which its octets came, where it is known."""
    receiver: Octets | None


@dataclass(slots=True, kw_only=True)
class _Open:
    """A message that is being followed."""

    owner: int
    """Which of the sessions it is of."""
    carried: Carried
    first: bool
    offset: int
    end: int
    last_record: int
    """Where it is given up."""


class Walk:
    """Follows messages through the records of one direction."""

    def __init__(self, links: Links, *, upward: bool) -> None:
        self._upward = upward
        self._links = links
        columns = links.columns(upward=upward)
        self._length, self._hbone_of = numbers(columns.length), numbers(links.owners(upward=upward))
        self._client_ns = numbers(columns.client_last_ns)
        self._server_ns = numbers(columns.server_last_ns)
        self._left_ns = numbers(columns.client_first_ns if upward else columns.server_first_ns)
        self._came_ns = self._server_ns if upward else self._client_ns

    def passages(self, sessions: Sequence[Carried]) -> list[list[Passage]]:
        """Return where the octets of each session passed."""
        found: list[list[Passage]] = [[] for _ in sessions]
        begins: dict[int, list[_Open]] = {}
        kind = Kind.REQUEST if self._upward else Kind.RESPONSE
        for owner, one in enumerate(sessions):
            turns = self._links.records_by_turn(kind, one.outbound, one.inbound, one.hbone)
            for turn, message in enumerate(one.messages):
                for record, share in turns.get(turn, {}).items():
                    opened = _Open(
                        owner=owner,
                        carried=one,
                        first=turn == 0,
                        offset=message.offset,
                        end=message.offset + message.bytes,
                        last_record=record + _MOST_RECORDS,
                    )
                    if share > _CLEAR:
                        begins.setdefault(record, []).append(opened)
                    elif self._take(opened, record, begins_here=True):
                        found[owner].append(self._passage(opened, record, share))
        for owner, passage in self._follow(begins):
            found[owner].append(passage)
        return found

    def _follow(self, begins: dict[int, list[_Open]]) -> Iterator[tuple[int, Passage]]:
        """Yield (session, passage) of the messages that begin at clear records."""
        waiting = sorted(begins)
        active: list[_Open] = []
        record = 0
        for here, after in pairwise([*waiting, len(self._hbone_of)]):
            record = max(record, here)
            while record < after and (active or record == here):
                hbone = self._hbone_of[record]
                active = [
                    one for one in active if one.carried.hbone == hbone and record < one.last_record
                ]
                if record == here:
                    taken = [one for one in begins[here] if self._take(one, here, begins_here=True)]
                    active = [*active, *taken][-_MOST_OPEN:]
                else:
                    taken = self._choose(active, record)
                for one in taken:
                    yield one.owner, self._passage(one, record, 1.0)
                active = [one for one in active if one.offset < one.end]
                record += 1

    def _choose(self, active: list[_Open], record: int) -> list[_Open]:
        """Return the message that a record goes on with, if any; what is over is dropped."""
        came_ns = self._came_ns[record]
        best: _Open | None = None
        best_ns = 0
        for one in tuple(active):
            size = self._size(one, record, begins_here=False)
            if size is None:
                continue
            wait_ns = self._wait_ns(one, one.offset + size, record)
            if wait_ns is None:
                if _is_over(one, came_ns):
                    active.remove(one)
                continue
            if best is None or wait_ns < best_ns:
                best, best_ns = one, wait_ns
        if best is None or not self._take(best, record, begins_here=False):
            return []
        return [best]

    def _take(self, one: _Open, record: int, *, begins_here: bool) -> bool:
        """Go on with a message by what a record holds of it; tell whether that can be."""
        size = self._size(one, record, begins_here=begins_here)
        if size is None or self._wait_ns(one, one.offset + size, record) is None:
            return False
        one.offset += size
        return True

    def _size(self, one: _Open, record: int, *, begins_here: bool) -> int | None:
        """Return how much of a message a record may hold, None where it can hold nothing."""
        length = self._length[record]
        size, rest = length - _OVERHEAD, one.end - one.offset
        if size <= 0 or (length <= _CONTROL_BYTES and size != rest):
            return None  # WINDOW_UPDATE, PING, SETTINGS, END_STREAM of this and other streams
        if size <= rest:
            return size
        # It holds other frames too: END_STREAM, or where it was matched by what is in it, any.
        gathered = rest <= READ_BYTES and (begins_here or size == rest + FRAME_BYTES)
        return rest if gathered else None

    def _wait_ns(self, one: _Open, end: int, record: int) -> int | None:
        """Return how long octets waited behind the record, None where they cannot be in it."""
        wait_ns = 0
        if one.carried.sender is not None:
            came = one.carried.sender.came(end)
            if came is None or came > self._left_ns[record]:
                return None
            wait_ns = self._left_ns[record] - came
        if one.carried.receiver is not None:
            left = one.carried.receiver.left(end)
            if left is None or left < self._came_ns[record]:
                return None
            wait_ns = left - self._came_ns[record]
        return wait_ns

    def _passage(self, one: _Open, record: int, share: float) -> Passage:
        first, one.first = one.first, False
        return Passage(
            end=one.offset,
            client_ns=self._client_ns[record],
            server_ns=self._server_ns[record],
            share=share,
            first=first,
        )


def _is_over(one: _Open, came_ns: int) -> bool:
    """Tell whether all of a message had gone on when a record came."""
    if one.carried.receiver is None:
        return False
    left = one.carried.receiver.left(one.end)
    return left is not None and left < came_ns
