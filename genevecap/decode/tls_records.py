# SPDX-License-Identifier: Apache-2.0
r"""TLS records in a TCP stream, by their headers alone: RFC 8446 section 5.1.

::

    +---------------+-------------------------------+-------------------------------+
    |     Type      |    Version 0x0303 (0x0301)    |            Length             |
    +---------------+-------------------------------+-------------------------------+

Nothing is kept of a record but its type and length.  A segment that is missing, or that the
capture cut short, is jumped over where a record covers it; where it held a header, the walk looks
for the next segment that begins with one, and counts what it could not see.
"""

from __future__ import annotations

HEADER_BYTES = 5
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
MAX_CIPHERTEXT_BYTES = 2**14 + 2048
"""RFC 5246 section 6.2.3; TLS 1.3 allows 256 octets over 2**14 only (RFC 8446 section 5.2)."""

_MODULUS = 1 << 32
_HALF = 1 << 31
_VERSIONS = (b"\x03\x03", b"\x03\x01")


class TlsRecords:
    """The records of one direction of a connection; `feed` takes its segments as they come."""

    __slots__ = ("_expected", "_head", "_left", "_synced", "missed_bytes")

    def __init__(self) -> None:
        self._expected: int | None = None
        self._left = 0
        """Octets of the current record that are still to come."""
        self._head = b""
        """What there is of a header that lies in two segments."""
        self._synced = False
        self.missed_bytes = 0
        """Octets in which headers could not be seen."""

    def begin(self, sequence: int) -> None:
        """Note a SYN: the stream begins behind it, with a header."""
        self._expected = (sequence + 1) % _MODULUS
        self._left, self._head, self._synced = 0, b"", True

    def feed(self, sequence: int, data: bytes, size: int) -> list[tuple[int, int]]:
        """Return (type, length) of the records whose headers end in this segment.

        data: what was captured of its payload; size: octets of payload on the wire.
        """
        skip = 0
        if self._expected is not None:
            ahead = (sequence - self._expected) % _MODULUS
            if ahead >= _HALF:  # seen before, at least in part
                skip = _MODULUS - ahead
                if skip >= size:
                    return []
            elif ahead:
                self._jump(ahead)
        self._expected = (sequence + size) % _MODULUS
        return self._walk(data, skip, size)

    def _jump(self, octets: int) -> None:
        """Pass over octets that are missing."""
        if self._synced and not self._head and octets <= self._left:
            self._left -= octets
            return
        self._lose(octets - self._left if self._synced else octets)

    def _lose(self, octets: int) -> None:
        self.missed_bytes += octets
        self._left, self._head, self._synced = 0, b"", False

    def _walk(self, data: bytes, at: int, size: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        if not self._synced:
            if not _is_header(data[at : at + HEADER_BYTES]):
                self._lose(size - at)
                return found
            self._synced = True
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
                continue
            wanted = HEADER_BYTES - len(self._head)
            there = min(wanted, size - at)
            if at + there > len(data):  # the capture cut it off
                self._lose(size - at)
                break
            self._head += data[at : at + there]
            at += there
            if there < wanted:
                break
            if not _is_header(self._head):
                self._lose(size - at)
                break
            self._left = int.from_bytes(self._head[3:5], "big")
            found.append((self._head[0], self._left))
            self._head = b""
        return found


def _is_header(octets: bytes) -> bool:
    return (
        len(octets) == HEADER_BYTES
        and CHANGE_CIPHER_SPEC <= octets[0] <= APPLICATION_DATA
        and octets[1:3] in _VERSIONS
        and int.from_bytes(octets[3:5], "big") <= MAX_CIPHERTEXT_BYTES
    )
