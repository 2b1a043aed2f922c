# SPDX-License-Identifier: Apache-2.0
r"""ClientHello and ServerHello: what TLS shows before it encrypts (RFC 8446 section 4.1).

::

    record     type 22, version, length (5 octets)
    handshake  type 1 or 2, length (4 octets)
    hello      legacy version 2, random 32, session id <0..32>,
               client: cipher suites <2..>, compression methods <1..>; server: one of each
               extensions <..>: type 2, length 2, value

A hello may be cut anywhere, by a snap length or because it is longer than what is kept, and may
say anything.  What was read before that counts, and `whole` says whether all of it was there:
only then is an extension that was not met known to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .tls_records import HANDSHAKE, HEADER_BYTES

TLS_1_2, TLS_1_3 = 0x0303, 0x0304
X25519MLKEM768 = 0x11EC
"""draft-ietf-tls-ecdhe-mlkem section 6.1.3: the hybrid of X25519 and ML-KEM-768."""
POST_QUANTUM_GROUPS = frozenset(
    {X25519MLKEM768, 0x11EB, 0x11ED, 0x6399, 0x639A, 0x0200, 0x0201, 0x0202}
)
"""Groups with ML-KEM in them: hybrids with P-256 and P-384, Kyber's drafts, ML-KEM alone."""

_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_FIXED_BYTES = 2 + 32
_SERVER_NAME, _ALPN, _PRE_SHARED_KEY, _EARLY_DATA = 0, 16, 41, 42
_SUPPORTED_VERSIONS, _KEY_SHARE = 43, 51
_HOST_NAME = 0
_MAX_LISTED = 32
"""Names, versions and shares that are listed of one hello."""

