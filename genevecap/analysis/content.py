# SPDX-License-Identifier: Apache-2.0
"""Digests of byte streams: enough to tell whether two connections carried the same bytes.

Two connections that a proxy joins carry the same bytes in segments that are cut differently, so a
digest of packets would be of no use.  These digests are of *stream offsets*:

* A prefix is digested as the number whose little-endian octets it is, modulo a prime that is
  drawn anew for every run (Karp and Rabin's fingerprint).  A segment adds its own number times
  256**offset, so the cut does not matter.  Two different prefixes of n octets have the same
  digest with a probability of about n / 2**56.
* A head digests the 8-octet blocks at the beginning of a message (a message begins where the
  other side has answered).  Heads survive a short snap length, which ends every prefix.

Contents are never kept, and without the prime and the salt a digest says nothing.
"""

from __future__ import annotations

import secrets
from functools import lru_cache

_HEAD_BLOCK_BYTES = 8
_HEAD_BLOCKS = 8
"""A head is of 64 octets of a message at most."""


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


_PRIME = _draw_prime()
_SALT = secrets.token_bytes(16)
"""For heads: Python's own hash of bytes is keyed, but its key may be fixed from outside."""


@lru_cache(maxsize=16384)
def shift(length: int) -> int:
    """Return what a digest is multiplied with to stand `length` octets further on."""
    return pow(256, length, _PRIME)


class Prefix:
    """The digest of a stream from its first octet on, as far as it was captured without a gap."""

    __slots__ = ("_power", "length", "value")

    def __init__(self) -> None:
        self.length = 0
        self.value = 0
        self._power = 1

    def append(self, octets: bytes | memoryview) -> None:
        """Add the octets that follow."""
        self.value = (self.value + int.from_bytes(octets, "little") * self._power) % _PRIME
        self._power = self._power * shift(len(octets)) % _PRIME
        self.length += len(octets)


def head(octets: bytes) -> tuple[int, ...]:
    """Return the digests of the whole 8-octet blocks at the beginning of a message."""
    count = min(len(octets) // _HEAD_BLOCK_BYTES, _HEAD_BLOCKS)
    return tuple(
        hash((_SALT, octets[i * _HEAD_BLOCK_BYTES : (i + 1) * _HEAD_BLOCK_BYTES]))
        for i in range(count)
    )
