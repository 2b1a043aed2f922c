# SPDX-License-Identifier: Apache-2.0
"""Digests of byte streams: enough to tell whether two connections carried the same bytes.

Two connections that a proxy joins carry the same bytes in segments that are cut differently, so a
digest of packets would be of no use.  These digests are of *stream offsets*:

* A prefix is digested as the number whose little-endian octets it is, modulo a prime that is
  drawn anew for every run (Karp and Rabin's fingerprint).  A segment adds its own number times
  256**offset, so neither the cut nor the order of segments matters: what came before its turn is
  digested by itself and added when the octets before it have come.  Two different prefixes of n
  octets have the same digest with a probability of about n / 2**56.
* A head digests the 8-octet blocks at the beginning of a message (a message begins where the
  other side has answered).  Heads survive a short snap length, which ends every prefix.

Contents are never kept, and without the prime and the factor a digest says nothing.
"""

from __future__ import annotations

import secrets
from functools import lru_cache

HEAD_BLOCK_BYTES = 8
HEAD_BLOCKS = 8
"""A head is of 64 octets of a message at most."""

MAX_STRETCHES = 16
"""Stretches of a stream kept apart, between which octets are missing."""


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test; with these bases it is exact below 2**64."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _draw_prime() -> int:
    """Return a random prime of 62 bits."""
    while True:
        number = secrets.randbits(61) | 1 << 61 | 1
        if _is_prime(number):
            return number


PRIME = _draw_prime()
FACTOR = secrets.randbelow(PRIME - 1) + 1
"""For heads, so that they say nothing of the octets."""


@lru_cache(maxsize=16384)
def shift(length: int) -> int:
    """Return what a digest is multiplied with to stand `length` octets further on."""
    return pow(256, length, PRIME)


def head(octets: bytes) -> tuple[int, ...]:
    """Return the digests of the whole 8-octet blocks at the beginning of a message."""
    count = min(len(octets) // HEAD_BLOCK_BYTES, HEAD_BLOCKS)
    return tuple(
        int.from_bytes(octets[i * HEAD_BLOCK_BYTES : (i + 1) * HEAD_BLOCK_BYTES], "little")
        * FACTOR
        % PRIME
        for i in range(count)
    )


class Stretch:
    """Octets `begin` to `end` of a stream, all of which were seen; the first were digested."""

    __slots__ = ("begin", "digested", "end", "power", "value")

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.end = begin
        self.digested = 0
        """How many octets are in `value`: up to the first that was seen but not captured."""
        self.value = 0
        self.power = 1

    @property
    def whole(self) -> bool:
        """Whether all of it was digested."""
        return self.digested == self.end - self.begin

    def append(self, octets: bytes, length: int) -> None:
        """Add the next `length` octets, of which these were captured."""
        if self.whole:
            self.value = (self.value + int.from_bytes(octets, "little") * self.power) % PRIME
            self.power = self.power * shift(len(octets)) % PRIME
            self.digested += len(octets)
        self.end += length

    def join(self, later: Stretch) -> None:
        """Add a stretch that begins where this one ends."""
        if self.whole:
            self.value = (self.value + later.value * self.power) % PRIME
            self.power = self.power * later.power % PRIME
            self.digested += later.digested
        self.end = later.end


class Stream:
    """Which octets of one direction were seen: stretches, the first from offset 0 on.

    Segments may come in any order, be repeated and overlap.  Where more than `MAX_STRETCHES` would
    be kept, the first hole is given up: it counts as seen, and the digest ends before it.
    """

    __slots__ = ("_stretches",)

    def __init__(self) -> None:
        self._stretches = [Stretch(0)]

    @property
    def first(self) -> Stretch:
        """The octets from the first one on; empty while that is missing."""
        return self._stretches[0]

    @property
    def highest(self) -> int:
        """Where the furthest octet seen ends."""
        return self._stretches[-1].end

    def add(self, begin: int, octets: bytes, length: int) -> bool:
        """Take a segment, begin >= 0; tell whether any of it was new.

        octets: what was captured of the `length`, from its beginning on.
        """
        stretches, end = self._stretches, begin + length
        at = len(stretches) - 1
        while stretches[at].begin > begin:
            at -= 1
        if stretches[at].end < begin and len(stretches) == MAX_STRETCHES:
            if at:
                self._give_up_hole(stretches[1].begin)
                at -= 1
            else:
                self._give_up_hole(begin)
        if stretches[at].end < begin:
            at += 1
            stretches.insert(at, Stretch(begin))
        return self._fill(at, begin, octets, end)

    def _fill(self, at: int, begin: int, octets: bytes, end: int) -> bool:
        """Add to stretch `at` what is missing behind it up to `end`, joining those it reaches."""
        stretches, new = self._stretches, False
        current = stretches[at]
        while True:
            following = stretches[at + 1] if at + 1 < len(stretches) else None
            limit = end if following is None else min(end, following.begin)
            if limit > current.end:
                place = current.end - begin
                current.append(octets[place : limit - begin], limit - current.end)
                new = True
            if following is None or following.begin > current.end:
                return new
            current.join(following)
            del stretches[at + 1]

    def _give_up_hole(self, end: int) -> None:
        """Let octets up to `end`, which are all in the first hole, count as seen."""
        stretches = self._stretches
        stretches[0].append(b"", end - stretches[0].end)
        if end == stretches[1].begin:
            stretches[0].join(stretches[1])
            del stretches[1]