_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""RFC 8446 section 4.1.3: the random of a ServerHello that asks for another ClientHello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What a client offers, as far as it was captured."""

    whole: bool
    versions: tuple[int, ...] = ()
    """Of supported_versions (section 4.2.1); without that extension the legacy version."""
    alpn: tuple[bytes, ...] | None = None
    """Protocol names (RFC 7301), None where there was no such extension."""
    server_names: tuple[bytes, ...] | None = None
    """Host names (RFC 6066 section 3), None where there was no such extension."""
    cipher_suites: int = 0
    """How many it offers."""
    groups: tuple[int, ...] = ()
    """Of its key shares (section 4.2.8)."""
    early_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHello:
    """What a server chose, as far as it was captured."""

    whole: bool
    version: int | None
    """Of supported_versions; without it the legacy version, None where that is not known."""
    group: int | None = None
    """Of its key share, or of the one that it asks for."""
    resumed: bool = False
    """Whether a session goes on that was there before, so that nobody sends a certificate."""
    retry: bool = False
    """Whether it asks for another ClientHello."""


class _Cut(Exception):
    """There is no more of it."""


class _Octets:
    """Octets that are read from front to back, never past their end."""

    __slots__ = ("_at", "_data", "_end", "cut")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        """Read `data` from `at` on; end: where they would end if all of them were there."""
        self._data = data
        self._at = at
        self._end = len(data) if end is None else min(end, len(data))
        self.cut = end is not None and end > len(data)

    @property
    def left(self) -> int:
        """How many there are still."""
        return self._end - self._at

    def take(self, count: int) -> bytes:
        """Return the next octets; _Cut where there are fewer."""
        if count > self.left:
            raise _Cut
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int) -> int:
        """Return the next octets as a number."""
        return int.from_bytes(self.take(count), "big")

    def vector(self, length_bytes: int) -> bytes:
        """Return what stands behind its length."""
        return self.take(self.number(length_bytes))


def client_hello(record: bytes) -> ClientHello | None:
    """Return what a TLS record, or its beginning, says as a ClientHello; None where it is none."""
    octets = _hello(record, _CLIENT_HELLO)
    if octets is None:
        return None
    whole, legacy, suites = False, 0, 0
    found: dict[int, bytes] = {}
    try:
        legacy = octets.number(2)
        octets.take(_FIXED_BYTES - 2)
        octets.vector(1)
        suites = len(octets.vector(2)) // 2
        octets.vector(1)
        found.update(_extensions(octets))  # what comes before a cut stays
        whole = True
    except _Cut:
        pass
    versions = _listed(found.get(_SUPPORTED_VERSIONS), 1)
    if not versions and whole:
        versions = (legacy,)
    return ClientHello(
        whole=whole,
        versions=versions,
        alpn=_names(found[_ALPN]) if _ALPN in found else None,
        server_names=_host_names(found[_SERVER_NAME]) if _SERVER_NAME in found else None,
        cipher_suites=suites,
        groups=_shares(found.get(_KEY_SHARE, b"")),
        early_data=_EARLY_DATA in found,
    )


def server_hello(record: bytes) -> ServerHello | None:
    """Return what a TLS record, or its beginning, says as a ServerHello; None where it is none."""
    octets = _hello(record, _SERVER_HELLO)
    if octets is None:
        return None
    whole, version, group, retry = False, None, None, False
    found: dict[int, bytes] = {}
    try:
        legacy = octets.number(2)
        retry = octets.take(_FIXED_BYTES - 2) == _RETRY_RANDOM
        octets.vector(1)
        octets.take(3)
        found.update(_extensions(octets))  # what comes before a cut stays
        whole, version = True, legacy
    except _Cut:
        pass
    chosen = found.get(_SUPPORTED_VERSIONS, b"")
    if len(chosen) == 2:
        version = int.from_bytes(chosen, "big")
    share = found.get(_KEY_SHARE, b"")
    if len(share) >= 2:
        group = int.from_bytes(share[:2], "big")
    return ServerHello(
        whole=whole, version=version, group=group, resumed=_PRE_SHARED_KEY in found, retry=retry
    )


def _hello(record: bytes, wanted: int) -> _Octets | None:
    """Return what stands behind the handshake header of a hello."""
    start = HEADER_BYTES + 4
    if len(record) < start or record[0] != HANDSHAKE or record[1] != 3:
        return None
    if record[HEADER_BYTES] != wanted:
        return None
    length = int.from_bytes(record[HEADER_BYTES + 1 : start], "big")
    return _Octets(record, start, start + length)


def _extensions(octets: _Octets) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) as long as there are any; none at all is allowed before TLS 1.3."""
    if not octets.left and not octets.cut:
        return
    left = octets.number(2)
    while left:
        kind, value = octets.number(2), octets.vector(2)
        left -= 4 + len(value)
        if left < 0:
            raise _Cut
        yield kind, value


def _listed(value: bytes | None, length_bytes: int) -> tuple[int, ...]:
    """Return the two-octet numbers of a vector."""
    if value is None:
        return ()
    try:
        octets = _Octets(_Octets(value).vector(length_bytes))
    except _Cut:
        return ()
    return tuple(octets.number(2) for _ in range(min(octets.left // 2, _MAX_LISTED)))


def _names(value: bytes) -> tuple[bytes, ...]:
    """Return the names of an ALPN extension."""
    names: list[bytes] = []
    try:
        octets = _Octets(_Octets(value).vector(2))
        while octets.left and len(names) < _MAX_LISTED:
            names.append(octets.vector(1))
    except _Cut:
        pass
    return tuple(names)


def _host_names(value: bytes) -> tuple[bytes, ...]:
    """Return the host names of a server_name extension."""
    names: list[bytes] = []
    try:
        octets = _Octets(_Octets(value).vector(2))
        while octets.left and len(names) < _MAX_LISTED:
            kind, name = octets.number(1), octets.vector(2)
            if kind == _HOST_NAME:
                names.append(name)
    except _Cut:
        pass
    return tuple(names)


def _shares(value: bytes) -> tuple[int, ...]:
    """Return the groups of a client's key shares."""
    groups: list[int] = []
    try:
        octets = _Octets(_Octets(value).vector(2))
        while octets.left and len(groups) < _MAX_LISTED:
            groups.append(octets.number(2))
            octets.vector(2)
    except _Cut:
        pass
    return tuple(groups)
